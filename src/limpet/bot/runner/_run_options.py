"""What a run of a bot can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from limpet.errors import UsageError

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a bot is run; the defaults suit a bot on a server.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    state_dir: Path | None = None
    """Folder for the journal and the dead letters; ``None`` keeps neither, and says so when it
    would have."""
    queue: int = 1000
    """Events that may wait to be handed to behaviours; inputs wait while there are as many."""
    lane: int = 100
    """Events that may wait for one behaviour; the queue waits while there are as many."""
    attempts: int = 3
    """How often a step, or an output, is tried."""
    backoff: float = 0.5
    """Seconds before the second try; then twice as long each time."""
    backoff_max: float = 30.0
    """The longest such wait."""
    timeout: float | None = None
    """Seconds one try of an action may take; ``None`` is for ever."""
    output_timeout: float = 60.0
    """Seconds one try of an output may take."""
    drain: float = 8.0
    """Seconds that a stop waits for what is queued: less than the ten that container runtimes give.
    What is not done then goes to the journal."""
    until_done: bool = False
    """End once every input has ended and all is done; else a bot runs until it is stopped."""
    dry_run: bool = False
    """Say what would be written, run and posted, and do none of it."""
    listen: str | None = None
    """``host:port`` on loopback for health and metrics; port 0 takes a free one."""

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("queue", "lane", "attempts"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, got {getattr(self, name)!r}"
                raise UsageError(message)
        for name in ("backoff", "backoff_max", "drain", "output_timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                message = f"{name} must be at least 0 seconds, got {value!r}"
                raise UsageError(message)
