"""One thread for one root: takes all that waits as one batch, and returns the results together.

The thread is started by the first operation and ends after a while without any, so a root that is
open and idle costs nothing. It knows no event loop: a request says what to call when it is done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

BATCH: Final = 256
"""Operations of one batch: more would make the first wait for the last without saving anything."""

IDLE_S: Final = 2.0
"""Seconds without work after which the thread ends; to start one costs 0.1 ms."""

_OperationT = TypeVar("_OperationT")
_ResultT = TypeVar("_ResultT")


class Request(Generic[_OperationT, _ResultT]):
    """One operation: waiting, then being done or withdrawn, then with its result."""

    __slots__ = ("error", "on_done", "operation", "result")

    def __init__(self, operation: _OperationT, on_done: Callable[[], None]) -> None:
        """``on_done`` is called in the loop's thread once it is answered."""
        self.operation = operation
        self.on_done = on_done
        self.result: _ResultT | None = None
        self.error: BaseException | None = None


class OutputThread(Generic[_OperationT, _ResultT]):
    """Does requests in the order in which they were submitted."""

    def __init__(
        self,
        work: Callable[[Sequence[_OperationT]], Sequence[_ResultT]],
        post: Callable[[Callable[[], None]], object],
        *,
        name: str,
    ) -> None:
        """Start without a thread.

        Args:
            work: Does some of them, in order, and returns a result for each.
            post: Runs a function in the thread of the loop; raises ``RuntimeError`` once that is
                closed.
            name: Of the thread.
        """
        self._work = work
        self._post = post
        self._name = name
        self._turn = threading.Condition()
        self._queue: deque[Request[_OperationT, _ResultT]] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, request: Request[_OperationT, _ResultT]) -> None:
        """Put a request at the end of the queue."""
        with self._turn:
            self._queue.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name)
                self._thread.start()
            elif len(self._queue) == 1:
                self._turn.notify()

    def withdraw(self, request: Request[_OperationT, _ResultT]) -> bool:
        """Remove a request from the queue; return False if it is being done, or is done."""
        with self._turn:
            try:
                self._queue.remove(request)
            except ValueError:
                return False
            return True

    def close(self, on_done: Callable[[], None]) -> None:
        """Let what waits be done, then end the thread and call ``on_done`` in the loop's thread.

        ``join`` after that waits no longer than the thread takes to return.
        """
        with self._turn:
            self._closing = True
            self._on_closed = on_done
            if self._thread is not None:
                self._turn.notify()
                return
        on_done()

    def join(self) -> None:
        """Wait for the end of the thread."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        while (batch := self._take()) is not None:
            try:
                results = self._work([request.operation for request in batch])
                for request, result in zip(batch, results, strict=True):
                    request.result = result
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                for request in batch:
                    request.error = error
            self._hand_back(batch)

    def _take(self) -> list[Request[_OperationT, _ResultT]] | None:
        """Wait for requests; return ``None`` once closed, or after a while without any."""
        with self._turn:
            while not self._queue:
                if self._closing:
                    with suppress(RuntimeError):
                        self._post(self._on_closed)
                    return None
                if not self._turn.wait(IDLE_S) and not self._queue and not self._closing:
                    self._thread = None
                    return None
            count = min(BATCH, len(self._queue))
            return [self._queue.popleft() for _ in range(count)]

    def _hand_back(self, batch: list[Request[_OperationT, _ResultT]]) -> None:
        def on_done() -> None:
            for request in batch:
                request.on_done()

        with suppress(RuntimeError):  # the loop is closed, and with it all that waited
            self._post(on_done)
