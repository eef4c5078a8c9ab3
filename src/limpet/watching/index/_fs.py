"""Every call of the watch that reads the disk; a last symlink is never followed by accident.

Where directories have descriptors (Linux, macOS), a name is looked up in an open directory, so that
no other can be put in between. A path longer than the system takes in one call is opened in steps,
so a tree may be deeper than PATH_MAX. Elsewhere (Windows) paths are used in place of descriptors.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Final

from limpet._compiled import compiled_if_built
from limpet._descriptors import close_reader
from limpet._extended_path import extended
from limpet._file_stat import identity_of
from limpet.backends import FileSystemTraits, traits_of
from limpet.watching.index._entry_record import (
    BRIEF_DIR,
    BRIEF_FILE,
    BRIEF_OTHER,
    BRIEF_SYMLINK,
    RACY_NS,
    StatResult,
    pack,
)

if sys.platform == "linux":
    from limpet.watching.index._statx import (
        EXACT_TIMES,
        open_directories,
        records_in,
        statx,
        statx_answers,
        statx_directory,
        statx_records,
    )
else:
    EXACT_TIMES = False

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_THERE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
"""errno of a name that does not exist, which is an answer; any other means that there is none."""
OUT_OF_DESCRIPTORS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))

_PATH_LIMIT: Final = 3800
"""Longest path given to one call; PATH_MAX is 4,096 bytes with its NUL (path_resolution(7))."""
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

_MOUNT_POINT: Final = 0xA0000003
"""IO_REPARSE_TAG_MOUNT_POINT of winnt.h: a junction, or a volume mounted in a directory."""

_COARSE: Final = 5
"""CLOCK_REALTIME_COARSE, clock_gettime(2)."""

Handle = int | str
"""An open directory: a descriptor or, where there is none, its path."""


@compiled_if_built
def list_directory(handle: Handle) -> dict[str, int]:
    """Return name and brief record of every entry, in the order of the listing.

    One expression, because it is most of what a start costs. ``is_dir`` and ``is_file`` are only
    called for what is not a symlink, so that they need no stat.

    Raises:
        OSError: There is no answer.
    """
    with os.scandir(handle) as entries:
        return {
            entry.name: entry.inode() << 2
            | (
                BRIEF_SYMLINK
                if entry.is_symlink()
                else BRIEF_DIR
                if entry.is_dir()
                else BRIEF_FILE
                if entry.is_file()
                else BRIEF_OTHER
            )
            for entry in entries
        }


@compiled_if_built
def list_sifted(handle: Handle, signs: tuple[str, ...]) -> tuple[dict[str, int], list[str], bool]:
    """Return what ``list_directory`` does, and what a scan asks of it: see ``sift``.

    Raises:
        OSError: There is no answer.
    """
    entries = list_directory(handle)
    return entries, *sift(entries, signs)


def sift(entries: dict[str, int], signs: tuple[str, ...]) -> tuple[list[str], bool]:
    """Return the directories of a listing, and whether a sign is in a name between slashes.

    One search through all names takes a third of testing each.
    """
    names = "/".join(["", *entries, ""])
    directories = [name for name, kind in entries.items() if kind & 3 == BRIEF_DIR]
    for sign in signs:
        if sign in names:
            return directories, True
    return directories, False


class FileSystemCalls:
    """The real file system by descriptors; tests replace single methods to make calls fail."""

    exact_times = EXACT_TIMES
    """Every change after a stat gets a time stamp of its own."""
    has_statx = sys.platform == "linux" and statx_answers()
    """Where a sandbox refuses statx(2), stat(2) answers, without birth times."""

    def now(self) -> int:
        """Return the clock that stamps files, in nanoseconds.

        The kernel stamps with its coarse clock, which lags behind the exact one by up to a tick; a
        file that changes later never has a smaller stamp than this.
        """
        if sys.platform == "linux":
            return time.clock_gettime_ns(_COARSE)
        return time.time_ns()

    def time(self) -> float:
        """Return the system's clock in unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return a clock that is never set, in seconds."""
        return time.monotonic()

    def does_several(self) -> bool:
        """Return whether ``open_several`` and ``records_in`` do what the single calls do.

        Not where one of them is another one: a test that makes it fail, a system without
        descriptors.
        """
        return type(self) is FileSystemCalls and self.has_statx

    def open_several(
        self, handle: int, names: list[str], device: int
    ) -> list[tuple[int, bytes, int]]:
        """Open directories in an open one, up to the first that is not a plain one of ``device``.

        Returns:
            Handle, packed record and inode of each (``_statx.open_directories``).
        """
        if sys.platform == "linux":
            return open_directories(handle, names, device, self.now(), RACY_NS)
        return []

    def records_in(
        self, path: str, identity: tuple[int, int], names: list[str], now: int, *, follow: bool
    ) -> tuple[tuple[int, int], list[bytes | None] | None] | None:
        """Stat names in a directory as ``open``, ``identity``, ``records`` and ``close`` would.

        Returns:
            Device and inode of what is there, and the records, if these are the ones asked for;
            ``None`` where the single calls are to be made.

        Raises:
            OSError: As ``open`` and ``records``.
        """
        if sys.platform == "linux" and self.does_several() and len(path) < _PATH_LIMIT // 4:
            flags = _FOLDER | (0 if follow else _NOFOLLOW)
            device, inode, records = records_in(path, flags, *identity, names, now, RACY_NS)
            return (device, inode), records
        return None

    def open(self, path: str, *, follow: bool = False) -> Handle:
        """Open the directory at ``path``, however long the path is.

        Raises:
            OSError: As ``open``; no descriptor is left open.
        """
        last = 0 if follow else _NOFOLLOW
        if len(path) < _PATH_LIMIT // 4 or len(os.fsencode(path)) < _PATH_LIMIT:
            return os.open(path, _FOLDER | last)
        return _open_in_steps([part for part in path.split("/") if part], last)

    def open_in(self, handle: Handle, name: str, path: str) -> Handle:
        """Open the directory ``name`` in an open one; ``path`` is where the index has it.

        Raises:
            OSError: As ``open``; no descriptor is left open.
        """
        if isinstance(handle, int):
            return os.open(name, _FOLDER | _NOFOLLOW, dir_fd=handle)
        return self.open(path)

    def close(self, handle: Handle) -> None:
        """Close what ``open`` returned."""
        if isinstance(handle, int):
            close_reader(handle)

    def stat(self, handle: Handle) -> StatResult:
        """Stat the open directory itself.

        Raises:
            OSError: There is no answer.
        """
        if sys.platform == "linux" and self.has_statx and isinstance(handle, int):
            facts = statx(handle, "", follow=True)
            if facts is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return facts
        return _from_result(os.stat(handle))

    def directory(self, handle: Handle, now: int) -> tuple[bytes, int, int]:
        """Return the packed record, device and inode of the open directory.

        Raises:
            OSError: There is no answer.
        """
        if sys.platform == "linux" and self.has_statx and isinstance(handle, int):
            return statx_directory(handle, now, RACY_NS)
        facts = self.stat(handle)
        return pack(facts, now), facts.device, facts.inode

    def traits(self, path: str) -> FileSystemTraits:
        """Return what may be believed of the file system that holds a directory."""
        return traits_of(path)

    def identity(self, handle: Handle) -> tuple[int, int]:
        """Return device and inode of the open directory.

        Raises:
            OSError: There is no answer.
        """
        if isinstance(handle, int):
            return identity_of(os.fstat(handle))
        facts = self.stat(handle)
        return facts.device, facts.inode

    def stat_at(self, handle: Handle, name: str, *, follow: bool = False) -> StatResult | None:
        """Stat ``name`` in the open directory; return ``None`` if it does not exist.

        Raises:
            OSError: There is no answer (EACCES, EIO, ...).
        """
        if sys.platform == "linux" and self.has_statx and isinstance(handle, int):
            return statx(handle, name, follow=follow)
        try:
            if isinstance(handle, int):
                return _from_result(os.stat(name, dir_fd=handle, follow_symlinks=follow))
            return _from_result(os.stat(os.path.join(handle, name), follow_symlinks=follow))
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise

    def records(self, handle: Handle, names: Iterable[str], now: int) -> list[bytes | None]:
        """Stat each name in the open directory and pack the results; ``None`` where it is gone.

        Raises:
            OSError: For one of them there is no answer.
        """
        if sys.platform == "linux" and self.has_statx and isinstance(handle, int):
            return statx_records(handle, names, now, RACY_NS)
        found = (self.stat_at(handle, name) for name in names)
        return [None if facts is None else pack(facts, now) for facts in found]

    def read(self, handle: Handle) -> dict[str, int]:
        """Return name and brief record of every entry, from the listing where it has the kind.

        Raises:
            OSError: There is no answer.
        """
        return list_directory(handle)

    def read_sifted(
        self, handle: Handle, signs: tuple[str, ...]
    ) -> tuple[dict[str, int], list[str], bool]:
        """Return what ``read`` does, its directories, and whether a sign is in a name.

        Raises:
            OSError: There is no answer.
        """
        if self.does_several():
            return list_sifted(handle, signs)
        entries = self.read(handle)
        return entries, *sift(entries, signs)

    def names(self, handle: Handle) -> list[str]:
        """Return the name of every entry, without a call for each of them.

        Raises:
            OSError: There is no answer.
        """
        return os.listdir(handle)

    def stat_path(self, path: str) -> StatResult | None:
        """Stat what ``path`` leads to, symlinks followed; return ``None`` if it does not exist.

        Raises:
            OSError: There is no answer.
        """
        try:
            if sys.platform == "linux" and self.has_statx:
                return statx(-100, path, follow=True)
            return _from_result(os.stat(path))
        except OSError as error:
            if error.errno in NOT_THERE:
                return None
            raise


