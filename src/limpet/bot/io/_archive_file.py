"""Move a processed file into the ``done`` or ``failed`` directory.

An output on the common parent of both directories moves it: by descriptors, through no symlink, to
no name that is taken, and without an event from the watch.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from limpet._file_stat import identity_of
from limpet._surrogates import writable
from limpet.bot.events._output_events import MoveProcessedFileOutputEvent
from limpet.errors import ExistsError, LimpetError, MissingError, UsageError
from limpet.intake import MOST_NAMES, full_failure, note_name, note_text, numbered
from limpet.output import CreateFile, DeleteFile, MoveFile, Output, Refused


async def move_processed_file(event: MoveProcessedFileOutputEvent) -> Path | None:
    """Move the file, and return its new path, or ``None`` if it no longer exists.

    Raises:
        OutputError: The file was not moved; the code is the reason.
        UsageError: The file is not below the common parent of both directories, or one of them is
            on another drive of Windows.
    """
    return await asyncio.to_thread(_move, event)


def _move(event: MoveProcessedFileOutputEvent) -> Path | None:
    failed = event.outcome is not None and event.outcome.error is not None
    directory = Path(event.failed if failed else event.done)
    source = Path(event.path)
    above = (event.location, directory, source.parent)  # a replay takes it from another directory
    try:
        root = Path(os.path.commonpath([os.path.abspath(one) for one in above]))
    except ValueError:
        message = f"cannot move {source} to {directory}: choose a directory on the same drive"
        raise UsageError(message) from None
    if root == source:
        root = root.parent
    if not source.is_relative_to(root):
        message = f"cannot move {source}: it is not below {root}"
        raise UsageError(message)
    name = source.relative_to(root).as_posix()
    base = (directory / event.name).relative_to(root).as_posix()
    wants_note = failed and event.note
    with Output(root, cross_mounts=True, clean=False) as out:
        if event.stat is not None and not _is_same(source, event.stat):
            return None
        for number in range(MOST_NAMES):
            if name == numbered(base, number):
                return source  # a replay that failed again: it is there
            target = numbered(base, number)
            if wants_note and os.path.lexists(root / _note_of(target)):
                continue
            answer = out.perform(MoveFile(name=name, target=target))
            if not isinstance(answer, Refused):
                if wants_note:
                    out.perform(CreateFile(name=_note_of(target), content=_note(event, target)))
                elif event.note and _is_replayed(event):
                    out.perform(DeleteFile(name=_note_of(name), missing_ok=True))
                return answer.path
            error = answer.error()
            if isinstance(error, MissingError):
                return None
            if not isinstance(error, ExistsError):
                raise error
    message = f"cannot move {source}: {MOST_NAMES} names like {base!r} are taken in {root}"
    raise ExistsError(message, name=base, operation="move")


def _is_replayed(event: MoveProcessedFileOutputEvent) -> bool:
    """Return whether the file comes from the directory of those that failed, not the watched."""
    source = Path(event.path)
    return source.is_relative_to(event.failed) and not source.is_relative_to(event.location)


def _note_of(name: str) -> str:
    """Return the name of the note beside a file."""
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{note_name(last)}"


def _note(event: MoveProcessedFileOutputEvent, name: str) -> str:
    error = None if event.outcome is None else event.outcome.error
    if error is None:
        return ""
    text = str(error) if isinstance(error, LimpetError) else full_failure(error)
    return note_text(name.rpartition("/")[2], writable(text))


def find_moved(base: Path, identity: tuple[int, int]) -> Path | None:
    """Return where a file was moved, by its device and inode; ``None`` if it is not there.

    Args:
        base: The path it was to get; a taken name got a number.
        identity: Device and inode.
    """
    for number in range(MOST_NAMES):
        path = base.parent / numbered(base.name, number)
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if identity_of(found) == identity:
            return path
    return None


def _is_same(path: Path, identity: tuple[int, int]) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return True  # the move reports the problem
    return identity_of(found) == identity
