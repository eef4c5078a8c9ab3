"""The counters of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stats:
    """What a run has done so far; counters only grow."""

    started: float = field(default_factory=time.time)
    """When the run started, in Unix seconds."""
    events: int = 0
    """Events taken from the queue."""
    ignored: int = 0
    """The part of them that no behaviour is interested in."""
    done: int = 0
    """Times the actions of a behaviour ran to their end."""
    skipped: int = 0
    """Times no trigger of a behaviour matched, or a condition did not pass."""
    acted: int = 0
    """Times the actions of a behaviour were begun."""
    retries: int = 0
    """Tries beyond the first, of steps and outputs."""
    failed: int = 0
    """Times a behaviour gave an event up into a dead letter."""
    kept: int = 0
    """Events that a stop has stored for the next start, one for each behaviour."""
    lost: int = 0
    """Events that were neither processed nor stored, and dead letters that were not written."""
    outputs: int = 0
    """Output events that were sent."""
    unwanted: int = 0
    """Output events that no output takes."""
    restarts: int = 0
    """Restarts of failed inputs."""
    worker_restarts: int = 0
    """Restarts of workers, and of the dispatcher, that somebody has ended."""
    loops: int = 0
    """Warnings of events that come so often that they may be a loop."""
    pauses: int = 0
    """Times a behaviour paused because of its ``loop_limit``."""
    replayed: int = 0
    """Events taken from the journal at the start."""
    reloads: int = 0
    """Reloads of the configuration."""
    last_event: float = 0.0
    """When the last event was taken, in Unix seconds; 0 is never."""
