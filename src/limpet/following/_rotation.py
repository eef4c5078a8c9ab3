"""Rotated files of a path that were renamed before anybody saw them at the path."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from glob import has_magic
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import FileIO, Identity, identity_of, stamp_of
from limpet.following._followed_file import CopySuspicion
from limpet.following._open_files import hold, make_room
from limpet.following._truncation import continue_from_deleted

if TYPE_CHECKING:
    from limpet.following._followed_path import FollowedPath, RotatedNames
    from limpet.following._follower_state import FollowerState

_COARSE_S: Final = 0.1
"""A directory that changed this shortly before it was listed may have changed again since without
a later modification time: the clock of a file system may tick in steps of some milliseconds."""


def take_as_delivered(state: FollowerState, rotated: RotatedNames) -> None:
    """Treat rotated files that exist at the start as already delivered."""
    io = state.io
    for name in rotated.names(io):
        with suppress(OSError):
            fd = io.open(name)
            try:
                status = io.fstat(fd)
                if modes.S_ISREG(status.st_mode):
                    known = (io.inode_generation(fd), stamp_of(status))
                    rotated.known[identity_of(status)] = known
            finally:
                io.close(fd)


def scan(
    state: FollowerState, followed: FollowedPath, now: float, *, even_if_unchanged: bool = False
) -> bool:
    """Hold every file that is new under ``rotated``; return whether there was one.

    Such files come before the file at the path, in the order in which they were last written.
    """
    rotated, io = followed.rotated, state.io
    if rotated is None or not (_is_due(io, rotated) or even_if_unchanged):
        return False
    found: list[tuple[int, str]] = []
    seen: set[Identity] = set()
    for name in rotated.names(io):
        opened = _open_if_new(state, rotated, name, seen)
        if opened is not None:
            fd, status = opened
            io.close(fd)  # there may be thousands
            found.append((status.st_mtime_ns, name))
    rotated.known = {key: value for key, value in rotated.known.items() if key in seen}
    for _, name in sorted(found):
        opened = _open_if_new(state, rotated, name, seen)
        if opened is None:
            rotated.listed = None  # it has another name by now
            continue
        _insert(state, followed, *opened, name, now)
        make_room(state, followed)
    return bool(found)


def _is_due(io: FileIO, rotated: RotatedNames) -> bool:
    if has_magic(rotated.dir):
        return True
    try:
        changed = io.stat(rotated.dir).st_mtime_ns
    except OSError:
        return False
    listed = rotated.listed
    if listed is not None and listed[0] == changed and listed[1] - changed / 1e9 > _COARSE_S:
        return False
    rotated.listed = (changed, io.time())
    return True


def _open_if_new(
    state: FollowerState, rotated: RotatedNames, name: str, seen: set[Identity]
) -> tuple[int, os.stat_result] | None:
    """Open a file that is not known yet; ``None`` for every other."""
    io = state.io
    try:
        status = io.stat(name)
        if not modes.S_ISREG(status.st_mode):
            return None
        seen.add(identity_of(status))
        if _is_held(state, status, name) or _is_unchanged(rotated, status):
            return None
        fd = io.open(name)
    except OSError:
        return None
    status = io.fstat(fd)
    seen.add(identity_of(status))
    if (
        not modes.S_ISREG(status.st_mode)
        or _is_held(state, status, name)
        or _is_unchanged(rotated, status)
        or _is_delivered(rotated, status, io.inode_generation(fd))
    ):
        io.close(fd)
        return None
    return fd, status


def _is_held(state: FollowerState, status: os.stat_result, name: str) -> bool:
    """Return whether a file is being read; learn its present name."""
    file = state.files.get(identity_of(status))
    if file is not None and file.fd is not None and not file.is_active:
        file.name = name
    return file is not None


def _is_unchanged(rotated: RotatedNames, status: os.stat_result) -> bool:
    known = rotated.known.get(identity_of(status))
    return known is not None and known[1] == stamp_of(status)


def _is_delivered(
    rotated: RotatedNames, status: os.stat_result, inode_generation: int | None
) -> bool:
    """Return whether a changed file is a delivered one: its inode may be another file's by now."""
    identity = identity_of(status)
    known = rotated.known.get(identity)
    if known is None:
        return False
    if known[0] != inode_generation:
        del rotated.known[identity]
        return False
    rotated.known[identity] = (inode_generation, stamp_of(status))
    return True


def _insert(
    state: FollowerState,
    followed: FollowedPath,
    fd: int,
    status: os.stat_result,
    name: str,
    now: float,
) -> None:
    """Read an unseen file after those before it and before the active one."""
    file = hold(state, followed, fd, status, name, now)
    file.priority_end, file.suspicion = file.size, CopySuspicion()
    at = len(followed.files)
    if followed.active is not None:
        at = followed.files.index(followed.active)
    for place, one in enumerate(followed.files[:at]):
        # a listing need not have all names that came meanwhile: this file may be the older one
        is_trusted = one.suspicion is None
        if not one.offset and one.found_mtime_ns + is_trusted > status.st_mtime_ns:
            at = place  # that one is younger, and nothing of it is read
            break
    continue_from_deleted(state, followed, file)
    followed.files.insert(at, file)
