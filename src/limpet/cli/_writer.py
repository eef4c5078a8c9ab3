"""Bytes to a stream that may block, without blocking the event loop.

A terminal that is scrolled back, a pager, a pipe nobody reads: a write then waits for as long as it
likes. The stream's mode must not be changed (it is shared with the shell that started us), so each
stream gets a thread. It is a daemon, and it goes past Python's own buffer: a write that never ends
then neither holds up the end of the program nor a lock that the interpreter wants at its exit.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol, TextIO

__all__ = ["Sink", "Writer", "reader_gone", "stream_sink"]

Sink = Callable[[bytes], object]
"""Takes all of the bytes, however long that takes, or raises ``OSError``."""


class Writer:
    """Writes what it is given, in order; who gives it something waits until it is written.

    Runs on asyncio, which is what the command line runs on. Several tasks may write at once; one
    that is cancelled while it waits has its bytes written all the same.
    """

    def __init__(self, sink: Sink, *, name: str) -> None:
        self._sink = sink
        self._queue: SimpleQueue[tuple[bytes, _Answer] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"limpet {name}", daemon=True)
        self._thread.start()

    async def write(self, data: bytes) -> None:
        """Return once the system has taken all of ``data``.

        Raises:
            OSError: It did not; how much of it was written is not known. ``BrokenPipeError`` means
                that nobody reads any more.
        """
        if not data:
            return
        answer = _Answer()
        self._queue.put((data, answer))
        await answer.future

    def close(self, *, patience: float) -> bool:
        """Let what was given be written, for ``patience`` seconds at most; False if it was not."""
        self._queue.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            data, answer = item
            try:
                self._sink(data)
            except OSError as error:
                answer.give(error)
            except ValueError as error:  # somebody has closed the stream
                answer.give(OSError(str(error)))
            else:
                answer.give(None)


class _Answer:
    """How one write went, from the writer's thread to the loop that waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def give(self, error: OSError | None) -> None:
        """Answer from any thread; nobody need be waiting any more, nor the loop be open."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._set, error)

    def _set(self, error: OSError | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


class _Raw(Protocol):
    """What is below a text stream: a descriptor or a Windows console (not ``BufferedWriter``)."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of it and say how much; ``None`` if it would block."""
        ...


def stream_sink(stream: TextIO | None) -> Sink:
    """Give a sink for the bytes below a text stream; all of its writes fail if there is none.

    A parent may have left the descriptor non-blocking: then the writer's thread does the waiting.
    """
    if stream is None:
        return _refuse
    stream.flush()
    buffer = stream.buffer
    raw: _Raw = getattr(buffer, "raw", buffer)

    def sink(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = raw.write(rest)
            if written is None:
                select.select([], [stream], [])
            else:
                rest = rest[written:]

    return sink


def _refuse(_data: bytes) -> object:
    message = "it is closed"
    raise OSError(message)


async def reader_gone(stream: TextIO | None) -> None:
    """Return once nobody reads ``stream`` any more; wait for ever if that cannot be told.

    Without this ``limpet watch d | head -1`` would only end with the event after the first, for a
    closed pipe is told to those who write. Only pipes are looked at: a write end that polls as
    readable has no reader left (pipe(7), poll(2): POLLERR), as asyncio's own pipe transport has it.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    descriptor = _pipe_of(stream)
    if descriptor is not None:
        with suppress(NotImplementedError, OSError):
            loop.add_reader(descriptor, gone.set)
            try:
                await gone.wait()
                if _has_error(descriptor):
                    return
            finally:
                loop.remove_reader(descriptor)
    await asyncio.Event().wait()


def _pipe_of(stream: TextIO | None) -> int | None:
    with suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno() if stream is not None else -1
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return descriptor
    return None


def _has_error(descriptor: int) -> bool:
    """Tell a pipe without a reader from one that was opened for both and has something to read."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, 0)  # asks for nothing but errors, which are always told
    return bool(poll.poll(0))
