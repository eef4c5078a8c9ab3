"""Work: CPU for each operation at a steady rate and flat out, and how much was reported."""

from benchmarks._running import running
from benchmarks._watchers import Watcher
from benchmarks.measures._place import FOLDERS, PHASES, Bench, Figures


def paced(bench: Bench, watcher: Watcher) -> Figures:
    """CPU for each operation at a rate every watcher can follow."""
    count = bench.profile.paced
    figures: Figures = {}
    total = 0.0
    with bench.place() as place, running(watcher, place) as program:
        before = program.when_quiet()
        for phase in PHASES:
            bench.produce(phase, place, FOLDERS, count, bench.profile.rate)
            after = program.when_quiet()
            figures[phase] = (after["cpu"] - before["cpu"]) / count
            figures[f"{phase} events"] = (after["events"] - before["events"]) / count
            total += figures[phase]
            before = after
    figures["mean"] = total / len(PHASES)
    return figures


def flat(bench: Bench, watcher: Watcher) -> Figures:
    """CPU for each operation when the producer does not wait, and how much of it was reported."""
    count = bench.profile.flat
    figures: Figures = {}
    total = 0.0
    with bench.place() as place, running(watcher, place, "--distinct") as program:
        before = program.when_quiet()
        for phase in PHASES:
            seconds = bench.produce(phase, place, FOLDERS, count)
            after = program.when_quiet("distinct" if phase == "create" else "report")
            figures[phase] = (after["cpu"] - before["cpu"]) / count
            figures[f"{phase} rate"] = count / seconds
            total += figures[phase]
            if phase == "create":
                figures["told"] = after["distinct"] / count
            if phase == "rename" and "renames" in after:
                figures["paired"] = after["renames"] / count
            before = after
    figures["mean"] = total / len(PHASES)
    return figures


def complete(bench: Bench, watcher: Watcher) -> Figures:
    """Flat out, first while events are taken and then while nobody takes them.

    After each kind of operation the events, replayed onto the listing at the start, are compared
    with the disk.
    """
    count = bench.profile.flat
    figures: Figures = {"names": 0.0, "wrong running": 0.0, "wrong paused": 0.0}
    for way in ("running", "paused"):
        with bench.place() as place, running(watcher, place, "--mirror") as program:
            for phase in PHASES:
                if way == "paused":
                    program.ask("pause")
                bench.produce(phase, place, FOLDERS, count)
                if way == "paused":
                    program.ask("resume")
                program.when_quiet()
                outcome = program.ask("compare")
                figures["names"] += outcome["names"]
                figures[f"wrong {way}"] += outcome["wrong"]
    return figures
