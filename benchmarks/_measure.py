"""What is measured, and how: each function runs one watcher once and gives its figures."""

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._watchers import ROOT, Running, Watcher, WatcherError, running

FOLDERS = 10
"""Folders the work of one round is spread over."""

PHASES = ("create", "append", "rename", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How much is done."""

    rounds: int
    folders: int
    files: int
    rate: int
    """Operations a second in the paced work."""
    paced: int
    """Operations of each kind in it."""
    burst: int
    """Files made flat out."""
    latency: int
    """Single creations in an idle tree."""
    idle: float
    """Seconds of looking at an idle watcher."""
    imports: int
    """Times each is imported in a round."""


PROFILES = {
    "short": Profile(
        rounds=2,
        folders=2_000,
        files=20_000,
        rate=2_000,
        paced=1_000,
        burst=5_000,
        latency=15,
        idle=1.0,
        imports=3,
    ),
    "full": Profile(
        rounds=3,
        folders=20_000,
        files=200_000,
        rate=4_000,
        paced=8_000,
        burst=20_000,
        latency=60,
        idle=4.0,
        imports=5,
    ),
    "smoke": Profile(
        rounds=1,
        folders=20,
        files=100,
        rate=2_000,
        paced=50,
        burst=100,
        latency=2,
        idle=0.1,
        imports=1,
    ),
}
"""``smoke`` only shows that everything runs; its figures mean nothing."""

Figures = dict[str, float]


class Bench:
    """The folder everything happens in, and the programs that make the work."""

    def __init__(self, base: Path, profile: Profile) -> None:
        """Build the producer where there is a compiler, and make the large tree."""
        self.base = base
        self.profile = profile
        base.chmod(0o755)
        compiler = shutil.which("gcc") or shutil.which("cc")
        self.compiled = compiler is not None
        self._producer = [sys.executable, str(ROOT / "benchmarks" / "producer.py")]
        self.limit: Path | None = None
        if compiler is not None:
            self._producer = [str(self._build(compiler, "producer.c"))]
            if sys.platform == "linux":
                self.limit = self._build(compiler, "drivers/limit.c")
        self.tree = base / "tree"

    def _build(self, compiler: str, source: str) -> Path:
        program = self.base / Path(source).stem
        path = ROOT / "benchmarks" / source
        subprocess.run([compiler, "-O2", "-o", str(program), str(path)], check=True)
        return program

    def make_tree(self) -> None:
        """Make the large tree, and list it once so that the system knows it by heart."""
        self.tree.mkdir()
        self.produce("tree", self.tree, self.profile.folders, self.profile.files)
        for _ in os.walk(self.tree):
            pass

    def produce(self, what: str, root: Path, folders: int, count: int, rate: int = 0) -> float:
        """Do the work and give the seconds it took."""
        arguments = [what, str(root), str(folders), str(count), str(rate)]
        done = subprocess.run([*self._producer, *arguments], check=True, capture_output=True)
        return float(done.stdout)

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Make a folder with folders to work in, and remove it after the block."""
        place = self.base / "place"
        for number in range(FOLDERS):
            (place / f"d{number}").mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place)


def tree(bench: Bench, watcher: Watcher) -> Figures:
    """Set-up on the large tree, what it keeps of it, and what it does when nothing happens."""
    with running(watcher, bench.tree) as program:
        figures = {"cpu": program.setup["cpu"], "wall": program.setup["wall"]}
        time.sleep(0.5)
        resident = program.resident()
        if resident is not None and "memory" not in watcher.unlike:
            figures["memory"] = resident - program.setup["rss_before"]
        before, cpu = program.wake_ups(), program.cpu_from_outside()
        time.sleep(bench.profile.idle)
        after = program.wake_ups()
        if before is not None and after is not None:
            figures["wake-ups"] = (after - before) / bench.profile.idle
            figures["idle cpu"] = (program.cpu_from_outside() - cpu) / bench.profile.idle
        return figures


def traced(bench: Bench, watcher: Watcher) -> Figures:
    """What Python objects take for each entry of the large tree (for a watcher in pure Python)."""
    with running(watcher, bench.tree, "--trace") as program:
        entries = bench.profile.folders + bench.profile.files
        return {"bytes": program.setup["traced"] / entries}


def paced(bench: Bench, watcher: Watcher) -> Figures:
    """CPU for each operation at a rate every watcher can follow."""
    count = bench.profile.paced
    figures: Figures = {}
    with bench.place() as place, running(watcher, place) as program:
        before = program.when_quiet()
        for phase in PHASES:
            bench.produce(phase, place, FOLDERS, count, bench.profile.rate)
            after = program.when_quiet()
            figures[phase] = (after["cpu"] - before["cpu"]) / count
            figures[f"{phase} events"] = (after["events"] - before["events"]) / count
            before = after
    return figures


def burst(bench: Bench, watcher: Watcher) -> Figures:
    """CPU for each file made flat out, and how many of them were told of."""
    count = bench.profile.burst
    with bench.place() as place, running(watcher, place, "--distinct") as program:
        before = program.when_quiet()
        seconds = bench.produce("create", place, FOLDERS, count)
        after = program.when_quiet("distinct")
    return {
        "cpu": (after["cpu"] - before["cpu"]) / count,
        "told": after["distinct"] / count,
        "rate": count / seconds,
    }


def latency(bench: Bench, watcher: Watcher) -> Figures:
    """Time from the call that makes a file to the program being told, in an idle tree."""
    times = []
    with bench.place() as place, running(watcher, place, "--latency") as program:
        program.when_quiet()
        for number in range(bench.profile.latency):
            time.sleep(random.uniform(0.05, 0.10))
            times.append(one_latency(program, place / "d0" / f"lat-{number}"))
    return {
        "p50": statistics.median(times),
        "p99": statistics.quantiles(times, n=100, method="inclusive")[98],
    }


def one_latency(program: Running, path: Path) -> float:
    """Make one file and give the seconds until the program was told of it."""
    begun = time.monotonic_ns()
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    word, name, moment = program.line(10.0).split()
    if (word, name) != ("saw", path.name):
        message = f"expected news of {path.name}, got {name}"
        raise WatcherError(message)
    return (int(moment) - begun) / 1e9


def importing(bench: Bench, watcher: Watcher) -> Figures:
    """Time to import it in a fresh interpreter, and from starting a program to its being ready."""
    code = (
        f"import time; t = time.perf_counter(); {watcher.modules}; print(time.perf_counter() - t)"
    )
    times = []
    ready = []
    with bench.place() as place:
        for _ in range(bench.profile.imports):
            done = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT
            )
            times.append(float(done.stdout))
            with running(watcher, place) as program:
                ready.append(program.start_to_ready)
    return {"import": statistics.median(times), "ready": statistics.median(ready)}


MEASUREMENTS: dict[str, Callable[[Bench, Watcher], Figures]] = {
    "tree": tree,
    "paced": paced,
    "burst": burst,
    "latency": latency,
    "import": importing,
}
