"""What runs shows of itself: a snapshot of everything it watches, does and waits for."""

from limpet.status._happenings import Happening, Happenings, What
from limpet.status._model import (
    STATUS_VERSION,
    AgentStatus,
    BehaviourStatus,
    DeadLettersStatus,
    DeadLetterStatus,
    FollowStatus,
    Health,
    Histogram,
    HubStatus,
    InboxStatus,
    JournalStatus,
    OutputStatus,
    Problem,
    Program,
    SpoolStatus,
    State,
    Status,
    WatchStatus,
)
from limpet.status._source import StatusSource
from limpet.status._wire import happening_to_wire, status_from_wire, status_to_wire

__all__ = [
    "STATUS_VERSION",
    "AgentStatus",
    "BehaviourStatus",
    "DeadLetterStatus",
    "DeadLettersStatus",
    "FollowStatus",
    "Happening",
    "Happenings",
    "Health",
    "Histogram",
    "HubStatus",
    "InboxStatus",
    "JournalStatus",
    "OutputStatus",
    "Problem",
    "Program",
    "SpoolStatus",
    "State",
    "Status",
    "StatusSource",
    "WatchStatus",
    "What",
    "happening_to_wire",
    "status_from_wire",
    "status_to_wire",
]
