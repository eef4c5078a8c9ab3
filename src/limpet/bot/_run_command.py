"""Run one program with bounded output, and leave no process of it behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limpet._process_group import GRACE_S, end_group


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
    grace: float = GRACE_S,
) -> CommandResult:
    """Run a program to its end, in a process group of its own.

    Args:
        argv: Program and arguments; no shell interprets them.
        payload: Its standard input; it need not read it.
        environment: All of its environment.
        directory: Its working directory.
        timeout: Seconds it may take; then it and all that it started are ended.
        max_output: Bytes of its output that are kept; the rest is read and dropped.
        grace: Seconds between SIGTERM and SIGKILL.

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
        start_new_session=True,
    )
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
            status = await process.wait()
            # A child of it may hold the streams open for ever: that is not waited for.
            await asyncio.wait(streams, timeout=1.0)
    except BaseException:
        await _end(process, grace)
        raise
    finally:
        for stream in streams:
            stream.cancel()
        await asyncio.wait(streams)
    return CommandResult(status, bytes(output), bytes(errors))


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


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    """End the program and all that it started; cancelled meanwhile, kill them at once."""
    hurry = False
    ending = asyncio.create_task(
        end_group(process, sleep=asyncio.sleep, grace=grace, hurry=lambda: hurry)
    )
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            hurry = True
