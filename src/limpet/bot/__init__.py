"""Bots: file events in, file outputs out, from YAML or from Python (the extra ``bot``).

``FileSystem`` and the triggers, conditions and actions here are components for mewbot. ``run`` runs
a bot made of them, or of anybody's components, and loses no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
from limpet._require_extra import need
from limpet.bot._names import MODULES

if TYPE_CHECKING:
    from limpet.bot._behaviour import Behaviour
    from limpet.bot.actions import (
        AppendToFileAction,
        CreateFileAction,
        DeleteFileAction,
        LimpetAction,
        LogAction,
        MakeDirAction,
        MoveFileAction,
        MoveProcessedFileAction,
        OverwriteFileAction,
        PrintAction,
        RunCommandAction,
        WebhookAction,
    )
    from limpet.bot.conditions import (
        AgeCondition,
        ContentCondition,
        ExtensionCondition,
        RateLimitCondition,
        SizeCondition,
        StillThereCondition,
        TimeOfDayCondition,
    )
    from limpet.bot.config import BotConfigError
    from limpet.bot.events._action_result import Outcome
    from limpet.bot.events._input_events import (
        DirCreatedInputEvent,
        DirDeletedInputEvent,
        DirInputEvent,
        DirRenamedInputEvent,
        DirSettledInputEvent,
        DirUpdatedInputEvent,
        FileCreatedInputEvent,
        FileDeletedInputEvent,
        FileInputEvent,
        FileRenamedInputEvent,
        FileSystemInputEvent,
        FileUpdatedInputEvent,
        LinesAddedInputEvent,
        TargetDirCreatedInputEvent,
        TargetDirDeletedInputEvent,
        TargetDirUpdatedInputEvent,
        TargetFileCreatedInputEvent,
        TargetFileDeletedInputEvent,
        TargetFileUpdatedInputEvent,
        WatchInputEvent,
    )
    from limpet.bot.events._output_events import (
        AppendToFileOutputEvent,
        CreateFileOutputEvent,
        DeleteFileOutputEvent,
        FileSystemOutputEvent,
        MakeDirOutputEvent,
        MoveFileOutputEvent,
        MoveProcessedFileOutputEvent,
        OverwriteFileOutputEvent,
        WriteToFileOutputEvent,
    )
    from limpet.bot.io._filesystem import FileSystem
    from limpet.bot.io._remote_filesystem import RemoteFileSystem
    from limpet.bot.io._schedule import Schedule, ScheduleInput, ScheduleInputEvent
    from limpet.bot.io._stdin_messages import MessageInputEvent, StdinMessages
    from limpet.bot.runner import Runner, RunOptions, run
    from limpet.bot.settings._setting import Configured, Setting
    from limpet.bot.triggers import (
        AllEventsTrigger,
        ClassTrigger,
        FileSystemTrigger,
        GlobTrigger,
        LinesTrigger,
        RegexTrigger,
    )

need("mewbot.core", "limpet.bot")
need("mewbot.api", "limpet.bot")
need("pydantic", "limpet.bot")
need("jinja2", "limpet.bot")

__all__ = [
    "AgeCondition",
    "AllEventsTrigger",
    "AppendToFileAction",
    "AppendToFileOutputEvent",
    "Behaviour",
    "BotConfigError",
    "ClassTrigger",
    "Configured",
    "ContentCondition",
    "CreateFileAction",
    "CreateFileOutputEvent",
    "DeleteFileAction",
    "DeleteFileOutputEvent",
    "DirCreatedInputEvent",
    "DirDeletedInputEvent",
    "DirInputEvent",
    "DirRenamedInputEvent",
    "DirSettledInputEvent",
    "DirUpdatedInputEvent",
    "ExtensionCondition",
    "FileCreatedInputEvent",
    "FileDeletedInputEvent",
    "FileInputEvent",
    "FileRenamedInputEvent",
    "FileSystem",
    "FileSystemInputEvent",
    "FileSystemOutputEvent",
    "FileSystemTrigger",
    "FileUpdatedInputEvent",
    "GlobTrigger",
    "LimpetAction",
    "LinesAddedInputEvent",
    "LinesTrigger",
    "LogAction",
    "MakeDirAction",
    "MakeDirOutputEvent",
    "MessageInputEvent",
    "MoveFileAction",
    "MoveFileOutputEvent",
    "MoveProcessedFileAction",
    "MoveProcessedFileOutputEvent",
    "Outcome",
    "OverwriteFileAction",
    "OverwriteFileOutputEvent",
    "PrintAction",
    "RateLimitCondition",
    "RegexTrigger",
    "RemoteFileSystem",
    "RunCommandAction",
    "RunOptions",
    "Runner",
    "Schedule",
    "ScheduleInput",
    "ScheduleInputEvent",
    "Setting",
    "SizeCondition",
    "StdinMessages",
    "StillThereCondition",
    "TargetDirCreatedInputEvent",
    "TargetDirDeletedInputEvent",
    "TargetDirUpdatedInputEvent",
    "TargetFileCreatedInputEvent",
    "TargetFileDeletedInputEvent",
    "TargetFileUpdatedInputEvent",
    "TimeOfDayCondition",
    "WatchInputEvent",
    "WebhookAction",
    "WriteToFileOutputEvent",
    "run",
]


if not TYPE_CHECKING:  # the type checker reads the imports above, and finds no other name
    __getattr__, __dir__ = lazy_names(
        globals(),
        MODULES,
        {
            **{
                name: f"limpet.bot.{name}"
                for name in (
                    "actions", "compat", "conditions", "config", "events", "io", "program",
                    "runner", "settings", "triggers",
                )
            },
        },
    )  # fmt: skip
