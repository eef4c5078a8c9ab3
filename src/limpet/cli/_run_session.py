"""A run that goes on until something ends it: a signal, the reader, a failure, or its own end."""

from __future__ import annotations

import math
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from typing import Final, TextIO

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from limpet._file_stat import identity_of
from limpet._process_end import StopDeadline, end_now
from limpet._signal_handlers import SignalHandlers
from limpet.cli._event_text import encoding_of
from limpet.cli._writer import Writer, reader_gone, stream_sink
from limpet.errors import LimpetError, UsageError

PATIENCE_S: Final = 1.0
"""How long the end waits for a reader that has stalled."""

STOP_S: Final = 10.0
"""How long a signal may take to end the run: commands get five seconds, a stalled reader two."""

AT_ONCE_S: Final = 3.0
"""The same for a second signal."""


def run_session(
    serve: Callable[[RunSession], Awaitable[int]], stdout: TextIO | None, stderr: TextIO | None
) -> int:
    """Run ``serve`` in an event loop and return its exit code.

    Args:
        serve: Gets a session over the two streams.
        stdout: Standard output; the process's if not given.
        stderr: Standard error; the process's if not given.
    """
    session: RunSession | None = None

    async def main(streams: Streams) -> int:
        nonlocal session
        session = RunSession(streams)
        return await serve(session)

    with closing(Streams(stdout or sys.stdout, stderr or sys.stderr)) as streams:
        try:
            return anyio.run(main, streams, backend="asyncio")
        except KeyboardInterrupt:  # before the loop could take signals
            return 128 + signal.SIGINT
        finally:
            if session is not None:
                session.deadline.cancel()


class Streams:
    """Standard output and error, each written by a thread of its own until they are closed."""

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None) -> None:
        self.stdout = stdout
        self.out = Writer(stream_sink(stdout), name="stdout")
        self._err = Writer(stream_sink(stderr), name="stderr")
        self._encoding = encoding_of(stderr)
        self.files = frozenset(filter(None, map(_file_of, (stdout, stderr))))
        """Device and inode of each that is a file: an event about it would cause further events."""

    def close(self) -> None:
        """Wait a moment for what is being written."""
        self.out.close(patience=PATIENCE_S)
        self._err.close(patience=PATIENCE_S)

    async def log(self, message: str) -> None:
        """Write a line to standard error; one that cannot be written is dropped."""
        await self.write_error(f"limpet: {message}\n".encode(self._encoding, "backslashreplace"))

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
        self._writing = anyio.CancelScope()
        self._work = anyio.CancelScope()

    async def serve(
        self,
        work: Callable[[], Awaitable[None]],
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
        async with anyio.create_task_group() as group:
            await group.start(self._obey_signals, hurry)
            if has_reader:
                group.start_soon(self._end_with_reader)
            with self._work:
                await work()
            group.cancel_scope.cancel()
        return self.code or 0

    async def write(self, data: bytes) -> bool:
        """Write to standard output; return false, and end the run, if it cannot be written.

        If the run ends meanwhile, the write goes on for ``PATIENCE_S``: what was taken from a watch
        with a checkpoint counts as reported, and must not be dropped here.
        """
        is_written = False
        with anyio.CancelScope(shield=True, deadline=self._deadline) as self._writing:
            try:
                await self.streams.out.write(data)
                is_written = True
            except BrokenPipeError:
                self.end(0)
            except OSError as error:
                await self.fail(f"cannot write to standard output: {error.strerror or error}")
        if not is_written:
            await checkpoint()  # cancelled here, as the run has ended
        return is_written

    async def fail_start(self, error: LimpetError | OSError) -> None:
        """End a run that cannot start, by the error that says why."""
        await self.fail(str(error), code=2 if isinstance(error, UsageError) else 1)

    async def fail(self, message: str, *, code: int = 1) -> None:
        """End the run with a message on standard error."""
        self.end(code)
        with anyio.CancelScope(shield=True, deadline=self._deadline):
            await self.streams.log(message)

    def end(self, code: int) -> None:
        """End the run with this code, unless something has ended it before."""
        if self.code is None:
            self.code = code
            self._deadline = anyio.current_time() + PATIENCE_S
            self._writing.deadline = self._deadline
        self._work.cancel()

    async def log_last(self, *messages: str) -> None:
        """Write messages to standard error, also of a run that has ended, for ``PATIENCE_S``."""
        with anyio.move_on_after(PATIENCE_S, shield=True):
            for message in messages:
                await self.streams.log(message)

    def _give_up(self) -> None:
        end_now(self.code or 1)

    async def _end_with_reader(self) -> None:
        await reader_gone(self.streams.stdout)
        self.end(0)

    async def _obey_signals(
        self, hurry: Callable[[], object] | None, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        """End the run at a signal. One that the parent ignores for us (``nohup``) stays ignored."""

        def take(number: int) -> None:
            self.deadline.set(STOP_S if self.code is None else AT_ONCE_S)
            if self.code is not None and hurry is not None:
                hurry()
            self.end(128 + number)

        wanted = [
            number
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
            if (number := getattr(signal, name, None)) is not None
            and signal.getsignal(number) is not signal.SIG_IGN
        ]
        try:
            with anyio.open_signal_receiver(*wanted) as signals:
                task_status.started()
                async for number in signals:
                    take(number)
        except NotImplementedError:  # Windows' event loop takes none itself

            def react(number: int) -> None:
                handlers.in_loop(take, number)

            with SignalHandlers(react) as handlers:
                handlers.attach()
                task_status.started()
                await anyio.sleep_forever()
