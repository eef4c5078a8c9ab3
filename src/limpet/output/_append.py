"""Adds a record to the end of a file in one write, so that records of many writers never mix.

The system adds what one write brings as a whole, at the end the file has then (O_APPEND, open(2)):
no lock is needed for that on a local disk. Network file systems do not keep it; there, and where the
file is rotated, ``lock=True`` makes the writers wait for each other.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import Final

from limpet.output._journal import Silent, state_of
from limpet.output._lock import take
from limpet.output._ops import AppendToFile, Durability
from limpet.output._refusal import RefusalError
from limpet.output._replace import Changed, look
from limpet.output._resolve import Start, same_mount
from limpet.output._rotate import due, put_aside
from limpet.output._syncs import Syncs
from limpet.output._sys import Sys

__all__ = ["add"]

_TRIES: Final = 50
"""How often a file may be put aside or removed by others between its opening and its lock."""

_LOCK_ALWAYS: Final = os.name == "nt"
"""The C library's O_APPEND on Windows is a seek and then a write."""


@dataclass(slots=True)
class _Target:
    """The open file, and whether it was made for this record."""

    fd: int
    found: os.stat_result
    made: bool


def add(
    calls: Sys,
    start: Start,
    folder: int,
    parts: tuple[str, ...],
    record: bytes,
    operation: AppendToFile,
    *,
    durability: Durability,
    patience: float,
    journal: Silent,
    syncs: Syncs,
) -> Changed:
    """Append ``record`` to the last of ``parts`` in the open ``folder``.

    Args:
        calls: Where system calls go.
        start: The root, whose mount the file must lie on.
        folder: The folder of the name.
        parts: The whole name.
        record: What is added, in one write.
        operation: The options.
        durability: What must survive a crash of the system.
        patience: Seconds a lock is waited for.
        journal: Hears of it.
        syncs: Sees to file and folder.

    Raises:
        RefusalError: What stands there is no plain file with this one name, or it is locked.
        OSError: Nothing of the record is in the file, unless the message says how much.
    """
    name = parts[-1]
    journal.claim(parts)
    locked = operation.lock or operation.rotation is not None or _LOCK_ALWAYS
    existed = look(calls, folder, name) is not None
    for _ in range(_TRIES):
        target = _open(calls, start, folder, name, operation)
        kept = False
        try:
            if locked:
                take(calls, target.fd, patience)
                target.found = calls.stat(target.fd)
            if target.found.st_nlink == 0 or (locked and _elsewhere(calls, folder, name, target)):
                continue  # put aside or removed while we came to it: what stands there now is meant
            if target.found.st_nlink > 1:
                raise RefusalError("hard-link", "the file has other names besides this one")
            rotation = operation.rotation
            if rotation is not None and due(
                rotation, target.found, len(record), calls.now(), daily_from=target.found.st_mtime
            ):
                put_aside(calls, folder, parts, target.found, rotation, journal, syncs)
                continue
            guarded = record
            if operation.newline_guard and _cut_short(calls, target):
                guarded = _line_end(operation) + record
            after = _write(calls, target, guarded)
            if after.st_size == target.found.st_size + len(guarded):
                before = None if target.made else state_of(target.found)
                journal.note(parts, before, state_of(after))
            else:
                journal.spoil(parts)  # somebody else appended in the same moment
            if target.made:
                syncs.folder(folder)
            if durability != "none":
                kept = syncs.file(target.fd, after)
            return Changed(size=len(record), stat=after, existed=existed)
        finally:
            if not kept:
                with contextlib.suppress(OSError):
                    calls.close(target.fd)
    raise RefusalError("busy", "the file is put aside or removed as fast as it is opened")


def _open(calls: Sys, start: Start, folder: int, name: str, operation: AppendToFile) -> _Target:
    """Open what stands there, or make it; nothing but a plain file is ever opened for waiting."""
    access = os.O_RDWR if operation.newline_guard else os.O_WRONLY
    for _ in range(_TRIES):
        found = look(calls, folder, name)
        made = found is None
        if found is None:
            if not operation.create:
                raise RefusalError("missing", "there is no such file")
            try:
                flags = access | os.O_APPEND | os.O_CREAT | os.O_EXCL
                fd = calls.open_file(folder, name, flags)
            except FileExistsError:
                continue
        else:
            _check(found)
            try:
                fd = calls.open_file(folder, name, access | os.O_APPEND)
            except FileNotFoundError:
                continue
        try:
            opened = calls.stat(fd)
            _check(opened)
            if not same_mount(calls, start, fd):
                raise RefusalError("mount", "another file is mounted there")
        except BaseException:
            with contextlib.suppress(OSError):
                calls.close(fd)
            raise
        return _Target(fd, opened, made)
    raise RefusalError("busy", "the file comes and goes as fast as it is looked at")


def _check(found: os.stat_result) -> None:
    """Refuse what is no plain file, by what it is."""
    if stat.S_ISLNK(found.st_mode):
        raise RefusalError("symlink", "a symlink stands there, and none is followed")
    if stat.S_ISDIR(found.st_mode):
        raise RefusalError("is-folder", "a folder stands there")
    if not stat.S_ISREG(found.st_mode):
        raise RefusalError("not-a-file", "a FIFO, socket or device stands there")


def _elsewhere(calls: Sys, folder: int, name: str, target: _Target) -> bool:
    there = look(calls, folder, name)
    mine = (target.found.st_dev, target.found.st_ino)
    return there is None or (there.st_dev, there.st_ino) != mine


def _cut_short(calls: Sys, target: _Target) -> bool:
    size = target.found.st_size
    return size > 0 and calls.read_at(target.fd, 1, size - 1) != b"\n"


def _line_end(operation: AppendToFile) -> bytes:
    """Give the line end that suits the record."""
    end = operation.newline or "\n"
    return end.encode("ascii" if isinstance(operation.content, bytes) else operation.encoding)


def _write(calls: Sys, target: _Target, record: bytes) -> os.stat_result:
    """Write the record in one call; a part of it that got in is taken out again.

    RACE: without the lock another writer may append between our looking at the size and our cutting
    the file back to it. Then nothing is cut, and the error says how much of the record stays.
    """
    while True:
        try:
            count = calls.write(target.fd, record)
        except InterruptedError:
            continue
        break
    after = calls.stat(target.fd)
    if count == len(record):
        return after
    failure: OSError | None = None
    try:
        # The rest, if it goes in at once and nobody came in between, makes it whole after all.
        if after.st_size == target.found.st_size + count:
            count += calls.write(target.fd, memoryview(record)[count:])
            after = calls.stat(target.fd)
            if count == len(record) and after.st_size == target.found.st_size + count:
                return after
    except OSError as error:
        failure = error
    if after.st_size == target.found.st_size + count:
        calls.truncate(target.fd, target.found.st_size)
        why = "only a part of the record could be written, and was taken out again"
    else:
        why = f"{count} bytes of the record are in the file; others wrote meanwhile"
    if failure is not None:
        raise OSError(failure.errno, f"{failure.strerror}; {why}") from failure
    raise RefusalError("io", why)