class PathSystemCalls(FileSystemCalls):
    """The same by paths alone, for systems whose directories have no descriptors (Windows)."""

    exact_times = False

    def open(self, path: str, *, follow: bool = False) -> Handle:
        """Verify that a directory exists; its path is its handle."""
        path = extended(path)
        facts = os.stat(path) if follow else os.lstat(path)
        if facts.st_mode & 0o170000 != 0o040000:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return path

    def stat_at(self, handle: Handle, name: str, *, follow: bool = False) -> StatResult | None:
        r"""Stat ``name`` in the directory; after ``\\?\`` Windows knows no ``..``."""
        if name == ".." and isinstance(handle, str):
            handle, name = os.path.dirname(handle), ""
        return super().stat_at(handle, name, follow=follow)

    def stat_path(self, path: str) -> StatResult | None:
        """Stat what ``path`` leads to; return ``None`` if it does not exist."""
        return super().stat_path(extended(path))

    def read(self, handle: Handle) -> dict[str, int]:
        """Return name and brief record of every entry.

        On Windows the inode number takes a call for each name, which may be gone by then.
        """
        found = {}
        with os.scandir(handle) as entries:
            for entry in entries:
                try:
                    found[entry.name] = entry.inode() << 2 | _brief_kind(entry)
                except OSError as error:
                    if error.errno not in NOT_THERE:
                        raise
        return found


