"""What programs answer about dead letters that have none."""

from __future__ import annotations

from typing import Any

from limpet.errors import UsageError


class NoDeadLetters:
    """The part of a ``StatusSource`` that is about dead letters, of a program without any."""

    why_none = "there are no dead letters here: bots have them"
    """What those read who ask for one."""

    async def dead_letter(self, ident: str) -> dict[str, Any] | None:
        """Return ``None``: there is none."""
        del ident
        return None

    async def retry(self, idents: list[str]) -> dict[str, int]:
        """Refuse it.

        Raises:
            UsageError: Always.
        """
        del idents
        raise UsageError(self.why_none)

    async def discard(self, idents: list[str]) -> int:
        """Refuse it.

        Raises:
            UsageError: Always.
        """
        del idents
        raise UsageError(self.why_none)
