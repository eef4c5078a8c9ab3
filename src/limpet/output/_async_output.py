"""The async shell of an output: hands operations to a worker and waits; decides nothing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias, Unpack

import anyio
import anyio.to_thread

from limpet._event_loop import EventLoop
from limpet.errors import UsageError
from limpet.output._config import OutputOptions
from limpet.output._keywords import (
    Appending,
    Creating,
    Deleting,
    MakingDir,
    Moving,
    Overwriting,
)
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
from limpet.output._output import Output
from limpet.output._output_thread import Job, Worker
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, RefusalCode, Refused, Result

__all__ = ["AsyncOutput", "Ticket", "open_output"]

_Job: TypeAlias = Job[Operation, Result]


class Ticket:
    """One operation that was handed in; it is done whether or not anybody waits for it."""

    def __init__(self, job: _Job, finished: anyio.Event) -> None:
        """Made by ``AsyncOutput.submit``."""
        self._job = job
        self._finished = finished

    @property
    def operation(self) -> Operation:
        """What was asked for."""
        return self._job.asked

    @property
    def result(self) -> Result | None:
        """Its answer; ``None`` as long as there is none."""
        return self._job.answer if self._finished.is_set() else None

    async def wait(self) -> Result:
        """Give its answer once there is one; may be cancelled and asked again, by many tasks."""
        await self._finished.wait()
        return answer_of(self._job)


def answer_of(job: _Job) -> Result:
    """Give the answer of a job that is over; what went wrong in our own code is raised."""
    if job.error is not None:
        raise job.error
    assert job.answer is not None  # noqa: S101 - one of the two is there
    return job.answer


class AsyncOutput:
    """What ``open_output`` gives: writes into one folder, off the event loop."""

    def __init__(self, output: Output) -> None:
        """Made by ``open_output``; nothing happens before the block is entered."""
        self._output = output
        self._worker: Worker[Operation, Result] | None = None
        self._loop: EventLoop | None = None
        self._in_flight = 0
        self._most = output.options["limits"].max_in_flight
        self._waits = output.options["limits"].when_full == "wait"
        self._turns: deque[anyio.Event] = deque()

    async def __aenter__(self) -> Self:
        """Open the root.

        Raises:
            RootGoneError: It is not there and ``create`` was not asked for.
            OutputError: It cannot be opened; the code says why.
        """
        if self._worker is not None:
            message = f"the output at {str(self._output.path)!r} is open already"
            raise UsageError(message)
        await anyio.to_thread.run_sync(self._output.open_quietly)
        self._output.warn_of_loops(stacklevel=3)
        name = f"limpet output {self._output.path.name}"
        self._loop = EventLoop()
        self._worker = Worker(self._output.perform_all, self._loop.post, name=name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until all that was handed in is done, then close; so does a cancellation."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        closed = anyio.Event()
        worker.close(closed.set)
        cancelled: BaseException | None = None
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    await closed.wait()
                break
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error  # asyncio's own cancel() passes a shield; what is begun is ended
        worker.join()
        self._output.close()
        while self._turns:
            self._turns.popleft().set()
        if cancelled is not None:
            raise cancelled

    @property
    def path(self) -> os.PathLike[str]:
        """The root as it was given, made absolute."""
        return self._output.path

    # -- operations as values ------------------------------------------------------------------

    async def perform(self, operation: Operation) -> Result:
        """Do it, and say what was done or why not; raises nothing for what disk or name did.

        Operations are done in the order in which they were handed in, those on one name too. Many
        tasks may call it at once. If it is cancelled while the operation waits, the operation is
        never done; if it is being done, it is done wholly (``submit`` keeps its answer).
        """
        refusal = await self._admit(operation)
        if refusal is not None or self._loop is None:
            return refusal or self._refuse(operation, "closed", "the output is closed")
        end, wait = self._loop.waiter()
        job = self._give(operation, end)
        try:
            await wait
        except BaseException:
            if self._worker is not None and self._worker.withdraw(job):
                self._leave()
            raise
        return answer_of(job)

    async def submit(self, operation: Operation) -> Ticket:
        """Hand it in and give a ticket by which its answer can be asked for, once or often.

        Returns when there is room for it; from then on it will be done, before the block is left.

        Raises:
            OutputError: ``busy`` if there is no room and ``when_full`` says refuse; ``closed``.
        """
        refusal = await self._admit(operation)
        if refusal is not None:
            raise refusal.error()
        finished = anyio.Event()
        return Ticket(self._give(operation, finished.set), finished)

    async def _admit(self, operation: Operation) -> Refused | None:
        """Wait until there is room for one more, or say why there will be none."""
        if self._in_flight >= self._most or self._turns:
            if not self._waits:
                why = f"{self._in_flight} operations are in flight, which is the most"
                return self._refuse(operation, "busy", why)
            await self._wait_turn()
        if self._worker is None:
            return self._refuse(operation, "closed", "the output is closed")
        return None

    def _give(self, operation: Operation, end: Callable[[], None]) -> _Job:
        assert self._worker is not None  # noqa: S101 - admitted
        self._in_flight += 1

        def tell() -> None:
            self._leave()
            end()

        job: _Job = Job(operation, tell)
        self._worker.give(job)
        return job

    async def _wait_turn(self) -> None:
        """Wait until one that is in flight is answered; first come, first served."""
        turn = anyio.Event()
        self._turns.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn in self._turns:
                self._turns.remove(turn)
            else:
                self._next_turn()
            raise
        self._in_flight -= 1  # the place that was kept for it

    def _leave(self) -> None:
        self._in_flight -= 1
        self._next_turn()

    def _next_turn(self) -> None:
        if self._turns and self._in_flight < self._most:
            self._in_flight += 1  # kept for it, so that nobody slips in before it runs
            self._turns.popleft().set()

    def _refuse(self, operation: Operation, code: RefusalCode, why: str) -> Refused:
        return refused(operation, str(self._output.path), RefusalError(code, why))

    # -- the same as methods -------------------------------------------------------------------

    async def create(self, name: Name, content: str | bytes, **options: Unpack[Creating]) -> Done:
        """Make a new file; ``CreateFile`` explains the options.

        Raises:
            OutputError: It was not made; ``ExistsError`` if the name is taken.
        """
        return await self._must(CreateFile(name=name, content=content, **options))

    async def overwrite(
        self, name: Name, content: str | bytes, **options: Unpack[Overwriting]
    ) -> Done:
        """Make a file hold this content, all or nothing; ``OverwriteFile`` explains the options.

        Raises:
            OutputError: The old content stands.
        """
        return await self._must(OverwriteFile(name=name, content=content, **options))

    async def append(self, name: Name, content: str | bytes, **options: Unpack[Appending]) -> Done:
        """Add one record to the end of a file; ``AppendToFile`` explains the options.

        Raises:
            OutputError: Nothing of the record is in the file, unless the message says how much.
        """
        return await self._must(AppendToFile(name=name, content=content, **options))

    async def delete(self, name: Name, **options: Unpack[Deleting]) -> Done:
        """Remove a file; ``DeleteFile`` explains the options.

        Raises:
            OutputError: It stays; ``MissingError`` if nothing was there.
        """
        return await self._must(DeleteFile(name=name, **options))

    async def delete_dir(self, name: Name, **options: Unpack[Deleting]) -> Done:
        """Remove an empty folder; ``DeleteDir`` explains the options.

        Raises:
            OutputError: It stays.
        """
        return await self._must(DeleteDir(name=name, **options))

    async def make_dir(self, name: Name, **options: Unpack[MakingDir]) -> Done:
        """Make a folder; ``MakeDir`` explains the options.

        Raises:
            OutputError: It was not made.
        """
        return await self._must(MakeDir(name=name, **options))

    async def move(self, name: Name, target: Name, **options: Unpack[Moving]) -> Done:
        """Give a file or folder another name; ``MoveFile`` explains the options.

        Raises:
            OutputError: Both names are as they were.
        """
        return await self._must(MoveFile(name=name, target=target, **options))

    async def _must(self, operation: Operation) -> Done:
        answer = await self.perform(operation)
        if isinstance(answer, Refused):
            raise answer.error()
        return answer


def open_output(folder: str | os.PathLike[str], **options: Unpack[OutputOptions]) -> AsyncOutput:
    """Write into the folder and nowhere else, whatever the names say and whoever gives them.

    ```python
    async with limpet.open_output("archive", create=True) as out:
        await out.create("hello.txt", "hello")
        await out.append("log/2026-11.txt", message.text, newline_guard=True)
    ```

    Runs under asyncio and trio. Nothing that may wait for the disk runs on the event loop: one
    thread for each output, started when it is needed, does all that waits in one go. When the block
    is left, all that was handed in is done, and no thread or descriptor stays.

    Args:
        folder: The root. A relative path is made absolute now; a symlink in it is followed when the
            block is entered, once.
        **options: See ``OutputOptions``.

    Raises:
        UsageError: The path is empty or has a NUL, or an option is out of its range.
    """
    return AsyncOutput(Output(folder, **options))
