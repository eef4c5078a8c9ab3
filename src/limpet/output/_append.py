"""Adds a record to the end of a file in one write, so that records of many writers never mix.

The system adds what one write brings as a whole, at the end the file has then (O_APPEND, open(2)):
no lock is needed for that on a local disk. Network file systems do not keep it; there, and where
the file is rotated, ``lock=True`` makes the writers wait for each other.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from limpet.output._atomic_write import Changed, asked_again, look, put
from limpet.output._fsync_batch import Syncs
from limpet.output._lock import take
from limpet.output._operations import AppendToFile, Durability
from limpet.output._own_write_reporter import Silent, state_of
from limpet.output._refusals import RefusalError
from limpet.output._resolve import Start, same_mount
from limpet.output._rotate import due, put_aside
from limpet.output._syscalls import Sys

__all__ = ["Appender", "check_plain"]

_TRIES: Final = 50
"""How often a file may be put aside or removed by others between its opening and its lock."""

_MOST_OPEN: Final = 32
"""Files of one batch that are kept open; appends to more of them open theirs each time."""

_LOCK_ALWAYS: Final = os.name == "nt"
"""The C library's O_APPEND on Windows is a seek and then a write."""


@dataclass(slots=True)
class _Target:
    """An open file, and what was last known of it."""

    fd: int
    found: os.stat_result
    parts: tuple[str, ...]


class Appender:
    """Appends of one batch; a file that several of them go to is opened once.

    RACE: a file that is open here may be renamed by somebody else before the next record of the
    batch, which then goes where the file went, as it does for any program that keeps a log open.
    One that is removed is noticed. The window is one batch, some milliseconds; the lock closes it.
    """

    def __init__(self, calls: Sys, *, patience: float, journal: Silent, syncs: Syncs) -> None:
        """Start with no file open.

        Args:
            calls: Where system calls go.
            patience: Seconds a lock is waited for.
            journal: Hears of every change.
            syncs: Sees to files and folders.
        """
        self._calls = calls
        self._patience = patience
        self._journal = journal
        self._syncs = syncs
        self._open: dict[object, _Target] = {}
        """Name as it was given -> the file."""

    def close(self) -> None:
        """Close what is open: after the batch, and before anything else than an append."""
        for target in self._open.values():
            self._calls.let_go(target.fd)
        self._open.clear()

    def parts_of(self, operation: AppendToFile) -> tuple[str, ...] | None:
        """Give the name's parts if its file is open and may be used for this operation."""
        if operation.lock or operation.rotation is not None or operation.newline_guard:
            return None
        target = self._open.get(operation.name)
        return None if target is None else target.parts

    def more(
        self, operation: AppendToFile, record: bytes, durability: Durability
    ) -> Changed | None:
        """Add a record to a file that is open; ``None`` if it is no longer the one to write to.

        Raises:
            RefusalError: As ``add``.
            OSError: As ``add``.
        """
        target = self._open[operation.name]
        try:
            after = self._write(target, record, durability)
        except BaseException:
            self._drop(operation.name)
            raise
        if after is None or after.st_nlink != 1:
            self._drop(operation.name)
            if after is not None and after.st_nlink == 0:
                return None  # removed meanwhile, and the record with it
        else:
            target.found = after
        return Changed(len(record), after, True)

    def add(
        self,
        start: Start,
        folder: int,
        parts: tuple[str, ...],
        record: bytes,
        operation: AppendToFile,
        durability: Durability,
    ) -> Changed:
        """Append ``record`` to the last of ``parts`` in the open ``folder``.

        Args:
            start: The root, whose mount the file must lie on.
            folder: The folder of the name.
            parts: The whole name.
            record: What is added, in one write.
            operation: The options.
            durability: What must survive a crash of the system.

        Raises:
            RefusalError: What stands there is no plain file with this one name, or it is locked.
            OSError: Nothing of the record is in the file, unless the message says how much.
        """
        calls, name = self._calls, parts[-1]
        self._journal.claim(parts)
        locked = operation.lock or operation.rotation is not None or _LOCK_ALWAYS
        for _ in range(_TRIES):
            target = _open(calls, start, folder, parts, operation)
            if target is None:
                done = self._begin(folder, parts, record, operation, durability)
                if done is not None:
                    return done
                continue
            kept = False
            try:
                if locked:
                    take(calls, target.fd, self._patience)
                    target.found = calls.stat(target.fd)
                found = target.found
                if found.st_nlink == 0 or (locked and _elsewhere(calls, folder, name, found)):
                    continue  # put aside or removed meanwhile: what stands there now is meant
                if found.st_nlink > 1:
                    raise RefusalError("hard-link", "the file has other names besides this one")
                rotation = operation.rotation
                if rotation is not None and due(rotation, found, len(record), calls.now()):
                    put_aside(calls, folder, parts, found, rotation, self._journal, self._syncs)
                    continue
                guard = b""
                if operation.newline_guard and _cut_short(calls, target):
                    guard = _line_end(operation)
                after = self._write(target, guard + record, durability)
                if after is not None and after.st_nlink == 0:
                    continue  # removed in that moment, and the record with it
                if after is not None and not locked and not operation.newline_guard:
                    target.found = after
                    kept = self._keep(operation.name, target)
                return Changed(len(record), after, True)
            finally:
                if not kept:
                    calls.let_go(target.fd)
        raise RefusalError("busy", "the file is put aside or removed as fast as it is opened")

    def _begin(
        self,
        folder: int,
        parts: tuple[str, ...],
        record: bytes,
        operation: AppendToFile,
        durability: Durability,
    ) -> Changed | None:
        """Make the file with its first record in it; ``None`` if somebody else has made it now.

        As any new file it is there whole or not at all, so a failure leaves no empty one behind.
        """
        if not operation.create:
            raise RefusalError("missing", "there is no such file", errno.ENOENT)
        try:
            return put(
                self._calls,
                folder,
                parts,
                record,
                new=True,
                replace_link=False,
                durability=durability,
                journal=self._journal,
                syncs=self._syncs,
            )
        except FileExistsError:
            return None
        except RefusalError as error:
            if error.code != "exists":
                raise
            return None

    def _write(
        self, target: _Target, record: bytes, durability: Durability
    ) -> os.stat_result | None:
        """Write, tell the journal, and say what must be synced; gives what it is now."""
        after = _write(self._calls, target, record)
        if self._journal.told:
            if after is not None and after.st_size == target.found.st_size + len(record):
                self._journal.note(target.parts, state_of(target.found), state_of(after))
            else:
                self._journal.spoil(target.parts)  # somebody else appended in the same moment
        if durability != "none":
            self._syncs.file(target.fd)
        return after

    def _keep(self, name: object, target: _Target) -> bool:
        if name in self._open or len(self._open) >= _MOST_OPEN:
            return False
        self._open[name] = target
        return True

    def _drop(self, name: object) -> None:
        self._calls.let_go(self._open.pop(name).fd)


