"""What is done for each operation, in which order, and how its answer is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from limpet.output import _namespace_ops as change
from limpet.output._atomic_write import Changed, look, put
from limpet.output._batch import Batch
from limpet.output._config import Settings
from limpet.output._kinds import file_stat
from limpet.output._name_validation import BadNameError, split
from limpet.output._operations import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    Name,
    Operation,
    OverwriteFile,
)
from limpet.output._quota import Usage
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, Refused, Result, RootState
from limpet.output._root_dir import Ground
from limpet.output._syscalls import Sys
from limpet.output._tail import Tail, read_tail
from limpet.output._temp_files import clean

__all__ = ["Engine"]


class Engine:
    """The operations below one root; it knows no threads and no locks."""

    def __init__(self, calls: Sys, root: Path, settings: Settings) -> None:
        """Put the parts together; the disk is not touched.

        Args:
            calls: Where system calls go.
            root: Absolute.
            settings: What was asked for.
        """
        self._calls = calls
        self._root = root
        self._settings = settings
        self.ground = Ground(
            calls,
            str(root),
            create=settings["create"],
            moved=settings["moved"],
            cross_mounts=settings["cross_mounts"],
            way=settings["way"],
        )
        self._usage = Usage(calls, settings["limits"])
        self._last_parts: tuple[str, ...] = ()
        self._last_path = root

    def open(self) -> None:
        """Open the root and clear away what a crash left in it.

        Raises:
            RefusalError: As ``Ground.open``.
            OSError: As ``Ground.open``.
        """
        self.ground.open()
        if self._settings["clean"]:
            clean(self._calls, self.ground.start)

    def close(self) -> None:
        """Close the root; what comes later is refused (``closed``)."""
        self.ground.close()
        self._usage.forget()

    def tail(self, name: Name, count: int) -> Tail | None:
        """Give the end of a file; see ``read_tail``."""
        parts = _split(name, portable=self._settings["portable"], undecodable=False)
        self.ground.ensure()
        return read_tail(self.ground, parts, count)

    def run(self, operations: Sequence[Operation]) -> list[Result]:
        """Do them in this order, and give their answers in it; one caller at a time."""
        batch = Batch(self._calls, self.ground.bases, self._settings["lock_timeout"])
        try:
            for operation in operations:
                batch.syncs.current = len(batch.answers)
                batch.answers.append(self._answer(operation, batch))
            self._look_again(batch)
            for index, error in batch.syncs.finish().items():
                batch.answers[index] = self._unsafe(batch.answers[index], error)
        finally:
            batch.close()
        return batch.answers

    def _answer(self, operation: Operation, batch: Batch) -> Result:
        """Do one."""
        try:
            if isinstance(operation, AppendToFile):
                answer = self._append_more(operation, batch)
                if answer is not None:
                    return answer
            else:
                batch.appender.close()
            portable = self._settings["portable"]
            either = isinstance(operation, DeleteFile | DeleteDir | MoveFile)
            parts = _split(operation.name, portable=portable and not either, undecodable=either)
            data = b""
            if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
                data = operation.data()
                self._usage.check_write(len(data))
            target: tuple[str, ...] = ()
            if isinstance(operation, MoveFile):
                target = _split(operation.target, portable=portable, undecodable=True)
            self._look_again(batch)
            if not batch.sure:
                batch.state = self.ground.ensure()
                batch.sure = batch.state != "moved"
                if batch.state == "reopened":
                    batch.appender.close()
                    self._usage.forget()
            durability = operation.durability or self._settings["durability"]
            batch.syncs.full = durability == "full"
            done = self._do(operation, parts, target, data, durability, batch)
        except (OSError, RefusalError, BadNameError, UnicodeEncodeError) as error:
            return refused(operation, str(self._root), error)
        batch.unseen.append(len(batch.answers))
        return self._done(operation, target or parts, done, batch.state)

    def _append_more(self, operation: AppendToFile, batch: Batch) -> Done | None:
        """Append to a file that this batch has open already."""
        parts = batch.appender.parts_of(operation)
        if parts is None or self._usage.needed:
            return None
        data = operation.data()
        self._usage.check_write(len(data))
        durability = operation.durability or self._settings["durability"]
        batch.syncs.full = durability == "full"
        done = batch.appender.more(operation, data, durability)
        if done is None:
            return None
        batch.unseen.append(len(batch.answers))
        return self._done(operation, parts, done, batch.state)

    def _look_again(self, batch: Batch) -> None:
        """See whether the root still stood at its path after what was done since the last look.

        What is found right after one operation holds right before the next, too.
        """
        if not batch.unseen:
            return
        batch.sure = self.ground.still()
        if not batch.sure:
            for index in batch.unseen:
                answer = batch.answers[index]
                if isinstance(answer, Done):
                    batch.answers[index] = replace(answer, root="moved")
        elif batch.state == "reopened":
            batch.state = "same"
        batch.unseen.clear()

    def _do(
        self,
        operation: Operation,
        parts: tuple[str, ...],
        target: tuple[str, ...],
        data: bytes,
        durability: Durability,
        batch: Batch,
    ) -> Changed:
        """Choose what does it."""
        ground, journal, syncs = self.ground, batch.journal, batch.syncs
        match operation:
            case CreateFile() | OverwriteFile() | AppendToFile():
                return self._write(operation, parts, data, durability, batch)
            case DeleteFile():
                size = self._size(parts)
                done = change.delete(ground, parts, operation, journal, syncs)
                self._usage.add(-(size or 0), -1 if size is not None else 0)
                return done
            case DeleteDir():
                return change.delete_dir(ground, parts, operation, journal, syncs)
            case MakeDir():
                return change.make_dir(ground, parts, operation, journal, syncs)
            case MoveFile():
                return change.move(ground, parts, target, operation, journal, syncs)
            case _:
                assert_never(operation)

    def _write(
        self,
        operation: CreateFile | OverwriteFile | AppendToFile,
        parts: tuple[str, ...],
        data: bytes,
        durability: Durability,
        batch: Batch,
    ) -> Changed:
        """Do what brings content, if there is room for it."""
        ground = self.ground
        size = self._size(parts)
        appends = isinstance(operation, AppendToFile)
        adds = len(data) - (0 if appends else size or 0), int(size is None)
        if self._usage.needed:
            self._usage.check_room(ground.start, *adds)
        make = operation.parents and not (
            isinstance(operation, AppendToFile) and not operation.create
        )
        fd = ground.enter(parts[:-1], make=make, journal=batch.journal, syncs=batch.syncs)
        try:
            if isinstance(operation, AppendToFile):
                done = batch.appender.add(ground.start, fd, parts, data, operation, durability)
            else:
                done = put(
                    self._calls,
                    fd,
                    parts,
                    data,
                    new=isinstance(operation, CreateFile),
                    replace_link=isinstance(operation, OverwriteFile) and operation.replace_link,
                    durability=durability,
                    journal=batch.journal,
                    syncs=batch.syncs,
                )
        finally:
            ground.leave(fd)
        self._usage.add(*adds)
        return done

    def _size(self, parts: tuple[str, ...]) -> int | None:
        """Give the size of what stands at a name, if a limit asks for it; ``None`` of nothing."""
        if not self._usage.needed:
            return None
        try:
            fd = self.ground.enter(parts[:-1])
            try:
                found = look(self._calls, fd, parts[-1])
            finally:
                self.ground.leave(fd)
        except (OSError, RefusalError):
            return None
        return None if found is None else found.st_size

    def _done(
        self, operation: Operation, parts: tuple[str, ...], done: Changed, state: RootState
    ) -> Done:
        return Done(
            operation=operation,
            path=self._path(parts),
            bytes=done.size,
            stat=None if done.stat is None else file_stat(done.stat),
            existed=done.existed,
            root=state,
        )

    def _path(self, parts: tuple[str, ...]) -> Path:
        """Join; the last path is kept, for parsing it costs as much as writing a line."""
        if parts != self._last_parts:
            self._last_parts, self._last_path = parts, Path(str(self._root), *parts)
        return self._last_path

    def _unsafe(self, answer: Result, error: OSError) -> Result:
        """What was done is not sure to be on the disk."""
        if isinstance(answer, Refused):
            return answer
        why = f"it is done, but syncing it failed ({error.strerror})"
        refusal = RefusalError("durability", why, error.errno)
        return refused(answer.operation, str(self._root), refusal)


def _split(name: Name, *, portable: bool, undecodable: bool) -> tuple[str, ...]:
    text = name if isinstance(name, str) else name.as_posix()
    return split(text, portable=portable, undecodable=undecodable)
