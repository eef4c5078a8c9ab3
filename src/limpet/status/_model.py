"""What a running program shows of itself: one snapshot, typed and versioned.

Each is a value: made in one moment, never changed. ``status.schema.json`` describes its form in
JSON. Times are Unix seconds, lengths of time are seconds (``_s``), sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

STATUS_VERSION: Final = 1
"""Raised when a field changes its meaning or goes; new fields may come without."""

Program = Literal["run", "agent", "follow", "watch", "inbox", "python"]
"""The command that runs, or ``python`` in a program of its own."""

State = Literal["starting", "running", "reloading", "draining", "stopped"]

Health = Literal["ok", "degraded", "failing"]
"""``degraded`` sees or does too little; ``failing`` does not do a part of its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong now."""

    where: str
    """The path, or the name of the part."""
    reason: str
    is_failure: bool = False
    """Whether a part does not work at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """One watch."""

    name: str
    place: str
    backend: str = ""
    """Empty while nothing is watched."""
    entries: int = 0
    """Entries in the index."""
    marks: int = 0
    """Folders that are marked in the kernel."""
    polled: int = 0
    """Folders that are scanned in intervals."""
    held: int = 0
    """Files held by debounce."""
    scans: int = 0
    rescans: int = 0
    """Full scans after the first."""
    events: int = 0
    events_per_minute: float = 0.0
    last_event: float | None = None
    """When the last event came, to the second; ``None`` is never."""
    degraded: dict[str, str] = field(default_factory=dict)
    """Path -> why it is seen late or not at all."""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStatus:
    """One follower."""

    name: str
    place: str
    files: int = 0
    """Files being read, rotated ones included."""
    lag_bytes: int = 0
    """Bytes known to be there and not read."""
    lag_s: float = 0.0
    """Seconds for which there has been something unread."""
    lines: int = 0
    lines_per_minute: float = 0.0
    bytes_read: int = 0
    last_line: float | None = None
    gaps: int = 0
    gap_bytes: int = 0
    truncations: int = 0
    lost_bytes: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStatus:
    """One output."""

    name: str
    root: str
    operations: dict[str, int] = field(default_factory=dict)
    """Kind of operation -> how many succeeded."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Error code -> how many operations were refused or failed with it."""
    bytes_written: int = 0
    last_operation: float | None = None
    """When one was found to be done last, to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourStatus:
    """One behaviour of a bot."""

    name: str
    queue_depth: int = 0
    active: int = 0
    done: int = 0
    skipped: int = 0
    retried: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    """The longest that one event has taken, of those that are over."""
    oldest_s: float = 0.0
    """Since when the oldest event waits here or is processed."""
    failure: str = ""
    """Why it does not work now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterStatus:
    """One event that was given up."""

    id: str
    time: str
    """When, in ISO 8601."""
    behaviour: str
    step: str
    attempts: int
    about: str
    """The path of its event, or its type."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersStatus:
    """The dead letters of a bot or an inbox."""

    waiting: int = 0
    """How many there are."""
    written: int = 0
    """Those written by this run."""
    newest: tuple[DeadLetterStatus, ...] = ()
    """At most fifty of them, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatus:
    """The journal of a bot: what a stop has stored for the next start."""

    replayed: int = 0
    """Events taken from it at the start."""
    stored: int = 0
    lost: int = 0
    """Events that were neither processed nor stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxStatus:
    """One inbox."""

    place: str
    waiting: int = 0
    active: int = 0
    retrying: int = 0
    """Those that wait for another try."""
    done: int = 0
    retried: int = 0
    failed: int = 0
    oldest_s: float = 0.0
    last_done: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """What an agent keeps for the hub."""

    waiting: int = 0
    waiting_bytes: int = 0
    kept: int = 0
    collapsed: int = 0
    """Events given up because it was full."""
    sent: int = 0
    blocked: tuple[str, ...] = ()
    """Watches that wait for room in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatus:
    """The connection to a hub."""

    url: str
    state: str
    """``connected``, ``connecting``, ``refused`` and the like."""
    trouble: str = ""
    lag: int = 0
    """Events that are on the hub and not read yet, or here and not on the hub yet."""
    lag_s: float = 0.0
    clock_offset_s: float = 0.0
    """Seconds to add to the clock here for the hub's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """An agent: this program, or one whose events it reads."""

    host: str
    state: str
    """``running``, ``stopped``, ``silent``, or what it reports of itself."""
    since: float | None = None
    last_seen: float | None = None
    waiting: int = 0
    """Events that it has and the hub has not."""
    trouble: str = ""
    commands_done: int = 0
    commands_refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values were at most so large: buckets as Prometheus counts them."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """Values in each bucket, not accumulated; one more than bounds: the last has no bound."""
    total: float
    """The sum of all values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One program at one moment."""

    version: int = STATUS_VERSION
    program: Program
    name: str
    instance: str
    """Of this start of the program: another start has another one."""
    pid: int
    host: str
    limpet: str
    """The version of limpet."""
    started: float
    time: float
    """When the snapshot was made."""
    state: State = "running"
    health: Health = "ok"
    problems: tuple[Problem, ...] = ()
    state_dir: str = ""
    events: int = 0
    """Events so far, of all that it watches and follows."""
    events_per_minute: float = 0.0
    last_event: float | None = None
    queued: int = 0
    """Events that wait before they are given to behaviours, commands or the consumer."""
    counters: dict[str, int] = field(default_factory=dict)
    """What the program counts beside; see the page of the status."""
    watches: tuple[WatchStatus, ...] = ()
    follows: tuple[FollowStatus, ...] = ()
    outputs: tuple[OutputStatus, ...] = ()
    behaviours: tuple[BehaviourStatus, ...] = ()
    inboxes: tuple[InboxStatus, ...] = ()
    dead_letters: DeadLettersStatus | None = None
    journal: JournalStatus | None = None
    spool: SpoolStatus | None = None
    hub: HubStatus | None = None
    agents: tuple[AgentStatus, ...] = ()
    age_delivered: Histogram | None = None
    """Age of events when they were delivered: seconds since they happened."""
    age_done: Histogram | None = None
    """Age of events when they were processed."""
