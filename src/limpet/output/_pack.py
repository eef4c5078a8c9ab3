"""Packs the rotated files of one log, without keeping anybody waiting.

It runs after the operation that rotated is answered: in a thread of its own for an async output, in
the caller's for a synchronous one. The manifest is held only to choose a file and to put its packed
form in its place. Meanwhile the rotated file itself is locked, so that no other process packs it
too. What fails, or is killed, leaves the rotated file as it was for the next rotation.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from limpet._backoff import Backoff
from limpet.output._atomic_write import stat_or_none
from limpet.output._gzip_format import GzipEncoder
from limpet.output._limits import Rotation
from limpet.output._lock import is_free
from limpet.output._manifest_file import Manifest, locked
from limpet.output._own_write_reporter import open_report
from limpet.output._place import rename_to_free
from limpet.output._quota import Quota
from limpet.output._refusals import HeldError, RefusalError
from limpet.output._rotate import Rotated, is_unchanged
from limpet.output._rotation_manifest import RotatedFile, number_of
from limpet.output._syscalls import Syscalls
from limpet.output._temp_files import Staged, stage

_log = logging.getLogger("limpet.output")
_CHUNK: Final = 1 << 18
_FIRST_S: Final = 0.0005
_LONGEST_S: Final = 0.05


class Packing:
    """What is to be packed after one rotation; ``close`` it whether or not it was run."""

    def __init__(
        self,
        calls: Syscalls,
        bases: tuple[str, ...],
        quota: Quota,
        dir_fd: int,
        parts: tuple[str, ...],
        rotation: Rotation,
        lock_timeout: float,
    ) -> None:
        """Take over ``dir_fd``, the directory of the log."""
        self._calls = calls
        self._bases = bases
        self._quota = quota
        self._dir_fd = dir_fd
        self._parts = parts
        self._rotation = rotation
        self._lock_timeout = lock_timeout
        self._tried: set[str] = set()

    def run(self) -> None:
        """Pack all that is to be packed, then remove the oldest until all bounds hold.

        Raises nothing: the operation that rotated is answered already.
        """
        try:
            self._run()
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the next packing
            _log.exception("packing the rotated files of %r failed", "/".join(self._parts))

    def _run(self) -> None:
        with contextlib.suppress(OSError, RefusalError, HeldError):
            while (row := self._next()) is not None:
                self._tried.add(row.name)
                with contextlib.suppress(OSError, MemoryError):
                    self._pack(row)
        with (
            contextlib.suppress(OSError, RefusalError, HeldError),
            self._held() as (manifest, here),
        ):
            before = list(manifest.rows)
            here.retire(manifest, self._rotation, by_bytes=True)
            if manifest.rows != before:
                manifest.save()

    def close(self) -> None:
        """Release the directory."""
        self._calls.close_quietly(self._dir_fd)

    @contextlib.contextmanager
    def _held(self) -> Iterator[tuple[Manifest, Rotated]]:
        """Hold the manifest, once it is free.

        Raises:
            HeldError: It was not within ``lock_timeout`` seconds.
        """
        calls = self._calls
        end = calls.monotonic() + self._lock_timeout
        delays = Backoff(_FIRST_S, _LONGEST_S)
        report = open_report(self._bases)
        with contextlib.ExitStack() as stack:
            stack.callback(report.close)
            manifest: Manifest | None = None
            while manifest is None:
                try:
                    manifest = stack.enter_context(locked(calls, report, self._dir_fd, self._parts))
                except HeldError:
                    if calls.monotonic() >= end:
                        raise
                    calls.pause(delays.next())
            yield manifest, Rotated(calls, report, self._quota, self._dir_fd, self._parts)

    def _next(self) -> RotatedFile | None:
        """Finish what a crash interrupted; return the oldest file that is to be packed."""
        with self._held() as (manifest, here):
            before = list(manifest.rows)
            for row in before:
                if row.packs:
                    self._finish(manifest, here, row)
            if manifest.rows != before:
                manifest.save()
            return next(
                (
                    row
                    for row in manifest.rows
                    if not row.name.endswith(".gz")
                    and row.name not in self._tried
                    and here.is_there(row)
                ),
                None,
            )

    def _finish(self, manifest: Manifest, here: Rotated, row: RotatedFile) -> None:
        """Finish a recorded packing: remove its source, or forget it if it never took its name."""
        rows = manifest.rows
        plain = next((other for other in rows if other.name == row.packs), None)
        if not here.is_there(row):
            rows.remove(row)
            return
        if plain is not None:
            here.remove(plain)
            rows.remove(plain)
        rows[rows.index(row)] = replace(row, packs="")

    def _pack(self, row: RotatedFile) -> None:
        """Pack one file.

        Raises:
            OSError: It stays as it was.
            RefusalError: As ``OSError``.
            HeldError: As ``OSError``.
        """
        calls, dir_fd = self._calls, self._dir_fd
        if stat_or_none(calls, dir_fd, f"{row.name}.gz") is not None:
            return  # the name is another file's
        source = calls.open_file(dir_fd, row.name, os.O_RDONLY)
        staged: Staged | None = None
        report = open_report(self._bases, is_brief=False)
        try:
            if not is_free(calls, source):
                return  # another process packs it
            opened = calls.stat(source)
            if not is_unchanged(row, opened):
                return
            staged = stage(calls, dir_fd, opened.st_mode & 0o777)
            hidden = (*self._parts[:-1], staged.name)
            report.begin(hidden)
            report.wrote(hidden, None, None)
            staged.write(self._packed(source, opened))
            calls.sync(staged.fd)
            with self._held() as (manifest, here):
                self._put(manifest, here, row, staged)
        finally:
            if staged is not None:
                staged.close()
            report.close()
            calls.close_quietly(source)

    def _packed(self, source: int, found: os.stat_result) -> Iterator[bytes]:
        """Yield the packed form, a piece at a time."""
        encoder = GzipEncoder(found.st_mtime)
        at = 0
        while at < found.st_size and (chunk := self._calls.read_at(source, _CHUNK, at)):
            at += len(chunk)
            yield encoder.feed(chunk)
        yield encoder.end()

    def _put(self, manifest: Manifest, here: Rotated, row: RotatedFile, staged: Staged) -> None:
        """Rename the packed file to its name, and remove the other; each step is recorded first.

        Raises:
            OSError: What is on disk is recorded.
        """
        calls, dir_fd, rows = self._calls, self._dir_fd, manifest.rows
        if row not in rows or not here.is_there(row):
            return  # removed or changed meanwhile
        name = f"{row.name}.gz"
        staged_as = calls.stat(staged.fd)
        staged.seal()
        packed = _listed(row, staged_as)
        rows.append(packed)
        rows.sort(key=lambda one: number_of(self._parts[-1], one.name))
        manifest.save()
        here.begin(name)
        try:
            rename_to_free(calls, dir_fd, staged.name, dir_fd, name)
        except OSError:
            rows.remove(packed)
            manifest.save()
            raise
        staged.placed = True
        there = here.placed(name)
        self._quota.add(there.st_size, 1)
        if not is_unchanged(packed, there):
            # What the file system makes of it at its close, or of its name (rclone).
            rows[rows.index(packed)] = packed = _listed(row, there)
        with contextlib.suppress(OSError):
            self._sync_dir()
        self._finish(manifest, here, packed)
        manifest.save()

    def _sync_dir(self) -> None:
        """Put the new name on the disk before the old file goes."""
        fd = self._calls.open_again(self._dir_fd)
        try:
            self._calls.sync(fd)
        finally:
            self._calls.close_quietly(fd)


def _listed(row: RotatedFile, found: os.stat_result) -> RotatedFile:
    return RotatedFile(
        name=f"{row.name}.gz",
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        since=row.since,
        packs=row.name,
    )
