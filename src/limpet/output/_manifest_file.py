"""The manifest on disk, and its lock: rotation, packing and removal are one process's at a time.

The lock of a log belongs to one file and goes with it when that is rotated, so it orders writers
but not rotations. The manifest's lock orders those: its holder is the only one to change which
files are listed. It is handed on with each new version, which is locked before it takes the
name. Nobody holds it while a file is packed, which takes long.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from limpet._file_stat import identity_of
from limpet.output._atomic_write import stat_or_none
from limpet.output._lock import is_free
from limpet.output._own_write_reporter import NoReport, state_of
from limpet.output._refusals import HeldError, RefusalError
from limpet.output._rotation_manifest import RotatedFile, dump, manifest_name, parse
from limpet.output._syscalls import Syscalls
from limpet.output._temp_files import stage

_MAX_BYTES: Final = 1 << 24
"""Bytes of a manifest that are read: some eighty thousand rotated files."""
_TRIES: Final = 20
"""How often other processes may renew the manifest between its opening and its lock."""


class Manifest:
    """The manifest of one log, locked; ``rows`` are the rotated files, oldest first."""

    def __init__(
        self, calls: Syscalls, report: NoReport, dir_fd: int, parts: tuple[str, ...], fd: int
    ) -> None:
        self._calls = calls
        self._report = report
        self._dir_fd = dir_fd
        self._parts = (*parts[:-1], manifest_name(parts[-1]))
        self._fd = fd
        self.rows: list[RotatedFile] = []
        self.is_new = False
        """It lists nothing yet, and was not there before."""

    def read(self, base: str) -> None:
        """Take the rows that are on disk; none if another process wrote what cannot be ours."""
        size = min(self._calls.stat(self._fd).st_size, _MAX_BYTES)
        self.is_new = size == 0
        pieces, at = [], 0
        while at < size and (piece := self._calls.read_at(self._fd, size - at, at)):
            pieces.append(piece)
            at += len(piece)
        self.rows = parse(base, b"".join(pieces))

    def save(self) -> None:
        """Put the rows on disk; the lock goes over to the new version.

        Raises:
            OSError: The version before is there, and still locked; where it is written in place,
                perhaps damaged: then it lists nothing, and what it listed is kept for ever.
        """
        calls, dir_fd, name = self._calls, self._dir_fd, self._parts[-1]
        if not calls.replaces_open_files:
            # Others read it under the lock alone, so they never see it half written.
            data = dump(self.rows)
            self._report.begin(self._parts)
            calls.write_at(self._fd, data, 0)
            calls.truncate(self._fd, len(data))
            with contextlib.suppress(OSError):
                self._report.moved(self._parts, state_of(calls.stat_at(dir_fd, name)))
            return
        for _ in range(_TRIES):
            staged = stage(calls, dir_fd, 0o666)
            fd = -1
            try:
                for one in (staged.name, name):
                    self._report.begin((*self._parts[:-1], one))
                self._report.wrote((*self._parts[:-1], staged.name), None, None)
                staged.write(dump(self.rows))
                staged.seal()
                try:
                    fd = calls.open_file(dir_fd, staged.name, os.O_RDWR)
                    if not is_free(calls, fd):
                        continue  # a clean-up has it, and removes it
                    calls.rename(dir_fd, staged.name, dir_fd, name)
                except FileNotFoundError:
                    if staged.is_lost():
                        continue
                    raise
                staged.placed = True
                fd, self._fd = self._fd, fd
                with contextlib.suppress(OSError):
                    self._report.moved(self._parts, state_of(calls.stat_at(dir_fd, name)))
                return
            finally:
                staged.close()
                if fd >= 0:
                    calls.close_quietly(fd)
        raise FileNotFoundError(errno.ENOENT, "its temporary files are removed by another process")

    def close(self) -> None:
        """Release the lock."""
        self._calls.close_quietly(self._fd)


@contextlib.contextmanager
def locked(
    calls: Syscalls, report: NoReport, dir_fd: int, parts: tuple[str, ...]
) -> Iterator[Manifest]:
    """Hold the manifest of a log, with its rows as they are on disk.

    Raises:
        HeldError: Another process, or a packing of this one, holds it.
        RefusalError: It cannot be locked, or a directory is in its place.
        OSError: It cannot be opened, or read.
    """
    manifest = Manifest(calls, report, dir_fd, parts, _locked_fd(calls, report, dir_fd, parts))
    try:
        manifest.read(parts[-1])
        yield manifest
    finally:
        manifest.close()


def _locked_fd(calls: Syscalls, report: NoReport, dir_fd: int, parts: tuple[str, ...]) -> int:
    """Return a locked descriptor of what is at the manifest's name; it is created if missing."""
    name = manifest_name(parts[-1])
    where = (*parts[:-1], name)
    for _ in range(_TRIES):
        there = stat_or_none(calls, dir_fd, name)
        if there is not None and not _is_ours(calls, there):
            _clear(calls, dir_fd, name, there)
            continue
        if there is None:
            report.begin(where)
        try:
            fd = calls.open_file(dir_fd, name, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR}:
                continue  # swapped meanwhile
            raise
        try:
            if not is_free(calls, fd):
                raise HeldError
            mine = calls.stat(fd)
            there = stat_or_none(calls, dir_fd, name)
            if not _is_ours(calls, mine):
                pass  # linked meanwhile
            elif there is not None and identity_of(mine) == identity_of(there):
                if there.st_size == 0:
                    report.wrote(where, None, state_of(there))
                return fd
        except BaseException:
            calls.close_quietly(fd)
            raise
        calls.close_quietly(fd)  # renewed meanwhile
    raise HeldError


def _is_ours(calls: Syscalls, there: os.stat_result) -> bool:
    """Return whether it may be written: where it is written in place, its one name is this one."""
    if not stat.S_ISREG(there.st_mode):
        return False
    return calls.replaces_open_files or there.st_nlink <= 1


def _clear(calls: Syscalls, dir_fd: int, name: str, there: os.stat_result) -> None:
    """Remove a symlink, FIFO, socket or second name of a file in the manifest's place.

    Raises:
        RefusalError: It is a directory.
    """
    if stat.S_ISDIR(there.st_mode):
        why = f"{name!r}, where its rotated files are listed, is a directory"
        raise RefusalError("is-directory", why, errno.EISDIR, advice="remove that directory")
    with contextlib.suppress(FileNotFoundError):
        calls.unlink(dir_fd, name)
