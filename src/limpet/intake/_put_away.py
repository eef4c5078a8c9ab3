"""Move a job's file or folder out of the inbox, replace nothing, and move nothing else.

Between the check and the rename another program may replace the file. So what was moved is compared
afterwards, and goes back if it is not what was processed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from typing import Final

from limpet._atomic_file import sync_dir
from limpet._descriptors import close_reader, sync_to_disk
from limpet._shared_open import open_shared
from limpet.intake._failure_note import note_name
from limpet.intake._free_names import free_names
from limpet.intake._job_record import Identity, identity_of_job
from limpet.output import rename_to_free_path

_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_NEW: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


class ReplacedError(Exception):
    """Something else is at the path than what was processed."""


def is_same(path: str, identity: Identity) -> bool:
    """Return whether the file or folder that was processed is at a path.

    Raises:
        FileNotFoundError: Nothing is there.
        OSError: It cannot be known.
    """
    return identity_of_job(os.lstat(path)) == identity


def put_away(
    source: str,
    directory: str,
    name: str,
    identity: Identity,
    *,
    note: str | None = None,
    copied: Callable[[], None] = lambda: None,
) -> str:
    """Move what was processed below a directory, and return its new path.

    On another file system it is copied, synced, and then deleted here.

    Args:
        source: The file or folder.
        directory: Where it goes; created if it is missing.
        name: The path that it gets below, with a number if that is taken.
        identity: What was processed.
        note: Text for a file beside it.
        copied: Called once it is there, where it is still to be deleted here.

    Raises:
        FileNotFoundError: It is no longer there.
        ReplacedError: Something else is there; it stays.
        OSError: It was not moved.
    """
    if not is_same(source, identity):
        raise ReplacedError
    folder, last = os.path.split(os.path.join(directory, *name.split("/")))
    os.makedirs(folder, exist_ok=True)
    for candidate in free_names(last):
        target = os.path.join(folder, candidate)
        noted = None if note is None else os.path.join(folder, note_name(candidate))
        try:
            if note is not None and noted is not None:
                if os.path.lexists(target):
                    continue
                _write_new(noted, note)  # first: a file without its note explains nothing
        except FileExistsError:
            continue
        try:
            is_copy = _move(source, target, identity)
        except BaseException as error:
            if noted is not None:
                with contextlib.suppress(OSError):
                    os.unlink(noted)
            if isinstance(error, FileExistsError):
                continue
            raise
        if is_copy:
            copied()
            delete(source, identity)
        return target
    raise FileExistsError(errno.EEXIST, "all names like it are taken", os.path.join(folder, last))


def delete(source: str, identity: Identity) -> None:
    """Delete what was processed.

    RACE: a file that replaces it between the comparison and the deletion, a few microseconds, is
    deleted; no system call deletes by inode.

    Raises:
        FileNotFoundError: It is no longer there.
        ReplacedError: Something else is there; it stays.
        OSError: It was not deleted, or of a folder not all.
    """
    found = os.lstat(source)
    if identity_of_job(found) != identity:
        raise ReplacedError
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(source)
    else:
        os.unlink(source)


def _move(source: str, target: str, identity: Identity) -> bool:
    """Move it to its new name; return whether that is a copy, and the source is to be deleted."""
    try:
        rename_to_free_path(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV and getattr(error, "winerror", 0) != _OTHER_DEVICE:
            raise
        _copy(source, target, identity)
        return True
    if not is_same(target, identity):
        _move_back(target, source)
        raise ReplacedError
    return False


_OTHER_DEVICE: Final = 17
"""ERROR_NOT_SAME_DEVICE of winerror.h."""


def _move_back(moved: str, source: str) -> None:
    """Put back what came to the path at the last moment; by another name if that is taken again."""
    folder, last = os.path.split(source)
    for candidate in free_names(last):
        with contextlib.suppress(FileExistsError):
            rename_to_free_path(moved, os.path.join(folder, candidate))
            return


def _copy(source: str, target: str, identity: Identity) -> None:
    """Copy to a free name on another file system, in one step that a reader cannot see part of."""
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".limpet-{os.urandom(8).hex()}.tmp")
    try:
        if stat.S_ISDIR(os.lstat(source).st_mode):
            shutil.copytree(source, temporary, symlinks=True, copy_function=_copy_synced)
        else:
            _copy_file(source, temporary, identity)
        rename_to_free_path(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            if os.path.isdir(temporary) and not os.path.islink(temporary):
                shutil.rmtree(temporary)
            else:
                os.unlink(temporary)
        raise
    sync_dir(folder)


def _copy_file(source: str, target: str, identity: Identity) -> None:
    with open(open_shared(source, _READ, follow=False), "rb") as file:
        found = os.fstat(file.fileno())
        if identity_of_job(found) != identity:
            raise ReplacedError
        with open(os.open(target, _NEW, 0o600), "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            sync_to_disk(copy.fileno())
    shutil.copystat(source, target, follow_symlinks=False)


def _copy_synced(source: str, target: str, *, follow_symlinks: bool = True) -> str:
    shutil.copy2(source, target, follow_symlinks=follow_symlinks)
    fd = os.open(target, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        sync_to_disk(fd)
    finally:
        close_reader(fd)
    return target


def _write_new(path: str, text: str) -> None:
    """Write a new file; a disk that is full leaves none."""
    with open(os.open(path, _NEW, 0o666), "w", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
