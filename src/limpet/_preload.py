"""Load at the start of a program what limpet would load at its first use, in the event loop."""

from __future__ import annotations

import limpet.following
import limpet.intake
import limpet.output
import limpet.watching

__all__ = ["preload"]


def preload() -> None:
    """Load all that watching, following, inboxes and writing need; starts nothing.

    The first ``watch_dir``, ``follow``, ``inbox`` or ``open_output`` of a program loads modules for
    some 100 milliseconds. A server calls this before its event loop runs, so that no request waits
    for that.
    """
    import anyio._backends._asyncio  # anyio itself loads it in the loop
    import anyio.abc  # noqa: F401

    limpet.watching.load_all()
    _ = limpet.following.follow, limpet.intake.inbox, limpet.output.open_output
