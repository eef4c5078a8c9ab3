"""Follow a path's name: open the file that is at it now, and retire the one before.

A pass is idempotent: hints only say when to run one. The name is followed and the descriptor is
held. A new file is opened at once; the old one is read to its end before it, and closed once nobody
seems to write to it any more.
"""

from __future__ import annotations

import errno
import os
import stat as modes

from limpet.following._file_io import MISSING, identity_of, stamp_of
from limpet.following._follow_events import Replaced, Rotated
from limpet.following._followed_file import CopySuspicion, FollowedFile
from limpet.following._followed_path import FollowedPath
from limpet.following._follower_state import FollowerState
from limpet.following._open_files import (
    find_closed,
    hold,
    open_for_turn,
    refresh,
    reopen,
)
from limpet.following._rotation import scan
from limpet.following._start_position import seek_start
from limpet.following._truncation import continue_from_deleted


def is_unchanged(state: FollowerState, followed: FollowedPath) -> bool:
    """Return whether nothing can have happened, by one system call: most files are idle."""
    file = followed.active
    if (
        file is None
        or len(followed.files) != 1
        or followed.rotated is not None
        or file.partial_since is not None
        or file.failed_at is not None
        or file.shrunk_since is not None
        or file.backlog
        or state.options.follow_symlinks is not True
    ):
        return False
    try:
        status = state.io.stat(followed.path)
    except OSError:
        return False
    return file.stamp == stamp_of(status) and file.identity == identity_of(status)


def resolve(state: FollowerState, followed: FollowedPath, now: float) -> bool:
    """Compare the path with its active file; return whether to do it again.

    Changes of files that are found on the way are only noted: they are handled in between.
    """
    try:
        status = _stat(state, followed)
    except OSError as error:
        if error.errno in MISSING:
            _leave_nothing(state, followed, now)
        else:
            _report(state, followed, error)
        return scan(state, followed, now)
    if not modes.S_ISREG(status.st_mode):
        _release(state, followed, now)
        _report(state, followed, _not_a_file(status, followed.path))
        return scan(state, followed, now)
    identity = identity_of(status)
    file = followed.active
    if file is not None and file.identity == identity:
        if file.fd is None and stamp_of(status) != file.stamp:
            reopen(state, file, followed.path, now)
            return True
        if file.failed_at is None:
            state.report_accessible(followed)
        return scan(state, followed, now)
    if file is not None and file.fd is None:
        find_closed(state, file, now)
        return True
    known = state.files.get(identity)
    if known is not None and known.closed_until_turn and known.path == followed.path:
        open_for_turn(state, known, now)
        return True
    if known is not None and known.fd is not None:
        return _lead_to_known(state, followed, known, now)
    return _open(state, followed, now)


def _stat(state: FollowerState, followed: FollowedPath) -> os.stat_result:
    io, policy = state.io, state.options.follow_symlinks
    if policy is True:
        return io.stat(followed.path)
    link = io.lstat(followed.path)
    if not modes.S_ISLNK(link.st_mode):
        return link
    status = io.stat(followed.path)
    if policy == "same-owner" and link.st_uid == status.st_uid:
        return status
    raise OSError(errno.ELOOP, "it is a symlink, and follow_symlinks does not allow it")


def _open(state: FollowerState, followed: FollowedPath, now: float) -> bool:
    """Open the unknown file at the path; return whether to compare again."""
    io = state.io
    followed.is_alias = False
    try:
        fd = io.open(followed.path)
    except OSError as error:
        if error.errno in MISSING:
            return True
        _release(state, followed, now)
        _report(state, followed, error)
        return scan(state, followed, now)
    status = io.fstat(fd)  # it may be another file by now: only this one counts
    try:
        known = state.files.get(identity_of(status))
        if not modes.S_ISREG(status.st_mode) or (known is not None and known.fd is not None):
            io.close(fd)
            return True
        _lead_to_new(state, followed, fd, status, now)
    except BaseException:
        if state.files.get(identity_of(status)) is None:
            io.close(fd)
        raise
    return True


def _lead_to_new(
    state: FollowerState, followed: FollowedPath, fd: int, status: os.stat_result, now: float
) -> None:
    """Take an unknown file as the one at the path."""
    file = hold(state, followed, fd, status, followed.path, now)
    file.is_active = True
    file.suspicion = CopySuspicion() if followed.found_late else None
    old = followed.active or (followed.files[-1] if followed.files else None)
    _release(state, followed, now)
    for one in followed.files:
        if refresh(state, one, now):
            one.priority_end = one.size
    state.report_accessible(followed)
    continued = None
    if state.starting and not followed.is_restored and old is None:
        seek_start(state, file)
    else:
        continued = continue_from_deleted(state, followed, file)
    followed.active = file
    followed.files.append(file)
    time = state.io.time()
    if continued is not None:
        followed.exists = True
        state.emit(
            Replaced(path=followed.event_path, time=time, old=continued.number, new=file.number)
        )
        return
    if scan(state, followed, now) and file.offset == 0:
        _renumber(followed, file)
    if old is not None:
        state.emit(Rotated(path=followed.event_path, time=time, old=old.number, new=file.number))
    elif not state.starting or followed.is_restored:
        state.report_found(followed, file)
    followed.exists = True


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
    file.path, file.moved_to = path, None
    followed.files.append(file)
    followed.is_alias = False
    state.unsaved = True
    _activate(state, followed, file)


def _leads_to(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> bool:
    try:
        return identity_of(_stat(state, followed)) == file.identity
    except OSError:
        return False


def _activate(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> None:
    file.is_active, file.priority_end, file.name = True, 0, followed.path
    followed.active = file
    state.report_accessible(followed)
    state.report_found(followed, file)


def _release(state: FollowerState, followed: FollowedPath, now: float) -> None:
    """Let go of the active file, to which the path no longer leads: it is read before any other."""
    file, followed.active = followed.active, None
    if file is None:
        return
    file.is_active = False
    file.quiet_since = now
    state.unsaved = True
    if file.fd is None:
        find_closed(state, file, now)
    if file.fd is not None:
        refresh(state, file, now)
        file.priority_end = file.size


def _leave_nothing(state: FollowerState, followed: FollowedPath, now: float) -> None:
    _release(state, followed, now)
    state.report_accessible(followed)
    followed.is_alias = False
    state.report_gone(followed)


def _report(state: FollowerState, followed: FollowedPath, error: OSError) -> None:
    state.report_inaccessible(followed, error.errno or errno.EIO, error.strerror or str(error))


def _not_a_file(status: os.stat_result, path: str) -> OSError:
    number = errno.EISDIR if modes.S_ISDIR(status.st_mode) else errno.EINVAL
    return OSError(number, f"it is no regular file ({modes.filemode(status.st_mode)[0]})", path)