def _open(
    calls: Sys, start: Start, folder: int, parts: tuple[str, ...], operation: AppendToFile
) -> _Target | None:
    """Open what stands there; nothing but a plain file is ever opened. ``None`` if nothing does."""
    found = look(calls, folder, parts[-1])
    if found is None:
        return None
    check_plain(found)
    access = os.O_RDWR if operation.newline_guard else os.O_WRONLY
    try:
        fd = calls.open_file(folder, parts[-1], access | os.O_APPEND)
    except FileNotFoundError:
        return None
    try:
        opened = calls.stat(fd)
        check_plain(opened)
        if not same_mount(calls, start, fd):
            raise RefusalError("mount", "another file is mounted there")
    except BaseException:
        calls.let_go(fd)
        raise
    return _Target(fd, opened, parts)


def check_plain(found: os.stat_result) -> None:
    """Refuse what is no plain file, by what it is."""
    if stat.S_ISLNK(found.st_mode):
        raise RefusalError("symlink", "a symlink stands there, and none is followed")
    if stat.S_ISDIR(found.st_mode):
        raise RefusalError("is-folder", "a folder stands there")
    if not stat.S_ISREG(found.st_mode):
        raise RefusalError("not-a-file", "a FIFO, socket or device stands there")


def _elsewhere(calls: Sys, folder: int, name: str, mine: os.stat_result) -> bool:
    there = look(calls, folder, name)
    return there is None or (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)


def _cut_short(calls: Sys, target: _Target) -> bool:
    size = target.found.st_size
    return size > 0 and calls.read_at(target.fd, 1, size - 1) != b"\n"


def _line_end(operation: AppendToFile) -> bytes:
    """Give the line end that suits the record."""
    end = operation.newline or "\n"
    return end.encode("ascii" if isinstance(operation.content, bytes) else operation.encoding)


def _write(calls: Sys, target: _Target, record: bytes) -> os.stat_result | None:
    """Write the record in one call; a part of it that got in is taken out again.

    Gives what the file is now; ``None`` if that cannot be asked.

    RACE: without the lock another writer may append between our looking at the size and our cutting
    the file back to it. Then nothing is cut, and the error says how much of the record stays.
    """
    while True:
        try:
            count = calls.write(target.fd, record)
        except InterruptedError:
            continue
        break
    if count == len(record):
        return asked_again(calls, target.fd)
    start = target.found.st_size
    failure: OSError | None = None
    try:
        # The rest, if it goes in at once and nobody came in between, makes it whole after all.
        if calls.stat(target.fd).st_size == start + count:
            count += calls.write(target.fd, memoryview(record)[count:])
            if count == len(record):
                return asked_again(calls, target.fd)
    except OSError as error:
        failure = error
    why = f"{count} bytes of the record are in the file"
    try:
        if calls.stat(target.fd).st_size == start + count:
            calls.truncate(target.fd, start)
            why = "only a part of the record could be written, and was taken out again"
    except OSError as error:
        failure = failure or error
    if failure is None:
        raise RefusalError("io", why)
    raise OSError(failure.errno, f"{failure.strerror}, and {why}") from failure
