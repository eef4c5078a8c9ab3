"""Runs one program: input given, output bounded, and nothing of it left when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Ended", "run_process"]

GRACE_S: Final = 5.0
"""Between SIGTERM and SIGKILL: half of what container runtimes give the bot itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    status: int
    """Its exit code; minus the signal's number if one ended it."""
    output: bytes
    """What it wrote to standard output, up to the bound."""
    errors: bytes
    """The end of what it wrote to standard error, up to the bound."""


async def run_process(
    argv: Sequence[str],
    *,
    payload: bytes,
    environment: Mapping[str, str],
    folder: str | None,
    timeout: float | None,
    most: int,
    grace: float = GRACE_S,
) -> Ended:
    """Run a program to its end, in a process group of its own.

    Args:
        argv: Program and arguments; no shell looks at them.
        payload: What it gets on standard input; it need not read it.
        environment: All of its environment.
        folder: Where it runs.
        timeout: Seconds it may take; then it and all it started are ended.
        most: Bytes of its output that are kept; the rest is read and dropped.
        grace: Seconds between asking it to end and killing it.

    Raises:
        OSError: It could not be started.
        TimeoutError: It took too long, and is ended.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - asked for
    assert process.stdout is not None  # noqa: S101 - asked for
    assert process.stderr is not None  # noqa: S101 - asked for
    output, errors = bytearray(), bytearray()
    jobs = [
        asyncio.create_task(_feed(process.stdin, payload)),
        asyncio.create_task(_head(process.stdout, output, most)),
        asyncio.create_task(_tail(process.stderr, errors, min(most, 8192))),
    ]
    try:
        async with asyncio.timeout(timeout):
            status = await process.wait()
            # What it started may hold its streams open for ever: that is not waited for.
            await asyncio.wait(jobs, timeout=1.0)
    except BaseException:
        await _end(process, grace)
        raise
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)
    return Ended(status, bytes(output), bytes(errors))


async def _feed(stream: asyncio.StreamWriter, payload: bytes) -> None:
    with contextlib.suppress(OSError):  # it may not want to read
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
    """Ask it and all it started to end, then make them; not to be left before."""
    _signal(process, "SIGTERM")
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError):
        pass
    finally:
        _signal(process, "SIGKILL")
    with contextlib.suppress(asyncio.CancelledError):
        await process.wait()


def _signal(process: asyncio.subprocess.Process, name: str) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        elif process.returncode is None:
            process.kill()
