"""Set-up: what it takes on a large tree, how it grows, what is kept, what idling costs."""

import shutil
import time

from benchmarks._running import running
from benchmarks._watchers import Watcher, WatcherError
from benchmarks.measures._place import Bench, Figures

BIG = 500_000
"""Files from which on only watchers that are known to bear it are tried."""


def tree(bench: Bench, watcher: Watcher) -> Figures:
    """Set-up on the large tree, and what it keeps of it."""
    profile = bench.profile
    with running(watcher, bench.tree(profile.folders, profile.files)) as program:
        figures = {"cpu": program.setup["cpu"], "wall": program.setup["wall"]}
        if "memory" not in watcher.unlike:
            figures["memory"] = program.setup["resident"] - program.setup["rss_before"]
    return figures


def idle(bench: Bench, watcher: Watcher) -> Figures:
    """What it does on the large tree when nothing happens."""
    profile = bench.profile
    figures: Figures = {}
    with running(watcher, bench.tree(profile.folders, profile.files)) as program:
        time.sleep(0.5)
        before, cpu = program.wake_ups(), program.cpu_from_outside()
        time.sleep(profile.idle)
        after = program.wake_ups()
        if before is not None and after is not None:
            figures["switches"] = after - before
            figures["idle cpu"] = (program.cpu_from_outside() - cpu) / profile.idle
    return figures


def growth(bench: Bench, watcher: Watcher) -> Figures:
    """CPU and memory of set-up on trees of growing size, and how long limpet stops its loop."""
    figures: Figures = {}
    for files in bench.profile.growth:
        if files > BIG and "big" in watcher.unlike:
            continue
        options = ("--heartbeat",) if watcher.package == "limpet" else ()
        try:
            with running(watcher, bench.tree(files // 10, files), *options) as program:
                figures[f"cpu {files}"] = program.setup["cpu"]
                if "blocked" in program.setup:
                    figures[f"blocked {files}"] = program.setup["blocked"]
                if "memory" not in watcher.unlike:
                    kept = program.setup["resident"] - program.setup["rss_before"]
                    figures[f"memory {files}"] = kept / files
        except WatcherError:
            if not figures:
                raise
            break  # as far as it goes
    return figures


def traced(bench: Bench, watcher: Watcher) -> Figures:
    """What Python objects take for each entry of the large tree (for a watcher in pure Python)."""
    profile = bench.profile
    with running(watcher, bench.tree(profile.folders, profile.files), "--trace") as program:
        return {"bytes": program.setup["traced"] / (profile.folders + profile.files)}


def many(bench: Bench, watcher: Watcher) -> Figures:
    """Many locations in one process: set-up, kernel instances, wake-ups when nothing happens."""
    figures: Figures = {}
    for count in bench.profile.many:
        place = bench.base / "many"
        for number in range(count):
            (place / f"d{number}").mkdir(parents=True)
        try:
            with running(watcher, place, "--many") as program:
                figures[f"cpu {count}"] = program.setup["cpu"]
                figures["instances"] = program.setup["instances"]
                time.sleep(0.3)
                before = program.wake_ups() or 0
                time.sleep(bench.profile.idle if count == bench.profile.many[-1] else 0.0)
                figures["switches"] = (program.wake_ups() or 0) - before
        finally:
            shutil.rmtree(place)
    return figures
