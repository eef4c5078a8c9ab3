"""A watcher's program as the benchmark sees it: started, asked, measured from outside, ended."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks._watchers import ROOT, Watcher, WatcherError

QUIET = 0.3
"""Seconds without events and work after which a watcher has reported everything."""

IDLE = 0.1
"""Share of a processor below which it is taken not to work; the busiest idle peer needs 0.02."""

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""Programs keep what they compiled, as installed ones do: no start is measured with a compiler."""


class Running:
    """A watcher's program that watches a folder now."""

    def __init__(
        self, watcher: Watcher, folder: Path, *options: str, patience: float = 180.0
    ) -> None:
        """Start it and wait until it is ready.

        Raises:
            WatcherError: It ended or was not ready in time; it does not run.
        """
        started = time.perf_counter()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*watcher.command, str(folder), *options],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdin=commands,
                stdout=answers,
                stderr=self._words,
                process_group=0,  # with what it starts itself, so that all of it can be ended
            )
        except OSError as error:
            self._close()
            message = f"it cannot be run: {error.strerror}"
            raise WatcherError(message) from error
        finally:
            os.close(commands)
            os.close(answers)
        self._rest = b""
        try:
            self.setup: dict[str, float] = self._answer(patience)
        except WatcherError:
            self.stop()
            raise
        self.start_to_ready = time.perf_counter() - started
        self._pid = int(self.setup.get("pid", self._process.pid))

    def line(self, patience: float) -> str:
        """Return the next line it prints.

        Raises:
            WatcherError: It ended, or printed nothing for ``patience`` seconds.
        """
        until = time.monotonic() + patience
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._answers], [], [], max(0.0, left))
            if not ready:
                message = f"no answer within {patience:g} s"
                raise WatcherError(message)
            got = os.read(self._answers, 1 << 16)
            if not got:
                raise WatcherError(self._last_words())
            self._rest += got
        first, _, self._rest = self._rest.partition(b"\n")
        return first.decode()

    def _last_words(self) -> str:
        self._words.seek(0)
        words = self._words.read().decode(errors="replace")
        return (words.strip().splitlines() or ["it ended"])[-1]

    def _answer(self, patience: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.line(patience))
        return answer

    def ask(self, command: str = "report") -> dict[str, Any]:
        """Return the answer to a command of the line protocol."""
        try:
            os.write(self._commands, command.encode() + b"\n")
        except OSError as error:
            raise WatcherError(self._last_words()) from error
        return self._answer(120.0)

    def when_quiet(self, command: str = "report") -> dict[str, Any]:
        """Return its figures once it has reported nothing for a while.

        Raises:
            WatcherError: It never comes to rest: it still reports work of long ago.
        """
        until = time.monotonic() + 60.0
        before = self.ask()
        while True:
            time.sleep(QUIET)
            report = self.ask()
            # Events alone are no proof: after an overflow a watcher may scan everything first.
            fresh = report["events"] - before["events"]
            if not fresh and report["cpu"] - before["cpu"] < IDLE * QUIET:
                break
            before = report
            if time.monotonic() > until:
                message = "it does not come to rest"
                raise WatcherError(message)
        return self.ask(command) if command != "report" else report

    def wake_ups(self) -> int | None:
        """Return how often its threads have gone to sleep, where the system says."""
        total = 0
        try:
            for task in Path(f"/proc/{self._pid}/task").iterdir():
                for line in (task / "status").read_text(encoding="ascii").splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        total += int(line.split()[1])
        except OSError:
            return None
        return total

    def cpu_from_outside(self) -> float:
        """Return the CPU seconds of its threads so far without waking it; 0 if unknown.

        The scheduler's own account, in nanoseconds: the usual one counts ticks of 10 ms.
        """
        total = 0
        with suppress(OSError):
            for task in Path(f"/proc/{self._pid}/task").iterdir():
                total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9

    def stop(self) -> None:
        """End it, whatever it does."""
        with suppress(OSError):
            os.write(self._commands, b"stop\n")
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        os.close(self._commands)
        os.close(self._answers)
        self._words.close()


@contextmanager
def running(watcher: Watcher, folder: Path, *options: str) -> Iterator[Running]:
    """Run a watcher's program on a folder, and end it after the block."""
    program = Running(watcher, folder, *options)
    try:
        yield program
    finally:
        program.stop()
