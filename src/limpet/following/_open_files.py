"""Opening of followed files: new ones, closed ones whose turn comes, ones that could not be read.

A function takes the state of the follower and a file; the file knows its followed path. A file is
only taken for gone if a name says so: that the process is out of descriptors, or that a directory
cannot be read, is not evidence about a file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._close_files import (
    close_descriptor,
    close_file,
    drop,
    make_descriptor_room,
)
from limpet.following._file_io import MISSING, SHORTAGE
from limpet.following._followed_file import FollowedFile
from limpet.following._lost_files import remember_lost
from limpet.following._path_access import NotRegularError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

_REOPEN_S: Final = 1.0
"""Shortest time between two attempts to open an unreadable file again, in seconds."""
_SHORT_S: Final = 1.0
"""How long after a shortage of descriptors no file is opened that can do without, in seconds."""
_SAME_S: Final = 60.0
"""A shortage that comes back within this time is the same one, and is not reported again."""
_FREED: Final = 16
"""Descriptors that are freed when the system has none left."""

# -- refreshing ------------------------------------------------------------------------------------


def refresh(state: FollowerState, file: FollowedFile, now: float, *, hinted: bool = False) -> bool:
    """Examine a file; return whether it may be read on.

    A change is only noted in ``state.changes``; the engine handles it afterwards.
    """
    if file in state.changes or file in state.postponed:
        return False
    try:
        change = file.find_change(
            state.io,
            now,
            hinted=hinted or file.failed_at is not None,
            on_network=state.on_network(file.path),
        )
    except OSError as error:
        report_unreadable(state, file, error, now)
        return False
    if file.failed_at is not None and not file.backlog:
        file.note_success()
        if file.is_active:
            state.report_accessible(state.path_of(file))
    if change is not None:
        state.changes[file] = change
    return change is None


def refresh_all(
    state: FollowerState, followed: FollowedPath, now: float, *, hinted: bool = False
) -> None:
    """Examine every file of a path."""
    for file in followed.files:
        refresh(state, file, now, hinted=hinted)


def report_unreadable(state: FollowerState, file: FollowedFile, error: OSError, now: float) -> None:
    """Open a file again after a failed read if its path leads to it; otherwise report the error."""
    due = file.failed_at is None or now - file.failed_at >= _REOPEN_S
    file.note_failure(now)
    if due and file.is_active:
        file.failed_at = now
        if _replace_descriptor(state, file):
            return
    state.report_inaccessible(
        state.path_of(file), error.errno or errno.EIO, error.strerror or str(error)
    )


def _replace_descriptor(state: FollowerState, file: FollowedFile) -> bool:
    io = state.io
    try:
        fd, status = state.access.open(file.path)
    except OSError:
        return False
    try:
        same = holds_all(state, fd, status, file)
    except OSError:
        same = False
    if not same:
        io.close(fd)
        return False
    take_descriptor(state, file, fd, status)
    return True


def take_descriptor(
    state: FollowerState, file: FollowedFile, fd: int, status: os.stat_result
) -> None:
    """Read a file through another descriptor of the same content from now on."""
    if state.files.get(file.identity) is file:
        del state.files[file.identity]
    close_descriptor(state, file)
    file.reopened(fd, status)
    file.inode_generation = state.io.inode_generation(fd)
    file.size = max(status.st_size, file.offset)
    state.files[file.identity] = file
    state.held[file] = None


def holds_all(state: FollowerState, fd: int, status: os.stat_result, file: FollowedFile) -> bool:
    """Return whether an open file is one that cannot be read any more: read or not, all is in it.

    Raises:
        OSError: It cannot be read.
    """
    end, unread = file.unread_tail
    if status.st_size < max(file.offset, file.size):
        return False
    if not file.offset and status.st_ino != file.identity[1]:
        return False
    same = not unread or state.io.pread(fd, len(unread), end - len(unread)) == unread
    return same and holds_same(state, fd, file)


def holds_same(state: FollowerState, fd: int, file: FollowedFile) -> bool:
    """Return whether an open file holds what was read of another."""
    io, window = state.io, len(file.window)
    return (
        io.pread(fd, len(file.head), 0) == file.head
        and io.pread(fd, window, file.offset - window) == file.window
    )


# -- opening ---------------------------------------------------------------------------------------


def open_named(state: FollowerState, name: str) -> tuple[int, os.stat_result]:
    """Open a regular file that is to be held; files that are not needed now are closed for it.

    Raises:
        OSError: As ``PathAccess.open``; ``EMFILE`` if as many files as ``max_open`` are needed.
    """
    if not make_descriptor_room(state):
        most = state.options.max_open
        error = OSError(errno.EMFILE, f"max_open={most} files are open, and all are needed", name)
        state.report_shortage(Path(name), error)
        raise error
    try:
        opened = state.access.open(name)
    except OSError as error:
        if error.errno not in SHORTAGE:
            raise
        state.shortage_at = state.io.monotonic()
        try:
            make_descriptor_room(state, count=_FREED)
            opened = state.access.open(name)
        except OSError as again:
            if again.errno in SHORTAGE:
                state.report_shortage(Path(name), again)
            raise
    if state.shortage_at is None or state.io.monotonic() - state.shortage_at >= _SAME_S:
        state.short_of = None
    return opened


def may_be_held(state: FollowerState) -> bool:
    """Return whether every followed file may be open: then one that was closed is opened again.

    An open file is read to its end whatever becomes of its name.
    """
    since = state.shortage_at
    if since is not None and state.io.monotonic() - since < _SHORT_S:
        return False
    return len(state.paths) * 2 <= state.options.max_open


def hold(
    state: FollowerState,
    followed: FollowedPath,
    fd: int,
    status: os.stat_result,
    name: str,
    now: float,
) -> FollowedFile:
    """Return an open file as a new generation, at its beginning; it is in no reading order yet."""
    file = FollowedFile(
        state.take_number(),
        fd,
        status,
        inode_generation=state.io.inode_generation(fd),
        name=name,
        path=followed.path,
        splitter=state.new_splitter(),
        now=now,
    )
    state.files[file.identity] = file
    state.held[file] = None
    state.mark_changed(followed.path)
    learn(state, file, now)
    return file


def learn(state: FollowerState, file: FollowedFile, now: float) -> None:
    """Update what is known of a new file; if it cannot be read now, the next refresh does it."""
    try:
        file.find_change(state.io, now, hinted=True, on_network=False)
    except OSError:
        file.stamp = None


def let_go(state: FollowerState, file: FollowedFile) -> None:
    """Close a file that is in no reading order."""
    if state.files.get(file.identity) is file:
        del state.files[file.identity]
    close_descriptor(state, file)


def open_again(state: FollowerState, file: FollowedFile, name: str, now: float) -> bool:
    """Open a closed file by a name; return whether it is the same file.

    Raises:
        OSError: This cannot be found out now.
    """
    io = state.io
    try:
        fd, status = open_named(state, name)
    except OSError as error:
        if error.errno in MISSING or isinstance(error, NotRegularError):
            return False
        raise
    try:
        same = _is_same(state, file, fd, status)
    except BaseException:
        io.close(fd)
        raise
    if not same:
        io.close(fd)
        return False
    was = file.closed_until_turn
    take_descriptor(state, file, fd, status)
    file.size = max(file.size, file.offset) if was else file.offset
    refresh(state, file, now, hinted=True)
    return True


def _is_same(state: FollowerState, file: FollowedFile, fd: int, status: os.stat_result) -> bool:
    io = state.io
    inode_generation = io.inode_generation(fd)
    if status.st_ino == file.identity[1]:
        numbers = {inode_generation, file.inode_generation} - {None}
        if len(numbers) > 1 or io.pread(fd, len(file.head), 0) != file.head:
            return False
        return status.st_size < file.offset or holds_same(state, fd, file)
    # FUSE file systems give a file another number once the kernel has forgotten it
    if status.st_size < file.offset or not holds_same(state, fd, file):
        return False
    unchanged = file.stamp is not None and file.stamp[:2] == (status.st_size, status.st_mtime_ns)
    return unchanged or (file.offset > 0 and state.on_network(file.path))


def reopen(state: FollowerState, file: FollowedFile, name: str, now: float) -> bool:
    """Open a closed file if it is still the same; otherwise report a gap and remove it.

    Raises:
        OSError: This cannot be found out now.
    """
    if open_again(state, file, name, now):
        return True
    drop(state, file, "generation-missing")
    return False


def find_closed(state: FollowerState, file: FollowedFile, now: float) -> None:
    """Find a closed file that left its path, by its inode in the path's directory.

    Raises:
        OSError: The directory or the file cannot be read now; nothing is changed.
    """
    followed = state.path_of(file)
    inode = file.identity[1]
    name = followed.path
    entries = _entries(state, os.path.dirname(followed.path))
    for path, number in entries:
        if number == inode:
            name = path
    found = open_again(state, file, name, now)
    if not found:
        found = _open_by_names(state, file, now)
    if file is followed.active:
        followed.active = None
        file.is_active = False
        file.quiet_since = now
    if found:
        if file.name == followed.path:
            file.name = name
        file.priority_end = file.size
        return
    state.deliver(file, file.splitter.flush())
    entry = state.saved_file(file, delivered=True)
    entry.was_active = True
    close_file(state, file)
    # a directory that is not there may come back, with the file in it
    remember_lost(state, followed, entry, certain=bool(entries))


def _entries(state: FollowerState, directory: str) -> list[tuple[str, int]]:
    try:
        entries = state.io.entries(directory)
    except OSError as error:
        if error.errno in MISSING:
            return []
        raise
    return [(os.path.join(directory, entry.name), entry.inode) for entry in entries]


def open_for_turn(state: FollowerState, file: FollowedFile, now: float) -> bool:
    """Open a file whose turn has come; return whether it still exists.

    Raises:
        OSError: This cannot be found out now.
    """
    if open_again(state, file, file.name, now) or _open_by_names(state, file, now):
        return True
    drop(state, file, "generation-missing")
    return False


def _open_by_names(state: FollowerState, file: FollowedFile, now: float) -> bool:
    """Open a closed file under another name that it may have by now."""
    inode = file.identity[1]
    for name in _possible_names(state, file):
        try:
            exists = state.access.stat(name).st_ino == inode
        except OSError as error:
            if error.errno in MISSING:
                continue
            raise
        if exists and open_again(state, file, name, now):
            file.name = name
            return True
    return False


def _possible_names(state: FollowerState, file: FollowedFile) -> Iterator[str]:
    """Yield names that a file may have by now."""
    for name, inode in _entries(state, os.path.dirname(file.name)):
        if inode == file.identity[1]:
            yield name
    rotated = state.path_of(file).rotated
    if rotated is not None:
        names, trouble = rotated.names(state.io)
        yield from names
        if trouble is not None:
            raise trouble
