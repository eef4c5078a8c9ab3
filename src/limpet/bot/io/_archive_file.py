"""Moves a file that was dealt with out of a watched folder, to where the done or the failed lie.

It is moved by an output that is opened on the folder that both places have in common: so it goes
by descriptors, follows no symlink, takes no name that is taken, and is no event for the watch.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from limpet.bot.events._output_events import PutAwayOutputEvent
from limpet.errors import ExistsError, MissingError, UsageError
from limpet.output import MoveFile, Output, Refused

__all__ = ["put_away"]

_MOST_NAMES: Final = 1000
"""Numbers that are tried behind a name that is taken."""


async def put_away(event: PutAwayOutputEvent) -> Path | None:
    """Move it; gives where it is now, or ``None`` if it is not there any more.

    Raises:
        OutputError: It stays where it was; the code says why.
        UsageError: The two places have no folder in common, or it is the watched folder itself.
    """
    return await asyncio.to_thread(_put_away, event)


def _put_away(event: PutAwayOutputEvent) -> Path | None:
    failed = event.outcome is not None and event.outcome.error is not None
    folder = Path(event.failed if failed else event.done)
    source = Path(event.path)
    root = Path(os.path.commonpath([os.path.abspath(event.location), os.path.abspath(folder)]))
    if root == source:
        root = root.parent
    if not source.is_relative_to(root):
        message = f"cannot put {source} away: it does not lie below {root}"
        raise UsageError(message)
    name = source.relative_to(root).as_posix()
    base = (folder / event.name).relative_to(root).as_posix()
    with Output(root, cross_mounts=True, clean=False) as out:
        if event.stat is not None and not _is_same(source, event.stat):
            return None
        for number in range(_MOST_NAMES):
            answer = out.perform(MoveFile(name=name, target=_numbered(base, number)))
            if not isinstance(answer, Refused):
                return answer.path
            error = answer.error()
            if isinstance(error, MissingError):
                return None
            if not isinstance(error, ExistsError):
                raise error
    message = f"cannot put {source} away: {_MOST_NAMES} names like {base!r} are taken in {root}"
    raise ExistsError(message, name=base, operation="move")


def _numbered(name: str, number: int) -> str:
    """Give ``a/b.txt``, then ``a/b.1.txt``: the extension stays, so that patterns still fit."""
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
        return True  # the move says what is the matter
    return (found.st_dev, found.st_ino) == identity
