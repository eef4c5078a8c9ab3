"""Processes what is put into a folder: ``python inbox.py INBOX DONE FAILED [SECONDS]``.

Ctrl-C ends it.

A file is taken once it is complete: its writer closed it, or it has not grown for some seconds.
What was there before the start is taken too. A file that fails three times is put into FAILED, with
a note beside it. Start the program twice, and the two share the work.
"""

import asyncio
import contextlib
import sys

import limpet


async def work(box: limpet.Inbox) -> None:
    """Process one file after the other; several of these share an inbox."""
    async for job in box:
        async with job:
            lines = (await job.data()).count(b"\n")
            if not lines:
                raise ValueError("the file has no lines")  # noqa: EM101 - short is better here
            print(f"{job.path.name}: {lines} lines", flush=True)


async def main(inbox: str, done: str, failed: str, *, settle: float) -> None:
    """Open the inbox, and work with two tasks."""
    async with limpet.inbox(inbox, done=done, failed=failed, settle=settle, backoff=0.1) as box:
        print(f"watching {box.location}", flush=True)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(work(box))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        folders, settle = sys.argv[1:4], float(sys.argv[4]) if len(sys.argv) > 4 else 2.0
        asyncio.run(main(*folders, settle=settle))
