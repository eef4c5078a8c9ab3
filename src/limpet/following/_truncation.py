"""Files whose bytes are no longer there, and deleted files that continue in another one."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from limpet._fingerprint import HEAD, WINDOW
from limpet.following._close_files import finish
from limpet.following._follow_events import Truncated
from limpet.following._followed_file import HOLD_S, ReadPoint
from limpet.following._open_files import learn

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO
    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import Change, Copy, FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

# -- a truncated file ------------------------------------------------------------------------------


def keeps_position(options: FollowOptions, change: Change, offset: int) -> bool:
    """Return whether a changed file is read on under its number, instead of from its beginning."""
    if change.kind == "trimmed":
        return options.on_trim == "keep" or change.size >= offset > 0
    return change.kind == "rewritten" and options.on_rewrite == "keep"


def keep_position(state: FollowerState, file: FollowedFile, change: Change) -> None:
    """Read a changed file on from where it is, or from its end if that comes before."""
    kind, lost, size = change
    if size < file.offset or kind == "rewritten":
        held = file.splitter.flush()
        encoding, done, before = file.encoding, file.is_acknowledged, file.acknowledged
        try:
            file.seek(state.io, min(size, file.offset), encoding=encoding, skipping=False)
        finally:
            state.deliver(file, held)  # it is no longer in the file
        if not done:
            file.acknowledged = ReadPoint(
                min(before.offset, file.offset), file.window, skipping=False
            )
    report_truncated(state, state.path_of(file), file, change, lost=lost)


def restart(
    state: FollowerState,
    followed: FollowedPath,
    file: FollowedFile,
    status: os.stat_result,
    now: float,
) -> FollowedFile:
    """Read a changed file from its beginning, under a new number, which is returned.

    What was read of it stays in ``file``, which comes before the new one: see ``recover`` and
    ``lose``.
    """
    new = file.restarted(state.take_number(), status, state.new_splitter(), now)
    state.files[new.identity] = new
    state.held.pop(file, None)
    state.held[new] = None
    learn(state, new, now)
    if followed.active is file:
        followed.active = new
    followed.files.insert(followed.files.index(file) + 1, new)
    return new


def undo_restart(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, new: FollowedFile
) -> None:
    """Undo ``restart``, of which nothing was read."""
    file.fd, new.fd = new.fd, None
    file.is_active = new.is_active
    followed.files.remove(new)
    if followed.active is new:
        followed.active = file
    state.files[file.identity] = file
    state.changes.pop(new, None)
    state.held.pop(new, None)
    state.held[file] = None


def recover(state: FollowerState, file: FollowedFile, copy: Copy, now: float) -> int:
    """Read the rest of an emptied file from its copy; return the size of that rest."""
    recovered = copy.size - file.offset
    file.adopt(copy, now)
    state.files[file.identity] = file
    state.held[file] = None
    return recovered


def lose(state: FollowerState, file: FollowedFile) -> None:
    """Finish an emptied file of which no copy exists."""
    state.deliver(file, file.splitter.flush())
    finish(state, file)


def report_truncated(
    state: FollowerState,
    followed: FollowedPath,
    file: FollowedFile,
    change: Change,
    *,
    lost: int,
    recovered: int = 0,
) -> None:
    """Report that a file of a path changed; ``file`` is the new generation if there is one."""
    state.unsaved = True
    state.emit(
        Truncated(
            path=followed.event_path,
            time=state.io.time(),
            kind=change.kind,
            generation=file.number,
            lost=lost,
            recovered=recovered,
        )
    )


# -- a deleted file --------------------------------------------------------------------------------


def find_deleted(
    state: FollowerState, followed: FollowedPath, new: FollowedFile
) -> FollowedFile | None:
    """Return the deleted file of this path of which ``new`` holds all, and perhaps more.

    Raises:
        OSError: They cannot be compared now. A file that cannot be read for long is another one.
    """
    for old in reversed(followed.files):
        if old is new or old.continuation is not None:
            continue
        try:
            if old in state.postponed:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), old.name)
            if _continues(state.io, old, new):
                return old
        except OSError:
            now = state.io.monotonic()
            old.note_failure(now)
            if now - (old.failing_since or now) < HOLD_S:
                raise
    return None


def continue_from(state: FollowerState, old: FollowedFile, new: FollowedFile) -> None:
    """Read ``new`` from where a deleted file is; what is still written to that is read too."""
    end = max(old.offset, old.size)
    new.continue_from(old)
    old.splitter = state.new_splitter()
    try:
        end = max(end, state.io.fstat(old.open_fd).st_size)
        old.seek(state.io, end, encoding=new.encoding, skipping=False)
    except OSError:  # it cannot be read any more
        old.offset, old.head, old.window = end, b"", b""
        old.splitter.seek(end, b"")
        old.acknowledged = ReadPoint(end, b"", skipping=False)
    old.size = old.priority_end = end


def _continues(io: FileIO, old: FollowedFile, new: FollowedFile) -> bool:
    """Return whether ``new`` holds all of ``old``, which is deleted, and perhaps more.

    Raises:
        OSError: One of them cannot be read.
    """
    if old.fd is None or new.fd is None:
        return False
    status = io.fstat(old.fd)
    end = status.st_size
    if status.st_nlink or not end or end < old.offset or new.size < end:
        return False
    spots = {(0, min(HEAD, end)), *(_before(at) for at in (end, old.offset))}
    return all(io.pread(old.fd, size, at) == io.pread(new.fd, size, at) for at, size in spots)


def _before(offset: int) -> tuple[int, int]:
    size = min(WINDOW, offset)
    return offset - size, size
