"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from limpet._option_fields import check_options, option


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a bot is run; the defaults suit a bot on a server.

    Raises:
        UsageError: A value is of another type or out of its range; the message names it.
    """

    state_dir: Path | None = None
    """Directory of the journal and the dead letters; with ``None`` they are only logged."""
    queue: int = option(1000, "", least=1)
    """Most events that may wait for the dispatcher; inputs wait while there are that many."""
    behaviour_queue: int = option(100, "", least=1)
    """Most events that wait for one behaviour; then the dispatcher waits."""
    attempts: int = option(3, "", least=1)
    """Tries of a step, or of an output."""
    backoff: float = option(0.5, "", unit="SECONDS", least=0)
    """Seconds before the second try; the delay doubles with each further one."""
    backoff_max: float = option(30.0, "", unit="SECONDS", least=0)
    """The longest such delay."""
    timeout: float | None = option(None, "", unit="SECONDS", least=0)
    """Seconds one try of an action may take; ``None`` is unlimited."""
    output_timeout: float = option(60.0, "", unit="SECONDS", least=0)
    """Seconds one try of an output may take."""
    loop_limit: int | None = option(None, "", least=1)
    """Most events about one path that a behaviour acts on in a minute; then it pauses. ``None``
    only warns, above 60."""
    drain: float = option(8.0, "", unit="SECONDS", least=0)
    """Seconds that a stop waits for queued events: less than the ten of container runtimes.
    Events that are not processed by then go to the journal."""
    until_done: bool = False
    """End once every input has ended and all events are processed; else run until stopped."""
    dry_run: bool = False
    """Report what would be written, run and posted, and do none of it."""
    listen: str | None = None
    """``host:port`` on loopback for health and metrics; port 0 takes a free one."""

    def __post_init__(self) -> None:
        check_options(self)
