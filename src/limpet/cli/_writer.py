"""Bytes to a stream that may block, without blocking the event loop.

A write to a terminal that is scrolled back, to a pager, or to a pipe that nobody reads may wait for
ever. The stream's mode must not be changed (it is shared with the shell that started limpet), so
each stream gets a thread. The thread is a daemon and writes past Python's own buffer: a write that
never ends then holds up neither the end of the program nor a lock that the interpreter wants at its
exit.
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
from typing import Any, TextIO

from limpet._event_loop import EventLoop
from limpet._pipe_errors import pipe_errors

Sink = Callable[[bytes], object]
"""Writes all of the bytes, however long that takes, or raises ``OSError``."""


class Writer:
    """Writes to a sink in order; each caller waits until its bytes are written.

    Several tasks may write at once; one that is cancelled while it waits has its bytes written all
    the same.
    """

    def __init__(self, sink: Sink, *, name: str) -> None:
        self._sink = sink
        self._queue: SimpleQueue[tuple[bytes, Callable[[OSError | None], None]] | None]
        self._queue = SimpleQueue()
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
        loop = EventLoop()
        end, written = loop.waiter()
        failure: OSError | None = None

        def finish(error: OSError | None) -> None:
            nonlocal failure
            failure = error
            with suppress(RuntimeError):  # the loop is closed
                loop.post(end)

        self._queue.put((data, finish))
        await written
        if failure is not None:
            raise failure

    def close(self, *, patience: float) -> bool:
        """Wait ``patience`` seconds at most for what is queued; return whether it was written."""
        self._queue.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            data, finish = item
            try:
                self._sink(data)
            except OSError as error:
                finish(error)
            except ValueError as error:  # the stream was closed by somebody
                finish(OSError(str(error)))
            else:
                finish(None)


def stream_sink(stream: TextIO | None) -> Sink:
    """Return a sink for the bytes below a text stream; all writes fail if there is no stream.

    A parent may have left the descriptor non-blocking: then the writer's thread waits.
    """
    if stream is None:
        return _refuse
    stream.flush()
    buffer = stream.buffer
    raw: Any = getattr(buffer, "raw", buffer)  # a descriptor, or a Windows console

    def sink(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            with pipe_errors():
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
    """Wait until ``stream`` has no reader any more; for ever if the system does not report that.

    Without this ``limpet watch d | head -1`` would end with the second event only, for a closed
    pipe is reported to a write. Only pipes are examined: a write end that polls as readable has no
    reader left (pipe(7), poll(2): POLLERR), as asyncio's own pipe transport has it.
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
    """Return whether a pipe that became readable has lost its reader.

    Otherwise it was opened for reading and writing, and has data to read.
    """
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, 0)  # asks for nothing; errors are always reported
    return bool(poll.poll(0))
