"""Appends a record to a file in one write, so that records of many writers never mix.

The system adds what one write brings as a whole, at the end the file has then (O_APPEND, open(2)):
no lock is needed for that on a local disk. Network file systems do not guarantee it; there, and
where the file is rotated, ``lock=True`` makes the writers wait for each other.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import Final

from limpet._file_stat import identity_of
from limpet.output._atomic_write import (
    Change,
    Replacing,
    birth_or_none,
    replace_content,
    stat_after,
    stat_or_none,
)
from limpet.output._lock import is_free
from limpet.output._operations import AppendToFile
from limpet.output._own_write_reporter import state_of
from limpet.output._refusals import HeldError, RefusalError, check_plain, check_writable
from limpet.output._resolve import RootHandle, Walk, same_mount
from limpet.output._rotate import is_due, rotate
from limpet.output._syscalls import Syscalls
from limpet.output._text_encoding import LONGEST_MARK, has_mark, line_end
from limpet.output._write_context import WriteContext

_TRIES: Final = 50
"""How often other processes may rotate or remove a file between its opening and its lock."""

_MAX_OPEN: Final = 32
"""Files of one batch that are kept open; appends to more of them open theirs each time."""

_LOCK_ALWAYS: Final = os.name == "nt"
"""FILE_APPEND_DATA is an append as a whole on NTFS. That is promised for no other file system, and
not so in Wine (299 of 300 records of three processes): there the lock is taken besides."""


@dataclass(slots=True)
class _OpenFile:
    """An open file, and its last known status."""

    fd: int
    found: os.stat_result
    root: RootHandle
    parts: tuple[str, ...]
    birth: float | None = None
    records: dict[int, int] = field(default_factory=dict)
    """Operations whose records are stored once it is closed: index -> size of the file then."""


class Appender:
    """Appends of one batch; a file that several of them go to is opened once.

    RACE: a file that is open here may be renamed by another process before the next record of the
    batch, which then goes where the file went, as it does for any program that keeps a log open. A
    file that is removed is noticed. The window is one batch, some milliseconds; the lock closes it.
    """

    def __init__(self, context: WriteContext) -> None:
        self._context = context
        self._calls = context.calls
        self._open: dict[object, _OpenFile] = {}
        """Name as it was given -> the file."""

    def close(self) -> None:
        """Close what is open: after the batch, and before anything else than an append."""
        while self._open:
            _, file = self._open.popitem()
            self._close(file)

    def parts_of(self, operation: AppendToFile) -> tuple[str, ...] | None:
        """Return the name's parts if its file is open and may be used for this operation."""
        if operation.lock or operation.rotation is not None or operation.newline_guard:
            return None
        file = self._open.get(operation.name)
        if file is None or has_mark(operation.encoding):
            return None
        return file.parts

    def append_open(self, operation: AppendToFile, record: bytes) -> Change | None:
        """Append a record to a file that is open; ``None`` if it must be opened again.

        Raises:
            RefusalError: As ``append``.
            OSError: As ``append``.
        """
        file = self._open[operation.name]
        try:
            after = self._write(file, record)
        except BaseException:
            self._drop(operation.name)
            raise
        if after is None or after.st_nlink != 1:
            is_gone = after is not None and after.st_nlink == 0
            if is_gone:
                file.records.pop(self._context.fsyncs.current)
            self._drop(operation.name)
            if is_gone:
                return None  # removed meanwhile, and the record with it
        else:
            file.found = after
        return Change(len(record), after, True, file.birth)

    def append(
        self,
        root: RootHandle,
        dir_fd: int,
        parts: tuple[str, ...],
        record: bytes,
        operation: AppendToFile,
    ) -> Change:
        """Append ``record`` to the last of ``parts`` in the open directory ``dir_fd``.

        Args:
            root: The root, on whose mount the file must be.
            dir_fd: Directory of the name.
            parts: The whole name.
            record: What is added, in one write, if it is the first of the file.
            operation: The options.

        Raises:
            HeldError: A lock that it needs is held; nothing was done.
            RefusalError: It is not a regular file with this one name.
            OSError: Nothing of the record is in the file, unless the message says how much.
        """
        context, calls, name = self._context, self._calls, parts[-1]
        context.report.begin(parts)
        always = operation.lock or operation.rotation is not None or _LOCK_ALWAYS
        marked = isinstance(operation.content, str) and has_mark(operation.encoding)
        for _ in range(_TRIES):
            file = _open(calls, root, dir_fd, parts, operation, reads=marked)
            if file is None:
                done = self._create(dir_fd, parts, record, operation)
                if done is not None:
                    return done
                continue
            kept = False
            try:
                # Of writers that find the file empty, one alone may put a byte order mark into it.
                locked = always or (marked and file.found.st_size == 0)
                if locked and not _take_lock(calls, file, needed=always):
                    if _is_elsewhere(calls, dir_fd, name, file.found):
                        continue  # rotated, and somebody packs it
                    raise HeldError
                found = file.found
                if found.st_nlink == 0 or (locked and _is_elsewhere(calls, dir_fd, name, found)):
                    continue  # rotated or removed meanwhile: the file at the name now is meant
                if found.st_nlink > 1 and _has_other_names(calls, file):
                    raise RefusalError("hard-link", "the file has other names besides this one")
                start = calls.read_at(file.fd, LONGEST_MARK, 0) if marked else b""
                added = operation.data(start) if start else record
                rotation = operation.rotation
                if rotation is not None and is_due(rotation, found, len(added), calls.now()):
                    rotate(context, root, dir_fd, parts, found, rotation)
                    continue
                guard = b""
                if operation.newline_guard and found.st_size:
                    guard = _missing_line_end(calls, file, operation, start)
                after = self._write(file, guard + added)
                if after is not None and after.st_nlink == 0:
                    file.records.clear()
                    continue  # removed in that moment, and the record with it
                file.birth = birth_or_none(calls, file.fd, "")
                if after is not None and not locked and not operation.newline_guard:
                    file.found = after
                    kept = self._keep_open(operation.name, file)
                return Change(len(added), after, True, file.birth)
            finally:
                if not kept:
                    self._close(file)
        raise RefusalError("busy", "the file is rotated or removed as fast as it is opened")

    def _create(
        self, dir_fd: int, parts: tuple[str, ...], record: bytes, operation: AppendToFile
    ) -> Change | None:
        """Create the file with its first record in it; ``None`` if another process just did.

        As any new file it is there whole or not at all, so a failure leaves no empty one behind.
        """
        if not operation.create:
            raise RefusalError("missing", "there is no such file", errno.ENOENT)
        how = Replacing(new=True, mode=operation.mode)
        try:
            return replace_content(self._context, dir_fd, parts, record, how)
        except FileExistsError:
            return None
        except RefusalError as error:
            if error.code != "exists":
                raise
            return None

    def _write(self, file: _OpenFile, record: bytes) -> os.stat_result | None:
        """Write, report it, and register what must be synced; return the new status."""
        context = self._context
        file.records[context.fsyncs.current] = file.found.st_size + len(record)
        after = _write(self._calls, file, record)
        if context.report.is_active:
            birth_or_none(self._calls, file.fd, "", fresh=True)
            after = stat_after(self._calls, file.fd)
            if after is not None and after.st_size == file.found.st_size + len(record):
                context.report.wrote(file.parts, state_of(file.found), state_of(after))
            else:
                context.report.unsure(file.parts)  # another process appended in the same moment
        if context.durability != "none":
            context.fsyncs.file(file.fd)
        return after

    def _keep_open(self, name: object, file: _OpenFile) -> bool:
        if name in self._open or len(self._open) >= _MAX_OPEN:
            return False
        self._open[name] = file
        return True

    def _drop(self, name: object) -> None:
        self._close(self._open.pop(name))

    def _close(self, file: _OpenFile) -> None:
        """Close a file, once; what close(2) says of its records is the result of each of them.

        Some file systems report a full disk or quota here, after every write succeeded. Whether a
        record is in the file all the same, its size shows.
        """
        if not file.records:
            self._calls.close_quietly(file.fd)
            return
        try:
            self._calls.close(file.fd)
        except OSError as error:
            self._context.report.unsure(file.parts)
            size = _size_now(self._calls, file)
            for index, end in file.records.items():
                self._context.unstored[index] = _not_stored(
                    error, may_be_there=size is None or size >= end
                )


