"""Move a processed file into the ``done`` or ``failed`` directory.

An output on the common parent of both directories moves it: by descriptors, through no symlink, to
no name that is taken, and without an event from the watch.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from limpet._file_stat import identity_of
from limpet.bot.events._output_events import MoveProcessedFileOutputEvent
from limpet.errors import ExistsError, MissingError, UsageError
from limpet.output import MoveFile, Output, Refused

_MOST_NAMES: Final = 1000
"""Numbers that are tried behind a name that is taken."""


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
    with Output(root, cross_mounts=True, clean=False) as out:
        if event.stat is not None and not _is_same(source, event.stat):
            return None
        for number in range(_MOST_NAMES):
            if name == _numbered(base, number):
                return source  # a replay that failed again: it is there
            answer = out.perform(MoveFile(name=name, target=_numbered(base, number)))
            if not isinstance(answer, Refused):
                return answer.path
            error = answer.error()
            if isinstance(error, MissingError):
                return None
            if not isinstance(error, ExistsError):
                raise error
    message = f"cannot move {source}: {_MOST_NAMES} names like {base!r} are taken in {root}"
    raise ExistsError(message, name=base, operation="move")


def find_moved(base: Path, identity: tuple[int, int]) -> Path | None:
    """Return where a file was moved, by its device and inode; ``None`` if it is not there.

    Args:
        base: The path it was to get; a taken name got a number.
        identity: Device and inode.
    """
    for number in range(_MOST_NAMES):
        path = base.parent / _numbered(base.name, number)
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if identity_of(found) == identity:
            return path
    return None


def _numbered(name: str, number: int) -> str:
    """Return ``a/b.txt``, then ``a/b.1.txt``: the extension stays, so that patterns still match."""
    if not number:
        return name
    head, slash, last = name.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    if not stem:
        stem, dot, extension = last, "", ""
    return f"{head}{slash}{stem}.{number}{dot}{extension}"


def _is_same(path: Path, identity: tuple[int, int]) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return True  # the move reports the problem
    return identity_of(found) == identity
