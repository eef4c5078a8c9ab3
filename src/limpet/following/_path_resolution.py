"""Follow a path's name: open the file that is at it now, and retire the one before.

A pass is idempotent: hints only say when to run one. The name is followed and the descriptor is
held. A new file is opened at once; the old one is read to its end before it, and closed once nobody
seems to write to it any more.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet.following._file_io import MISSING, SHORTAGE, is_fresh, stamp_of
from limpet.following._follow_events import Appeared, Replaced, Rotated
from limpet.following._followed_file import CopySuspicion, FollowedFile
from limpet.following._followed_stream import FollowedStream
from limpet.following._lost_files import find_lost, seek_saved
from limpet.following._open_files import (
    find_closed,
    hold,
    holds_all,
    holds_same,
    let_go,
    may_be_held,
    open_again,
    open_for_turn,
    open_named,
    refresh,
    reopen,
    take_descriptor,
)
from limpet.following._path_access import not_regular
from limpet.following._rotation import scan
from limpet.following._start_position import seek_start
from limpet.following._truncation import continue_from, find_deleted

if TYPE_CHECKING:
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState


_ALL: Final = 1 << 62
"""More bytes than a file has."""


def is_unchanged(state: FollowerState, followed: FollowedPath) -> bool:
    """Return whether nothing can have happened, by one system call: most files are idle."""
    file = followed.active
    if file is None or followed.needs_attention or followed.error_number:
        return False
    if file.fd is None and may_be_held(state):
        return False
    try:
        status = state.access.stat(followed.path)
    except OSError:
        return False
    if file.stamp != stamp_of(status) or file.identity != identity_of(status):
        return False
    return not is_fresh(status, state.io.time)


def resolve(state: FollowerState, followed: FollowedPath, now: float) -> bool:
    """Compare the path with its active file; return whether to do it again.

    Changes of files that are found on the way are only noted: they are handled in between. What
    cannot be found out now is reported, and tried again at the next pass.
    """
    followed.is_waiting = False
    try:
        again = _compare(state, followed, now)
    except OSError as error:
        if error.errno in SHORTAGE:
            followed.is_waiting = True
        elif error.errno in MISSING:
            return True
        else:
            _report(state, followed, error)
        return False
    return again


def _compare(state: FollowerState, followed: FollowedPath, now: float) -> bool:
    """Return whether to compare again.

    Raises:
        OSError: A file that is needed cannot be opened or read; nothing is changed.
    """
    try:
        status = state.access.stat(followed.path)
    except OSError as error:
        if error.errno in SHORTAGE:
            raise
        if error.errno in MISSING:
            _leave_nothing(state, followed, now)
        else:  # it says nothing about the file, which stays held
            _report(state, followed, error)
        return scan(state, followed.rotated, now)
    if modes.S_ISFIFO(status.st_mode):
        _release(state, followed, now)
        _lead_to_fifo(state, followed, status)
        return scan(state, followed.rotated, now)
    close_stream(state, followed)
    if not modes.S_ISREG(status.st_mode):
        _release(state, followed, now)
        _report(state, followed, not_regular(status, followed.path))
        return scan(state, followed.rotated, now)
    identity = identity_of(status)
    file = followed.active
    if file is not None and file.identity == identity:
        if file.fd is None:
            if stamp_of(status) != file.stamp or is_fresh(status, state.io.time):
                return _open_when_needed(state, followed, file, status, now)
            if may_be_held(state):
                reopen(state, file, followed.path, now)
                return True
        elif _is_another(state, followed, file, status):
            return _open(state, followed, now, instead_of=file)
        if file.failed_at is None:
            state.report_accessible(followed)
        return scan(state, followed.rotated, now)
    if file is not None and file.fd is None:
        if not _is_renumbered(state, followed, file, now):
            find_closed(state, file, now)
        return True
    known = state.files.get(identity)
    if known is not None and known.closed_until_turn and known.path == followed.path:
        open_for_turn(state, known, now)
        return True
    if known is not None and known.fd is not None:
        return _lead_to_known(state, followed, known, now)
    return _open(state, followed, now)


def _lead_to_fifo(state: FollowerState, followed: FollowedPath, status: os.stat_result) -> None:
    """Read the FIFO at the path.

    Raises:
        OSError: It cannot be opened.
    """
    stream = followed.stream
    if stream is not None and stream.identity == identity_of(status):
        return
    close_stream(state, followed)
    fd, _ = state.access.open(followed.path, fifo=True)
    number = state.take_number()
    followed.stream = FollowedStream(followed.path, fd, number, state.new_splitter(), state.wake)
    state.streams[followed] = followed.stream
    state.report_accessible(followed)
    if not followed.exists:
        state.emit(Appeared(path=followed.event_path, time=state.io.time(), generation=number))
    followed.exists = True


def close_stream(state: FollowerState, followed: FollowedPath) -> None:
    """Stop to read a FIFO, once what was read of it is delivered."""
    stream, followed.stream = followed.stream, None
    if stream is None:
        return
    del state.streams[followed]
    stream.close()
    while (blocks := stream.take()) is not None:
        state.deliver(stream, blocks)
    state.deliver(stream, stream.splitter.flush())


def _open_when_needed(
    state: FollowerState,
    followed: FollowedPath,
    file: FollowedFile,
    status: os.stat_result,
    now: float,
) -> bool:
    """Note that a closed file grew: it is opened when it is read; return whether to compare again.

    A file that did not grow is opened at once, to find out what happened to it.
    """
    if status.st_size <= max(file.offset, file.size) and not file.backlog:
        reopen(state, file, followed.path, now)
        return True
    if status.st_size > file.size:
        file.quiet_since = now
        file.size, file.closed_until_turn = status.st_size, True
    elif status.st_size < file.size:
        reopen(state, file, followed.path, now)
        return True
    return scan(state, followed.rotated, now)


def _is_another(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, status: os.stat_result
) -> bool:
    """Return whether another file is at the path, though its inode number is that of the open one.

    Where inode numbers are derived from paths (rclone, other object stores), a log and its
    predecessor have the same number. Sizes and times tell them apart; where these differ, the
    content decides.
    """
    io = state.io
    held = io.fstat(file.open_fd)
    seen = stamp_of(status)[:2]
    if stamp_of(held)[:2] == seen or stamp_of(state.access.stat(followed.path))[:2] != seen:
        return False
    fd, status = state.access.open(followed.path)
    try:
        if stamp_of(io.fstat(file.open_fd))[:2] == stamp_of(status)[:2]:
            return False
        if status.st_size < held.st_size or not holds_same(state, fd, file):
            return True
        take_descriptor(state, file, fd, status)  # the open one shows an old state of the file
        fd = -1
        return False
    finally:
        if fd >= 0:
            io.close(fd)


def _is_renumbered(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, now: float
) -> bool:
    """Return whether a closed file is still at its path, under another inode number."""
    return state.on_network(followed.path) and open_again(state, file, followed.path, now)


def _open(
    state: FollowerState,
    followed: FollowedPath,
    now: float,
    *,
    instead_of: FollowedFile | None = None,
) -> bool:
    """Open the unknown file at the path; return whether to compare again.

    Args:
        state: The follower's state.
        followed: The path.
        now: Monotonic seconds.
        instead_of: A file with the same inode number that is another one.
    """
    io = state.io
    followed.is_alias = False
    try:
        fd, status = open_named(state, followed.path)
    except OSError as error:
        if error.errno in MISSING:
            return True
        if state.starting and not followed.is_restored:
            with suppress(OSError):
                followed.at_start = state.access.stat(followed.path)
        if error.errno in SHORTAGE:
            raise
        _report(state, followed, error)
        return scan(state, followed.rotated, now)
    known = state.files.get(identity_of(status))  # it may be another file by now
    if known is not None and known.fd is not None and known is not instead_of:
        io.close(fd)
        return True
    old = followed.active
    if old is not None and old.fd is None:
        io.close(fd)  # it was closed to make room for this one: look for it first
        return True
    if (
        old is not None
        and old.fd is not None
        and old is not instead_of
        and _is_same_renumbered(state, old, fd, status)
    ):
        take_descriptor(state, old, fd, status)
        return True
    _lead_to_new(state, followed, fd, status, now)
    return True


def _is_same_renumbered(
    state: FollowerState, file: FollowedFile, fd: int, status: os.stat_result
) -> bool:
    """Return whether a file has a new number, and is the same.

    FUSE file systems give their files other numbers, and a file system that was mounted again has
    another device number. On other file systems a new number is another file, unless the old one
    can no longer be read.
    """
    try:
        if file.failed_at is not None:
            return holds_all(state, fd, status, file)
        held = state.io.fstat(file.open_fd)
        same = stamp_of(held)[:2] == stamp_of(status)[:2] and held.st_nlink == status.st_nlink
        may_be = state.on_network(file.path) and same and bool(file.offset)
        return may_be and holds_same(state, fd, file)
    except OSError:
        return False


def _lead_to_new(
    state: FollowerState, followed: FollowedPath, fd: int, status: os.stat_result, now: float
) -> None:
    """Take an unknown file as the one at the path.

    Raises:
        OSError: It cannot be read; it is closed, and the path leads to what it led to.
    """
    file = hold(state, followed, fd, status, followed.path, now)
    old = followed.active or (followed.files[-1] if followed.files else None)
    restored = False
    deleted = None
    try:
        entry = find_lost(state, followed, fd, status)
        if entry is not None:
            seek_saved(state, file, entry)
            restored = True
        elif old is None and not followed.is_restored:
            _seek_first(state, followed, file, status)
        if not file.offset and not (state.starting and old is None):
            deleted = find_deleted(state, followed, file)
    except BaseException:
        let_go(state, file)
        if state.starting and not followed.is_restored:
            followed.at_start = status
        raise
    followed.at_start = None
    file.is_active = True
    file.suspicion = CopySuspicion() if followed.found_late and not file.offset else None
    _release(state, followed, now)
    for one in followed.files:
        # what cannot be examined now may have grown
        one.priority_end = one.size if refresh(state, one, now) else _ALL
    state.report_accessible(followed)
    if deleted is not None:
        continue_from(state, deleted, file)
    followed.active = file
    followed.files.append(file)
    state.busy[followed] = None
    time = state.io.time()
    if deleted is not None:
        followed.exists = True
        state.emit(
            Replaced(path=followed.event_path, time=time, old=deleted.number, new=file.number)
        )
        return
    if scan(state, followed.rotated, now) and file.offset == 0:
        _renumber(followed, file)
    if old is not None:
        state.emit(Rotated(path=followed.event_path, time=time, old=old.number, new=file.number))
    elif not state.starting or followed.is_restored or restored:
        state.report_found(followed, file)
    followed.exists = True


def _seek_first(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, status: os.stat_result
) -> None:
    """Go to where the first file of a path is begun.

    Raises:
        OSError: It cannot be read; nothing is changed.
    """
    was = followed.at_start
    if state.starting:
        seek_start(state, file, came_later=followed.found_late)
    elif was is not None and identity_of(was) == identity_of(status):
        # it existed at the start, and could not be opened: what was written since is read
        seek_start(state, file, came_later=followed.found_late, size=was.st_size)


def _renumber(followed: FollowedPath, file: FollowedFile) -> None:
    """Number files that were found before the active one in reading order as well."""
    between = [one for one in followed.files[:-1] if one.number > file.number]
    numbers = sorted([file.number, *(one.number for one in between)])
    for one, number in zip([*between, file], numbers, strict=True):
        one.number = number


def _lead_to_known(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, now: float
) -> bool:
    """Take a file that is being read as the one at the path; return whether to compare again."""
    owner = state.path_of(file)
    if owner is followed:
        _release(state, followed, now)
        followed.files.remove(file)
        followed.files.append(file)
        _activate(state, followed, file)
        return True
    _release(state, followed, now)
    state.report_accessible(followed)
    followed.exists = followed.is_alias = True
    _take_turn_after(state, owner)
    if owner.active is file:
        if _leads_to(state, owner, file):
            return False  # two names of one file: it is read under the first
        _release(state, owner, now)
        if file in state.changes:
            return True
    file.name = followed.path
    if file.backlog and owner.files[-1] is not file:
        file.moved_to = followed.path  # it is read where its successor waits for it
        return False
    take_over(state, file, followed.path)
    return True


def take_over(state: FollowerState, file: FollowedFile, path: str) -> None:
    """Read a file of another path under ``path``, to which it was renamed."""
    followed = state.paths[path]
    state.path_of(file).files.remove(file)
    state.mark_changed(file.path)
    state.mark_changed(path)
    state.busy[followed] = None
    _take_turn_after(state, state.path_of(file))
    file.path, file.moved_to = path, None
    followed.files.append(file)
    followed.is_alias = False
    state.unsaved = True
    _activate(state, followed, file)


def _take_turn_after(state: FollowerState, followed: FollowedPath) -> None:
    """Read a path after all others: what was its file comes before the one it leads to now."""
    state.busy.pop(followed, None)
    state.busy[followed] = None


def _leads_to(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> bool:
    try:
        return identity_of(state.access.stat(followed.path)) == file.identity
    except OSError:
        return False


def _activate(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> None:
    file.is_active, file.priority_end, file.name = True, 0, followed.path
    followed.active = file
    state.report_accessible(followed)
    state.report_found(followed, file)


def _release(state: FollowerState, followed: FollowedPath, now: float) -> None:
    """Let go of the active file, to which the path no longer leads: it is read before any other.

    Raises:
        OSError: A closed file cannot be looked for now; nothing is changed.
    """
    file = followed.active
    if file is None:
        return
    if file.fd is None:
        find_closed(state, file, now)
    followed.active = None
    file.is_active = False
    file.quiet_since = now
    state.unsaved = True
    state.mark_changed(followed.path)
    if file.fd is not None:
        refresh(state, file, now)
        file.priority_end = file.size


def _leave_nothing(state: FollowerState, followed: FollowedPath, now: float) -> None:
    close_stream(state, followed)
    _release(state, followed, now)
    state.report_accessible(followed)
    followed.is_alias = False
    state.report_gone(followed)


def _report(state: FollowerState, followed: FollowedPath, error: OSError) -> None:
    state.report_inaccessible(followed, error.errno or errno.EIO, error.strerror or str(error))
