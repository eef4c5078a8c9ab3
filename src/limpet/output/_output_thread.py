"""One thread for one root: takes all that waits as one batch, and returns the results together.

The thread is started by the first operation and ends after a while without any, so a root that is
open and idle costs nothing. It knows no event loop: a request says what to call when it is done.

A request that needs a lock which another process holds is put off: it is tried again, before later
ones, for as long as it has no result. Everything else goes on meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

from limpet._backoff import Backoff

BATCH: Final = 256
"""Operations of one batch: more would make the first wait for the last without saving anything."""

IDLE_S: Final = 2.0
"""Seconds without work after which the thread ends; to start one costs 0.1 ms."""

_FIRST_S: Final = 0.0005
_LONGEST_S: Final = 0.05
"""Between two tries of what was put off, seconds."""


class Request(Protocol):
    """What is to be done: waiting, then being done, put off or withdrawn, then with its result."""

    result: Any
    """``None`` until it is done; one that is done without is put off."""
    error: BaseException | None
    """What was raised instead."""

    def on_done(self) -> None:
        """Take note, in the loop's thread, that there is a result or an error."""


_RequestT = TypeVar("_RequestT", bound=Request)


class OutputThread(Generic[_RequestT]):
    """Does requests in the order in which they were submitted."""

    def __init__(
        self,
        work: Callable[[Sequence[_RequestT]], object],
        post: Callable[[Callable[[], None]], object],
        *,
        name: str,
    ) -> None:
        """Start without a thread.

        Args:
            work: Does some of them, in order, and gives each its result.
            post: Runs a function in the thread of the loop; raises ``RuntimeError`` once that is
                closed.
            name: The thread's name.
        """
        self._work = work
        self._post = post
        self._name = name
        self._turn = threading.Condition()
        self._queue: deque[_RequestT] = deque()
        self._put_off: list[_RequestT] = []
        """Requests to try again; empty while they are tried."""
        self._delays = Backoff(_FIRST_S, _LONGEST_S)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._ended = False
        """Closed, and nothing is left to do."""
        self._at_end: Callable[[], object] | None = None

    @property
    def waiting(self) -> int:
        """How many requests nobody has begun."""
        return len(self._queue)

    def submit(self, request: _RequestT) -> None:
        """Put a request at the end of the queue."""
        with self._turn:
            self._queue.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name)
                self._thread.start()
            elif len(self._queue) == 1:
                self._turn.notify()

    def withdraw(self, request: _RequestT) -> bool:
        """Remove a request that waits; return False if it is being done, or is done."""
        with self._turn:
            for waiting in (self._queue, self._put_off):
                if request in waiting:
                    waiting.remove(request)
                    return True
        return False

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

    def finish_alone(self, act: Callable[[], object]) -> None:
        """Call ``act`` once everything is done, in whatever thread that is; ``close`` it first."""
        with self._turn:
            if self._thread is not None and not self._ended:
                self._at_end = act
                return
        act()

    def _serve(self) -> None:
        self._serve_all()
        with self._turn:
            if not self._closing:
                return  # idle: the next request starts another thread
            self._ended = True
            act = self._at_end
        if act is not None:
            act()

    def _serve_all(self) -> None:
        while (batch := self._take()) is not None:
            try:
                self._work(batch)
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                for request in batch:
                    if request.result is None:
                        request.error = error
            done = [one for one in batch if one.result is not None or one.error is not None]
            if len(done) < len(batch):
                with self._turn:
                    self._put_off = [one for one in batch if one.result is one.error is None]
            else:
                self._delays.reset()
            if done:
                self._hand_back(done)

    def _take(self) -> list[_RequestT] | None:
        """Wait for requests; return ``None`` once closed, or after a while without any."""
        with self._turn:
            while not self._queue:
                if self._put_off:
                    self._turn.wait(self._delays.next())
                    break
                if self._closing:
                    with suppress(RuntimeError):
                        self._post(self._on_closed)
                    return None
                if not self._turn.wait(IDLE_S) and not self._queue and not self._closing:
                    self._thread = None
                    return None
            again, self._put_off = self._put_off, []
            count = min(BATCH, len(self._queue))
            return again + [self._queue.popleft() for _ in range(count)]

    def _hand_back(self, done: list[_RequestT]) -> None:
        def on_done() -> None:
            for request in done:
                request.on_done()

        with suppress(RuntimeError):  # the loop is closed, and with it all that waited
            self._post(on_done)
