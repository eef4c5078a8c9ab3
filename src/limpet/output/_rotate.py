"""Puts a grown file aside under the next free number, packs it, and removes the oldest ones.

What was put aside is written down in a note beside the file: name, inode, size and time of change.
Only what the note lists and still is what it says is packed or removed, so that a file somebody
else put there under such a name, or changed, is never touched. The note is written before each
step, so a crash between two steps leaves what the next rotation can finish.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Final

from limpet.output._atomic_write import NO_WAY, link_over, look, place_new
from limpet.output._fsync_batch import Syncs
from limpet.output._limits import Rotation
from limpet.output._own_write_reporter import Silent, state_of
from limpet.output._refusals import RefusalError
from limpet.output._rotation_manifest import Kept, dump, note_name, number_of, parse
from limpet.output._syscalls import Sys
from limpet.output._temp_files import stage

__all__ = ["due", "put_aside"]

_CHUNK: Final = 1 << 18
_MOST_NOTE: Final = 1 << 22
"""Bytes of a note that are read: some twenty thousand files put aside."""
_TRIES: Final = 1000
"""Numbers that may be taken by others' files before it is given up."""


def due(rotation: Rotation, found: os.stat_result, adds: int, now: float) -> bool:
    """Whether a file must be put aside before ``adds`` bytes are added to it.

    A clock that was set back makes no new day: only a later one does.
    """
    if found.st_size == 0:
        return False
    if rotation.max_bytes is not None and found.st_size + adds > rotation.max_bytes:
        return True
    return rotation.daily and _day(now) > _day(found.st_mtime)


def _day(moment: float) -> tuple[int, int]:
    day = time.gmtime(moment)
    return day.tm_year, day.tm_yday


def put_aside(
    calls: Sys,
    folder: int,
    parts: tuple[str, ...],
    found: os.stat_result,
    rotation: Rotation,
    journal: Silent,
    syncs: Syncs,
) -> None:
    """Rename the file to its next number, and see to those put aside before.

    Its lock must be held, so that nobody else does the same. What fails after the renaming is left
    for the next time: the record that waits is more important.

    Raises:
        RefusalError: There is no free number.
        OSError: It could not be renamed.
    """
    _Rotating(calls, folder, parts, rotation, journal, syncs).run(found)


def _is(row: Kept, found: os.stat_result | None) -> bool:
    """Whether what stands there is what was put there, and nobody has changed it."""
    return found is not None and row.looks_like(found.st_ino, found.st_size, found.st_mtime_ns)


