"""Actions: what a behaviour does about an event that passed its conditions."""

from __future__ import annotations

from limpet.bot.actions._archive import MoveProcessedFileAction
from limpet.bot.actions._base import LimpetAction
from limpet.bot.actions._command import CommandFailedError, RunCommandAction
from limpet.bot.actions._files import (
    AppendToFileAction,
    CreateFileAction,
    DeleteFileAction,
    MakeDirAction,
    MoveFileAction,
    OverwriteFileAction,
)
from limpet.bot.actions._text import LogAction, PrintAction
from limpet.bot.actions._webhook import WebhookAction, WebhookError

__all__ = [
    "AppendToFileAction",
    "CommandFailedError",
    "CreateFileAction",
    "DeleteFileAction",
    "LimpetAction",
    "LogAction",
    "MakeDirAction",
    "MoveFileAction",
    "MoveProcessedFileAction",
    "OverwriteFileAction",
    "PrintAction",
    "RunCommandAction",
    "WebhookAction",
    "WebhookError",
]