def default_disk() -> FileSystemCalls:
    """Return the implementation for this system."""
    return (
        FileSystemCalls()
        if os.scandir in os.supports_fd and os.stat in os.supports_dir_fd
        else PathSystemCalls()
    )


def _brief_kind(entry: os.DirEntry[str]) -> int:
    """Return the kind of an entry; a junction leads elsewhere as a symlink does."""
    if entry.is_symlink() or _is_junction(entry):
        return BRIEF_SYMLINK
    if entry.is_dir():
        return BRIEF_DIR
    return BRIEF_FILE if entry.is_file() else BRIEF_OTHER


def _is_junction(entry: os.DirEntry[str]) -> bool:
    if sys.platform != "win32":
        return False
    return entry.stat(follow_symlinks=False).st_reparse_tag == _MOUNT_POINT


def _open_in_steps(parts: list[str], last: int) -> int:
    fd = os.open("/", _FOLDER)
    try:
        while parts:
            size, count = 0, 0
            for part in parts:
                size += len(os.fsencode(part)) + 1
                if count and size > _PATH_LIMIT:
                    break
                count += 1
            step, parts = parts[:count], parts[count:]
            inner = os.open("/".join(step), _FOLDER | (0 if parts else last), dir_fd=fd)
            close_reader(fd)
            fd = inner
    except BaseException:
        close_reader(fd)
        raise
    return fd


def _from_result(result: os.stat_result) -> StatResult:
    # On Windows before Python 3.12, ``st_ctime`` is the creation time and there is no other.
    old_windows = sys.platform == "win32" and sys.version_info < (3, 12)
    birth = result.st_ctime if old_windows else getattr(result, "st_birthtime", 0.0)
    device, inode = identity_of(result)
    mode = result.st_mode
    if getattr(result, "st_reparse_tag", 0) == _MOUNT_POINT:
        mode = stat.S_IFLNK | stat.S_IMODE(mode)  # as ``_brief_kind`` has it
    return StatResult(
        mode=mode & 0xFFFF,
        nlink=result.st_nlink & 0xFFFFFFFF,
        uid=result.st_uid & 0xFFFFFFFF,
        gid=result.st_gid & 0xFFFFFFFF,
        device=device,
        inode=inode,
        size=result.st_size,
        mtime=result.st_mtime_ns,
        ctime=result.st_ctime_ns,
        birth=getattr(result, "st_birthtime_ns", int(birth * 1_000_000_000)),
    )
