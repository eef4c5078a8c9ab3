"""Latency: from the call that changes something to the program that holds the event."""

import os
import random
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks._running import Running, running
from benchmarks._watchers import Watcher, WatcherError
from benchmarks.measures._place import FOLDERS, Bench, Figures


def latency(bench: Bench, watcher: Watcher) -> Figures:
    """One creation, and one append, in an idle tree."""
    count = bench.profile.latency
    there = [f"d0/lat-old-{number}" for number in range(count)]
    created, appended = [], []
    with bench.place(*there) as place, running(watcher, place, "--latency") as program:
        program.when_quiet()
        for number in range(count):
            time.sleep(random.uniform(0.05, 0.10))
            created.append(_create(program, place / "d0" / f"lat-{number}"))
            time.sleep(random.uniform(0.05, 0.10))
            appended.append(_append(program, place / there[number]))
    return {
        "create p50": statistics.median(created),
        "create p99": _p99(created),
        "append p50": statistics.median(appended),
        "append p99": _p99(appended),
    }


def load(bench: Bench, watcher: Watcher, *options: str) -> Figures:
    """One creation in one folder while files are made in others at the paced rate."""
    times = []
    profile = bench.profile
    with bench.place() as place, running(watcher, place, "--latency", *options) as program:
        (place / "busy").mkdir()
        for number in range(FOLDERS):
            (place / "busy" / f"d{number}").mkdir()
        program.when_quiet()
        enough = profile.rate * (profile.load + 20) // 10
        command = bench.command("create", place / "busy", FOLDERS, enough, profile.rate)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as producer:
            time.sleep(0.3)
            for number in range(profile.load):
                time.sleep(random.uniform(0.03, 0.09))
                times.append(_create(program, place / "d0" / f"lat-{number}"))
            producer.terminate()
    return {"p50": statistics.median(times), "p99": _p99(times)}


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


def _create(program: Running, path: Path) -> float:
    begun = time.monotonic_ns()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    return _seen(program, path.name, begun)


def _append(program: Running, path: Path) -> float:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        begun = time.monotonic_ns()
        os.write(fd, b"a line\n")
        return _seen(program, path.name, begun)
    finally:
        os.close(fd)


def _seen(program: Running, name: str, begun: int) -> float:
    """Return the seconds from then until the program has the event of the file."""
    word, reported, moment = program.line(10.0).split()
    if (word, reported) != ("saw", name):
        message = f"expected an event of {name}, got {reported}"
        raise WatcherError(message)
    return (int(moment) - begun) / 1e9
