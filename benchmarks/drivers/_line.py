"""The line protocol between the benchmark and a watcher's program.

The program watches the folder it is given and, once every later change will be seen, prints a line
of JSON: ``cpu`` and ``wall`` seconds since it began to set up, ``rss_before`` (bytes before that),
``traced`` (bytes Python allocated in between, if it was started with ``--trace``), ``resident``
(bytes held now). Then it answers
each line: ``report`` with ``cpu`` (seconds of the process so far) and ``events`` (told so far),
``distinct`` (if it was started with ``--distinct``) also with the number of different files it was
told of; ``stop`` or the end of the input ends it. Started with ``--latency`` it also prints ``saw
NAME NANOSECONDS`` (monotonic clock) for each file called ``lat-…`` as it is told of it. Where
another program does the watching, the first line also has its ``pid``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any


def cpu() -> float:
    """Return the seconds of CPU this process has used, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """Return the bytes of memory this process holds; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as table:
            return int(table.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def foreign(program: subprocess.Popen[Any], line: "Line") -> None:
    """Have the figures be those of another program, and end it with this one."""
    process = Path(f"/proc/{program.pid}")

    def seconds() -> float:
        """All threads, in nanoseconds of the scheduler: the field of a process is its first's."""
        total = 0
        for task in (process / "task").iterdir():
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9

    def held() -> int:
        pages = (process / "statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    line.cpu, line.resident, line.at_end = seconds, held, program.kill
    line.extra["pid"] = program.pid


class Line:
    """The program's side of the protocol; :attr:`tell` takes the path of each event."""

    def __init__(self) -> None:
        """Read the arguments; ``options`` holds those that only one watcher has."""
        parser = argparse.ArgumentParser()
        parser.add_argument("folder")
        parser.add_argument("--latency", action="store_true")
        parser.add_argument("--distinct", action="store_true")
        parser.add_argument("--trace", action="store_true")
        parser.add_argument("--backend", default="auto")
        for flag in ("--heartbeat", "--many", "--mirror"):
            parser.add_argument(flag, action="store_true")
        parser.add_argument("--each", action="store_true")
        parser.add_argument("--debounce", type=int, default=1600)
        parser.add_argument("--step", type=int, default=50)
        parser.add_argument("--gather", type=float, default=0.014)
        self.options = parser.parse_args()
        self.folder: str = self.options.folder
        self.cpu: Callable[[], float] = cpu
        self.resident: Callable[[], int] = resident
        self.extra: dict[str, float] = {}
        """Figures of one watcher alone, printed with the others once it is ready."""
        self.commands: dict[str, Callable[[], dict[str, float]]] = {}
        """Commands that only one watcher knows."""
        self.at_end: Callable[[], None] = lambda: None
        """Called when the program must stop, which it then does at once."""
        self.tell: Callable[[str | bytes | PurePath], None] = self._count
        if self.options.distinct:
            self.tell = self._keep
        if self.options.latency:
            self.tell = self._announce
        self._events = 0
        self._seen: set[str | bytes] = set()
        self._named: set[str] = set()
        self._cpu = 0.0
        self._wall = 0.0
        self._rss = 0

    def begin(self) -> None:
        """Everything is imported and set-up begins."""
        self._rss = self.resident()
        if self.options.trace:
            tracemalloc.start()
        self._cpu, self._wall = self.cpu(), time.perf_counter()

    def ready(self) -> None:
        """Set-up is done: every later change will be seen."""
        figures = {
            "cpu": self.cpu() - self._cpu,
            "wall": time.perf_counter() - self._wall,
            "rss_before": self._rss,
            "traced": tracemalloc.get_traced_memory()[0],
            "resident": self.resident(),
            **self.extra,
        }
        print(json.dumps(figures), flush=True)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for command in sys.stdin:
            if command == "stop\n":
                break
            report: dict[str, float] = {"cpu": self.cpu(), "events": self._events}
            if command.strip() in self.commands:
                report |= self.commands[command.strip()]()
            if command == "distinct\n":
                report["distinct"] = self._distinct()
            print(json.dumps(report), flush=True)
        self.at_end()
        os._exit(0)

    def _distinct(self) -> int:
        names = (os.path.basename(os.fsdecode(path)) for path in self._seen.copy())
        return sum(name.startswith("f") for name in names)

    def _count(self, path: str | bytes | PurePath) -> None:  # as the others
        self._events += 1

    def _keep(self, path: str | bytes | PurePath) -> None:
        self._events += 1
        self._seen.add(os.fspath(path))

    def _announce(self, path: str | bytes | PurePath) -> None:
        self._events += 1
        moment = time.monotonic_ns()
        name = os.path.basename(os.fsdecode(path))
        if name.startswith("lat-") and name not in self._named:
            self._named.add(name)
            print(f"saw {name} {moment}", flush=True)
