"""Run one program with bounded output, and leave no process of it behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from limpet._job_object import Job
from limpet._process_group import GRACE_S, adopt, end_group, group_options
from limpet.bot._hurry import is_hurried

HURRIED_GRACE_S: Final = 0.5
"""The grace of a program whose bot stops at once."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a program ended."""

    status: int
    """Its exit code; minus the signal's number if a signal ended it."""
    output: bytes
    """The beginning of its standard output, up to the bound."""
    errors: bytes
    """The end of its standard error, up to the bound."""


async def run_command(
    argv: Sequence[str],
    *,
    payload: bytes,
    environment: Mapping[str, str],
    directory: str | None,
    timeout: float | None,
    max_output: int,
    superseded: asyncio.Event | None = None,
    grace: float = GRACE_S,
) -> CommandResult | None:
    """Run a program to its end, in a process group of its own.

    Cancelled or not, it ends only with the program, and the program always gets its grace: only a
    bot that stops at once (``is_hurried``) kills it earlier.

    Args:
        argv: Program and arguments; no shell interprets them.
        payload: Its standard input; it need not read it.
        environment: All of its environment.
        directory: Its working directory.
        timeout: Seconds it may take; then it and all that it started are ended.
        max_output: Bytes of its output that are kept; the rest is read and dropped.
        superseded: Once it is set, the program is ended.
        grace: Seconds between SIGTERM and SIGKILL.

    Returns:
        How it ended; ``None`` if it was superseded.

    Raises:
        OSError: It could not be started.
        TimeoutError: It took too long, and was ended.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd=directory,
        **group_options(),
    )
    try:
        job = adopt(process)
    except OSError:
        await process.wait()
        raise
    assert process.stdin is not None  # noqa: S101 - requested above
    assert process.stdout is not None  # noqa: S101 - requested above
    assert process.stderr is not None  # noqa: S101 - requested above
    output, errors = bytearray(), bytearray()
    streams = [
        asyncio.create_task(_feed(process.stdin, payload)),
        asyncio.create_task(_head(process.stdout, output, max_output)),
        asyncio.create_task(_tail(process.stderr, errors, min(max_output, 8192))),
    ]
    try:
        async with asyncio.timeout(timeout):
            status = await _wait(process, superseded)
            if status is not None:
                # A child of it may hold the streams open for ever: that is not waited for.
                await asyncio.wait(streams, timeout=1.0)
    except BaseException:
        await _end(process, job, grace)
        raise
    else:
        if status is None:
            await _end(process, job, grace)
        elif job is not None:
            job.release()
    finally:
        for stream in streams:
            stream.cancel()
        await asyncio.wait(streams)
    return None if status is None else CommandResult(status, bytes(output), bytes(errors))


async def _feed(stream: asyncio.StreamWriter, payload: bytes) -> None:
    with contextlib.suppress(OSError):  # the program may not read it
        stream.write(payload)
        await stream.drain()
    stream.close()


async def _head(stream: asyncio.StreamReader, into: bytearray, most: int) -> None:
    while data := await stream.read(65536):
        into += data[: most - len(into)]


async def _tail(stream: asyncio.StreamReader, into: bytearray, most: int) -> None:
    while data := await stream.read(65536):
        into += data
        del into[:-most]


async def _wait(
    process: asyncio.subprocess.Process, superseded: asyncio.Event | None
) -> int | None:
    """Return the status of the program once it has ended; ``None`` if it is superseded first."""
    if superseded is None:
        return await process.wait()
    waits = [asyncio.ensure_future(one) for one in (process.wait(), superseded.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    return process.returncode


async def _end(process: asyncio.subprocess.Process, job: Job | None, grace: float) -> None:
    """End the program and all that it started, however often this is cancelled meanwhile."""
    is_over, begun = is_hurried.get(), time.monotonic()
    ending = asyncio.create_task(
        end_group(
            process,
            sleep=asyncio.sleep,
            job=job,
            grace=grace,
            hurry=lambda: is_over() and time.monotonic() - begun > HURRIED_GRACE_S,
        )
    )
    cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
