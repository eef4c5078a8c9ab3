"""How each operation is done, in which order, and how its result is put together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

from limpet.output import _namespace_ops as namespace_ops
from limpet.output._atomic_write import Change, Replacing, replace_content, stat_or_none
from limpet.output._batch import Batch
from limpet.output._config import Settings
from limpet.output._done_maker import DoneMaker
from limpet.output._name_validation import BadNameError, split
from limpet.output._operations import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    MakeDir,
    MoveFile,
    Name,
    Operation,
    OverwriteFile,
)
from limpet.output._output_stats import OutputCounters
from limpet.output._pack import Packing
from limpet.output._quota import Quota
from limpet.output._refusals import HeldError, RefusalError, refused
from limpet.output._results import Done, Refused, Result
from limpet.output._root_dir import RootDir
from limpet.output._syscalls import Syscalls
from limpet.output._tail import Tail, read_tail
from limpet.output._task import Task
from limpet.output._temp_files import clean
from limpet.output._unnamed_file import UnnamedFiles

_EXISTING: Final = (DeleteFile, DeleteDir, MoveFile)
"""Operations whose name exists already, so that it may be any."""


class OutputEngine:
    """The operations below one root; without threads and locks."""

    def __init__(self, calls: Syscalls, root: Path, settings: Settings) -> None:
        """Put the parts together; the disk is not touched.

        Args:
            calls: Where system calls go.
            root: Absolute.
            settings: All options.
        """
        self._calls = calls
        self._root = root
        self._settings = settings
        self.root_dir = RootDir(
            calls,
            str(root),
            create=settings["create"],
            moved=settings["moved"],
            cross_mounts=settings["cross_mounts"],
            way=settings["way"],
        )
        self._quota = Quota(calls, settings["limits"])
        self._unnamed = UnnamedFiles(calls)
        self.counters = OutputCounters()
        self._results = DoneMaker(root, self.counters)

    def open(self) -> None:
        """Open the root and remove the leftovers of processes that died.

        Raises:
            RefusalError: As ``RootDir.open``.
            OSError: As ``RootDir.open``.
        """
        try:
            self.root_dir.open()
            if self._settings["clean"]:
                clean(self._calls, self.root_dir.handle)
        except BaseException:
            self.root_dir.close()
            raise

    def close(self) -> None:
        """Close the root; later operations are refused (``closed``)."""
        self.root_dir.close()
        self._quota.forget()

    def tail(self, name: Name, count: int) -> Tail | None:
        """Return the end of a file; see ``read_tail``."""
        parts = _split(name, portable=self._settings["portable"], undecodable=False)
        self.root_dir.ensure()
        return read_tail(self.root_dir, parts, count)

    def run(self, tasks: Sequence[Task]) -> list[Packing]:
        """Perform tasks in this order; one caller at a time.

        Each gets its own result, whatever happens to the others. A task without one afterwards was
        put off: another process holds a lock that it needs. The caller passes it again, before
        later ones; after ``lock_timeout`` seconds it is refused (``busy``). Tasks that follow it on
        the same names are put off, too; all others are performed.

        Returns:
            What is to be compressed; the caller does that without keeping others waiting.
        """
        batch = Batch(self._calls, self.root_dir.bases, self._quota, self._unnamed)
        try:
            for task in tasks:
                batch.context.fsyncs.current = len(batch.results)
                batch.results.append(self._attempt(task, batch))
            self._finish(batch)
        finally:
            batch.close()
        for task, result in zip(tasks, batch.results, strict=True):
            task.result = result
        return self._packings(batch)

    def _finish(self, batch: Batch) -> None:
        """Find out whether what was done is stored, and where."""
        self._verify_root(batch)
        batch.appender.close()
        for index, error in batch.context.unstored.items():
            result = batch.results[index]
            if isinstance(result, Done):
                batch.results[index] = self._undone(result, error)
        for index, error in batch.context.fsyncs.finish().items():
            result = batch.results[index]
            if isinstance(result, Done):
                batch.results[index] = self._not_synced(result, error)

    def _packings(self, batch: Batch) -> list[Packing]:
        """Return what rotations leave to do; what cannot be begun is done after the next one."""
        found = []
        for parts, rotation in batch.context.rotated.items():
            with contextlib.suppress(OSError, RefusalError):
                dir_fd = self.root_dir.enter(parts[:-1])
                try:
                    own = self._calls.open_again(dir_fd)
                finally:
                    self.root_dir.leave(dir_fd)
                found.append(
                    Packing(
                        self._calls,
                        self.root_dir.bases,
                        self._quota,
                        own,
                        parts,
                        rotation,
                        self._settings["lock_timeout"],
                    )
                )
        return found

    def _attempt(self, task: Task, batch: Batch) -> Result | None:
        """Return the result of one operation, whatever it raises; ``None`` if it is put off."""
        operation = task.operation
        try:
            if batch.has_waiting and any(map(batch.must_wait, self._names(operation))):
                return self._put_off(task, batch)
            return self._perform(operation, batch)
        except HeldError:
            return self._put_off(task, batch)
        except Exception as error:  # noqa: BLE001 - its own result, and no other operation's
            return self._refused(operation, error)

    def _put_off(self, task: Task, batch: Batch) -> Result | None:
        now, timeout = self._calls.monotonic(), self._settings["lock_timeout"]
        if task.deadline is None:
            task.deadline = now + timeout
        if now >= task.deadline:
            why = f"another process has held its lock for {timeout:g} seconds"
            return self._refused(task.operation, RefusalError("busy", why))
        batch.put_off(self._names(task.operation))
        return None

    def _names(self, operation: Operation) -> list[tuple[str, ...]]:
        """Return the names that an operation is about; none of those that are refused anyway."""
        names = [operation.name]
        if isinstance(operation, MoveFile):
            names.append(operation.target)
        found = []
        for name in names:
            with contextlib.suppress(BadNameError):
                found.append(_split(name, portable=False, undecodable=True))
        return found

    def _perform(self, operation: Operation, batch: Batch) -> Result:
        if isinstance(operation, AppendToFile):
            result = self._append_open(operation, batch)
            if result is not None:
                return result
        else:
            batch.appender.close()
        portable = self._settings["portable"]
        either = isinstance(operation, _EXISTING)
        parts = _split(operation.name, portable=portable and not either, undecodable=either)
        data: bytes | None = b""
        if isinstance(operation, (CreateFile, OverwriteFile, AppendToFile)):
            data = None if operation.stream() is not None else operation.data()
            self._quota.check_write(len(data or b""))
        target: tuple[str, ...] = ()
        if isinstance(operation, MoveFile):
            target = _split(operation.target, portable=portable, undecodable=True)
        self._verify_root(batch)
        if not batch.sure:
            batch.state = self.root_dir.ensure()
            batch.sure = batch.state != "moved"
            if batch.state == "reopened":
                batch.appender.close()
                self._quota.forget()
        self._set_durability(operation, batch)
        change = self._do(operation, parts, target, data, batch)
        batch.unverified.append(len(batch.results))
        return self._results.done(operation, target or parts, change, batch.state)

    def _append_open(self, operation: AppendToFile, batch: Batch) -> Done | None:
        """Append to a file that this batch has open already."""
        parts = batch.appender.parts_of(operation)
        if parts is None or self._quota.needed:
            return None
        data = operation.data()
        self._quota.check_write(len(data))
        self._set_durability(operation, batch)
        change = batch.appender.append_open(operation, data)
        if change is None:
            return None
        batch.unverified.append(len(batch.results))
        return self._results.done(operation, parts, change, batch.state)

    def _set_durability(self, operation: Operation, batch: Batch) -> None:
        batch.context.set_durability(operation.durability or self._settings["durability"])

    def _verify_root(self, batch: Batch) -> None:
        """Find out whether the root is still at its path after what was done since the last time.

        What is found right after one operation holds right before the next, too.
        """
        if not batch.unverified:
            return
        batch.sure = self.root_dir.is_at_path()
        if not batch.sure:
            for index in batch.unverified:
                result = batch.results[index]
                if isinstance(result, Done):
                    batch.results[index] = replace(result, root="moved")
        elif batch.state == "reopened":
            batch.state = "same"
        batch.unverified.clear()

    def _do(
        self,
        operation: Operation,
        parts: tuple[str, ...],
        target: tuple[str, ...],
        data: bytes | None,
        batch: Batch,
    ) -> Change:
        """Call what does this operation."""
        context, root = batch.context, self.root_dir
        match operation:
            case CreateFile() | OverwriteFile() | AppendToFile():
                return self._write(operation, parts, data, batch)
            case DeleteFile():
                size = self._size(parts)
                change = namespace_ops.delete(context, root, parts, operation)
                self._quota.add(-(size or 0), -1 if size is not None else 0)
                return change
            case DeleteDir():
                return namespace_ops.delete_dir(context, root, parts, operation)
            case MakeDir():
                return namespace_ops.make_dir(context, root, parts, operation)
            case MoveFile():
                size = self._size(target) if operation.overwrite and target != parts else None
                change = namespace_ops.move(context, root, parts, target, operation)
                if change.existed and size is not None:
                    self._quota.add(-size, -1)
                return change
            case _:
                assert_never(operation)

    def _write(
        self,
        operation: CreateFile | OverwriteFile | AppendToFile,
        parts: tuple[str, ...],
        data: bytes | None,
        batch: Batch,
    ) -> Change:
        """Write content, if the quota has room for it."""
        root, context = self.root_dir, batch.context
        size = self._size(parts)
        replaced = 0 if isinstance(operation, AppendToFile) else size or 0
        if self._quota.needed:
            adds = len(data or b"") - replaced
            self._quota.check_room(root.handle, adds, int(size is None))
        create = operation.parents and not (
            isinstance(operation, AppendToFile) and not operation.create
        )
        dir_fd = root.enter(parts[:-1], create_with=context if create else None)
        try:
            if isinstance(operation, AppendToFile):
                assert data is not None  # noqa: S101 - records are not streams
                change = batch.appender.append(root.handle, dir_fd, parts, data, operation)
            else:
                content = self._metered(operation, replaced) if data is None else data
                over = operation if isinstance(operation, OverwriteFile) else None
                how = Replacing(
                    new=over is None,
                    link=over is not None and over.replace_link,
                    read_only=over is not None and over.replace_read_only,
                    mode=operation.mode,
                )
                change = replace_content(context, dir_fd, parts, content, how)
        finally:
            root.leave(dir_fd)
        self._quota.add(change.size - replaced, int(not change.existed))
        return change

    def _metered(self, operation: CreateFile | OverwriteFile, replaced: int) -> Iterator[bytes]:
        """Yield the pieces of a stream for as long as the limits have room for them.

        Raises:
            RefusalError: ``over-cap``; ``content``: the stream raised something.
        """
        total = 0
        stream = iter(operation.stream() or ())
        while True:
            try:
                piece = next(stream, None)
            except BaseException as error:
                # In a thread of ours, whatever it is: the other operations are not to have it. In
                # the program's own, Ctrl-C and the like are for the program.
                own = threading.current_thread() is threading.main_thread()
                if own and not isinstance(error, Exception):
                    raise
                why = f"its content could not be read ({type(error).__name__}: {error})"
                raise RefusalError("content", why) from error
            if piece is None:
                return
            total += len(piece)
            self._quota.check_write(total)
            if self._quota.needed:
                self._quota.check_room(self.root_dir.handle, total - replaced, 0)
            yield piece

    def _size(self, parts: tuple[str, ...]) -> int | None:
        """Return the size of the file at a name, if a limit needs it; ``None`` if there is none."""
        if not self._quota.needed:
            return None
        try:
            dir_fd = self.root_dir.enter(parts[:-1])
            try:
                found = stat_or_none(self._calls, dir_fd, parts[-1])
            finally:
                self.root_dir.leave(dir_fd)
        except (OSError, RefusalError):
            return None
        return None if found is None else found.st_size

    def _not_synced(self, result: Done, error: OSError) -> Refused:
        """Return the result of an operation that was done but may not be on the disk."""
        why = f"it is done, but syncing it failed ({error.strerror})"
        return self._undone(result, RefusalError("durability", why, error.errno))

    def _undone(self, result: Done, error: Exception) -> Refused:
        """Return the refusal of an operation that was counted as done."""
        self.counters.operations[type(result.operation)] -= 1
        return self._refused(result.operation, error)

    def _refused(self, operation: Operation, error: Exception) -> Refused:
        result = refused(operation, str(self._root), error)
        self.counters.refusals[result.code] += 1
        return result


def _split(name: Name, *, portable: bool, undecodable: bool) -> tuple[str, ...]:
    text = name if isinstance(name, str) else name.as_posix()
    return split(text, portable=portable, undecodable=undecodable)
