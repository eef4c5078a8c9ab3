"""The public names of ``limpet.bot``, and the module that each is loaded from when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from limpet._lazy_names import homes

_NAMES: Final = {
    "limpet.bot._behaviour": "Behaviour",
    "limpet.bot.actions": """
        AppendToFileAction CreateFileAction DeleteFileAction LimpetAction LogAction MakeDirAction
        MoveFileAction MoveProcessedFileAction OverwriteFileAction PrintAction RunCommandAction
        WebhookAction
        """,
    "limpet.bot.conditions": """
        AgeCondition ContentCondition ExtensionCondition RateLimitCondition SizeCondition
        StillThereCondition TimeOfDayCondition
        """,
    "limpet.bot.config": "BotConfigError",
    "limpet.bot.events._action_result": "Outcome",
    "limpet.bot.events._input_events": """
        DirCreatedInputEvent DirDeletedInputEvent DirInputEvent DirRenamedInputEvent
        DirSettledInputEvent DirUpdatedInputEvent FileCreatedInputEvent FileDeletedInputEvent
        FileInputEvent FileRenamedInputEvent FileSystemInputEvent FileUpdatedInputEvent
        LinesAddedInputEvent TargetDirCreatedInputEvent TargetDirDeletedInputEvent
        TargetDirUpdatedInputEvent TargetFileCreatedInputEvent TargetFileDeletedInputEvent
        TargetFileUpdatedInputEvent WatchInputEvent
        """,
    "limpet.bot.events._output_events": """
        AppendToFileOutputEvent CreateFileOutputEvent DeleteFileOutputEvent FileSystemOutputEvent
        MakeDirOutputEvent MoveFileOutputEvent MoveProcessedFileOutputEvent
        OverwriteFileOutputEvent WriteToFileOutputEvent
        """,
    "limpet.bot.io._filesystem": "FileSystem",
    "limpet.bot.io._remote_filesystem": "RemoteFileSystem",
    "limpet.bot.io._schedule": "Schedule ScheduleInput ScheduleInputEvent",
    "limpet.bot.io._stdin_messages": "MessageInputEvent StdinMessages",
    "limpet.bot.runner": "RunOptions Runner run",
    "limpet.bot.settings._setting": "Configured Setting",
    "limpet.bot.triggers": """
        AllEventsTrigger ClassTrigger FileSystemTrigger GlobTrigger LinesTrigger RegexTrigger
        """,
}

MODULES: Final = homes(_NAMES)
"""Public name -> the module that defines or offers it."""


def load(name: str) -> object:
    """Import the module of a public name, and return what it names.

    Raises:
        KeyError: There is no such name.
    """
    found: object = getattr(import_module(MODULES[name]), name)
    return found
