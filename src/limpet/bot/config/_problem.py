"""Problems of a bot's file: their positions and remedies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limpet.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One error or warning."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    where: str
    """The path of keys, after the document's number: ``2.actions[0].properties.command``."""
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {where}{self.message}"


class BotConfigError(UsageError):
    """A bot's file is wrong; ``problems`` and the message list every error."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)), code="bot-file")

    def __reduce__(self) -> tuple[object, ...]:
        return (BotConfigError, (self.problems,))
