"""What a watch would report of a path, and why: the values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

ReasonCode = Literal[
    "outside", "ignored", "one-level", "behind-symlink", "absent", "unreadable", "selected",
    "held", "polled", "not-marked", "marked", "degraded",
]  # fmt: skip
"""What a reason is about. No event comes with one of ``outside``, ``ignored``, ``one-level`` and
``behind-symlink``."""

_BARS: Final = frozenset(("outside", "ignored", "one-level", "behind-symlink"))


class Reason(NamedTuple):
    """One thing that decides whether, and when, an event comes."""

    code: ReasonCode
    text: str
    """One sentence without a period."""


class Explanation(NamedTuple):
    """What a watch would report of one path, and why; ``str()`` gives it as lines of text."""

    path: Path
    place: Path | None
    """The place that reports the path; ``None`` if it is outside of all."""
    reasons: tuple[Reason, ...]

    @property
    def reported(self) -> bool:
        """Return whether a change at the path would be an event."""
        return not any(one.code in _BARS for one in self.reasons)

    def __str__(self) -> str:
        verdict = "reported" if self.reported else "not reported"
        return "\n".join(
            [f"{self.path!s}: {verdict}", *(f"  {one.code}: {one.text}" for one in self.reasons)]
        )


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is spelled as that of a folder: with a separator at its end."""
    text = os.fsdecode(os.fspath(path))
    return text.endswith((os.sep, os.altsep or os.sep))
