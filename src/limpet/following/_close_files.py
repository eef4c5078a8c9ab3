"""Closing of followed files: finished ones, ones that nobody reads, and ones that make room.

A function takes the state of the follower and a file; the file knows its followed path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from limpet._file_stat import identity_of
from limpet.following._file_io import stamp_of
from limpet.following._follow_events import Retired
from limpet.following._lost_files import keep_retired
from limpet.following._writer_probe import has_writer

if TYPE_CHECKING:
    from limpet.following._follow_events import GapKind
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

# -- finished files --------------------------------------------------------------------------------


def close_due(state: FollowerState, followed: FollowedPath, now: float) -> None:
    """Close files that are finished, and drop files that nobody reads for too long."""
    options = state.options
    for file in list(followed.files):
        wait, since = options.flush_partial, file.partial_since
        if wait is not None and since is not None and now - since >= wait:
            state.deliver(file, file.splitter.flush())
            file.partial_since = None
        if file.is_active or (file.fd is None and file.backlog):
            continue
        if file.backlog:
            if not file.nlink and now - file.read_at >= options.unlinked_timeout:
                drop(state, file, "unlinked")
        elif not (file in state.changes or file in state.postponed) and _is_finished(
            state, file, now
        ):
            retire(state, file)
    limit_generations(state, followed)
    if followed.unacknowledged:
        followed.unacknowledged = [
            one for one in followed.unacknowledged if not one.is_acknowledged
        ]
        state.mark_changed(followed.path)


def limit_generations(state: FollowerState, followed: FollowedPath) -> None:
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
            close_until_turn(state, file)
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
    known = kind != "generation-missing"
    state.report_gap(file, kind, max(0, file.size - file.offset), size_known=known)
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
        close_descriptor(state, file)
    if file.nlink and file.offset:
        keep_retired(followed, state.saved_file(file, delivered=True))
    finish(state, file)


def _remember(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> None:
    """Note that a file under ``rotated`` is delivered."""
    if followed.rotated is None:
        return
    try:
        status = state.io.fstat(file.open_fd)
    except OSError:
        return
    followed.rotated.remember_file(file, status)


def finish(state: FollowerState, file: FollowedFile) -> None:
    """Remove a file from the reading order; it is remembered until it is acknowledged."""
    followed = state.path_of(file)
    followed.files.remove(file)
    state.changes.pop(file, None)
    state.postponed.pop(file, None)
    state.unsaved = True
    state.mark_changed(file.path)
    file.size = file.offset
    if not file.is_acknowledged:
        followed.unacknowledged.append(file)


# -- descriptors -----------------------------------------------------------------------------------


def close_descriptor(state: FollowerState, file: FollowedFile) -> None:
    """Close a file that stays followed; from now on it is examined by its name."""
    fd, file.fd = file.fd, None
    state.held.pop(file, None)
    if fd is not None:
        state.io.close(fd)


def close_until_turn(state: FollowerState, file: FollowedFile) -> None:
    """Close a file with unread bytes; it is opened again when it is to be read."""
    close_descriptor(state, file)
    file.closed_until_turn = True


def make_descriptor_room(state: FollowerState, *, count: int = 0) -> bool:
    """Close files until one more may be opened; return whether that is so.

    Files at their path are closed first, the one that was used longest ago before the others: they
    are found again by their name. A deleted file is only closed if it is read to its end.

    Args:
        state: The follower's state.
        count: Close at least this number, because the system itself has no descriptor left.
    """
    before = len(state.held)
    most = max(0, min(state.options.max_open - 1, before - count))
    for can_be_closed in (_is_quiet, _is_at_its_path, _is_named, _is_read):
        if len(state.held) <= most or (can_be_closed is _is_read and len(state.held) < before):
            return len(state.held) < state.options.max_open
        for file in list(state.held):
            if len(state.held) <= most:
                return True
            if file in state.changes or file in state.postponed or file.suspicion is not None:
                continue
            if can_be_closed(file):
                _close_for_room(state, file)
    return len(state.held) <= most


def _is_quiet(file: FollowedFile) -> bool:
    return file.is_active and not file.backlog


def _is_at_its_path(file: FollowedFile) -> bool:
    return file.is_active


def _is_named(file: FollowedFile) -> bool:
    return bool(file.nlink and file.backlog)


def _is_read(file: FollowedFile) -> bool:
    return not file.backlog and file.moved_to is None


def _close_for_room(state: FollowerState, file: FollowedFile) -> None:
    try:
        change = file.find_change(
            state.io, state.io.monotonic(), hinted=False, on_network=state.on_network(file.path)
        )
    except OSError:
        change = None  # it cannot be read, and is tried again by its name
    if change is not None:
        state.changes[file] = change
    elif not (file.is_active or file.backlog):
        retire(state, file)
    elif not _can_be_found(state, file):
        return
    elif file.backlog:
        close_until_turn(state, file)
    else:
        close_descriptor(state, file)


def _can_be_found(state: FollowerState, file: FollowedFile) -> bool:
    """Return whether the name of an open file leads to it now; learn the name if it changed."""
    directory = os.path.dirname(file.name)
    try:
        status = state.access.stat(file.name)
        if state.on_network(file.path):  # its number may be another by now
            return file.stamp is not None and stamp_of(status)[:2] == file.stamp[:2]
        if identity_of(status) == file.identity:
            return True
        for entry in state.io.entries(directory):
            if entry.inode == file.identity[1]:
                file.name = os.path.join(directory, entry.name)
                return identity_of(state.access.stat(file.name)) == file.identity
    except OSError:
        pass
    return False
