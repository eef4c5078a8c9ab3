"""Bots: file events in, file outputs out, from YAML or from Python (the extra ``bot``).

``FileSystem`` and what goes with it are components for mewbot; ``run`` runs a bot with them, or
with anybody's, and loses nothing on the way.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from limpet.bot.compat._require_extra import need

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
        OverwriteFileAction,
        PrintAction,
        PutAwayAction,
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
    from limpet.bot.config import ConfigError
    from limpet.bot.events._action_result import Outcome
    from limpet.bot.events._input_events import (
        DirCreatedInputEvent,
        DirDeletedInputEvent,
        DirInputEvent,
        DirRenamedInputEvent,
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
        OverwriteFileOutputEvent,
        PutAwayOutputEvent,
        WriteToFileOutputEvent,
    )
    from limpet.bot.io._filesystem import FileSystem
    from limpet.bot.io._remote_filesystem import RemoteFileSystem
    from limpet.bot.io._stdin_messages import MessageInputEvent, StdinMessages
    from limpet.bot.runner import Runner, RunOptions, run
    from limpet.bot.settings import _validators as values
    from limpet.bot.settings._setting import Setting
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

_HOMES = {
    "limpet.bot._behaviour": "Behaviour",
    "limpet.bot.events._input_events": """
        DirCreatedInputEvent DirDeletedInputEvent DirInputEvent DirRenamedInputEvent
        DirUpdatedInputEvent FileCreatedInputEvent FileDeletedInputEvent FileInputEvent
        FileRenamedInputEvent FileSystemInputEvent FileUpdatedInputEvent LinesAddedInputEvent
        TargetDirCreatedInputEvent TargetDirDeletedInputEvent TargetDirUpdatedInputEvent
        TargetFileCreatedInputEvent TargetFileDeletedInputEvent TargetFileUpdatedInputEvent
        WatchInputEvent
        """,
    "limpet.bot.io._filesystem": "FileSystem",
    "limpet.bot.io._stdin_messages": "MessageInputEvent StdinMessages",
    "limpet.bot.events._output_events": """
        AppendToFileOutputEvent CreateFileOutputEvent DeleteFileOutputEvent FileSystemOutputEvent
        MakeDirOutputEvent MoveFileOutputEvent OverwriteFileOutputEvent PutAwayOutputEvent
        WriteToFileOutputEvent
        """,
    "limpet.bot.events._action_result": "Outcome",
    "limpet.bot.io._remote_filesystem": "RemoteFileSystem",
    "limpet.bot.settings._setting": "Setting",
    "limpet.bot.actions": """
        AppendToFileAction CreateFileAction DeleteFileAction LimpetAction LogAction MakeDirAction
        MoveFileAction OverwriteFileAction PrintAction PutAwayAction RunCommandAction WebhookAction
        """,
    "limpet.bot.conditions": """
        AgeCondition ContentCondition ExtensionCondition RateLimitCondition SizeCondition
        StillThereCondition TimeOfDayCondition
        """,
    "limpet.bot.config": "ConfigError",
    "limpet.bot.runner": "RunOptions Runner run",
    "limpet.bot.triggers": """
        AllEventsTrigger ClassTrigger FileSystemTrigger GlobTrigger LinesTrigger RegexTrigger
        """,
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AgeCondition",
    "AllEventsTrigger",
    "AppendToFileAction",
    "AppendToFileOutputEvent",
    "Behaviour",
    "ClassTrigger",
    "ConfigError",
    "ContentCondition",
    "CreateFileAction",
    "CreateFileOutputEvent",
    "DeleteFileAction",
    "DeleteFileOutputEvent",
    "DirCreatedInputEvent",
    "DirDeletedInputEvent",
    "DirInputEvent",
    "DirRenamedInputEvent",
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
    "Outcome",
    "OverwriteFileAction",
    "OverwriteFileOutputEvent",
    "PrintAction",
    "PutAwayAction",
    "PutAwayOutputEvent",
    "RateLimitCondition",
    "RegexTrigger",
    "RemoteFileSystem",
    "RunCommandAction",
    "RunOptions",
    "Runner",
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
    "values",
]


if not TYPE_CHECKING:  # the checker has the imports above, and shall know no other name

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used."""
        if name == "values":
            return import_module("limpet.bot.settings._validators")
        if name not in _HOME:
            message = f"module 'limpet.bot' has no attribute {name!r}"
            raise AttributeError(message)
        value: object = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Name what there is, loaded or not."""
    return sorted({*globals(), *_HOME})