def _open(
    calls: Syscalls,
    root: RootHandle,
    dir_fd: int,
    parts: tuple[str, ...],
    operation: AppendToFile,
    *,
    reads: bool,
) -> _OpenFile | None:
    """Open a regular file and nothing else; ``None`` if there is none."""
    found = stat_or_none(calls, dir_fd, parts[-1])
    if found is None:
        return None
    check_plain(found)
    check_writable(found)
    access = os.O_RDWR if operation.newline_guard or reads else os.O_WRONLY
    try:
        fd = calls.open_file(dir_fd, parts[-1], access | os.O_APPEND)
    except FileNotFoundError:
        return None
    try:
        opened = calls.stat(fd)
        check_plain(opened)
        if not same_mount(calls, root, fd):
            if _is_elsewhere(calls, dir_fd, parts[-1], opened):
                calls.close_quietly(fd)
                return None  # rotated meanwhile: nobody asks for that file any more
            raise RefusalError("mount", "another file is mounted at the name")
    except BaseException:
        calls.close_quietly(fd)
        raise
    return _OpenFile(fd, opened, root, parts)


def _take_lock(calls: Syscalls, file: _OpenFile, *, needed: bool) -> bool:
    """Take the file's lock if it is free; without ``needed``, do without where there are no locks.

    Raises:
        RefusalError: The file system has no locks, and one is needed.
        OSError: The lock cannot be taken, for the reason that the system gives.
    """
    try:
        if not is_free(calls, file.fd):
            return False
    except RefusalError:
        if needed:
            raise
    file.found = calls.stat(file.fd)
    return True


