"""What runs shows of itself: a snapshot of everything it watches, does and waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import homes, lazy_names

if TYPE_CHECKING:
    from limpet.status._client import NotReachedError, act, fetch_happenings, fetch_status
    from limpet.status._degraded import DegradedPaths
    from limpet.status._happenings import Happening, Happenings, What
    from limpet.status._histogram import HistogramCounter
    from limpet.status._identity import Identity
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
    from limpet.status._no_dead_letters import NoDeadLetters
    from limpet.status._parts import (
        Lags,
        follow_status,
        health_of,
        inbox_status,
        output_status,
        problems_of,
        watch_status,
    )
    from limpet.status._program_status import ProgramStatus
    from limpet.status._rates import Rates
    from limpet.status._record import Announcement, Record, default_state_dir, record_in, running
    from limpet.status._source import Refreshed, StatusSource
    from limpet.status._wire import happening_to_wire, status_from_wire, status_to_wire

__all__ = [
    "STATUS_VERSION",
    "AgentStatus",
    "Announcement",
    "BehaviourStatus",
    "DeadLetterStatus",
    "DeadLettersStatus",
    "DegradedPaths",
    "FollowStatus",
    "Happening",
    "Happenings",
    "Health",
    "Histogram",
    "HistogramCounter",
    "HubStatus",
    "Identity",
    "InboxStatus",
    "JournalStatus",
    "Lags",
    "NoDeadLetters",
    "NotReachedError",
    "OutputStatus",
    "Problem",
    "Program",
    "ProgramStatus",
    "Rates",
    "Record",
    "Refreshed",
    "SpoolStatus",
    "State",
    "Status",
    "StatusSource",
    "WatchStatus",
    "What",
    "act",
    "default_state_dir",
    "fetch_happenings",
    "fetch_status",
    "follow_status",
    "happening_to_wire",
    "health_of",
    "inbox_status",
    "output_status",
    "problems_of",
    "record_in",
    "running",
    "status_from_wire",
    "status_to_wire",
    "watch_status",
]

if not TYPE_CHECKING:  # the checker has the imports above; the rest is loaded when it is used
    __getattr__, __dir__ = lazy_names(
        globals(),
        homes(
            {
                "limpet.status._client": "NotReachedError act fetch_happenings fetch_status",
                "limpet.status._degraded": "DegradedPaths",
                "limpet.status._happenings": "Happening Happenings What",
                "limpet.status._histogram": "HistogramCounter",
                "limpet.status._identity": "Identity",
                "limpet.status._model": """
                    STATUS_VERSION AgentStatus BehaviourStatus
                    DeadLettersStatus DeadLetterStatus FollowStatus Health
                    Histogram HubStatus InboxStatus JournalStatus
                    OutputStatus Problem Program SpoolStatus State Status
                    WatchStatus
                    """,
                "limpet.status._no_dead_letters": "NoDeadLetters",
                "limpet.status._parts": """
                    Lags follow_status health_of inbox_status output_status
                    problems_of watch_status
                    """,
                "limpet.status._program_status": "ProgramStatus",
                "limpet.status._rates": "Rates",
                "limpet.status._record": "Announcement Record default_state_dir record_in running",
                "limpet.status._source": "Refreshed StatusSource",
                "limpet.status._wire": "happening_to_wire status_from_wire status_to_wire",
            }
        ),
        {},
    )
