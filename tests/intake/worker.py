"""A process that works on an inbox until it is killed, and writes down what it does.

``python -m tests.intake.worker FOLDER asyncio|trio|sync``. Each job is appended to a record with
its number of the process. A lock for each name, which the kernel releases at a kill, shows whether
two work on one job at a time.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio

import limpet
from limpet._file_lock import FileLock

folder, form = Path(sys.argv[1]), sys.argv[2]
box = limpet.inbox(
    folder / "in", done=folder / "done", failed=folder / "failed",
    settle=0.02, backoff=0.01, attempts=int(sys.argv[3]), concurrency=3,
)  # fmt: skip


def write(name: str, line: str) -> None:
    """Append one line, in one call: a kill divides none."""
    fd = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Record that a job begins and ends, and that no other process works on it."""
    try:
        lock = FileLock(folder / "locks" / path.name)
    except BlockingIOError:
        write("violations", path.name)
        raise
    write("begun", path.name)
    if path.name.endswith("bad"):
        lock.close()
        raise ValueError(path.name)
    yield
    write("ended", path.name)
    lock.close()


async def work() -> None:
    """Process each file; the pause lets a kill hit the middle."""
    async for job in box:
        async with job:
            with alone(job.path):
                assert await job.text() == job.path.name
                await anyio.sleep(0.002)


async def main() -> None:
    """Work with several tasks."""
    async with box, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work)


if form == "sync":
    for found in box.sync():
        with found, alone(found.path):
            assert found.text() == found.path.name
else:
    anyio.run(main, backend=form)