def _is_elsewhere(calls: Syscalls, dir_fd: int, name: str, mine: os.stat_result) -> bool:
    there = stat_or_none(calls, dir_fd, name)
    return there is None or identity_of(there) != identity_of(mine)


def _size_now(calls: Syscalls, file: _OpenFile) -> int | None:
    """Return the size of a file that was closed, if its file system says."""
    try:
        dir_fd = Walk().open(calls, file.root, file.parts[:-1])
        try:
            birth_or_none(calls, dir_fd, file.parts[-1], fresh=True)
            found = calls.stat_at(dir_fd, file.parts[-1])
        finally:
            if dir_fd != file.root.fd:
                calls.close_quietly(dir_fd)
    except (OSError, RefusalError):
        return None
    return found.st_size if found.st_ino == file.found.st_ino else None


def _not_stored(error: OSError, *, may_be_there: bool) -> Exception:
    """Return why a record counts as not appended."""
    if may_be_there:
        why = f"it is written, but closing the file failed ({error.strerror})"
        return RefusalError("durability", why, error.errno)
    return OSError(error.errno, f"{error.strerror}, at closing the file")


def _has_other_names(calls: Syscalls, file: _OpenFile) -> bool:
    """Return whether a file has more than one name, as its file system says when it is asked.

    FUSE keeps the number of names for a second, also that of the moment in which a new file is
    linked to its name and not yet unlinked from the temporary one.
    """
    birth_or_none(calls, file.fd, "", fresh=True)
    file.found = calls.stat(file.fd)
    return file.found.st_nlink > 1


def _missing_line_end(
    calls: Syscalls, file: _OpenFile, operation: AppendToFile, start: bytes
) -> bytes:
    """Return the line end that must be written before the record; empty if the file has one."""
    end = line_end("\n", operation.encoding, start or b"?")
    at = file.found.st_size - len(end)
    if at >= 0 and calls.read_at(file.fd, len(end), at) == end:
        return b""
    return line_end(operation.newline or "\n", operation.encoding, start or b"?")


def _write(calls: Syscalls, file: _OpenFile, record: bytes) -> os.stat_result | None:
    """Write the record in one call; complete or remove a record that was written in part.

    If another writer has appended since, nothing is removed, and the error says how much of the
    record stays.

    RACE: without the lock another writer may append between the check of the size and the cut.
    Its record is then cut off too. The window is two system calls, after a write that was cut
    short; ``lock=True`` closes it between outputs.

    Returns:
        The status of the file afterwards, or ``None`` if it cannot be read.

    Raises:
        RefusalError: ``io``: only a part could be written; the text says what is left of it.
        OSError: The same, with the reason of the system.
    """
    while True:
        try:
            count = calls.write(file.fd, record)
        except InterruptedError:
            continue
        break
    if count == len(record):
        return stat_after(calls, file.fd)
    start = file.found.st_size
    failure: OSError | None = None
    try:
        # The rest, if it is written at once and no other writer came in between, completes it.
        if calls.stat(file.fd).st_size == start + count:
            count += calls.write(file.fd, memoryview(record)[count:])
            if count == len(record):
                return stat_after(calls, file.fd)
    except OSError as error:
        failure = error
    why = f"{count} bytes of the record are in the file"
    try:
        if calls.stat(file.fd).st_size == start + count:
            calls.truncate(file.fd, start)
            why = "only a part of the record could be written, and was removed again"
    except OSError as error:
        failure = failure or error
    if failure is None:
        raise RefusalError("io", why)
    raise OSError(failure.errno, f"{failure.strerror}, and {why}") from failure
