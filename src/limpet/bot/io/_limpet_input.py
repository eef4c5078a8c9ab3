"""What limpet's inputs have in common: they go on while a stopping bot does what is queued."""

from __future__ import annotations

from mewbot.api.v1 import Input

__all__ = ["OwnInput"]


class OwnInput(Input):
    """Ended after what is queued is done, so that it still learns what was dealt with."""

    def quiesce(self) -> None:
        """Hand out no more events."""
