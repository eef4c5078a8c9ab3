"""Actions that request an operation below an output directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, cast

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet._option_models import OptionsOf
from limpet._setting_types import Encoding, Text
from limpet._surrogates import writable
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.events._output_events import (
    AppendToFileOutputEvent,
    CreateFileOutputEvent,
    DeleteFileOutputEvent,
    FileSystemOutputEvent,
    MakeDirOutputEvent,
    MoveFileOutputEvent,
    OverwriteFileOutputEvent,
)
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._types import TemplateOrEmpty, TemplateText
from limpet.output import Rotation


class _FileAction(LimpetAction):
    name: TemplateText = Setting(
        description="Name below the output folder, as a template; every value in it is made safe."
    )
    io: Text | None = Setting(
        None, description="Name or uuid of the FileSystem that is meant; without it all."
    )
    durability: Literal["none", "file", "full"] | None = Setting(
        None, description="What must survive a crash of the system."
    )

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        """Ask a ``FileSystem``."""
        return {FileSystemOutputEvent}

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        fields = self.fields(event, state)
        common = {
            "name": self.name.name(fields),
            "io": self.io,
            "durability": self.durability,
            "outcome": outcome,
        }
        yield self.request(event, state, common)

    def request(
        self, event: InputEvent, state: dict[str, Any], common: dict[str, Any]
    ) -> OutputEvent:
        """Return the output event; ``common`` are the fields that all of them have."""
        raise NotImplementedError


class _WritingAction(_FileAction):
    content: TemplateOrEmpty = Setting(
        Template("{{ content }}"), description="Content to write, as a template."
    )
    encoding: Encoding = Setting("utf-8", description="Encoding of the content.")

    def request(
        self, event: InputEvent, state: dict[str, Any], common: dict[str, Any]
    ) -> OutputEvent:
        """Return the output event with its content."""
        fields = self.fields(event, state)
        if self.content.alone == "content":  # unchanged, bytes as bytes
            content = _as_it_was(cast("str | bytes", fields.field("content")), self.encoding)
        else:
            content = writable(self.content.text(fields))
        return self.write(common | {"content": content, "encoding": self.encoding})

    def write(self, fields: dict[str, Any]) -> OutputEvent:
        """Return the output event."""
        raise NotImplementedError


def _as_it_was(content: str | bytes, encoding: str) -> str | bytes:
    """Return the content of a file; bytes of it that were read as surrogates become bytes again."""
    if isinstance(content, bytes) or content == (plain := writable(content)):
        return content
    try:
        return content.encode(encoding, "surrogateescape")
    except (UnicodeEncodeError, LookupError):
        return plain


class CreateFileAction(_WritingAction):
    """Creates a new file; fails if the name is taken, unless ``if_exists`` is ``overwrite``."""

    if_exists: Literal["fail", "overwrite"] = Setting(
        "fail", description="fail, or overwrite the whole file."
    )

    def write(self, fields: dict[str, Any]) -> OutputEvent:
        """Return the event that creates or overwrites."""
        if self.if_exists == "overwrite":
            return OverwriteFileOutputEvent(**fields)
        return CreateFileOutputEvent(**fields)


class OverwriteFileAction(_WritingAction):
    """Replaces the content of a file in one step."""

    def write(self, fields: dict[str, Any]) -> OutputEvent:
        return OverwriteFileOutputEvent(**fields)


class AppendToFileAction(_WritingAction):
    """Appends one record to a file, with a line end after it unless it has one."""

    newline: bool = Setting(True, description="End the record with a line end.")
    newline_guard: bool = Setting(False, description="First end a line that is incomplete.")
    lock: bool = Setting(False, description="Hold the file's lock meanwhile.")
    rotation: Annotated[Rotation, OptionsOf(Rotation)] | None = Setting(
        None, description="When the file is rotated, and what happens to rotated files."
    )

    def write(self, fields: dict[str, Any]) -> OutputEvent:
        content = fields["content"]
        end: Any = b"\n" if isinstance(content, bytes) else "\n"
        if self.newline and not content.endswith(end):
            fields["content"] = content + end
        return AppendToFileOutputEvent(
            newline_guard=self.newline_guard, lock=self.lock, rotation=self.rotation, **fields
        )


class DeleteFileAction(_FileAction):
    """Deletes a file."""

    missing_ok: bool = Setting(True, description="A missing file is not an error.")

    def request(
        self, event: InputEvent, state: dict[str, Any], common: dict[str, Any]
    ) -> OutputEvent:
        return DeleteFileOutputEvent(missing_ok=self.missing_ok, **common)


class MakeDirAction(_FileAction):
    """Creates a folder."""

    exist_ok: bool = Setting(True, description="An existing folder is not an error.")

    def request(
        self, event: InputEvent, state: dict[str, Any], common: dict[str, Any]
    ) -> OutputEvent:
        return MakeDirOutputEvent(exist_ok=self.exist_ok, **common)


class MoveFileAction(_FileAction):
    """Renames an entry below the output folder."""

    target: TemplateText = Setting(description="The new name, as a template.")
    overwrite: bool = Setting(False, description="Replace a file that has the new name.")

    def request(
        self, event: InputEvent, state: dict[str, Any], common: dict[str, Any]
    ) -> OutputEvent:
        target = self.target.name(self.fields(event, state))
        return MoveFileOutputEvent(target=target, overwrite=self.overwrite, **common)
