"""How each operation is done, in which order, and how its result is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from limpet._file_stat import file_stat
from limpet.output import _namespace_ops as namespace_ops
from limpet.output._atomic_write import Change, replace_content, stat_or_none
from limpet.output._batch import Batch
from limpet.output._config import Settings
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
from limpet.output._quota import Quota
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, Refused, Result, RootState
from limpet.output._root_dir import RootDir
from limpet.output._syscalls import Syscalls
from limpet.output._tail import Tail, read_tail
from limpet.output._temp_files import clean


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
        self._last_parts: tuple[str, ...] = ()
        self._last_path = root

    def open(self) -> None:
        """Open the root and remove the leftovers of processes that died.

        Raises:
            RefusalError: As ``RootDir.open``.
            OSError: As ``RootDir.open``.
        """
        self.root_dir.open()
        if self._settings["clean"]:
            clean(self._calls, self.root_dir.handle)

    def close(self) -> None:
        """Close the root; later operations are refused (``closed``)."""
        self.root_dir.close()
        self._quota.forget()

    def tail(self, name: Name, count: int) -> Tail | None:
        """Return the end of a file; see ``read_tail``."""
        parts = _split(name, portable=self._settings["portable"], undecodable=False)
        self.root_dir.ensure()
        return read_tail(self.root_dir, parts, count)

    def run(self, operations: Sequence[Operation]) -> list[Result]:
        """Do them in this order, and return their results in it; one caller at a time."""
        batch = Batch(self._calls, self.root_dir.bases, self._settings["lock_timeout"])
        fsyncs = batch.context.fsyncs
        try:
            for operation in operations:
                fsyncs.current = len(batch.results)
                batch.results.append(self._perform(operation, batch))
            self._verify_root(batch)
            for index, error in fsyncs.finish().items():
                batch.results[index] = self._not_synced(batch.results[index], error)
        finally:
            batch.close()
        return batch.results

    def _perform(self, operation: Operation, batch: Batch) -> Result:
        try:
            if isinstance(operation, AppendToFile):
                result = self._append_open(operation, batch)
                if result is not None:
                    return result
            else:
                batch.appender.close()
            portable = self._settings["portable"]
            either = isinstance(operation, DeleteFile | DeleteDir | MoveFile)
            parts = _split(operation.name, portable=portable and not either, undecodable=either)
            data = b""
            if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
                data = operation.data()
                self._quota.check_write(len(data))
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
        except (OSError, RefusalError, BadNameError, UnicodeEncodeError) as error:
            return refused(operation, str(self._root), error)
        batch.unverified.append(len(batch.results))
        return self._done(operation, target or parts, change, batch.state)

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
        return self._done(operation, parts, change, batch.state)

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
        data: bytes,
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
                return namespace_ops.move(context, root, parts, target, operation)
            case _:
                assert_never(operation)

    def _write(
        self,
        operation: CreateFile | OverwriteFile | AppendToFile,
        parts: tuple[str, ...],
        data: bytes,
        batch: Batch,
    ) -> Change:
        """Write content, if the quota has room for it."""
        root, context = self.root_dir, batch.context
        size = self._size(parts)
        appends = isinstance(operation, AppendToFile)
        adds = len(data) - (0 if appends else size or 0), int(size is None)
        if self._quota.needed:
            self._quota.check_room(root.handle, *adds)
        create = operation.parents and not (
            isinstance(operation, AppendToFile) and not operation.create
        )
        dir_fd = root.enter(parts[:-1], create_with=context if create else None)
        try:
            if isinstance(operation, AppendToFile):
                change = batch.appender.append(root.handle, dir_fd, parts, data, operation)
            else:
                change = replace_content(
                    context,
                    dir_fd,
                    parts,
                    data,
                    new=isinstance(operation, CreateFile),
                    replace_link=isinstance(operation, OverwriteFile) and operation.replace_link,
                )
        finally:
            root.leave(dir_fd)
        self._quota.add(*adds)
        return change

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

    def _done(
        self, operation: Operation, parts: tuple[str, ...], change: Change, state: RootState
    ) -> Done:
        return Done(
            operation=operation,
            path=self._path(parts),
            bytes=change.size,
            stat=None if change.stat is None else file_stat(change.stat),
            existed=change.existed,
            root=state,
        )

    def _path(self, parts: tuple[str, ...]) -> Path:
        """Return the absolute path; the last one is kept: parsing it costs as much as a write."""
        if parts != self._last_parts:
            self._last_parts, self._last_path = parts, Path(str(self._root), *parts)
        return self._last_path

    def _not_synced(self, result: Result, error: OSError) -> Result:
        """Return the result of an operation that was done but may not be on the disk."""
        if isinstance(result, Refused):
            return result
        why = f"it is done, but syncing it failed ({error.strerror})"
        refusal = RefusalError("durability", why, error.errno)
        return refused(result.operation, str(self._root), refusal)


def _split(name: Name, *, portable: bool, undecodable: bool) -> tuple[str, ...]:
    text = name if isinstance(name, str) else name.as_posix()
    return split(text, portable=portable, undecodable=undecodable)
