"""One opened root and the operations below it: the synchronous whole below the async shell."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, Unpack, assert_never

from limpet.errors import UsageError
from limpet.output import _change as change
from limpet.output._batch import Batch
from limpet.output._config import OutputOptions, settings_of
from limpet.output._ground import Ground
from limpet.output._journal import watched_with_keep
from limpet.output._keywords import (
    Appending,
    Creating,
    Deleting,
    MakingDir,
    Moving,
    Overwriting,
)
from limpet.output._kinds import file_stat
from limpet.output._names import BadNameError, split
from limpet.output._ops import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    Durability,
    MakeDir,
    MoveFile,
    Name,
    Operation,
    OverwriteFile,
    Refused,
    Result,
    RootState,
)
from limpet.output._refusal import RefusalError, refused
from limpet.output._replace import Changed, look, put
from limpet.output._staging import clean
from limpet.output._sys import Sys
from limpet.output._system import default_calls
from limpet.output._usage import Usage

__all__ = ["Output"]


class Output:
    """Writes into one folder and nowhere else; the plain, synchronous form of ``open_output``.

    ```python
    with limpet.Output("archive", create=True) as out:
        out.create("2026/hello.txt", "hello")
        result = out.perform(limpet.AppendToFile(name="log.txt", content="one line"))
    ```

    The block opens and closes it; it may be entered again. Any thread may use it, one operation
    runs at a time. ``perform`` answers with a value and raises nothing for what the disk or the
    name did; the methods are the same with the matching exception instead.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        calls: Sys | None = None,
        **options: Unpack[OutputOptions],
    ) -> None:
        """Remember what was asked for; the disk is not touched.

        Args:
            folder: The root. A relative path is made absolute now; a symlink in it is followed when
                the output is opened, once.
            calls: Another way to the system, for tests.
            **options: See ``OutputOptions``.

        Raises:
            UsageError: The path is empty or has a NUL, or an option is out of its range.
        """
        path = os.fspath(folder)
        if not path or "\0" in path:
            message = f"cannot open an output at {path!r}: the path is empty or has a NUL"
            raise UsageError(message)
        self.options = settings_of(dict(options))
        self.path = Path(os.path.abspath(path))
        """The root as it was given, made absolute."""
        self._calls = calls or default_calls()
        self._ground = Ground(
            self._calls,
            str(self.path),
            create=self.options["create"],
            moved=self.options["moved"],
            cross_mounts=self.options["cross_mounts"],
            way=self.options["way"],
        )
        self._usage = Usage(self._calls, self.options["limits"])
        self._mutex = threading.Lock()
        self._opened = False
        self._last_parts: tuple[str, ...] = ()
        self._last_path = self.path

    # -- opening -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the root and clear away what a crash left in it.

        Raises:
            RootGoneError: It is not there and ``create`` was not asked for.
            OutputError: It cannot be opened; the code says why.
        """
        with self._mutex:
            if self._opened:
                message = f"the output at {str(self.path)!r} is open already"
                raise UsageError(message)
            try:
                self._ground.open()
            except (OSError, RefusalError) as error:
                raise _cannot_open(str(self.path), error) from error
            self._opened = True
            if self.options["clean"]:
                clean(self._calls, self._ground.start)
        if any(watched_with_keep(base) for base in self._ground.bases):
            warnings.warn(
                f"a watch with own='keep' sees what is written into {str(self.path)!r}: a program "
                "that answers each event with a write there will not end; use own='drop', or "
                "exclude the folder",
                RuntimeWarning,
                stacklevel=3,
            )

    def close(self) -> None:
        """Close the root; what runs is finished first, what comes later is refused (``closed``)."""
        with self._mutex:
            self._opened = False
            self._ground.close()
            self._usage.forget()

    def __enter__(self) -> Self:
        """Open it."""
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def way(self) -> str:
        """How names are resolved: ``openat2`` or ``walk``; each is confined."""
        return self._ground.way

    # -- operations as values ------------------------------------------------------------------

    def perform(self, operation: Operation) -> Result:
        """Do it, and say what was done or why not."""
        return self.perform_all([operation])[0]

    def perform_all(self, operations: Sequence[Operation]) -> list[Result]:
        """Do them in this order, and give their answers in it; what one needs synced others share.

        A refusal does not stop those after it.
        """
        with self._mutex:
            batch = Batch(self._calls, self._ground.bases, self.options["lock_timeout"])
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
            portable = self.options["portable"]
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
                batch.state = self._ground.ensure()
                batch.sure = batch.state != "moved"
                if batch.state == "reopened":
                    batch.appender.close()
                    self._usage.forget()
            durability = operation.durability or self.options["durability"]
            batch.syncs.full = durability == "full"
            done = self._do(operation, parts, target, data, durability, batch)
        except (OSError, RefusalError, BadNameError, UnicodeEncodeError) as error:
            return refused(operation, str(self.path), error)
        batch.unseen.append(len(batch.answers))
        return self._done(operation, target or parts, done, batch.state)

    def _append_more(self, operation: AppendToFile, batch: Batch) -> Done | None:
        """Append to a file that this batch has open already."""
        parts = batch.appender.parts_of(operation)
        if parts is None or self._usage.needed:
            return None
        data = operation.data()
        self._usage.check_write(len(data))
        durability = operation.durability or self.options["durability"]
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
        batch.sure = self._ground.still()
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
        ground, journal, syncs = self._ground, batch.journal, batch.syncs
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
        ground = self._ground
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
            fd = self._ground.enter(parts[:-1])
            try:
                found = look(self._calls, fd, parts[-1])
            finally:
                self._ground.leave(fd)
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
            self._last_parts, self._last_path = parts, Path(str(self.path), *parts)
        return self._last_path

    def _unsafe(self, answer: Result, error: OSError) -> Result:
        """What was done is not sure to be on the disk."""
        if isinstance(answer, Refused):
            return answer
        why = f"it is done, but syncing it failed ({error.strerror})"
        refusal = RefusalError("durability", why, error.errno)
        return refused(answer.operation, str(self.path), refusal)

    # -- the same as methods -------------------------------------------------------------------

    def create(self, name: Name, content: str | bytes, **options: Unpack[Creating]) -> Done:
        """Make a new file; ``CreateFile`` explains the options.

        Raises:
            OutputError: It was not made; ``ExistsError`` if the name is taken.
        """
        return self._must(CreateFile(name=name, content=content, **options))

    def overwrite(self, name: Name, content: str | bytes, **options: Unpack[Overwriting]) -> Done:
        """Make a file hold this content, all or nothing; ``OverwriteFile`` explains the options.

        Raises:
            OutputError: The old content stands.
        """
        return self._must(OverwriteFile(name=name, content=content, **options))

    def append(self, name: Name, content: str | bytes, **options: Unpack[Appending]) -> Done:
        """Add one record to the end of a file; ``AppendToFile`` explains the options.

        Raises:
            OutputError: Nothing of the record is in the file, unless the message says how much.
        """
        return self._must(AppendToFile(name=name, content=content, **options))

    def delete(self, name: Name, **options: Unpack[Deleting]) -> Done:
        """Remove a file; ``DeleteFile`` explains the options.

        Raises:
            OutputError: It stays; ``MissingError`` if nothing was there.
        """
        return self._must(DeleteFile(name=name, **options))

    def delete_dir(self, name: Name, **options: Unpack[Deleting]) -> Done:
        """Remove an empty folder; ``DeleteDir`` explains the options.

        Raises:
            OutputError: It stays.
        """
        return self._must(DeleteDir(name=name, **options))

    def make_dir(self, name: Name, **options: Unpack[MakingDir]) -> Done:
        """Make a folder; ``MakeDir`` explains the options.

        Raises:
            OutputError: It was not made.
        """
        return self._must(MakeDir(name=name, **options))

    def move(self, name: Name, target: Name, **options: Unpack[Moving]) -> Done:
        """Give a file or folder another name; ``MoveFile`` explains the options.

        Raises:
            OutputError: Both names are as they were.
        """
        return self._must(MoveFile(name=name, target=target, **options))

    def _must(self, operation: Operation) -> Done:
        answer = self.perform(operation)
        if isinstance(answer, Refused):
            raise answer.error()
        return answer


def _split(name: Name, *, portable: bool, undecodable: bool) -> tuple[str, ...]:
    text = name if isinstance(name, str) else name.as_posix()
    return split(text, portable=portable, undecodable=undecodable)


def _cannot_open(path: str, error: OSError | RefusalError) -> Exception:
    """Say that the root cannot be opened in the words a refused operation would get."""
    answer = refused(MakeDir(name="."), path, error)
    raised = answer.error()
    why = error.why if isinstance(error, RefusalError) else error.strerror
    advice = answer.message.rpartition("; ")[2]
    return type(raised)(
        f"cannot open {path!r} for output: {why}; {advice}",
        code=answer.code,
        operation="open",
        errno=answer.errno,
    )
