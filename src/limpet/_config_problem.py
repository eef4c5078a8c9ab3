"""The problems of a configuration file, and the error that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limpet.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One error or warning of a file."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    where: str
    """The path of keys: ``agent.watch[0].settle``; in a bot's file it starts with the document's
    number: ``2.actions[0].properties.command``."""
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return it in the form of compilers, so that editors find the position."""
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {where}{self.message}"


class ConfigError(UsageError):
    """A configuration file is wrong: nothing was started.

    ``problems`` and the message list every error of a YAML file; a file that it names, such as one
    with a password, is not part of ``problems``.
    """

    default_code = "config"

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message or "\n".join(map(str, problems)))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self),), {"problems": self.problems}


def shortened(text: str, most: int = 1000) -> str:
    """Return a text of at most ``most`` characters, without its middle if it is longer."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 3]}...{text[-end:]}"
