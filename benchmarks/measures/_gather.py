"""What ``gather`` trades: CPU for each operation against latency, from none to long."""

from benchmarks._running import running
from benchmarks._watchers import Watcher
from benchmarks.measures._latency import load
from benchmarks.measures._place import FOLDERS, Bench, Figures


def gather(bench: Bench, watcher: Watcher) -> Figures:
    """CPU for each creation at the paced rate, and latency at that rate, by seconds gathered."""
    count = bench.profile.paced
    figures: Figures = {}
    for seconds in bench.profile.gather:
        options = ("--gather", f"{seconds:g}")
        with bench.place() as place, running(watcher, place, *options) as program:
            before = program.when_quiet()
            bench.produce("create", place, FOLDERS, count, bench.profile.rate)
            after = program.when_quiet()
            figures[f"cpu {seconds:g}"] = (after["cpu"] - before["cpu"]) / count
        for figure, value in load(bench, watcher, *options).items():
            figures[f"{figure} {seconds:g}"] = value
    return figures
