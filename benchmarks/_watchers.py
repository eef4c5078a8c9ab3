"""The watchers that are compared, and a running one as the benchmark sees it."""

import importlib.metadata
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

QUIET = 0.3
"""Seconds without news and without work after which a watcher is taken to have told all it will."""

IDLE = 0.1
"""Share of a processor below which it is taken not to work; the busiest idle peer needs 0.02."""

WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-sys_admin")
"""Runs a program as root without CAP_SYS_ADMIN, which is what fanotify asks for."""


class WatcherError(Exception):
    """A watcher's program ended, or did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """One way to watch: a column of the tables."""

    title: str
    note: str
    """What it was asked for, for the reader."""
    package: str | None
    """Distribution it comes from; None for the C program."""
    command: tuple[str, ...]
    modules: str = ""
    """What a program imports to use it."""
    unlike: frozenset[str] = field(default_factory=frozenset)
    """Measurements left out because another column already is the same."""


def python(module: str, *options: str) -> tuple[str, ...]:
    """Give the command that runs a driver."""
    return (sys.executable, "-m", f"benchmarks.drivers.{module}", *options)


def watchers(limit: Path | None) -> list[Watcher]:
    """Give all of them, limpet first; ``limit`` is the compiled C program, if there is one."""
    found = [
        Watcher(
            title="limpet, fanotify",
            note="`watch_dir(backend='fanotify')`, taken by `batches()`",
            package="limpet",
            command=python("with_limpet", "--backend", "fanotify"),
            modules="from limpet import watch_dir",
        ),
        Watcher(
            title="limpet, inotify",
            note="`watch_dir(backend='inotify')`, taken by `batches()`",
            package="limpet",
            command=python("with_limpet", "--backend", "inotify"),
            modules="from limpet import watch_dir",
            unlike=frozenset({"import"}),
        ),
        Watcher(
            title="watchfiles",
            note="`awatch(watch_filter=None)`, debounce 1600 ms and step 50 ms as it has them",
            package="watchfiles",
            command=python("with_watchfiles"),
            modules="from watchfiles import awatch",
        ),
        Watcher(
            title="watchfiles, fastest",
            note="the same with debounce and step at 1 ms",
            package="watchfiles",
            command=python("with_watchfiles", "--debounce", "1", "--step", "1"),
            modules="from watchfiles import awatch",
            unlike=frozenset({"import"}),
        ),
        Watcher(
            title="watchdog",
            note="`Observer` with an `event_filter` that leaves out opening and closing",
            package="watchdog",
            command=python("with_watchdog"),
            modules="from watchdog.observers import Observer",
        ),
        Watcher(
            title="asyncinotify",
            note="`RecursiveInotify` for create, modify, close-write, move, delete",
            package="asyncinotify",
            command=python("with_asyncinotify"),
            modules="from asyncinotify import RecursiveInotify",
        ),
    ]
    if os.name == "posix" and os.geteuid() == 0 and shutil.which(WITHOUT_PRIVILEGE[0]):
        found.insert(
            1,
            Watcher(
                title="limpet, fanotify, unprivileged",
                note="the same without CAP_SYS_ADMIN: a mark on each folder",
                package="limpet",
                command=(*WITHOUT_PRIVILEGE, *found[0].command),
                modules=found[0].modules,
                unlike=frozenset({"import"}),
            ),
        )
    if limit is not None:
        found += [
            Watcher(
                title="limit",
                note="a C program that reads inotify and throws it away",
                package=None,
                command=(str(limit),),
                unlike=frozenset({"import", "memory"}),
            ),
            Watcher(
                title="limit, gathering",
                note="the same, waiting 5 ms before each read",
                package=None,
                command=(str(limit), "--gather", "5"),
                unlike=frozenset({"import", "memory", "tree", "latency"}),
            ),
        ]
    return found


def version(watcher: Watcher) -> str:
    """Give the installed version of the watcher's package; nothing for what has none."""
    if watcher.package is not None:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(watcher.package)
    return ""


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
                stdin=commands,
                stdout=answers,
                stderr=self._words,
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

    def line(self, patience: float) -> str:
        """Give the next line it prints.

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
        """Give the answer to ``report`` or ``distinct``."""
        try:
            os.write(self._commands, command.encode() + b"\n")
        except OSError as error:
            raise WatcherError(self._last_words()) from error
        return self._answer(60.0)

    def when_quiet(self, command: str = "report") -> dict[str, Any]:
        """Give its figures once it has told nothing new for a while.

        Raises:
            WatcherError: It never comes to rest: it still tells of work long done.
        """
        until = time.monotonic() + 60.0
        before = self.ask()
        while True:
            time.sleep(QUIET)
            report = self.ask()
            # News alone does not tell: after an overflow a watcher may look at everything first.
            news = report["events"] - before["events"]
            if not news and report["cpu"] - before["cpu"] < IDLE * QUIET:
                break
            before = report
            if time.monotonic() > until:
                message = "it does not come to rest"
                raise WatcherError(message)
        return self.ask(command) if command != "report" else report

    def resident(self) -> int | None:
        """Give the bytes of memory it holds, where the system says."""
        with suppress(OSError):
            table = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
            return int(table.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return None

    def wake_ups(self) -> int | None:
        """Give how often its threads have gone to sleep, where the system says."""
        total = 0
        try:
            for task in Path(f"/proc/{self._process.pid}/task").iterdir():
                for line in (task / "status").read_text(encoding="ascii").splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        total += int(line.split()[1])
        except OSError:
            return None
        return total

    def cpu_from_outside(self) -> float:
        """Give its CPU seconds so far without waking it, in steps of a clock tick; 0 if unknown."""
        with suppress(OSError):
            table = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
            user, system = table.rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def stop(self) -> None:
        """End it, whatever it does."""
        with suppress(OSError):
            os.write(self._commands, b"stop\n")
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
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
