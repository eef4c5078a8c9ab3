"""One opened root and the operations below it: the synchronous whole below the async shell."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self, Unpack

from limpet.errors import UsageError
from limpet.output._config import OutputOptions, settings_of
from limpet.output._keywords import (
    Appending,
    Creating,
    Deleting,
    MakingDir,
    Moving,
    Overwriting,
)
from limpet.output._name_validation import BadNameError
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
from limpet.output._output_engine import Engine
from limpet.output._own_write_reporter import watched_with_keep
from limpet.output._platform import default_calls
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, Refused, Result
from limpet.output._syscalls import Sys
from limpet.output._tail import Tail

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
        self._engine = Engine(calls or default_calls(), self.path, self.options)
        self._mutex = threading.Lock()
        self._opened = False

    # -- opening -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the root and clear away what a crash left in it.

        Raises:
            RootGoneError: It is not there and ``create`` was not asked for.
            OutputError: It cannot be opened; the code says why.
        """
        self.open_quietly()
        self.warn_of_loops(stacklevel=3)

    def open_quietly(self) -> None:
        """As ``open``, for who warns by themselves: a warning names the line that asked for it."""
        with self._mutex:
            if self._opened:
                message = f"the output at {str(self.path)!r} is open already"
                raise UsageError(message)
            try:
                self._engine.open()
            except (OSError, RefusalError) as error:
                raise _cannot_open(str(self.path), error) from error
            self._opened = True

    def warn_of_loops(self, *, stacklevel: int) -> None:
        """Warn if a watch would deliver what is written here like anybody's change."""
        if any(watched_with_keep(base) for base in self._engine.ground.bases):
            warnings.warn(
                f"a watch with own='keep' sees what is written into {str(self.path)!r}: a program "
                "that answers each event with a write there will not end; use own='drop', or "
                "exclude the folder",
                RuntimeWarning,
                stacklevel=stacklevel + 1,
            )

    def close(self) -> None:
        """Close the root; what runs is finished first, what comes later is refused (``closed``)."""
        with self._mutex:
            self._opened = False
            self._engine.close()

    def __enter__(self) -> Self:
        """Open it."""
        self.open_quietly()
        self.warn_of_loops(stacklevel=2)
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def way(self) -> str:
        """How names are resolved: ``openat2`` or ``walk``; each is confined."""
        return self._engine.ground.way

    # -- operations as values ------------------------------------------------------------------

    def perform(self, operation: Operation) -> Result:
        """Do it, and say what was done or why not."""
        return self.perform_all([operation])[0]

    def perform_all(self, operations: Sequence[Operation]) -> list[Result]:
        """Do them in this order, and give their answers in it; what one needs synced others share.

        A refusal does not stop those after it.
        """
        with self._mutex:
            return self._engine.run(operations)

    # -- reading back --------------------------------------------------------------------------

    def tail(self, name: Name, count: int) -> Tail | None:
        """Give the size and the last ``count`` bytes of a file; ``None`` if nothing stands there.

        For who must find out how far a write of an earlier run came. As confined as a write.

        Raises:
            OutputError: It cannot be read, or is no plain file below the root.
        """
        try:
            with self._mutex:
                return self._engine.tail(name, count)
        except (OSError, RefusalError, BadNameError) as error:
            asked = AppendToFile(name=name, content=b"")
            raise refused(asked, str(self.path), error).error() from error

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
