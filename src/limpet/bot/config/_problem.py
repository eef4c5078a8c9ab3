"""What is wrong with a bot's file: where, and what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limpet.errors import UsageError

__all__ = ["ConfigError", "Problem"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One error or warning."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    where: str
    """The way by keys, such as ``2.actions[0].properties.command``; a document's number first."""
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Give it as compilers do, so that editors find the place."""
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {where}{self.message}"


class ConfigError(UsageError):
    """A bot's file is wrong; ``problems`` has every error, and the message says them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep them."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)), code="bot-file")

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return (ConfigError, (self.problems,))
