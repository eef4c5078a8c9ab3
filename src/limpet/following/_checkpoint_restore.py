"""Find the files of a checkpoint again: under the same name, under another one, or nowhere.

Names may change while they are looked for: a file is only missing if it was not found while nothing
changed. What cannot be found out (a directory cannot be read, the process is out of descriptors) is
left open: see ``_lost_files``.
"""

from __future__ import annotations

import os
import stat as modes
from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet._fingerprint import HEAD
from limpet.following._checkpoint import MISSING_S
from limpet.following._file_io import MISSING
from limpet.following._lost_files import remember_lost, seek_saved
from limpet.following._open_files import hold, let_go, open_named
from limpet.following._position import make_print
from limpet.following._rotated_files import Delivered

if TYPE_CHECKING:
    from limpet.following._checkpoint import Checkpoint, SavedFile, SavedPath
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState
    from limpet.following._position import Print

_ROUNDS: Final = 8
"""How often a file is looked for while names change."""


def restore(state: FollowerState, loaded: Checkpoint, *, now: float) -> None:
    """Go to the saved position of every followed path that the checkpoint has.

    Args:
        state: The follower's state, with all paths that are known so far.
        loaded: The checkpoint.
        now: Monotonic seconds.
    """
    for pattern, known in loaded.known.items():
        rotated = state.rotated.get(pattern)
        if rotated is not None:
            rotated.known = {one.inode: one for one in known}
    search = _Search(state, loaded)
    for path, one in loaded.paths.items():
        followed = state.paths.get(path)
        if followed is None:
            continue
        followed.is_restored = True
        _take_known(followed, one)
        found: set[tuple[int, int]] = set()
        if state.cancelled:
            message = "the start was cancelled"
            raise InterruptedError(message)
        for entry in one.files:
            if entry.since is not None and loaded.saved - entry.since > MISSING_S:
                continue
            key = (entry.position.inode, entry.position.generation)
            if key in found:
                continue  # it was lost and came back before all of it was acknowledged
            if _find(state, followed, entry, search, now):
                found.add(key)


def _take_known(followed: FollowedPath, saved: SavedPath) -> None:
    """Take over which rotated files are delivered from a checkpoint of version 2."""
    if followed.rotated is not None:
        for inode, generation in saved.known:
            old = Delivered(inode, generation, -1, -1, -1, "", 0)
            followed.rotated.known.setdefault(inode, old)


class _Search:
    """Files that may be those of the checkpoint, by inode number and by their first bytes."""

    def __init__(self, state: FollowerState, loaded: Checkpoint) -> None:
        self._state = state
        self._names = [*state.paths]
        self._new = [path for path in state.paths if path not in loaded.paths]
        """Paths that came since; one may be a copy of a file that was emptied."""
        self._by_inode: dict[str, dict[int, list[str]]] = {}
        """Names of one pattern of ``rotated``, or of all paths (""), by inode number."""
        self._heads: dict[str, bytes] = {}
        self._by_head: dict[tuple[str, int], dict[Print, list[str]]] = {}
        self.is_unsure = False
        """Something could not be examined: what was not found may be there."""

    def by_inode(self, followed: FollowedPath, inode: int) -> list[str]:
        """Return names that lead to an inode number, of the path and its rotated files first."""
        keys = [""] if followed.rotated is None else [followed.rotated.pattern, ""]
        names = [name for key in keys for name in self._index(key).get(inode, ())]
        return sorted(names, key=lambda name: name != followed.path)

    def by_head(self, followed: FollowedPath, head: Print) -> list[str]:
        """Return names of files that begin with the given bytes and may be copies."""
        keys = ["new"] if followed.rotated is None else [followed.rotated.pattern, "new"]
        found = [followed.path]
        for key in keys:
            index = self._by_head.get((key, head[0]))
            if index is None:
                index = self._by_head[key, head[0]] = {}
                for name in self._list(key):
                    index.setdefault(make_print(self._head(name)[: head[0]]), []).append(name)
            found += index.get(head, ())
        return found

    def changed(self, followed: FollowedPath) -> bool:
        """List again what belongs to a path; return whether it differs from before."""
        keys = [""] if followed.rotated is None else [followed.rotated.pattern, ""]
        before = [self._by_inode.get(key) for key in keys]
        for key in keys:
            self._by_inode.pop(key, None)
        self._by_head.clear()
        self._heads.clear()
        return [self._index(key) for key in keys] != before

    def _list(self, key: str) -> list[str]:
        if key == "new":
            return self._new
        if not key:
            return self._names
        names, trouble = self._state.rotated[key].names(self._state.io)
        self.is_unsure |= trouble is not None
        return names

    def _index(self, key: str) -> dict[int, list[str]]:
        index = self._by_inode.get(key)
        if index is None:
            index = self._by_inode[key] = {}
            for name in self._list(key):
                try:
                    status = self._state.access.stat(name)
                except OSError as error:
                    self.is_unsure |= error.errno not in MISSING
                    continue
                if modes.S_ISREG(status.st_mode):
                    index.setdefault(status.st_ino, []).append(name)
        return index

    def _head(self, name: str) -> bytes:
        head = self._heads.get(name)
        if head is None:
            head, state = b"", self._state
            try:
                fd, _ = state.access.open(name)
            except OSError:
                pass
            else:
                try:
                    head = state.io.pread(fd, HEAD, 0)
                except OSError:
                    head = b""
                finally:
                    state.io.close(fd)
            self._heads[name] = head
        return head


