"""What a server asks of a program that it shows."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from limpet.status._happenings import Happenings
from limpet.status._model import Status


@runtime_checkable
class Refreshed(Protocol):
    """A source that reads a part of its status from the disk, beforehand."""

    async def refresh(self) -> None:
        """Read that part again."""


class StatusSource(Protocol):
    """A program that can be shown. Everything is called in its own event loop."""

    @property
    def happenings(self) -> Happenings:
        """The last things that happened."""

    def status(self) -> Status:
        """Return a snapshot; waits for nothing."""

    async def dead_letter(self, ident: str) -> dict[str, Any] | None:
        """Return the whole story of a dead letter, as it is stored; ``None`` if there is none."""

    async def retry(self, idents: list[str]) -> dict[str, int]:
        """Process dead letters again; return what became of them (``done``, ``failed``, …).

        Raises:
            UsageError: There is none of an id, or this program has no dead letters.
        """

    async def discard(self, idents: list[str]) -> int:
        """End dead letters that nobody wants, and return how many these were.

        Raises:
            UsageError: There is none of an id, or this program has no dead letters.
        """
