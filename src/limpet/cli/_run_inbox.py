"""``limpet inbox``: runs a command for each job of an inbox, several at once, and ends cleanly."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, TextIO

import anyio

import limpet
from limpet._error_text import reason_of
from limpet._printable import escape, printable
from limpet._process_group import GRACE_S, adopt, end_group, group_options
from limpet.cli._commands import VARIABLES, outcome
from limpet.cli._inbox_plan import InboxPlan
from limpet.cli._run_session import RunSession, run_session
from limpet.errors import LimpetError
from limpet.intake import JobFailedError

if TYPE_CHECKING:
    from anyio.abc import ByteReceiveStream, Process

    from limpet.status import Happenings, What

TAIL: Final = 4096
"""Bytes of a command's standard error that the note keeps: its last lines."""
_SHOWN: Final = 80
"""Characters of the command in what is shown of a job."""
_LATE_S: Final = 1.0
"""How long a pipe is read on after its command: a process that it left behind may hold it."""

_HERE: Final = frozenset({"LIMPET_ATTEMPT"})


def run(plan: InboxPlan, *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """Carry out the plan and return the exit code; the streams are the process's if not given."""

    async def serve(session: RunSession) -> int:
        return await _InboxRun(plan, session).serve()

    if plan.log_format is not None:
        return run_session(serve, stdout, stderr, name="limpet.inbox", log_format=plan.log_format)
    handler = logging.StreamHandler(stderr or sys.stderr)
    handler.setFormatter(_OneLine("limpet: %(message)s"))
    logger = logging.getLogger("limpet.inbox")
    logger.addHandler(handler)
    try:
        return run_session(serve, stdout, stderr, name="limpet.inbox")
    finally:
        logger.removeHandler(handler)


class _OneLine(logging.Formatter):
    """Messages whose names and errors can neither break a line nor drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record)).replace("\n", "\\n").replace("\t", "\\t")


class _InboxRun:
    """One run: its inbox, and the commands that work on it."""

    def __init__(self, plan: InboxPlan, session: RunSession) -> None:
        self._plan = plan
        self._session = session
        self._shown = escape(shlex.join(plan.argv))
        self._is_hurried = False
        self._happenings: Happenings | None = None
        """What is shown of the last jobs, with ``--listen``."""

    async def serve(self) -> int:
        """Work until something ends it, end what was started, and return the exit code."""
        return await self._session.serve(self._work, has_reader=False, hurry=self._hurry)

    def _hurry(self) -> None:
        self._is_hurried = True

    async def _work(self) -> None:
        plan = self._plan
        try:
            box = limpet.inbox(plan.path, done=plan.done, failed=plan.failed, **plan.options)
            await box.aopen()
        except (LimpetError, OSError) as error:
            await self._session.fail_start(error)
            return
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                if not await self._show(stack, box):
                    return
                for _ in range(box.options.concurrency):
                    tasks.create_task(self._take_jobs(box))
        finally:
            await box.aclose()

    async def _show(self, stack: AsyncExitStack, box: limpet.Inbox) -> bool:
        """Serve the status, if that is asked for; return whether the run goes on."""
        if self._plan.listen is None:
            return True
        from limpet.cli._listen import listening
        from limpet.status import ProgramStatus

        name = os.fspath(self._plan.path)
        shown = ProgramStatus(name, program="inbox")
        shown.show(lambda: [shown.watch(name, box.location, box.watch_stats())])
        shown.add(box)
        self._happenings = shown.happenings
        return await listening(self._plan.listen, shown, self._session, stack)

    async def _take_jobs(self, box: limpet.Inbox) -> None:
        try:
            async for job in box:
                self._note("event", job, f"try {job.attempt}")
                async with job:
                    await self._try(job, box)
        except (LimpetError, OSError) as error:
            await self._session.fail(f"the inbox {str(box.location)!r} ended: {reason_of(error)}")

    async def _try(self, job: limpet.Job, box: limpet.Inbox) -> None:
        """Run the command, and keep what became of it for those who look at the status.

        Raises:
            JobFailedError: As ``_run``.
        """
        try:
            await self._run(job, box)
        except JobFailedError as error:
            is_last = job.attempt >= box.options.attempts
            self._note("failed" if is_last else "retry", job, str(error))
            raise
        self._note("done", job)

    def _note(self, what: What, job: limpet.Job, detail: str = "") -> None:
        if self._happenings is not None:
            self._happenings.add(what, job.path, self._shown[:_SHOWN], detail)

    async def _run(self, job: limpet.Job, box: limpet.Inbox) -> None:
        """Run the command to its end.

        Raises:
            JobFailedError: It could not be started for this job, or failed.
        """
        path = os.fspath(job.path)
        kept = {k: v for k, v in os.environ.items() if k not in VARIABLES | _HERE}
        try:
            with anyio.CancelScope(shield=True):  # a cancelled start leaves a process behind
                process = await anyio.open_process(
                    [one.replace("{}", path) for one in self._plan.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=None,
                    stderr=subprocess.PIPE,
                    env=kept
                    | {
                        "LIMPET_PATH": path,
                        "LIMPET_ROOT": os.fspath(box.location),
                        "LIMPET_ATTEMPT": str(job.attempt),
                    },
                    pass_fds=job.keeps_locked(),
                    **group_options(),
                )
                windows_job = adopt(process)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if self._session.code is None:  # of several at once, the first
                await self._session.fail(f"cannot start {self._shown}: {error.strerror or error}")
            await asyncio.sleep(float("inf"))  # cancelled here: the job is none of its failures
            return
        except (OSError, ValueError) as error:
            message = f"cannot start {self._shown}: {reason_of(error)}"
            raise JobFailedError(message) from error
        tail = bytearray()
        reader = asyncio.create_task(self._pass_on(process.stderr, tail))
        try:
            status = await process.wait()
            await asyncio.wait({reader}, timeout=_LATE_S)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await end_group(
                    process,
                    sleep=anyio.sleep,
                    job=windows_job,
                    grace=GRACE_S,
                    hurry=lambda: self._is_hurried,
                )
            raise
        finally:
            reader.cancel()
            await _close(process)
        if windows_job is not None:
            windows_job.release()
        if status != 0:
            text = tail.decode("utf-8", "backslashreplace").rstrip()
            message = f"{self._shown} {outcome(status)}" + (f"\n\n{text}" if text else "")
            raise JobFailedError(message)

    async def _pass_on(self, stream: ByteReceiveStream | None, tail: bytearray) -> None:
        """Write a command's standard error to limpet's own, and keep its end."""
        if stream is None:
            return
        async for chunk in stream:
            tail += chunk
            del tail[:-TAIL]
            await self._session.streams.write_error(chunk)


async def _close(process: Process) -> None:
    """Close the pipe; what the command left behind may hold its other end."""
    if process.stderr is not None:
        with anyio.CancelScope(shield=True):
            await process.stderr.aclose()
