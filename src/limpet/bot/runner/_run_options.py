"""The options of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from limpet.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a bot is run; the defaults suit a bot on a server.

    Raises:
        UsageError: A value is out of its range; the message names it.
    """

    state_dir: Path | None = None
    """Directory of the journal and the dead letters; with ``None`` they are only logged."""
    queue: int = 1000
    """Most events that wait for the dispatcher; then inputs wait."""
    behaviour_queue: int = 100
    """Most events that wait for one behaviour; then the dispatcher waits."""
    attempts: int = 3
    """Tries of a step, or of an output."""
    backoff: float = 0.5
    """Seconds before the second try; the delay doubles with each further one."""
    backoff_max: float = 30.0
    """The longest such delay."""
    timeout: float | None = None
    """Seconds one try of an action may take; ``None`` is unlimited."""
    output_timeout: float = 60.0
    """Seconds one try of an output may take."""
    drain: float = 8.0
    """Seconds that a stop waits for queued events: less than the ten of container runtimes.
    Events that are not processed by then go to the journal."""
    until_done: bool = False
    """End once every input has ended and all events are processed; else run until stopped."""
    dry_run: bool = False
    """Report what would be written, run and posted, and do none of it."""
    listen: str | None = None
    """``host:port`` on loopback for health and metrics; port 0 takes a free one."""

    def __post_init__(self) -> None:
        for name in ("queue", "behaviour_queue", "attempts"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, got {getattr(self, name)!r}"
                raise UsageError(message)
        for name in ("backoff", "backoff_max", "drain", "output_timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                message = f"{name} must be at least 0 seconds, got {value!r}"
                raise UsageError(message)
