"""Starting: the import, the shortest program up to ready, the command line."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks._running import ENVIRONMENT
from benchmarks._watchers import ROOT, Watcher, WatcherError
from benchmarks.measures._place import Bench, Figures

SHORTEST = {
    "limpet": """
import asyncio, sys
from limpet import watch_dir

async def main():
    async with watch_dir(sys.argv[1]) as watch:
        print("ready", flush=True)
        async for event in watch:
            print(event)

asyncio.run(main())
""",
    # awatch has no sign of being ready: the notifier it makes is, when it is made.
    "watchfiles": """
import asyncio, sys
import watchfiles.main
from watchfiles import awatch

make = watchfiles.main.RustNotify

def ready(*arguments):
    notifier = make(*arguments)
    print("ready", flush=True)
    return notifier

async def main():
    async for changes in awatch(sys.argv[1]):
        print(changes)

watchfiles.main.RustNotify = ready
asyncio.run(main())
""",
    "watchdog": """
import sys, threading
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

observer = Observer()
observer.schedule(FileSystemEventHandler(), sys.argv[1], recursive=True)
observer.start()
print("ready", flush=True)
threading.Event().wait()
""",
    "asyncinotify": """
import asyncio, sys
from asyncinotify import Mask, RecursiveInotify
from pathlib import Path

async def main():
    with RecursiveInotify() as inotify:
        inotify.add_recursive_watch(Path(sys.argv[1]), Mask.CREATE | Mask.MODIFY)
        print("ready", flush=True)
        async for event in inotify:
            print(event)

asyncio.run(main())
""",
    "inotify-simple": """
import os, sys
from inotify_simple import INotify, flags

inotify = INotify()
for folder, _, _ in os.walk(sys.argv[1]):
    inotify.add_watch(folder, flags.CREATE | flags.MODIFY)
print("ready", flush=True)
inotify.read()
""",
}
"""Package -> the shortest program that watches a folder and says when it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What it took until a program had written its first line."""

    cpu: float
    wall: float


def start(bench: Bench, watcher: Watcher) -> Figures:
    """What it takes to import it, to watch a small folder, and to do so from a shell."""
    python = sys.executable
    commands = {
        "import": [python, "-c", _timed(watcher.modules)],
        "uses": [python, "-c", _timed(watcher.uses)],
        "ready": [python, "-c", SHORTEST[watcher.package or ""]],
    }
    if watcher.package == "limpet":
        commands["help"] = [python, "-m", "limpet", "--help"]
        commands["watch"] = [python, "-m", "limpet", "watch"]
    taken: dict[str, list[float]] = {}
    with bench.place() as place:
        for _ in range(bench.profile.starts):
            for name, command in commands.items():
                if name in {"import", "uses"}:
                    taken.setdefault(name, []).append(_imported(command))
                    continue
                took = _start(command if name == "help" else [*command, str(place)])
                taken.setdefault(name, []).append(took.cpu)
                taken.setdefault(f"{name} wall", []).append(took.wall)
    return {name: statistics.median(figures) for name, figures in taken.items()}


def _timed(statement: str) -> str:
    return f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"


def _imported(command: list[str]) -> float:
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=ENVIRONMENT)
    return float(done.stdout)


def _start(command: list[str]) -> Start:
    """Start a program, end it at its first line, and return what the system counted for it.

    Raises:
        WatcherError: It ended before that.
    """
    begun = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        line = program.stdout.readline() if program.stdout is not None else b""
        wall = time.perf_counter() - begun
        program.kill()
        _, program.returncode, usage = os.wait4(program.pid, 0)
    if not line:
        message = f"{Path(command[0]).name} {' '.join(command[1:3])} ended before its first line"
        raise WatcherError(message)
    return Start(cpu=usage.ru_utime + usage.ru_stime, wall=wall)
