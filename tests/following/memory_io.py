"""A disk in memory, for unit tests of following's decisions."""

from __future__ import annotations

import os
import stat as modes
from dataclasses import dataclass, field

from limpet.following._file_io import FileIO
from limpet.following._follow_options import FollowOptions
from limpet.following._followed_file import FollowedFile
from limpet.following._followed_path import FollowedPath
from limpet.following._follower_state import FollowerState
from limpet.following._open_files import hold


@dataclass
class Inode:
    """Content of a file, its link count, and the time of its last change."""

    number: int
    data: bytes = b""
    nlink: int = 1
    mtime_ns: int = 0


@dataclass
class MemoryIO(FileIO):
    """Files by name; a descriptor is a number that leads to an inode."""

    names_: dict[str, Inode] = field(default_factory=dict)
    open_: dict[int, Inode] = field(default_factory=dict)
    now: float = 1000.0
    ticks: int = 0

    def write(self, path: str, data: bytes) -> Inode:
        """Replace the content of a file, which keeps its inode."""
        inode = self.names_.setdefault(path, Inode(len(self.names_) + 1))
        self.ticks += 1
        inode.data, inode.mtime_ns = data, self.ticks
        return inode

    def stat(self, path: str) -> os.stat_result:
        if path not in self.names_:
            raise FileNotFoundError(2, "missing", path)
        return status_of(self.names_[path])

    lstat = stat

    def open(self, path: str) -> int:
        self.stat(path)
        fd = 100 + len(self.open_)
        self.open_[fd] = self.names_[path]
        return fd

    def fstat(self, fd: int) -> os.stat_result:
        return status_of(self.open_[fd])

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self.open_[fd].data[offset : offset + size]

    def close(self, fd: int) -> None:
        self.open_[fd] = Inode(0)  # the number is not used again

    def inode_generation(self, fd: int) -> int | None:
        return None

    def data_from(self, fd: int, offset: int) -> int:
        return offset

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def status_of(inode: Inode) -> os.stat_result:
    """Return the status of an inode."""
    seconds = inode.mtime_ns / 1e9
    times = (seconds, seconds, seconds, inode.mtime_ns, inode.mtime_ns, inode.mtime_ns)
    first = (modes.S_IFREG | 0o644, inode.number, 1, inode.nlink, 0, 0, len(inode.data), 0, 0, 0)
    return os.stat_result((*first, *times[:3]), {"st_mtime_ns": times[3], "st_ctime_ns": times[4]})


def make_state(**options: object) -> tuple[FollowerState, MemoryIO]:
    """Return the state of a follower that has started, and its disk."""
    io = MemoryIO()
    state = FollowerState(FollowOptions(**options), io)  # type: ignore[arg-type]  # a test's options
    state.starting = False
    return state, io


def follow(
    state: FollowerState, path: str, name: str | None = None, *, read: bool = True
) -> FollowedFile:
    """Return the file ``name`` as one of a path, active if it has that name, and read it all."""
    followed = state.paths.setdefault(path, FollowedPath(path))
    fd = state.io.open(name or path)
    file = hold(state, followed, fd, state.io.fstat(fd), name or path, state.io.monotonic())
    followed.files.append(file)
    if name is None:
        followed.active, file.is_active = file, True
    if read and file.size:
        state.deliver(file, file.read(state.io) or [])
    return file
