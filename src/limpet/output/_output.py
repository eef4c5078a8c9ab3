"""One opened root and the operations below it, synchronous."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Final, Self, Unpack

from limpet._backoff import Backoff
from limpet._option_fields import path_of
from limpet._option_signature import shows_options
from limpet.errors import UsageError
from limpet.output._config import OPTIONS, OutputOptions, settings_of
from limpet.output._name_validation import BadNameError
from limpet.output._operation_methods import OperationMethods
from limpet.output._operations import (
    AppendToFile,
    MakeDir,
    Name,
    Operation,
    check_operation,
)
from limpet.output._output_engine import OutputEngine
from limpet.output._output_stats import OutputStats
from limpet.output._own_write_reporter import watched_with_keep
from limpet.output._pack import Packing
from limpet.output._platform import default_calls
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, Refused, Result
from limpet.output._syscalls import Syscalls
from limpet.output._tail import Tail
from limpet.output._task import Task

_FIRST_S: Final = 0.0005
_LONGEST_S: Final = 0.05
"""Between two tries for a lock that another process holds, seconds."""


_alive: Final[weakref.WeakSet[Output]] = weakref.WeakSet()


def _after_fork() -> None:
    """Release, in a forked child, what threads held that are not there."""
    for output in list(_alive):
        output._forget_threads()  # noqa: SLF001 (its own part)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Output(OperationMethods[Done]):
    """Writes into one folder and nowhere else; the synchronous form of ``open_output``.

    ```python
    with limpet.Output("archive", create=True) as out:
        out.create("2026/hello.txt", "hello")
        result = out.perform(limpet.AppendToFile(name="log.txt", content="one line"))
    ```

    The block opens and closes it; it may be entered again. Any thread may use it; one operation
    runs at a time. ``perform`` returns a value and raises nothing for what the disk or the name
    did; the methods raise the matching exception instead.
    """

    @shows_options(OutputOptions, OPTIONS)
    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        calls: Syscalls | None = None,
        **options: Unpack[OutputOptions],
    ) -> None:
        """Check the options; the disk is not touched.

        Args:
            folder: The root. A relative path is made absolute now; a symlink in it is followed when
                the output is opened, once.
            calls: Where system calls go, for tests.
            **options: See ``OutputOptions``.

        Raises:
            UsageError: ``folder`` is not a path, is empty or has a NUL, or an option is wrong.
        """
        self.path = path_of("folder", folder)
        """The root as it was given, made absolute."""
        self.options = settings_of(dict(options))
        self._calls = calls or default_calls()
        self._engine = OutputEngine(self._calls, self.path, self.options)
        self._mutex = threading.Lock()
        self._working = 0
        """The thread that has the mutex for operations, or 0."""
        self._opened = False
        self._process = os.getpid()
        self.says_so = True
        """Whether it warns if it is left open; an async output, which holds one, warns itself."""
        _alive.add(self)

    # -- opening -------------------------------------------------------------------------------

    def open(self, *, warns: bool = True) -> None:
        """Open the root and remove the leftovers of processes that died.

        Args:
            warns: Warn if a watch of this process would deliver what is written (``own="keep"``).

        Raises:
            RootGoneError: It is missing and ``create`` is not set.
            OutputError: It cannot be opened; the code says why.
        """
        self._open_quietly()
        if warns:
            self._warn_of_loops(stacklevel=3)

    def _open_quietly(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Open without the warning: a shell warns itself, so that its caller's line is named.

        Args:
            is_wanted: Asked once it is open; if not, it is closed again at once.

        Raises:
            OutputError: As ``open``.
        """
        with self._mutex:
            if self._opened:
                message = f"the output at {str(self.path)!r} is open already"
                raise UsageError(message)
            try:
                self._engine.open()
            except (OSError, RefusalError) as error:
                raise _cannot_open(str(self.path), error) from error
            if not is_wanted():
                self._engine.close()
                return
            self._opened = True
            self._process = os.getpid()

    def _warn_of_loops(self, *, stacklevel: int) -> None:
        """Warn if a watch would deliver what is written here like any other change."""
        if any(watched_with_keep(base) for base in self._engine.root_dir.bases):
            warnings.warn(
                f"a watch with own='keep' sees what is written into {str(self.path)!r}: a program "
                "that answers each event with a write there will not end; use own='drop', or "
                "exclude the folder",
                RuntimeWarning,
                stacklevel=stacklevel + 1,
            )

    def close(self) -> None:
        """Close the root after the running operation; later ones are refused (``closed``)."""
        with self._mutex:
            self._opened = False
            self._engine.close()

    def __del__(self) -> None:
        """Close the root if it was left open, and say so."""
        if not getattr(self, "_opened", False):
            return
        if self.says_so and self._process == os.getpid():
            message = f"{self!r} was not closed: leave its block, or call its close()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=1)
        self._engine.close()

    def __repr__(self) -> str:
        state = "open" if self._opened else "closed"
        return f"<{type(self).__name__} {str(self.path)!r}, {state}>"

    def __enter__(self) -> Self:
        """Open it."""
        self._open_quietly()
        self._warn_of_loops(stacklevel=2)
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def way(self) -> str:
        """How names are resolved: ``openat2`` or ``walk``; both are confined."""
        return self._engine.root_dir.way

    def stats(self) -> OutputStats:
        """Return figures; in any thread."""
        return self._engine.counters.stats()

    def _forget_threads(self) -> None:
        """Make it usable in a forked child: the thread that held it is not there."""
        self._mutex = threading.Lock()
        self._working = 0
        """The thread that has the mutex for operations, or 0."""

    # -- operations as values ------------------------------------------------------------------

    def perform(self, operation: Operation) -> Result:
        """Perform an operation, and return what was done, or why it was refused."""
        return self.perform_all([operation])[0]

    def perform_all(self, operations: Sequence[Operation]) -> list[Result]:
        """Perform operations in this order, and return their results in it; they share fsyncs.

        A refusal does not stop the operations after it. Files that a rotation compresses are
        compressed before this returns; other threads may use the output meanwhile.

        Raises:
            UsageError: One of them is not an operation; nothing was done.
        """
        tasks = [Task(operation) for operation in operations]
        for task in tasks:
            check_operation(task.operation)
        packings = self._attempt(tasks)
        waiting = [task for task in tasks if task.result is None]
        if packings or waiting:
            self._wait(waiting, packings)
        return [task.result for task in tasks if task.result is not None]

    def _wait(self, waiting: list[Task], packings: list[Packing]) -> None:
        """Try again what was put off, and pack: without the mutex, so that other threads go on."""
        try:
            delays = Backoff(_FIRST_S, _LONGEST_S)
            while waiting:
                self._calls.pause(delays.next())
                packings += self._attempt(waiting)
                waiting = [task for task in waiting if task.result is None]
            for packing in packings:
                packing.run()
        finally:
            for packing in packings:
                packing.close()

    def _attempt(self, tasks: Sequence[Task]) -> list[Packing]:
        """Do what can be done without waiting for another process; see ``OutputEngine.run``.

        Raises:
            RuntimeError: A stream that is being written uses its own output.
        """
        if self._working == threading.get_ident():
            message = (
                "the stream that this output is writing uses the same output: it would wait for "
                "itself; read the content first, or write through another output"
            )
            raise RuntimeError(message)
        with self._mutex:
            self._working = threading.get_ident()
            try:
                return self._engine.run(tasks)
            finally:
                self._working = 0

    # -- reading back --------------------------------------------------------------------------

    def tail(self, name: Name, count: int) -> Tail | None:
        """Return the size and the last ``count`` bytes of a file; ``None`` if there is none.

        A program reads here how far a write of an earlier run came. As confined as a write.

        Raises:
            OutputError: It cannot be read, or is not a regular file below the root.
            UsageError: ``name`` is not a name, or ``count`` is not a number of bytes.
        """
        operation = AppendToFile(name=name, content=b"")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            message = f"count must be a whole number of bytes, at least 0, not {count!r}"
            raise UsageError(message)
        try:
            with self._mutex:
                return self._engine.tail(name, count)
        except (OSError, RefusalError, BadNameError) as error:
            raise refused(operation, str(self.path), error).error() from error

    def _perform_or_raise(self, operation: Operation) -> Done:
        result = self.perform(operation)
        if isinstance(result, Refused):
            raise result.error()
        return result


def _cannot_open(path: str, error: OSError | RefusalError) -> Exception:
    """Return the error for a root that cannot be opened, worded as a refused operation."""
    result = refused(MakeDir(name="."), path, error)
    raised = result.error()
    why = error.why if isinstance(error, RefusalError) else error.strerror
    advice = result.message.rpartition("; ")[2]
    return type(raised)(
        f"cannot open {path!r} for output: {why}; {advice}",
        code=result.code,
        operation="open",
        errno=result.errno,
    )
