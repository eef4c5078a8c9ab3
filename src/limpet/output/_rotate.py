"""Rotates a file: renames it to the next free number, packs it, and removes the oldest ones.

Rotated files are recorded in a manifest beside the file: name, inode, size and time of change. Only
what the manifest lists and still is as recorded is packed or removed: a file that another process
put under such a name, or changed, is never touched. The manifest is written before each step, so a
crash between two steps leaves what the next rotation can finish.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Final

from limpet.output._atomic_write import NO_WAY, link_over, place_new, stat_or_none
from limpet.output._limits import Rotation
from limpet.output._own_write_reporter import state_of
from limpet.output._refusals import RefusalError
from limpet.output._rotation_manifest import RotatedFile, dump, manifest_name, number_of, parse
from limpet.output._temp_files import stage
from limpet.output._write_context import WriteContext

_CHUNK: Final = 1 << 18
_MAX_MANIFEST: Final = 1 << 22
"""Bytes of a manifest that are read: some twenty thousand rotated files."""
_TRIES: Final = 1000
"""Numbers that other files may have taken before the rotation is refused."""


def is_due(rotation: Rotation, found: os.stat_result, adds: int, now: float) -> bool:
    """Return whether a file must be rotated before ``adds`` bytes are added to it.

    A clock that was set back makes no new day: only a later day does.
    """
    if found.st_size == 0:
        return False
    if rotation.max_bytes is not None and found.st_size + adds > rotation.max_bytes:
        return True
    return rotation.daily and _day(now) > _day(found.st_mtime)


def _day(moment: float) -> tuple[int, int]:
    day = time.gmtime(moment)
    return day.tm_year, day.tm_yday


def rotate(
    context: WriteContext,
    dir_fd: int,
    parts: tuple[str, ...],
    found: os.stat_result,
    rotation: Rotation,
) -> None:
    """Rename the file to its next number, then pack and remove earlier ones.

    Its lock must be held, so that no other process rotates it too. What fails after the rename is
    left for the next rotation: the record that waits is more important.

    Raises:
        RefusalError: There is no free number.
        OSError: It could not be renamed.
    """
    _Rotator(context, dir_fd, parts, rotation).run(found)


def _is(row: RotatedFile, found: os.stat_result | None) -> bool:
    """Return whether a file is the one that was rotated, and unchanged."""
    return found is not None and row.matches(found.st_ino, found.st_size, found.st_mtime_ns)


class _Rotator:
    """One rotation of one file."""

    def __init__(
        self, context: WriteContext, dir_fd: int, parts: tuple[str, ...], rotation: Rotation
    ) -> None:
        self._calls = context.calls
        self._report = context.report
        self._fsyncs = context.fsyncs
        self._dir_fd = dir_fd
        self._parts = parts
        self._name = parts[-1]
        self._rotation = rotation
        self._rotated = self._read()

    def run(self, found: os.stat_result) -> None:
        """Rotate the file, then pack and remove earlier ones."""
        self._rename(found)
        self._fsyncs.dir(self._dir_fd)
        with contextlib.suppress(OSError):
            if self._rotation.compress:
                self._pack_all()
            self._retire()
            self._save()

    # -- the manifest ----------------------------------------------------------------------------

    def _read(self) -> list[RotatedFile]:
        """Return what the manifest lists, oldest first; nothing if it cannot be read."""
        try:
            fd = self._calls.open_file(self._dir_fd, manifest_name(self._name), os.O_RDONLY)
            try:
                size = min(self._calls.stat(fd).st_size, _MAX_MANIFEST)
                return parse(self._name, self._calls.read_at(fd, size, 0))
            finally:
                self._calls.close_quietly(fd)
        except OSError:
            return []

    def _save(self) -> None:
        staged = stage(self._calls, self._dir_fd, 0o666)
        try:
            for name in (staged.name, manifest_name(self._name)):
                self._report.begin((*self._parts[:-1], name))
            self._report.wrote((*self._parts[:-1], staged.name), None, None)
            staged.write(dump(self._rotated))
            self._calls.rename(self._dir_fd, staged.name, self._dir_fd, manifest_name(self._name))
            staged.placed = True
            after = state_of(self._calls.stat(staged.fd))
            self._report.moved((*self._parts[:-1], manifest_name(self._name)), after)
        finally:
            staged.close()

    # -- the file ------------------------------------------------------------------------------

    def _rename(self, found: os.stat_result) -> None:
        number = self._next_number()
        for _ in range(_TRIES):
            new = f"{self._name}.{number}"
            self._rotated.append(
                RotatedFile(
                    name=new,
                    inode=found.st_ino,
                    size=found.st_size,
                    mtime_ns=found.st_mtime_ns,
                    since=self._calls.now(),
                )
            )
            self._save()
            where = (*self._parts[:-1], new)
            self._report.begin(where)
            try:
                self._rename_new(new)
            except FileExistsError:
                self._rotated.pop()
                number += 1
                continue
            self._report.wrote(self._parts, state_of(found), None)
            with contextlib.suppress(OSError):
                after = state_of(self._calls.stat_at(self._dir_fd, new))
                self._report.moved(where, after)
            return
        why = f"the next {_TRIES} numbers for rotated files of {self._name!r} are taken"
        raise RefusalError("exists", why)

    def _rename_new(self, new: str) -> None:
        calls, dir_fd = self._calls, self._dir_fd
        try:
            calls.rename_new(dir_fd, self._name, dir_fd, new)
        except OSError as error:
            if error.errno not in NO_WAY:
                raise
            link_over(calls, dir_fd, self._name, dir_fd, new)

    def _next_number(self) -> int:
        """Return a number above all that are there, of any origin: the highest is the newest."""
        names = [row.name for row in self._rotated]
        names += [name for name, _, _ in self._calls.list(self._dir_fd)]
        return max((number_of(self._name, name) for name in names), default=0) + 1

    # -- rotated files --------------------------------------------------------------------------

    def _pack_all(self) -> None:
        for row in list(self._rotated):
            if row.packs:
                self._finish_packing(row)
            elif not row.name.endswith(".gz"):
                self._pack(row)

    def _finish_packing(self, row: RotatedFile) -> None:
        """Finish a recorded packing: remove its source if it is there, else pack again."""
        there = stat_or_none(self._calls, self._dir_fd, row.name)
        plain = next((other for other in self._rotated if other.name == row.packs), None)
        self._rotated.remove(row)
        if _is(row, there):
            if plain is not None:
                self._remove(plain)
            self._rotated.append(replace(row, packs=""))
            self._rotated.sort(key=lambda one: number_of(self._name, one.name))
        elif plain is not None:
            self._pack(plain)

    def _pack(self, row: RotatedFile) -> None:
        calls, dir_fd = self._calls, self._dir_fd
        if not _is(row, stat_or_none(calls, dir_fd, row.name)):
            return
        name = f"{row.name}.gz"
        source = calls.open_file(dir_fd, row.name, os.O_RDONLY)
        try:
            opened = calls.stat(source)
            if not _is(row, opened):
                return
            staged = stage(calls, dir_fd, opened.st_mode & 0o777)
            try:
                for one in (staged.name, name):
                    self._report.begin((*self._parts[:-1], one))
                self._report.wrote((*self._parts[:-1], staged.name), None, None)
                self._squeeze(source, opened, staged.fd)
                calls.sync(staged.fd)
                found = calls.stat(staged.fd)
                packed = RotatedFile(
                    name=name,
                    inode=found.st_ino,
                    size=found.st_size,
                    mtime_ns=found.st_mtime_ns,
                    since=row.since,
                    packs=row.name,
                )
                self._rotated.insert(self._rotated.index(row) + 1, packed)
                self._save()
                try:
                    place_new(calls, dir_fd, staged, dir_fd, name)
                except FileExistsError:
                    self._rotated.remove(packed)
                    return
                self._report.wrote((*self._parts[:-1], name), None, state_of(calls.stat(staged.fd)))
            finally:
                staged.close()
        finally:
            calls.close_quietly(source)
        self._finish_packing(packed)

    def _squeeze(self, source: int, found: os.stat_result, target: int) -> None:
        import gzip  # loaded only by an output that packs

        calls = self._calls

        class Out:
            """A file object over the descriptor, for gzip."""

            def write(self, data: bytes) -> int:
                rest = memoryview(data)
                while rest:
                    rest = rest[calls.write(target, rest) :]
                return len(data)

            def flush(self) -> None:
                """Nothing is buffered."""

        with gzip.GzipFile(
            filename="",
            mode="wb",
            fileobj=Out(),
            mtime=int(found.st_mtime),
        ) as packer:
            at = 0
            while at < found.st_size:
                chunk = calls.read_at(source, _CHUNK, at)
                if not chunk:
                    break
                packer.write(chunk)
                at += len(chunk)

    def _retire(self) -> None:
        """Remove the oldest until all bounds hold."""
        rotation, now = self._rotation, self._calls.now()
        while self._rotated:
            oldest = self._rotated[0]
            total = sum(row.size for row in self._rotated)
            if not (
                (rotation.keep is not None and len(self._rotated) > rotation.keep)
                or (rotation.max_age is not None and now - oldest.since > rotation.max_age)
                or (rotation.max_total_bytes is not None and total > rotation.max_total_bytes)
            ):
                return
            self._remove(oldest)

    def _remove(self, row: RotatedFile) -> None:
        """Remove a rotated file that is unchanged; one that was changed is no longer ours."""
        self._rotated.remove(row)
        found = stat_or_none(self._calls, self._dir_fd, row.name)
        if _is(row, found):
            where = (*self._parts[:-1], row.name)
            self._report.begin(where)
            self._calls.unlink(self._dir_fd, row.name)
            self._report.wrote(where, state_of(found), None)