def _find(
    state: FollowerState, followed: FollowedPath, entry: SavedFile, search: _Search, now: float
) -> bool:
    """Find a file and go to its position; return whether it was found."""
    if entry.reported:  # it is only looked at if it comes back to its path
        followed.lost.append(entry)
        return False
    search.is_unsure = False
    if not entry.gone:
        for _ in range(_ROUNDS):
            position = entry.position
            for name in search.by_inode(followed, position.inode):
                if _open(state, followed, entry, name, search, now):
                    return True
            if position.offset:
                for name in search.by_head(followed, position.head):
                    if _open(state, followed, entry, name, search, now):
                        return True
            if not search.changed(followed):
                break
    there = os.path.dirname(followed.path)
    certain = not search.is_unsure and os.path.isdir(there)
    remember_lost(state, followed, entry, certain=certain or entry.gone)
    return False


def _open(
    state: FollowerState,
    followed: FollowedPath,
    entry: SavedFile,
    name: str,
    search: _Search,
    now: float,
) -> bool:
    """Continue an entry with the file of a name, if it is the same file; return whether it is."""
    io, position = state.io, entry.position
    try:
        fd, status = open_named(state, name)
    except OSError as error:
        search.is_unsure |= error.errno not in MISSING
        return False
    try:
        fits = identity_of(status) not in state.files and position.fits(
            identity_of(status),
            io.inode_generation(fd),
            status.st_size,
            lambda size, at: io.pread(fd, size, at),
        )
    except OSError:
        search.is_unsure = True
        fits = False
    if not fits:
        io.close(fd)
        return False
    return _seek(state, followed, entry, name, fd, status, search, now)


def _seek(
    state: FollowerState,
    followed: FollowedPath,
    entry: SavedFile,
    name: str,
    fd: int,
    status: os.stat_result,
    search: _Search,
    now: float,
) -> bool:
    """Continue a file at the position of its entry; return whether it can be read."""
    file = hold(state, followed, fd, status, name, now)
    try:
        seek_saved(state, file, entry)
    except OSError:
        search.is_unsure = True
        let_go(state, file)
        return False
    file.priority_end = file.size
    if name == followed.path:
        file.is_active, file.priority_end = True, 0
        followed.active = file
        followed.exists = True
        if followed.files and followed.files[-1].is_active:
            followed.files[-1].is_active = False
    followed.files.append(file)
    state.busy[followed] = None
    return True
