"""Starting: the import, a whole program up to ready, the command line."""

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks._running import ENVIRONMENT, running
from benchmarks._watchers import ROOT, Watcher, WatcherError
from benchmarks.measures._place import Bench, Figures


def importing(bench: Bench, watcher: Watcher) -> Figures:
    """CPU to import it in a fresh interpreter, and from starting a program to its being ready."""
    statement = watcher.modules
    code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    imports, whole, ready = [], [], []
    with bench.place() as place:
        for _ in range(bench.profile.starts):
            done = subprocess.run(
                [sys.executable, "-c", code],
                check=True,
                capture_output=True,
                cwd=ROOT,
                env=ENVIRONMENT,
            )
            imports.append(float(done.stdout))
            with running(watcher, place) as program:
                whole.append(program.start_to_ready)
                ready.append(program.cpu_from_outside())
    return {
        "import": statistics.median(imports),
        "ready": statistics.median(ready),
        "ready wall": statistics.median(whole),
    }


def command_line(bench: Bench, watcher: Watcher) -> Figures:
    """CPU of ``limpet --help``, and of ``limpet watch`` up to its first line, which says ready."""
    del watcher
    helped, ready = [], []
    with bench.place() as place:
        for _ in range(bench.profile.starts):
            with _cpu() as spent:
                subprocess.run(
                    [sys.executable, "-m", "limpet", "--help"],
                    check=True,
                    capture_output=True,
                    cwd=ROOT,
                    env=ENVIRONMENT,
                )
            helped.append(spent[0])
            command = [sys.executable, "-m", "limpet", "watch", str(place), "--format", "jsonl"]
            with _cpu() as spent:
                started = subprocess.Popen(
                    command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE
                )
                try:
                    if started.stdout is None or not started.stdout.readline():
                        message = "limpet watch ended before it was ready"
                        raise WatcherError(message)
                finally:
                    started.kill()
                    started.communicate()
            ready.append(spent[0])
    return {"help": statistics.median(helped), "watch": statistics.median(ready)}


@contextmanager
def _cpu() -> Iterator[list[float]]:
    """Give the CPU seconds of the children that end in the block."""
    spent = [0.0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield spent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent[0] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
