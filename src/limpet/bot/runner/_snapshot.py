"""The state of a running bot at one moment, for health and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from limpet.bot.runner._stats import Stats


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSnapshot:
    """The queue of one behaviour."""

    behaviour: str
    """The name of the behaviour in messages."""
    depth: int
    """Events waiting in the queue."""
    active: int
    """Events being processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSnapshot:
    """One run."""

    state: str
    """``starting``, ``running``, ``reloading``, ``draining`` or ``stopped``."""
    stats: Stats
    queued: int
    """Events waiting for the dispatcher."""
    dead_letters: int
    """Dead letters written by this run."""
    inputs: dict[str, str | None]
    """Each ``FileSystem`` -> the backend of its watch; ``None`` while nothing is watched."""
    failures: dict[str, str]
    """Inputs and workers that do not run -> the reason."""
    degraded: dict[str, str]
    """Paths at which a watch sees less than it should -> the reason."""
    queues: tuple[QueueSnapshot, ...]
    """One for each active behaviour, in the order of the file."""
