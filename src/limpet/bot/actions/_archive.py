"""The action that moves a file away once it is processed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet._setting_types import FilePath
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.events._output_events import MoveProcessedFileOutputEvent
from limpet.bot.io._archive_file import find_moved
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import FIELDS
from limpet.bot.settings._types import TemplateText
from limpet.errors import UsageError
from limpet.events import FileDeleted, FileEvent


class MoveProcessedFileAction(LimpetAction):
    """Moves the file of the event to one folder if all actions succeeded, else to another.

    It must be the last action. Both folders are relative to the watched one and on its file system;
    the watch must leave out (``exclude``) a folder inside it. A name that is taken gets a number. A
    file that was deleted or replaced meanwhile is left alone.
    """

    after_failure: ClassVar[bool] = True

    done: FilePath = Setting(
        "../done", description="Folder for processed files, relative to the watched one."
    )
    failed: FilePath = Setting("../failed", description="Folder for files that failed.")
    name: TemplateText = Setting(
        Template("{{ rel }}"),
        description="Name in that folder, as a template; by default subfolders stay.",
    )
    note: bool = Setting(
        False, description="Write a note why beside a file that failed: `NAME.error.txt`."
    )

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        """Request the move from the ``FileSystem`` of the event."""
        return {MoveProcessedFileOutputEvent}

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        if not isinstance(event, FileSystemInputEvent) or not isinstance(event.event, FileEvent):
            message = (
                f"MoveProcessedFileAction moves files, and {type(event).__name__} is not about one"
            )
            raise UsageError(message)
        if isinstance(event.event, FileDeleted):
            return
        place = event.event.location
        if event.is_target:
            place = place.parent
        stat = event.stat if event.moved is None else None  # there it may have been repaired
        yield MoveProcessedFileOutputEvent(
            io=event.io or None,
            outcome=outcome,
            path=os.fspath(event.path),
            location=os.fspath(place),
            done=_below(place, self.done),
            failed=_below(place, self.failed),
            name=self._name(event, state),
            note=self.note,
            stat=None if stat is None else (stat.device, stat.inode),
        )

    def find_failed(self, event: FileSystemInputEvent) -> Path | None:
        """Return where the file of an event is since it failed; ``None`` if it is not there."""
        if event.stat is None or event.event.location is None or self.name.alone != "rel":
            return None
        place = event.event.location.parent if event.is_target else event.event.location
        base = Path(_below(place, self.failed), self._name(event, {}))
        return find_moved(base, (event.stat.device, event.stat.inode))

    def _name(self, event: InputEvent, state: dict[str, Any]) -> str:
        if self.name.alone == "rel":
            return str(FIELDS["rel"](event))  # it is a file name already, and must not change
        return self.name.name(self.fields(event, state))


def _below(place: Path, folder: str) -> str:
    return os.path.abspath(place / folder)
