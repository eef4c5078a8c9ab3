"""What changes names alone: delete, make a folder, move."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from limpet.output._atomic_write import NO_WAY, Changed, link_over, look
from limpet.output._fsync_batch import Syncs
from limpet.output._operations import DeleteDir, DeleteFile, MakeDir, MoveFile
from limpet.output._own_write_reporter import Silent, state_of
from limpet.output._refusals import RefusalError
from limpet.output._root_dir import Ground

__all__ = ["delete", "delete_dir", "make_dir", "move"]


@contextlib.contextmanager
def _entered(
    ground: Ground,
    parts: tuple[str, ...],
    *,
    make: bool = False,
    journal: Silent | None = None,
    syncs: Syncs | None = None,
) -> Iterator[int]:
    """Give the folder of a name, open for as long as the block lasts."""
    fd = ground.enter(parts[:-1], make=make, journal=journal, syncs=syncs)
    try:
        yield fd
    finally:
        ground.leave(fd)


def delete(
    ground: Ground, parts: tuple[str, ...], asked: DeleteFile, journal: Silent, syncs: Syncs
) -> Changed:
    """Remove a name that is no folder: a symlink, FIFO or socket itself.

    Raises:
        RefusalError: ``missing`` or ``is-folder``.
        OSError: It stays.
    """
    calls, name = ground.calls, parts[-1]
    try:
        with _entered(ground, parts) as folder:
            found = look(calls, folder, name)
            if found is None:
                return _missing(missing_ok=asked.missing_ok)
            if stat.S_ISDIR(found.st_mode):
                raise RefusalError("is-folder", "a folder stands there", errno.EISDIR)
            journal.claim(parts)
            calls.unlink(folder, name)
            journal.note(parts, state_of(found), None)
            syncs.folder(folder)
    except FileNotFoundError:
        return _missing(missing_ok=asked.missing_ok)
    return Changed(size=0, stat=None, existed=True)


def delete_dir(
    ground: Ground, parts: tuple[str, ...], asked: DeleteDir, journal: Silent, syncs: Syncs
) -> Changed:
    """Remove an empty folder.

    Raises:
        RefusalError: ``missing``, or ``not-a-file``: it is no folder.
        OSError: It stays (ENOTEMPTY: something is in it).
    """
    calls, name = ground.calls, parts[-1]
    try:
        with _entered(ground, parts) as folder:
            found = look(calls, folder, name)
            if found is None:
                return _missing(missing_ok=asked.missing_ok)
            if stat.S_ISLNK(found.st_mode):
                raise RefusalError("symlink", "a symlink stands there; delete it as a file")
            if not stat.S_ISDIR(found.st_mode):
                raise RefusalError("not-a-file", "no folder stands there; delete it as a file")
            journal.claim(parts)
            calls.remove_folder(folder, name)
            journal.note(parts, state_of(found), None)
            syncs.folder(folder)
    except FileNotFoundError:
        return _missing(missing_ok=asked.missing_ok)
    return Changed(size=0, stat=None, existed=True)


def _missing(*, missing_ok: bool) -> Changed:
    if not missing_ok:
        raise RefusalError("missing", "nothing stands there", errno.ENOENT)
    return Changed(size=0, stat=None, existed=False)


def make_dir(
    ground: Ground, parts: tuple[str, ...], asked: MakeDir, journal: Silent, syncs: Syncs
) -> Changed:
    """Make a folder.

    Raises:
        RefusalError: ``exists``, or what stands on the way.
        OSError: It was not made; folders on the way may have been.
    """
    calls, name = ground.calls, parts[-1]
    with _entered(ground, parts, make=asked.parents, journal=journal, syncs=syncs) as folder:
        journal.claim(parts)
        existed = False
        found: os.stat_result | None = None
        try:
            calls.make_folder(folder, name)
        except FileExistsError:
            there = calls.stat_at(folder, name)
            if not (asked.exist_ok and stat.S_ISDIR(there.st_mode)):
                raise
            existed, found = True, there
        else:
            found = _now(ground, folder, name)
            journal.note(parts, None, state_of(found))
            syncs.folder(folder)
    return Changed(size=0, stat=found, existed=existed)


def move(
    ground: Ground,
    parts: tuple[str, ...],
    target: tuple[str, ...],
    asked: MoveFile,
    journal: Silent,
    syncs: Syncs,
) -> Changed:
    """Give a name to what has another, in one step; a symlink is moved itself.

    Raises:
        RefusalError: ``exists``, ``is-folder``, ``missing``, or what stands on the way.
        OSError: Both names are as they were.
    """
    calls = ground.calls
    with _entered(ground, parts) as source:
        found = look(calls, source, parts[-1])
        if found is None:
            raise RefusalError("missing", "nothing stands there", errno.ENOENT)
        with _entered(ground, target, make=asked.parents, journal=journal, syncs=syncs) as folder:
            there = look(calls, folder, target[-1])
            if there is not None:
                _check_target(there, target, asked)
            journal.claim(parts)
            journal.claim(target)
            if asked.overwrite:
                calls.rename(source, parts[-1], folder, target[-1])
            else:
                _rename_new(ground, source, parts[-1], folder, target[-1])
            after = _now(ground, folder, target[-1])
            journal.note(parts, state_of(found), None)
            journal.moved(target, state_of(after))
            syncs.folder(source)
            syncs.folder(folder)
    return Changed(size=0, stat=after, existed=there is not None)


def _now(ground: Ground, folder: int, name: str) -> os.stat_result | None:
    """Stat what was made or moved; it is done, so that it cannot be asked is no failure of it."""
    try:
        return look(ground.calls, folder, name)
    except OSError:
        return None


def _check_target(there: os.stat_result, target: tuple[str, ...], asked: MoveFile) -> None:
    shown = "/".join(target)
    if not asked.overwrite:
        raise RefusalError("exists", f"something stands at {shown!r} already", errno.EEXIST)
    if stat.S_ISDIR(there.st_mode):
        raise RefusalError("is-folder", f"a folder stands at {shown!r}", errno.EISDIR)
    if stat.S_ISLNK(there.st_mode):
        raise RefusalError("symlink", f"a symlink stands at {shown!r}")
    if not stat.S_ISREG(there.st_mode):
        raise RefusalError("not-a-file", f"a FIFO, socket or device stands at {shown!r}")


def _rename_new(ground: Ground, source: int, name: str, folder: int, new: str) -> None:
    """Rename to a free name.

    RACE: where the system has no such call (macOS, some file systems) a folder, which can have no
    second name, is looked at and then renamed: an empty folder that comes to the new name in
    between is replaced.
    """
    calls = ground.calls
    try:
        calls.rename_new(source, name, folder, new)
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
        found = calls.stat_at(source, name)
        if stat.S_ISDIR(found.st_mode):
            calls.rename(source, name, folder, new)
            return
        link_over(calls, source, name, folder, new)
