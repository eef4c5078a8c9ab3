"""A run that goes on until something ends it: a signal, the reader, a failure, or its own end.

It is made of asyncio alone: to load anyio's part for it takes as long as all of the command line.
asyncio delivers a cancellation once: what must be finished first keeps it, and asks for it again
afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import Any, Final, TextIO

from limpet._file_stat import identity_of
from limpet._printable import printable
from limpet._process_end import StopDeadline, end_now
from limpet._signal_handlers import SignalHandlers
from limpet.cli._color import NOTE_RULES, painted
from limpet.cli._event_text import encoding_of
from limpet.cli._log_args import logging_in
from limpet.cli._writer import Writer, reader_gone, stream_sink
from limpet.errors import LimpetError, UsageError

PATIENCE_S: Final = 1.0
"""How long the end waits for a reader that has stalled."""

STOP_S: Final = 10.0
"""How long a signal may take to end the run: commands get five seconds, a stalled reader two."""

AT_ONCE_S: Final = 3.0
"""The same for a second signal."""


def run_session(
    serve: Callable[[RunSession], Awaitable[int]],
    stdout: TextIO | None,
    stderr: TextIO | None,
    *,
    name: str,
    log_format: str | None = None,
) -> int:
    """Run ``serve`` in an event loop and return its exit code.

    Args:
        serve: Gets a session over the two streams.
        stdout: Standard output; the process's if not given.
        stderr: Standard error; the process's if not given.
        name: The name of the log: ``limpet.watch``.
        log_format: ``text`` or ``json``: messages are lines of a log, as those of a bot. ``None``
            writes them for people.
    """
    session: RunSession | None = None

    async def main(streams: Streams) -> int:
        nonlocal session
        session = RunSession(streams)
        return await serve(session)

    err = stderr or sys.stderr
    log = None if log_format is None else name
    with (
        nullcontext() if log_format is None else logging_in(log_format, err),
        closing(Streams(stdout or sys.stdout, err, log=log)) as streams,
    ):
        try:
            return asyncio.run(main(streams))
        except KeyboardInterrupt:  # before the loop could take signals
            return 128 + signal.SIGINT
        finally:
            if session is not None:
                session.deadline.cancel()


class Streams:
    """Standard output and error, each written by a thread of its own until they are closed."""

    def __init__(
        self, stdout: TextIO | None, stderr: TextIO | None, *, log: str | None = None
    ) -> None:
        self._log = None if log is None else logging.getLogger(log)
        self.stdout = stdout
        self.out = Writer(stream_sink(stdout), name="stdout")
        self._err = Writer(stream_sink(stderr), name="stderr")
        self._encoding = encoding_of(stderr)
        self.stderr = stderr
        self.files = frozenset(filter(None, map(_file_of, (stdout, stderr))))
        """Device and inode of each that is a file: an event about it would cause further events."""

    def close(self) -> None:
        """Wait a moment for what is being written."""
        self.out.close(patience=PATIENCE_S)
        self._err.close(patience=PATIENCE_S)

    async def log(self, message: str, level: int = logging.WARNING) -> None:
        """Write a line to standard error; one that cannot be written is dropped."""
        if self._log is not None:
            self._log.log(level, message)
            return
        text = painted(self.stderr, f"limpet: {printable(message)}\n", NOTE_RULES)
        await self.write_error(text.encode(self._encoding, "backslashreplace"))

    async def write_error(self, data: bytes) -> None:
        """Write lines to standard error as they are, if they can be written."""
        with suppress(OSError):
            await self._err.write(data)


def _file_of(stream: TextIO | None) -> tuple[int, int] | None:
    with suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno() if stream is not None else -1)
        if stat.S_ISREG(found.st_mode):
            return identity_of(found)
    return None


class RunSession:
    """The streams of one run, its exit code, and what ends it first."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.code: int | None = None
        """The exit code, once something has ended the run."""
        self.deadline = StopDeadline(self._give_up)
        """Ends the process if a signal does not: a path may lie on a disk that does not answer."""
        self._deadline = math.inf
        """When what is being written is given up, by the loop's clock."""
        self._work: asyncio.Task[None] | None = None

    async def serve(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        *,
        has_reader: bool = True,
        hurry: Callable[[], object] | None = None,
    ) -> int:
        """Do the work until it ends or is ended, and return the exit code.

        Args:
            work: Is cancelled when something ends the run.
            has_reader: Standard output is written to, so the run ends with its reader.
            hurry: Called at each signal after the one that ended the run.
        """
        with self._signals_taken(hurry):
            self._work = asyncio.create_task(work())
            reader = asyncio.create_task(self._end_with_reader()) if has_reader else None
            try:
                await self._work
            except asyncio.CancelledError:
                if self.code is None:
                    raise
            finally:
                if reader is not None:
                    reader.cancel()
                    await asyncio.wait({reader})
        return self.code or 0

    async def write(self, data: bytes) -> bool:
        """Write to standard output; return false, and end the run, if it cannot be written.

        If the run ends meanwhile, the write goes on for ``PATIENCE_S``: what was taken from a watch
        with a checkpoint counts as reported, and must not be dropped here.
        """
        try:
            return await self._finish(self.streams.out.write(data), lambda: self._deadline)
        except BrokenPipeError:
            self.end(0)
        except OSError as error:
            await self.fail(f"cannot write to standard output: {error.strerror or error}")
        await asyncio.sleep(0)  # cancelled here, as the run has ended
        return False

    async def fail_start(self, error: LimpetError | OSError) -> None:
        """End a run that cannot start, by the error that says why."""
        await self.fail(str(error), code=2 if isinstance(error, UsageError) else 1)

    async def fail(self, message: str, *, code: int = 1) -> None:
        """End the run with a message on standard error."""
        self.end(code)
        logging_it = self.streams.log(message, logging.ERROR)
        await self._finish(logging_it, lambda: self._deadline)

    def end(self, code: int) -> None:
        """End the run with this code, unless something has ended it before."""
        if self.code is not None:
            return
        self.code = code
        self._deadline = asyncio.get_running_loop().time() + PATIENCE_S
        if self._work is not None:
            self._work.cancel()

    async def log_last(self, *messages: str) -> None:
        """Write messages to standard error, also of a run that has ended, for ``PATIENCE_S``."""
        await self.last(self._log_all(messages))

    async def last(self, doing: Coroutine[Any, Any, None]) -> None:
        """Finish something although the run has ended, within ``PATIENCE_S``."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        await self._finish(doing, lambda: end)

    async def _log_all(self, messages: tuple[str, ...]) -> None:
        for message in messages:
            await self.streams.log(message)

    @staticmethod
    async def _finish(doing: Coroutine[Any, Any, None], deadline: Callable[[], float]) -> bool:
        """Do something to its end; return false if the deadline comes first.

        A cancellation that arrives meanwhile comes with the next await of the caller.

        Raises:
            BaseException: What was raised in it.
        """
        loop, task = asyncio.get_running_loop(), asyncio.create_task(doing)
        is_cancelled = False
        while not task.done():
            left = deadline() - loop.time()
            if left <= 0:
                task.cancel()
                break
            try:
                await asyncio.wait({task}, timeout=None if left == math.inf else left)
            except asyncio.CancelledError:
                is_cancelled = True
        caller = asyncio.current_task()
        if is_cancelled and caller is not None:
            caller.cancel()
        if not task.done():
            return False
        task.result()
        return True

    def _give_up(self) -> None:
        end_now(self.code or 1)

    async def _end_with_reader(self) -> None:
        await reader_gone(self.streams.stdout)
        self.end(0)

    @contextmanager
    def _signals_taken(self, hurry: Callable[[], object] | None) -> Iterator[None]:
        """End the run at a signal. One that the parent ignores for us (``nohup``) stays ignored."""

        def take(number: int) -> None:
            self.deadline.set(STOP_S if self.code is None else AT_ONCE_S)
            if self.code is not None and hurry is not None:
                hurry()
            self.end(128 + number)

        loop = asyncio.get_running_loop()
        wanted = [
            number
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
            if (number := getattr(signal, name, None)) is not None
            and signal.getsignal(number) is not signal.SIG_IGN
        ]
        taken = []
        try:
            for number in wanted:
                loop.add_signal_handler(number, take, number)
                taken.append(number)
        except NotImplementedError:  # Windows' event loop takes none itself

            def react(number: int) -> None:
                handlers.in_loop(take, number)

            with SignalHandlers(react) as handlers:
                handlers.attach()
                yield
            return
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)
