"""``python -m benchmarks [short|full]``: measure, print, write the page of the docs."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._charts import write_charts
from benchmarks._report import Results, page, tables
from benchmarks._targets import targets
from benchmarks._watchers import ROOT, Watcher, WatcherError, watchers
from benchmarks.measures import MEASUREMENTS, PROFILES, Bench, Figures, traced


def usable(found: list[Watcher], results: Results) -> list[Watcher]:
    """Leave out, with a note, what is not installed or cannot be imported here."""
    kept = []
    for watcher in found:
        if watcher.modules and (words := import_failure(watcher)):
            results.notes.append(f"{watcher.title} is left out: {words}.")
        else:
            kept.append(watcher)
    return kept


def import_failure(watcher: Watcher) -> str:
    """Say why it cannot be imported; nothing if it can."""
    done = subprocess.run(
        [sys.executable, "-c", watcher.modules],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def one(name: str, bench: Bench, watcher: Watcher, results: Results) -> Figures | None:
    """Measure once; a watcher that fails at it is left out of it from then on, with a note."""
    measurement = MEASUREMENTS[name]
    if name in watcher.unlike or (watcher.title, name) in results.failed:
        return None
    if measurement.limpet_only and watcher.package != "limpet":
        return None
    try:
        return measurement.run(bench, watcher)
    except WatcherError as error:
        results.failed.add((watcher.title, name))
        results.notes.append(f"{watcher.title} has no figures for “{name}”: {error}.")
        return None


def run(bench: Bench, names: list[str], found: list[Watcher], results: Results) -> None:
    """Run the rounds; within each, all watchers one after the other, so that all see one day."""
    rounds = bench.profile.rounds
    for number in range(rounds):
        # Another one begins each round, so that none always comes after the same one.
        order = found[number % len(found) :] + found[: number % len(found)]
        for name in names:
            if number and MEASUREMENTS[name].once:
                continue
            print(f"round {number + 1} of {rounds}: {name} ", end="", file=sys.stderr, flush=True)
            results.begin_round(name)
            for watcher in order:
                if number and watcher.foreign:
                    continue  # they take long, and the others are compared with each other
                figures = one(name, bench, watcher, results)
                if figures is not None:
                    results.add(name, watcher.title, figures)
                print(".", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)


def default_folder() -> str:
    """Return a file system in memory, if there is one with room: no disk then, and no journal.

    ext4 passes over inodes freed in the last seconds, one by one: a round after another's clean-up
    makes files ten times slower than the first, whoever watches.
    """
    memory = "/dev/shm"  # noqa: S108  # a folder of our own is made in it
    try:
        room = os.statvfs(memory)
    except (AttributeError, OSError):
        return tempfile.gettempdir()
    enough = room.f_bavail * room.f_frsize > 1 << 29 and os.access(memory, os.W_OK)
    return memory if enough else tempfile.gettempdir()


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("profile", nargs="?", choices=[*PROFILES], default="short")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="some of: %(default)s")
    parser.add_argument("--watcher", default="", help="only those with this in their title")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/explanation/performance/watch.md")
    parser.add_argument("--no-page", action="store_true", help="print only")
    parser.add_argument("--folder", default=default_folder(), help="where to work (%(default)s)")
    options = parser.parse_args()
    names = [name for name in MEASUREMENTS if name in options.only.split(",")]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="limpet-bench-", dir=options.folder) as base:
        bench = Bench(Path(base), PROFILES[options.profile])
        results = Results(options.profile, bench.profile, compiled=bench.compiled)
        wanted = [
            w
            for w in watchers(bench.limit, bench.walk)
            if options.watcher in w.title
            and (bench.profile.foreign or options.watcher or not w.foreign)
        ]
        found = usable(wanted, results)
        if not found:
            print("nothing to measure:", *results.notes, file=sys.stderr)
            return 1
        results.describe(found, bench.base)
        run(bench, names, found, results)
        if "tree" in names:
            for watcher in found[:1]:
                if watcher.package == "limpet":
                    results.traced = traced(bench, watcher)["bytes"]
    results.seconds = time.monotonic() - started
    results.targets = targets(results)
    if not options.no_page:
        folder = options.page.with_suffix("")
        results.charts = [f"{folder.name}/{name}" for name in write_charts(results, folder)]
        options.page.write_text(page(results), encoding="utf-8")
        print(f"written: {options.page.name}", file=sys.stderr)
    print(f"{results.targets}\n\n{tables(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
