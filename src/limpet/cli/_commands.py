"""One command at a time: started, waited for, ended with all that it has started.

Every command gets a process group of its own, so that ending it ends what it started, and a Ctrl-C
on the terminal reaches limpet alone, which then ends them cleanly.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Final

import anyio

from limpet._loop_guard import LoopGuard, loop_text
from limpet._printable import escape
from limpet._process_group import GRACE_S, adopt, end_group, group_options

VARIABLES: Final = frozenset({"LIMPET_EVENT_TYPE", "LIMPET_OLD_PATH", "LIMPET_PATH", "LIMPET_ROOT"})
"""What a command finds in its environment; the old path only of a rename."""


class Commands:
    """Runs the command of a watch, and reports how it failed."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        report: Callable[[str], Awaitable[None]],
        stdout: int | IO[bytes] | None = None,
        grace: float = GRACE_S,
        quiet: bool = False,
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            argv: The command as it was typed, for messages.
            report: Takes a line about a command that failed.
            stdout: Standard output of commands, as for ``subprocess.Popen``.
            grace: Seconds between SIGTERM and SIGKILL.
            quiet: Do not report that a command ended with a status other than 0.
            before: Awaited before each start.
        """
        self.failed = 0
        """Commands that could not be started or ended with a status other than 0."""
        self._shown = escape(shlex.join(argv))
        self._report = report
        self._stdout = stdout
        self._grace = grace
        self._quiet = quiet
        self._before = before
        self._is_hurried = False
        self._loops = LoopGuard()

    def hurry(self) -> None:
        """Kill the commands that are being ended, and from now on without a grace."""
        self._is_hurried = True

    async def warn_of_loops(self, what: str, kind: str, time: float) -> None:
        """Report that events of a path come faster than most programs cause them."""
        count = self._loops.count(what, time)
        if not count and kind == "file.created":
            what = os.path.dirname(what)
            count = self._loops.count_new(what, time)
        if count:
            await self._report(loop_text(self._shown, count, escape(what)))

    async def run(
        self, argv: Sequence[str], environment: Mapping[str, str], payload: bytes, title: str
    ) -> None:
        """Run a command to its end, or end it when cancelled; report how it failed.

        Args:
            argv: The command.
            environment: Values of ``VARIABLES``.
            payload: What its standard input has.
            title: What it is run for, printable, for messages.
        """
        if self._before is not None:
            await self._before()
        ours = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        try:
            with _as_stdin(payload) as stdin, anyio.CancelScope(shield=True):
                # Shielded: a cancelled start would leave a process that nobody ends.
                process = await anyio.open_process(
                    argv,
                    stdin=stdin,
                    stdout=self._stdout,
                    stderr=None,
                    env=ours | dict(environment),  # an outer limpet may have set some
                    **group_options(),
                )
                try:
                    windows_job = adopt(process)
                except OSError:
                    await process.wait()
                    raise
        except (OSError, ValueError) as error:
            self.failed += 1
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            await self._report(f"cannot start {self._shown} for {title}: {why}")
            return
        try:
            status = await process.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await end_group(
                    process,
                    sleep=anyio.sleep,
                    job=windows_job,
                    grace=self._grace,
                    hurry=lambda: self._is_hurried,
                )
            raise
        if windows_job is not None:
            windows_job.release()
        if status != 0:
            self.failed += 1
            if not self._quiet:
                await self._report(f"{self._shown} {outcome(status)}, for {title}")


@contextmanager
def _as_stdin(payload: bytes) -> Iterator[IO[bytes]]:
    """Open a file without a name that holds ``payload``, at its beginning.

    Not a pipe: a command that never reads it can then keep nobody waiting. In memory where the
    system can (memfd_create(2)), for a watch of the temporary directory would see the other kind.
    """
    opened = (
        os.fdopen(os.memfd_create("limpet-event"), "w+b")
        if hasattr(os, "memfd_create")
        else tempfile.TemporaryFile()  # noqa: SIM115 - closed by the block below
    )
    with opened as file:
        file.write(payload)
        file.seek(0)
        yield file


def outcome(status: int) -> str:
    """Return how a command ended, after its name."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
