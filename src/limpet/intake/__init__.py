"""Processing what is put into a folder: ``inbox``, and the jobs that it delivers.

The package is not called ``inbox`` because ``limpet.inbox`` is the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
from limpet.intake._free_names import MOST_NAMES, numbered
from limpet.intake._inbox_options import InboxOptions, Options, Unit
from limpet.intake._inbox_stats import InboxStats

if TYPE_CHECKING:
    from limpet.intake._failure_note import JobFailedError, full_failure, note_name, note_text
    from limpet.intake._inbox import Inbox, Job
    from limpet.intake._open_inbox import inbox
    from limpet.intake._sync_inbox import SyncInbox, SyncJob

__all__ = [
    "MOST_NAMES",
    "Inbox",
    "InboxOptions",
    "InboxStats",
    "Job",
    "JobFailedError",
    "Options",
    "SyncInbox",
    "SyncJob",
    "Unit",
    "full_failure",
    "inbox",
    "note_name",
    "note_text",
    "numbered",
]
"""For users: those that ``limpet`` has too. The others are for limpet's own parts."""


if not TYPE_CHECKING:  # the checker has the imports above; the rest is loaded when it is used
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "Inbox": "limpet.intake._inbox",
            "Job": "limpet.intake._inbox",
            "JobFailedError": "limpet.intake._failure_note",
            "SyncInbox": "limpet.intake._sync_inbox",
            "SyncJob": "limpet.intake._sync_inbox",
            "full_failure": "limpet.intake._failure_note",
            "inbox": "limpet.intake._open_inbox",
            "note_name": "limpet.intake._failure_note",
            "note_text": "limpet.intake._failure_note",
        },
        {},
    )
