"""The async shell of an output: hands operations to its thread and waits; decides nothing."""

from __future__ import annotations

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, Unpack

import anyio
import anyio.to_thread

from limpet._cancellation import wait_despite_cancellation
from limpet._event_loop import EventLoop
from limpet._option_signature import shows_options
from limpet.errors import UsageError
from limpet.output._config import OPTIONS, OutputOptions
from limpet.output._jobs import Job, PackingJob, pack
from limpet.output._operation_methods import OperationMethods
from limpet.output._operations import Operation, check_operation
from limpet.output._output import Output
from limpet.output._output_stats import OutputStats
from limpet.output._output_thread import OutputThread
from limpet.output._refusals import RefusalError, refused
from limpet.output._results import Done, RefusalCode, Refused, Result

_MOST_PACKINGS: Final = 64
"""Logs that may wait to be packed, each with its directory open; of more, the next rotation packs.
"""


_GRACE_S = 10.0
"""Seconds that leaving, once it is cancelled, still waits for what was begun."""


class _Opening:
    """Opens the root in a thread that may be left alone: a disk that hangs stops no time-out."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._mutex = threading.Lock()
        self._done = self._abandoned = False

    def run(self) -> None:
        """Open it, unless nobody waits for it any more."""
        self._output._open_quietly(self._is_wanted)  # noqa: SLF001 (its own part)

    def _is_wanted(self) -> bool:
        with self._mutex:
            self._done = not self._abandoned
            return self._done

    def abandon(self) -> None:
        """Close it, now or as soon as it is open."""
        with self._mutex:
            self._abandoned = True
            done = self._done
        if done:
            self._output.close()


def _end(thread: OutputThread[Job], packing: OutputThread[PackingJob], output: Output) -> None:
    """Wait until all is done and packed, for a loop that is closed; then close."""
    for one in (thread, packing):
        one.close(lambda: None)
        one.join()
    output.close()


def _close_alone(packing: OutputThread[PackingJob], output: Output) -> None:
    """Close the output once all is packed, when nobody waits for it any more."""
    packing.close(lambda: None)
    packing.finish_alone(output.close)


class Ticket:
    """One operation that was submitted; it is done whether or not a task waits for it."""

    def __init__(self, request: Job, finished: anyio.Event) -> None:
        self._job = request
        self._finished = finished

    @property
    def operation(self) -> Operation:
        """The operation that was submitted."""
        return self._job.operation

    @property
    def result(self) -> Result | None:
        """Its result; ``None`` until there is one."""
        return self._job.result if self._finished.is_set() else None

    async def wait(self) -> Result:
        """Return its result once there is one; many tasks may wait, and be cancelled."""
        await self._finished.wait()
        return result_of(self._job)


def result_of(request: Job) -> Result:
    """Return the result of a request that is over; an error in our own code is raised."""
    if request.error is not None:
        raise request.error
    assert request.result is not None  # noqa: S101 - one of the two is there
    return request.result


class AsyncOutput(OperationMethods[Coroutine[Any, Any, Done]]):
    """What ``open_output`` returns: writes into one folder, off the event loop."""

    def __init__(self, output: Output) -> None:
        self._output = output
        output.says_so = False
        self.says_so = True
        """Whether it warns if it is collected while it is open."""
        self._thread: OutputThread[Job] | None = None
        self._packing: OutputThread[PackingJob] | None = None
        self._loop: EventLoop | None = None
        self._in_flight = 0
        self._most = output.options["limits"].max_in_flight
        self._waits = output.options["limits"].when_full == "wait"
        self._turns: deque[anyio.Event] = deque()

    def __repr__(self) -> str:
        state = "closed" if self._thread is None else "open"
        return f"<{type(self).__name__} {str(self._output.path)!r}, {state}>"

    def __del__(self) -> None:
        """Close the root if the block was never left, and say so."""
        if self._thread is None or self._loop is None:
            return
        if self.says_so and not self._loop.is_forked:
            message = f"{self!r} was not closed: leave its block, or await its aclose()"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=1)
        self._output.close()  # its thread holds a reference, so nothing is under way

    async def __aenter__(self) -> Self:
        """Open the root.

        Raises:
            RootGoneError: It is missing and ``create`` is not set.
            OutputError: It cannot be opened; the code says why.
        """
        return await self._open(stacklevel=4)

    async def aopen(self) -> Self:
        """Open the root without a block; ``aclose`` is due later.

        For frameworks that call one function at the start and another at the end.

        Raises:
            OutputError: As ``async with``.
        """
        return await self._open(stacklevel=4)

    async def _open(self, *, stacklevel: int) -> Self:
        if self._thread is not None:
            message = f"the output at {str(self._output.path)!r} is open already"
            raise UsageError(message)
        opening = _Opening(self._output)
        try:
            await anyio.to_thread.run_sync(opening.run, abandon_on_cancel=True)
        except BaseException:
            opening.abandon()
            raise
        self._output._warn_of_loops(stacklevel=stacklevel)  # noqa: SLF001 (its own part)
        name = f"limpet output {self._output.path.name}"
        self._loop = EventLoop()
        self._thread = OutputThread(self._attempt, self._loop.post, name=name)
        self._packing = OutputThread(pack, self._loop.post, name=f"{name} (packing)")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until all that was submitted is done, then close; see ``aclose``."""
        await self.aclose()

    async def aclose(self) -> None:
        """Wait until all that was submitted is done and packed, then close.

        If it is cancelled it waits for ten seconds more at most. What is not done by then (a disk
        hangs) is done, and the root closed, without anybody who waits. May be called twice, and
        from any task of the loop in which it was opened; from another one only once that is closed.

        Raises:
            RuntimeError: It was opened in another event loop, which still runs.
        """
        thread, packing, loop = self._thread, self._packing, self._loop
        if thread is None or packing is None or loop is None:
            return
        if loop.is_forked:  # its threads are the parent's
            self._thread = None
            self._output.close()
            return
        if loop.is_closed:  # nobody is left whom they could call back
            self._thread = None
            await anyio.to_thread.run_sync(_end, thread, packing, self._output)
            return
        loop.check(self)
        self._thread = None
        cancelled: BaseException | None = None
        for one in (thread, packing):  # the first may add to the second
            closed = anyio.Event()
            one.close(closed.set)
            cancelled = await wait_despite_cancellation(closed, _GRACE_S) or cancelled
            if not closed.is_set():
                thread.finish_alone(partial(_close_alone, packing, self._output))
                if cancelled is not None:
                    raise cancelled
                return
            one.join()
        self._output.close()
        while self._turns:
            self._turns.popleft().set()
        if cancelled is not None:
            raise cancelled

    def _attempt(self, jobs: Sequence[Job]) -> None:
        """Do operations in the output's thread; what they leave to pack has a thread of its own."""
        for packing in self._output._attempt(jobs):  # noqa: SLF001 (its own part)
            if self._packing is None or self._packing.waiting >= _MOST_PACKINGS:
                packing.close()
            else:
                self._packing.submit(PackingJob(packing))

    @property
    def path(self) -> os.PathLike[str]:
        """The root as it was given, made absolute."""
        return self._output.path

    def stats(self) -> OutputStats:
        """Return figures; in any thread."""
        return self._output.stats()

    # -- operations as values ------------------------------------------------------------------

    async def perform(self, operation: Operation) -> Result:
        """Perform an operation, and return what was done, or why it was refused.

        A full disk or a wrong name raises nothing: the result has the reason. Operations are
        performed in the order in which they were submitted. Many tasks may call it at once. A call
        that is cancelled while its operation waits withdraws the operation; one that is already
        being performed is completed (``submit`` keeps its result). An operation that waits for a
        lock holds up later ones on the same names, and nothing else.

        Raises:
            UsageError: The value is not an operation.
            RuntimeError: The output was opened in another event loop.
        """
        check_operation(operation)
        if self._in_flight < self._most and not self._turns and self._thread is not None:
            loop = self._loop
            assert loop is not None  # noqa: S101 - it has a thread
            loop.check(self)  # there is room: most operations need not ask for it
        else:
            refusal = await self._admit(operation)
            loop = self._loop
            if refusal is not None or loop is None:
                return refusal or self._refuse(operation, "closed", "the output is closed")
        end, wait = loop.waiter()
        request = self._submit(operation, end)
        try:
            await wait
        except BaseException:
            if self._thread is not None and self._thread.withdraw(request):
                self._leave()
            raise
        return result_of(request)

    async def submit(self, operation: Operation) -> Ticket:
        """Submit an operation and return a ticket for its result.

        Returns once there is room. From then on the operation is performed, at the latest before
        the block is left. The result may be waited for more than once.

        Raises:
            OutputError: ``busy``: there is no room, and ``when_full`` is ``refuse``. ``closed``:
                the output is closed.
            UsageError: The value is not an operation.
            RuntimeError: The output was opened in another event loop.
        """
        check_operation(operation)
        refusal = await self._admit(operation)
        if refusal is not None:
            raise refusal.error()
        finished = anyio.Event()
        return Ticket(self._submit(operation, finished.set), finished)

    async def _admit(self, operation: Operation) -> Refused | None:
        """Wait until there is room for one more, or return why there will be none."""
        if self._thread is not None and self._loop is not None:
            self._loop.check(self)
        if self._in_flight >= self._most or self._turns:
            if not self._waits:
                why = f"{self._in_flight} operations are in flight, which is the most"
                return self._refuse(operation, "busy", why)
            await self._wait_turn()
        if self._thread is None:
            return self._refuse(operation, "closed", "the output is closed")
        return None

    def _submit(self, operation: Operation, end: Callable[[], None]) -> Job:
        assert self._thread is not None  # noqa: S101 - admitted
        self._in_flight += 1
        request = Job(operation, self._leave, end)
        self._thread.submit(request)
        return request

    async def _wait_turn(self) -> None:
        """Wait until an operation in flight has its result; first come, first served."""
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
        self._in_flight -= 1  # the place that was reserved for it

    def _leave(self) -> None:
        self._in_flight -= 1
        self._next_turn()

    def _next_turn(self) -> None:
        if self._turns and self._in_flight < self._most:
            self._in_flight += 1  # reserved, so that no other task takes it before this one runs
            self._turns.popleft().set()

    def _refuse(self, operation: Operation, code: RefusalCode, why: str) -> Refused:
        return refused(operation, str(self._output.path), RefusalError(code, why))

    async def _perform_or_raise(self, operation: Operation) -> Done:
        result = await self.perform(operation)
        if isinstance(result, Refused):
            raise result.error()
        return result


@shows_options(OutputOptions, OPTIONS)
def open_output(folder: str | os.PathLike[str], **options: Unpack[OutputOptions]) -> AsyncOutput:
    """Open a folder to write into it and nowhere else, whatever the names are.

    ```python
    async with limpet.open_output("archive", create=True) as out:
        await out.create("hello.txt", "hello")
        await out.append("log/2026-11.txt", message.text, newline_guard=True)
    ```

    Runs on asyncio and trio. Nothing that may wait for the disk runs on the event loop: one thread
    for each output, started when it is needed, does all waiting operations as one batch. When the
    block is left, all that was submitted is done, and no thread or descriptor stays.

    Args:
        folder: The root. A relative path is made absolute now; a symlink in it is followed when the
            block is entered, once.
        **options: See ``OutputOptions``.

    Raises:
        UsageError: The path is empty or has a NUL, or an option is out of its range.
    """
    return AsyncOutput(Output(folder, **options))
