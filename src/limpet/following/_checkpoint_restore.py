"""Find the files of a checkpoint again: under the same name, under another one, or nowhere."""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.following._file_io import Identity, identity_of, stamp_of
from limpet.following._open_files import hold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._checkpoint import SavedFile, SavedPath
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState


@dataclass(slots=True)
class _Candidate:
    """A file on disk that may be one of the checkpoint."""

    name: str
    status: os.stat_result
    inode_generation: int | None
    used: bool = False


_Candidates = dict[Identity, _Candidate]


def restore(state: FollowerState, saved: dict[str, SavedPath], *, since: float, now: float) -> None:
    """Go to the saved position of every followed path that the checkpoint has.

    A file that cannot be found is reported as a gap. Other paths are left as they are.

    Args:
        state: Of the follower, with all paths that are known so far.
        saved: By path.
        since: When it was saved, unix seconds.
        now: Monotonic seconds.
    """
    candidates: _Candidates = {}
    _examine(state, state.paths, candidates)
    for path, one in saved.items():
        followed = state.paths.get(path)
        if followed is None:
            continue
        followed.is_restored = True
        near = {path}
        if followed.rotated is not None:
            near.update(followed.rotated.names(state.io))
            _examine(state, near, candidates)
        examined_again = False
        for entry in one.files:
            fd = None if entry.gone else _find(state, entry, path, candidates, near)
            if fd is None and not entry.gone and not examined_again:
                examined_again = True  # it may have been rotated since it was examined
                if followed.rotated is not None:
                    near.update(followed.rotated.names(state.io))
                _examine(state, near, candidates, again=True)
                fd = _find(state, entry, path, candidates, near)
            if fd is not None:
                found = candidates[identity_of(state.io.fstat(fd))]
                _seek(state, followed, entry, found, fd, now)
                continue
            missing = max(0, entry.size - entry.position.offset)
            if missing or (entry is one.files[-1] and one.active):
                state.report_gap_at(
                    followed.event_path, "generation-missing", missing, entry.position.generation
                )
        _take_delivered(followed, one, candidates, since)


def _examine(
    state: FollowerState, names: Iterable[str], candidates: _Candidates, *, again: bool = False
) -> None:
    """Find the identity of files, or with ``again`` their present names.

    They are opened one by one, because there may be thousands.
    """
    io = state.io
    for name in names:
        with suppress(OSError):
            if not modes.S_ISREG(io.stat(name).st_mode):
                continue
            fd = io.open(name)
            try:
                status = io.fstat(fd)
                if modes.S_ISREG(status.st_mode):
                    candidate = _Candidate(name, status, io.inode_generation(fd))
                    known = candidates.setdefault(identity_of(status), candidate)
                    if again:
                        known.name = name
            finally:
                io.close(fd)


def _find(
    state: FollowerState, entry: SavedFile, path: str, candidates: _Candidates, near: set[str]
) -> int | None:
    """Open the file of an entry: the same inode if possible, otherwise a copy among ``near``."""
    position, io = entry.position, state.io

    def order(candidate: _Candidate) -> tuple[bool, bool]:
        return (candidate.status.st_ino != position.inode, candidate.name != path)

    for candidate in sorted((c for c in candidates.values() if not c.used), key=order):
        same = candidate.status.st_ino == position.inode
        if not same and (candidate.name not in near or not position.offset):
            continue
        try:
            fd = io.open(candidate.name)
        except OSError:
            continue
        try:
            status = io.fstat(fd)
            if identity_of(status) == identity_of(candidate.status) and position.fits(
                identity_of(status),
                candidate.inode_generation,
                status.st_size,
                lambda size, at, fd=fd: io.pread(fd, size, at),  # type: ignore[misc]  # its own
            ):
                candidate.used, candidate.status = True, status
                return fd
        except OSError:
            pass
        io.close(fd)
    return None


def _seek(
    state: FollowerState,
    followed: FollowedPath,
    entry: SavedFile,
    found: _Candidate,
    fd: int,
    now: float,
) -> None:
    """Read a file on from the position of its entry."""
    position = entry.position
    file = hold(state, followed, fd, found.status, found.name, now)
    file.number = position.generation
    file.seek(state.io, position.offset, encoding=position.encoding, skipping=position.skipping)
    file.priority_end = file.size
    if file.size < entry.size:
        state.report_gap(file, "generation-missing", entry.size - file.size)
    if found.name == followed.path:
        file.is_active, file.priority_end = True, 0
        followed.active = file
        followed.exists = True
        if followed.files and followed.files[-1].is_active:
            followed.files[-1].is_active = False
    followed.files.append(file)


def _take_delivered(
    followed: FollowedPath, saved: SavedPath, candidates: _Candidates, since: float
) -> None:
    """Note which rotated files are delivered; the first pass finds the others."""
    if followed.rotated is None:
        return
    known = set(saved.known)
    for identity, candidate in candidates.items():
        if candidate.used:
            continue
        status, inode_generation = candidate.status, candidate.inode_generation
        is_known = (status.st_ino, inode_generation) in known
        if is_known and (inode_generation is not None or status.st_mtime <= since):
            followed.rotated.known[identity] = (inode_generation, stamp_of(status))
