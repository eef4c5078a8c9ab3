"""File-system I/O for bots and automation: typed events for what happens at a place on disk.

Names are loaded when they are first used, so that a program that imports limpet and does not watch
anything yet, such as ``limpet --help``, starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import homes, lazy_names

if TYPE_CHECKING:
    from limpet._preload import preload
    from limpet.config import ContentOptions, WatchOptions
    from limpet.errors import (
        BusyError,
        CapError,
        CheckpointBusyError,
        CheckpointCorruptError,
        ContentError,
        DeniedError,
        DurabilityError,
        EscapeError,
        ExistsError,
        LimitError,
        LimpetError,
        MissingError,
        MissingExtraError,
        NameRefusedError,
        NoSpaceError,
        NotAFileError,
        OutputError,
        OutputFailedError,
        RootGoneError,
        UnsupportedError,
        UsageError,
    )
    from limpet.events import (
        Degraded,
        DirCreated,
        DirDeleted,
        DirEvent,
        DirRenamed,
        DirSettled,
        DirUpdated,
        EntryEvent,
        Event,
        FileCreated,
        FileDeleted,
        FileEvent,
        FileRenamed,
        FileStat,
        FileUpdated,
        Mismatched,
        Recovered,
        Rescanned,
        TargetDirCreated,
        TargetDirDeleted,
        TargetDirUpdated,
        TargetEvent,
        TargetFileCreated,
        TargetFileDeleted,
        TargetFileUpdated,
        WatchEvent,
        Who,
    )
    from limpet.following import (
        Appended,
        Follower,
        FollowEvent,
        FollowOptions,
        FollowStats,
        Line,
        Position,
        SyncFollower,
        follow,
    )
    from limpet.intake import Inbox, InboxOptions, InboxStats, Job, SyncInbox, SyncJob, inbox
    from limpet.output import (
        AppendToFile,
        AsyncOutput,
        CreateFile,
        DeleteDir,
        DeleteFile,
        Done,
        MakeDir,
        MoveFile,
        Output,
        OutputLimits,
        OutputStats,
        OverwriteFile,
        Refused,
        Result,
        Rotation,
        open_output,
        safe_name,
    )
    from limpet.watching import (
        Dir,
        Explanation,
        File,
        MultiWatch,
        Reason,
        SyncMultiWatch,
        SyncWatch,
        Watch,
        WatchStats,
        explain,
        own_write,
        spread,
        watch,
        watch_dir,
        watch_file,
    )

__all__ = [
    "AppendToFile",
    "Appended",
    "AsyncOutput",
    "BusyError",
    "CapError",
    "CheckpointBusyError",
    "CheckpointCorruptError",
    "ContentError",
    "ContentOptions",
    "CreateFile",
    "Degraded",
    "DeleteDir",
    "DeleteFile",
    "DeniedError",
    "Dir",
    "DirCreated",
    "DirDeleted",
    "DirEvent",
    "DirRenamed",
    "DirSettled",
    "DirUpdated",
    "Done",
    "DurabilityError",
    "EntryEvent",
    "EscapeError",
    "Event",
    "ExistsError",
    "Explanation",
    "File",
    "FileCreated",
    "FileDeleted",
    "FileEvent",
    "FileRenamed",
    "FileStat",
    "FileUpdated",
    "FollowEvent",
    "FollowOptions",
    "FollowStats",
    "Follower",
    "Inbox",
    "InboxOptions",
    "InboxStats",
    "Job",
    "LimitError",
    "LimpetError",
    "Line",
    "MakeDir",
    "Mismatched",
    "MissingError",
    "MissingExtraError",
    "MoveFile",
    "MultiWatch",
    "NameRefusedError",
    "NoSpaceError",
    "NotAFileError",
    "Output",
    "OutputError",
    "OutputFailedError",
    "OutputLimits",
    "OutputStats",
    "OverwriteFile",
    "Position",
    "Reason",
    "Recovered",
    "Refused",
    "Rescanned",
    "Result",
    "RootGoneError",
    "Rotation",
    "SyncFollower",
    "SyncInbox",
    "SyncJob",
    "SyncMultiWatch",
    "SyncWatch",
    "TargetDirCreated",
    "TargetDirDeleted",
    "TargetDirUpdated",
    "TargetEvent",
    "TargetFileCreated",
    "TargetFileDeleted",
    "TargetFileUpdated",
    "UnsupportedError",
    "UsageError",
    "Watch",
    "WatchEvent",
    "WatchOptions",
    "WatchStats",
    "Who",
    "explain",
    "follow",
    "inbox",
    "open_output",
    "own_write",
    "preload",
    "safe_name",
    "spread",
    "watch",
    "watch_dir",
    "watch_file",
]
__version__ = "0.1.0"

if not TYPE_CHECKING:  # the checker has the imports above, and must accept no other name
    __getattr__, __dir__ = lazy_names(
        globals(),
        homes(
            {
                "limpet._preload": "preload",
                "limpet.config": "ContentOptions WatchOptions",
                "limpet.errors": """
                    BusyError CapError CheckpointBusyError CheckpointCorruptError ContentError
                    DeniedError DurabilityError EscapeError ExistsError LimitError LimpetError
                    MissingError MissingExtraError NameRefusedError NoSpaceError NotAFileError
                    OutputError OutputFailedError RootGoneError UnsupportedError UsageError
                    """,
                "limpet.events": """
                    Degraded DirCreated DirDeleted DirEvent DirRenamed DirSettled DirUpdated
                    EntryEvent Event FileCreated FileDeleted FileEvent FileRenamed FileStat
                    FileUpdated Mismatched Recovered Rescanned TargetDirCreated TargetDirDeleted
                    TargetDirUpdated TargetEvent TargetFileCreated TargetFileDeleted
                    TargetFileUpdated WatchEvent Who
                    """,
                "limpet.following": """
                    Appended FollowEvent FollowOptions FollowStats Follower Line Position
                    SyncFollower follow
                    """,
                "limpet.intake": "Inbox InboxOptions InboxStats Job SyncInbox SyncJob inbox",
                "limpet.output": """
                    AppendToFile AsyncOutput CreateFile DeleteDir DeleteFile Done MakeDir MoveFile
                    Output OutputLimits OutputStats OverwriteFile Refused Result Rotation
                    open_output safe_name
                    """,
                "limpet.watching": """
                    Dir Explanation File MultiWatch Reason SyncMultiWatch SyncWatch Watch WatchStats
                    explain own_write spread watch watch_dir watch_file
                    """,
            }
        ),
        {
            name: f"limpet.{name}"
            for name in (
                "backends", "bot", "cli", "compat", "config", "errors", "events", "following",
                "intake", "output", "remote", "status", "testing", "watching", "web",
            )
        },
    )  # fmt: skip
