"""One thread for one root: takes all that waits in one go, and hands the answers back together.

The thread is started by the first operation and ends by itself after a while without any, so a root
that is open and idle costs nothing. It knows no event loop: who gives it work says how to be told.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

__all__ = ["Job", "Worker"]

BATCH: Final = 256
"""Operations of one go: more would make the first wait for the last without saving anything."""

IDLE_S: Final = 2.0
"""Seconds without work after which the thread ends; to start one costs 0.1 ms."""

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class Job(Generic[_Asked, _Answer]):
    """One operation on its way: waiting, then being done or withdrawn, then answered."""

    __slots__ = ("answer", "asked", "error", "tell")

    def __init__(self, asked: _Asked, tell: Callable[[], None]) -> None:
        """``tell`` is called in the loop's thread once it is answered."""
        self.asked = asked
        self.tell = tell
        self.answer: _Answer | None = None
        self.error: BaseException | None = None


class Worker(Generic[_Asked, _Answer]):
    """Does jobs in the order in which they were given."""

    def __init__(
        self,
        work: Callable[[Sequence[_Asked]], Sequence[_Answer]],
        post: Callable[[Callable[[], None]], object],
        *,
        name: str,
    ) -> None:
        """Start without a thread.

        Args:
            work: Does some of them, in order, and answers each.
            post: Has something called in the thread of the loop; raises ``RuntimeError`` when that
                is gone.
            name: Of the thread.
        """
        self._work = work
        self._post = post
        self._name = name
        self._turn = threading.Condition()
        self._queue: deque[Job[_Asked, _Answer]] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    def give(self, job: Job[_Asked, _Answer]) -> None:
        """Put a job at the end of the queue."""
        with self._turn:
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name)
                self._thread.start()
            elif len(self._queue) == 1:
                self._turn.notify()

    def withdraw(self, job: Job[_Asked, _Answer]) -> bool:
        """Take a job back; False if it is being done, or is done."""
        with self._turn:
            try:
                self._queue.remove(job)
            except ValueError:
                return False
            return True

    def close(self, tell: Callable[[], None]) -> None:
        """Let what waits be done, then end the thread and call ``tell`` in the loop's thread.

        ``join`` after that waits no longer than the thread takes to return.
        """
        with self._turn:
            self._closing = True
            self._tell_closed = tell
            if self._thread is not None:
                self._turn.notify()
                return
        tell()

    def join(self) -> None:
        """Wait for the thread's end."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        while (batch := self._take()) is not None:
            try:
                answers = self._work([job.asked for job in batch])
                for job, answer in zip(batch, answers, strict=True):
                    job.answer = answer
            except BaseException as error:  # noqa: BLE001 - goes to those who wait for it
                for job in batch:
                    job.error = error
            self._hand_back(batch)

    def _take(self) -> list[Job[_Asked, _Answer]] | None:
        """Wait for work; ``None`` once there will be none, or has been none for a while."""
        with self._turn:
            while not self._queue:
                if self._closing:
                    with suppress(RuntimeError):
                        self._post(self._tell_closed)
                    return None
                if not self._turn.wait(IDLE_S) and not self._queue and not self._closing:
                    self._thread = None
                    return None
            count = min(BATCH, len(self._queue))
            return [self._queue.popleft() for _ in range(count)]

    def _hand_back(self, batch: list[Job[_Asked, _Answer]]) -> None:
        def tell() -> None:
            for job in batch:
                job.tell()

        with suppress(RuntimeError):  # the loop is gone, and with it all who waited
            self._post(tell)