class _Rotating:
    """One rotation of one file."""

    def __init__(
        self,
        calls: Sys,
        folder: int,
        parts: tuple[str, ...],
        rotation: Rotation,
        journal: Silent,
        syncs: Syncs,
    ) -> None:
        self._calls = calls
        self._folder = folder
        self._parts = parts
        self._name = parts[-1]
        self._rotation = rotation
        self._journal = journal
        self._syncs = syncs
        self._kept = self._read()

    def run(self, found: os.stat_result) -> None:
        """Put it aside, then tidy up."""
        self._rename(found)
        self._syncs.folder(self._folder)
        with contextlib.suppress(OSError):
            if self._rotation.compress:
                self._pack_all()
            self._retire()
            self._save()

    # -- the note ------------------------------------------------------------------------------

    def _read(self) -> list[Kept]:
        """Give what the note lists, oldest first; one that cannot be read lists nothing."""
        try:
            fd = self._calls.open_file(self._folder, note_name(self._name), os.O_RDONLY)
            try:
                size = min(self._calls.stat(fd).st_size, _MOST_NOTE)
                return parse(self._name, self._calls.read_at(fd, size, 0))
            finally:
                self._calls.let_go(fd)
        except OSError:
            return []

    def _save(self) -> None:
        staged = stage(self._calls, self._folder, 0o666)
        try:
            for name in (staged.name, note_name(self._name)):
                self._journal.claim((*self._parts[:-1], name))
            self._journal.note((*self._parts[:-1], staged.name), None, None)
            staged.write(dump(self._kept))
            self._calls.rename(self._folder, staged.name, self._folder, note_name(self._name))
            staged.placed = True
            after = state_of(self._calls.stat(staged.fd))
            self._journal.moved((*self._parts[:-1], note_name(self._name)), after)
        finally:
            staged.close()

    # -- the file ------------------------------------------------------------------------------

    def _rename(self, found: os.stat_result) -> None:
        number = self._next_number()
        for _ in range(_TRIES):
            new = f"{self._name}.{number}"
            self._kept.append(
                Kept(
                    name=new,
                    inode=found.st_ino,
                    size=found.st_size,
                    mtime_ns=found.st_mtime_ns,
                    since=self._calls.now(),
                )
            )
            self._save()
            where = (*self._parts[:-1], new)
            self._journal.claim(where)
            try:
                self._rename_new(new)
            except FileExistsError:
                self._kept.pop()
                number += 1
                continue
            self._journal.note(self._parts, state_of(found), None)
            with contextlib.suppress(OSError):
                after = state_of(self._calls.stat_at(self._folder, new))
                self._journal.moved(where, after)
            return
        why = f"the next {_TRIES} numbers to put {self._name!r} aside under are taken"
        raise RefusalError("exists", why)

    def _rename_new(self, new: str) -> None:
        calls, folder = self._calls, self._folder
        try:
            calls.rename_new(folder, self._name, folder, new)
        except OSError as error:
            if error.errno not in NO_WAY:
                raise
            link_over(calls, folder, self._name, folder, new)

    def _next_number(self) -> int:
        """Give a number above all that are there, whoever made them: the highest is the newest."""
        names = [row.name for row in self._kept]
        names += [name for name, _, _ in self._calls.list(self._folder)]
        return max((number_of(self._name, name) for name in names), default=0) + 1

    # -- those put aside -----------------------------------------------------------------------

    def _pack_all(self) -> None:
        for row in list(self._kept):
            if row.packs:
                self._finish_packing(row)
            elif not row.name.endswith(".gz"):
                self._pack(row)

    def _finish_packing(self, row: Kept) -> None:
        """A packed file was announced: if it is there its source goes, else it is made anew."""
        there = look(self._calls, self._folder, row.name)
        plain = next((other for other in self._kept if other.name == row.packs), None)
        self._kept.remove(row)
        if _is(row, there):
            if plain is not None:
                self._remove(plain)
            self._kept.append(replace(row, packs=""))
            self._kept.sort(key=lambda one: number_of(self._name, one.name))
        elif plain is not None:
            self._pack(plain)

    def _pack(self, row: Kept) -> None:
        calls, folder = self._calls, self._folder
        if not _is(row, look(calls, folder, row.name)):
            return
        name = f"{row.name}.gz"
        source = calls.open_file(folder, row.name, os.O_RDONLY)
        try:
            opened = calls.stat(source)
            if not _is(row, opened):
                return
            staged = stage(calls, folder, opened.st_mode & 0o777)
            try:
                for one in (staged.name, name):
                    self._journal.claim((*self._parts[:-1], one))
                self._journal.note((*self._parts[:-1], staged.name), None, None)
                self._squeeze(source, opened, staged.fd)
                calls.sync(staged.fd)
                found = calls.stat(staged.fd)
                packed = Kept(
                    name=name,
                    inode=found.st_ino,
                    size=found.st_size,
                    mtime_ns=found.st_mtime_ns,
                    since=row.since,
                    packs=row.name,
                )
                self._kept.insert(self._kept.index(row) + 1, packed)
                self._save()
                try:
                    place_new(calls, folder, staged, folder, name)
                except FileExistsError:
                    self._kept.remove(packed)
                    return
                self._journal.note((*self._parts[:-1], name), None, state_of(calls.stat(staged.fd)))
            finally:
                staged.close()
        finally:
            calls.let_go(source)
        self._finish_packing(packed)

    def _squeeze(self, source: int, found: os.stat_result, target: int) -> None:
        import gzip  # no output that packs nothing pays for it

        calls = self._calls

        class Out:
            """A file object over the descriptor, for gzip."""

            def write(self, data: bytes) -> int:
                rest = memoryview(data)
                while rest:
                    rest = rest[calls.write(target, rest) :]
                return len(data)

            def flush(self) -> None:
                """Nothing is held back."""

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
        while self._kept:
            oldest = self._kept[0]
            total = sum(row.size for row in self._kept)
            if not (
                (rotation.keep is not None and len(self._kept) > rotation.keep)
                or (rotation.max_age is not None and now - oldest.since > rotation.max_age)
                or (rotation.max_total_bytes is not None and total > rotation.max_total_bytes)
            ):
                return
            self._remove(oldest)

    def _remove(self, row: Kept) -> None:
        """Remove one that still is what it was; one that somebody changed is theirs from now on."""
        self._kept.remove(row)
        found = look(self._calls, self._folder, row.name)
        if _is(row, found):
            where = (*self._parts[:-1], row.name)
            self._journal.claim(where)
            self._calls.unlink(self._folder, row.name)
            self._journal.note(where, state_of(found), None)
