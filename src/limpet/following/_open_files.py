"""Opening and closing of followed files: quiet ones, ones whose turn comes, ones that are finished.

A function takes the state of the follower and a file; the file knows its followed path.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import stamp_of
from limpet.following._follow_events import Retired
from limpet.following._followed_file import FollowedFile
from limpet.following._writer_probe import has_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.following._follow_events import GapKind
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

_REOPEN_S: Final = 1.0
"""Shortest time between two attempts to open an unreadable file again, in seconds."""

# -- refreshing ------------------------------------------------------------------------------------


def refresh(state: FollowerState, file: FollowedFile, now: float, *, hinted: bool = False) -> bool:
    """Examine a file; return whether it may be read on.

    A change is only noted in ``state.changes``; the engine handles it afterwards.
    """
    if file in state.changes:
        return False
    try:
        change = file.find_change(
            state.io, now, hinted=hinted, on_network=state.on_network(file.path)
        )
    except OSError as error:
        report_unreadable(state, file, error, now)
        return False
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
    if due and file.is_active and error.errno in {errno.ESTALE, errno.EIO}:
        file.failed_at = now
        if _replace_descriptor(state, file):
            return
    file.failed_at = file.failed_at or now
    state.report_inaccessible(
        state.path_of(file), error.errno or errno.EIO, error.strerror or str(error)
    )


def _replace_descriptor(state: FollowerState, file: FollowedFile) -> bool:
    io = state.io
    try:
        fd = io.open(file.path)
    except OSError:
        return False
    try:
        same = file.fd is not None and io.fstat(fd).st_size >= file.offset
        same = same and _holds_same(state, fd, file)
    except OSError:
        same = False
    if not same:
        io.close(fd)
        return False
    status = io.fstat(fd)
    state.files.pop(file.identity, None)
    io.close(file.open_fd)
    file.reopened(fd, status)
    file.inode_generation = io.inode_generation(fd)
    file.size = status.st_size
    state.files[file.identity] = file
    return True


def _holds_same(state: FollowerState, fd: int, file: FollowedFile) -> bool:
    """Return whether an open file holds what was read of another."""
    io, window = state.io, len(file.window)
    return (
        io.pread(fd, len(file.head), 0) == file.head
        and io.pread(fd, window, file.offset - window) == file.window
    )


# -- opening ---------------------------------------------------------------------------------------


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
    file.find_change(state.io, now, hinted=True, on_network=False)
    return file


def reopen(state: FollowerState, file: FollowedFile, name: str, now: float) -> bool:
    """Open a closed file if it is still the same; otherwise report a gap and remove it."""
    if _open_again(state, file, name, now):
        return True
    state.report_gap(file, "generation-missing", 0)
    close_file(state, file)
    return False


def _open_again(state: FollowerState, file: FollowedFile, name: str, now: float) -> bool:
    io = state.io
    try:
        fd = io.open(name)
    except OSError:
        return False
    status = io.fstat(fd)
    inode_generation = io.inode_generation(fd)
    if (
        status.st_ino == file.identity[1]
        and (
            inode_generation is None
            or file.inode_generation is None
            or inode_generation == file.inode_generation
        )
        and io.pread(fd, len(file.head), 0) == file.head
        and (status.st_size < file.offset or _holds_same(state, fd, file))
    ):
        state.files.pop(file.identity, None)
        file.reopened(fd, status)
        state.files[file.identity] = file
        refresh(state, file, now, hinted=True)
        return True
    io.close(fd)
    return False


def find_closed(state: FollowerState, file: FollowedFile, now: float) -> None:
    """Find a closed file that left its path, by its inode in the path's directory.

    It was closed with everything acknowledged, so nothing but its position is needed.
    """
    followed = state.path_of(file)
    if file is followed.active:
        followed.active = None
        file.is_active = False
        file.quiet_since = now
    names = state.io.names(os.path.dirname(followed.path))
    name = names.get(file.identity[1], followed.path)
    if reopen(state, file, name, now):
        file.name = name
        file.priority_end = file.size


def open_for_turn(state: FollowerState, file: FollowedFile, now: float) -> bool:
    """Open a file whose turn has come; return whether it still exists."""
    io, inode = state.io, file.identity[1]
    for name in _possible_names(state, file):
        try:
            exists = io.stat(name).st_ino == inode
        except OSError:
            continue
        if exists and _open_again(state, file, name, now):
            file.name = name
            return True
    drop(state, file, "generation-missing")
    return False


def _possible_names(state: FollowerState, file: FollowedFile) -> Iterator[str]:
    """Yield names that a file may have by now; mostly it is the first."""
    yield file.name
    name = state.io.names(os.path.dirname(file.name)).get(file.identity[1])
    if name is not None:
        yield name
    rotated = state.path_of(file).rotated
    if rotated is not None:
        yield from rotated.names(state.io)


# -- closing ---------------------------------------------------------------------------------------


def close_quiet(state: FollowerState, file: FollowedFile) -> None:
    """Close a quiet active file; from now on it is examined by its name."""
    if file.fd is not None and refresh(state, file, state.io.monotonic()):
        if file.backlog or not file.is_acknowledged:
            return
        state.io.close(file.fd)
        file.fd = None


def close_due(state: FollowerState, followed: FollowedPath, now: float) -> None:
    """Close files that are finished, and drop files that nobody reads for too long."""
    options = state.options
    for file in list(followed.files):
        wait, since = options.flush_partial, file.partial_since
        if wait is not None and since is not None and now - since >= wait:
            state.deliver(file, file.splitter.flush())
            file.partial_since = None
        if file.is_active or file.fd is None:
            continue
        if file.backlog:
            if not file.nlink and now - file.read_at >= options.unlinked_timeout:
                drop(state, file, "unlinked")
        elif _is_finished(state, file, now):
            retire(state, file)
    make_room(state, followed)
    followed.unacknowledged = [one for one in followed.unacknowledged if not one.is_acknowledged]


def make_room(state: FollowerState, followed: FollowedPath) -> None:
    """Keep at most ``max_generations`` files of a path open.

    Files that match ``rotated`` are closed until their turn, because they can be found again. Of
    the others the oldest is dropped.
    """
    most = state.options.max_generations
    inactive = [file for file in followed.files if file.fd is not None and not file.is_active]
    for file in reversed(inactive[1:]):
        if len(inactive) < most:
            return
        if followed.rotated is not None and file.nlink and file.backlog:
            state.io.close(file.open_fd)
            file.fd, file.closed_until_turn = None, True
            inactive.remove(file)
    for file in inactive[: max(0, len(inactive) - most + 1)]:
        if file.backlog:
            drop(state, file, "too-many")
        else:
            retire(state, file)


def _is_finished(state: FollowerState, file: FollowedFile, now: float) -> bool:
    options = state.options
    if file.moved_to is not None:
        return False
    if options.retire == "no-writer" and file.fd is not None:
        written = has_writer(file.fd)
        if written is not None:
            return not written
    return now - file.quiet_since >= options.linger


def retire(state: FollowerState, file: FollowedFile) -> None:
    """Close a file that is read to its end, and report it."""
    state.deliver(file, file.splitter.flush())
    state.emit(
        Retired(
            path=state.path_of(file).event_path,
            time=state.io.time(),
            generation=file.number,
            bytes=file.offset,
        )
    )
    close_file(state, file)


def drop(state: FollowerState, file: FollowedFile, kind: GapKind) -> None:
    """Close a file that is not read to its end, and report the gap."""
    state.deliver(file, file.splitter.flush())
    state.report_gap(file, kind, file.size - file.offset)
    close_file(state, file)


def close_file(state: FollowerState, file: FollowedFile) -> None:
    """Close a file and remove it from the reading order."""
    followed = state.path_of(file)
    if file is followed.active:
        followed.active = None
    if state.files.get(file.identity) is file:
        del state.files[file.identity]
    if file.fd is not None:
        if followed.rotated is not None and file.nlink:
            _remember(state, followed, file)
        state.io.close(file.fd)
        file.fd = None
    finish(state, file)


def _remember(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> None:
    """Note that a file under ``rotated`` is delivered."""
    try:
        stamp = stamp_of(state.io.fstat(file.open_fd))
    except OSError:
        return
    if followed.rotated is not None:
        followed.rotated.known[file.identity] = (file.inode_generation, stamp)


def finish(state: FollowerState, file: FollowedFile) -> None:
    """Remove a file from the reading order; it is remembered until it is acknowledged."""
    followed = state.path_of(file)
    followed.files.remove(file)
    state.changes.pop(file, None)
    state.unsaved = True
    file.size = file.offset
    if not file.is_acknowledged:
        followed.unacknowledged.append(file)
