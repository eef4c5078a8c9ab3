"""``python -m benchmarks.follow``: how following does against its targets, and the page on it.

Every round runs limpet and its baselines one after the other, so that all see one machine on one
day; what is compared is of the same round. Times of limpet are of a running interpreter, from
entering the follower to its last line; times of programs are of the whole program.
"""

import argparse
import asyncio
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._report import file_system, table
from benchmarks._watchers import ROOT
from benchmarks.follow_many import behind, limpet_follow, tail

LINE = b"x" * 114
LINES = 540_000


@dataclass(frozen=True)
class Target:
    """What must be reached."""

    number: str
    what: str
    wanted: str
    got: str
    reached: bool


def make_log(path: Path, lines: int) -> int:
    """Write numbered lines of 124 bytes; return the size."""
    with path.open("wb") as file:
        for first in range(0, lines, 10_000):
            file.write(
                b"".join(b"%09d%s\n" % (n, LINE) for n in range(first, min(lines, first + 10_000)))
            )
    return path.stat().st_size


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shell(command: str, *words: str) -> float:
    """Return the seconds that a pipeline takes."""
    return timed(lambda: subprocess.run(["bash", "-c", command, "bash", *words], check=True))


async def follow(path: Path, how: str) -> int:
    """Follow what is there to its end in one of the ways, and count what came."""
    import limpet

    mode: Any = "chunks" if how == "chunks" else "lines"
    count = 0
    async with limpet.follow(path, start="beginning", until="eof", mode=mode) as follower:
        match how:
            case "batches":
                async for batch in follower.batches():
                    count += len(batch.lines)
            case "chunks":
                async for batch in follower.batches():
                    count += len(batch.data)
            case "text":
                async for _ in follower.text():
                    count += 1
            case _:
                async for _ in follower:
                    count += 1
    return count


def catch_up(path: Path, size: int) -> dict[str, float]:
    """One round of reading what is there: limpet in its ways, and the baselines; seconds."""
    found = {}
    for how in ("batches", "chunks", "text", "lines"):
        began = time.perf_counter()
        asyncio.run(follow(path, how))
        found[how] = time.perf_counter() - began
    pipeline = 'tail -c +1 -F "$1" 2>/dev/null | head -c "$2" > /dev/null'
    found["tail"] = shell(pipeline, str(path), str(size))
    found["wc"] = shell('wc -l "$1" > /dev/null', str(path))
    return found


def with_pygtail(path: Path) -> float:
    """Seconds for the same file with pygtail."""
    from pygtail import Pygtail  # type: ignore[import-untyped]  # comes without types

    with tempfile.TemporaryDirectory() as directory:

        def work() -> None:
            for _ in Pygtail(str(path), offset_file=f"{directory}/offset"):
                pass

        return timed(work)


async def latency(path: Path, count: int, **options: Any) -> list[float]:  # noqa: ANN401 (passed on)
    """Seconds from an append in an idle file to its line, sorted."""
    import limpet

    path.write_bytes(b"")
    found: list[float] = []
    async with limpet.follow(path, **options) as follower:
        lines = aiter(follower.text())
        written = 0.0

        def write() -> None:
            nonlocal written
            with path.open("ab", buffering=0) as file:
                written = time.perf_counter()
                file.write(b"line\n")

        for _ in range(count):
            await asyncio.sleep(0.03)
            await asyncio.to_thread(write)
            await anext(lines)
            found.append(time.perf_counter() - written)
    return sorted(found)


PROGRAM = """
import asyncio, resource, sys, time
import limpet

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

async def main(paths, seconds):
    one = limpet.follow(paths[0])
    async with one:
        await one.fence()
        before = rss()
        async with limpet.follow(*paths[1:]) as many:
            await many.fence()
            after = rss()
            cpu = time.process_time()
            await asyncio.sleep(seconds)
            cpu = time.process_time() - cpu
            print(cpu / seconds, (after - before) / len(paths), many.stats().paths)

asyncio.run(main(sys.argv[2:], float(sys.argv[1])))
"""


def idle(directory: Path, files: int, seconds: float, *, glob: bool) -> tuple[float, float]:
    """CPU share and bytes for each of many idle files, in a process of its own."""
    directory.mkdir()
    for number in range(files):
        (directory / f"{number}.log").write_bytes(b"x\n")
    paths = [str(directory / "0.log"), f"{directory}/*.log"]
    if not glob:
        paths = [str(directory / f"{number}.log") for number in range(files)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seconds), *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    cpu, size, _ = done.stdout.split()
    return float(cpu), float(size) * len(paths) / files


def long_line(path: Path, mib: int, **options: Any) -> tuple[float, int]:  # noqa: ANN401 (passed on)
    """Seconds for one line of so many MiB, and the growth of the process's peak memory in bytes."""
    piece = b"y" * (1 << 20)
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(piece)
        file.write(b"\n")

    async def work() -> None:
        import limpet

        async for _ in limpet.follow(path, start="beginning", until="eof", **options).batches():
            pass

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = timed(lambda: asyncio.run(work()))
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10


async def checkpoints(directory: Path, seconds: float) -> tuple[float, float]:
    """Saves a second, and the share of a core they take, of a log that is written all the time."""
    import limpet
    from limpet.following import _checkpoint

    path, spent = directory / "busy.log", [0.0]
    original = _checkpoint.CheckpointStore.save
    path.write_bytes(b"")

    def save(store: _checkpoint.CheckpointStore, content: bytes) -> None:
        began = time.thread_time()
        original(store, content)
        spent[0] += time.thread_time() - began

    store_type: Any = _checkpoint.CheckpointStore
    store_type.save = save
    ended = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.wait(0.005):
                file.write(b"line\n" * 20)

    thread = threading.Thread(target=write)
    try:
        async with limpet.follow(path, state=directory / "state") as follower:
            thread.start()
            batches = aiter(follower.batches())
            await asyncio.sleep(0)
            warm = time.perf_counter() + 2.0
            while time.perf_counter() < warm:  # it is saved more often right after the start
                await anext(batches)
            spent[0], before, began = 0.0, follower.stats().saves, time.perf_counter()
            while time.perf_counter() < began + seconds:
                await anext(batches)
            saves = follower.stats().saves - before
            return saves / seconds, spent[0] / seconds
    finally:
        ended.set()
        thread.join()
        store_type.save = original


def measure(directory: Path, rounds: int, lines: int, files: int) -> list[Target]:
    """Measure all, and compare with the targets."""
    log = directory / "log"
    size = make_log(log, lines)
    mib = size / (1 << 20)
    timed(log.read_bytes)  # into the page cache
    asyncio.run(follow(log, "batches"))  # loads what is used
    found = [catch_up(log, size) for _ in range(rounds)]
    pyg = with_pygtail(log)

    def best(name: str) -> float:
        return min(one[name] for one in found)

    def ratio(first: str, second: str) -> float:
        return statistics.median(one[first] / one[second] for one in found)

    def rate(name: str) -> str:
        return f"{mib / best(name):.0f} MiB/s, {lines / best(name) / 1e6:.1f} M lines/s"

    hinted = asyncio.run(latency(directory / "latency", 200))
    polled = asyncio.run(latency(directory / "latency", 40, backend="poll", poll_interval=0.1))
    cpu, memory = idle(directory / "idle", files, 10.0, glob=True)
    each_cpu, each = idle(directory / "each", files, 10.0, glob=False)
    seconds, _ = long_line(directory / "long", 32, max_line=64 << 20)
    _, peak = long_line(directory / "longer", 256)
    saves, share = asyncio.run(checkpoints(directory, 5.0))
    p50, p99 = hinted[len(hinted) // 2], hinted[int(len(hinted) * 0.99)]
    slowest = polled[-1]
    of_tail, of_wc = 1 / ratio("batches", "tail"), ratio("batches", "wc")
    chunks = 1 / ratio("chunks", "tail")
    text, objects = lines / best("text") / 1e6, lines / best("lines") / 1e6
    targets: list[Target] = []

    def add(what: str, wanted: str, got: str, *, reached: bool) -> None:
        targets.append(Target(f"T{len(targets) + 1}", what, wanted, got, reached))

    add(
        "catching up in batches, decoded, beside `tail -F` into `head`",
        "≥ 0.35 × its throughput (stretch 0.6)",
        f"{of_tail:.2f} × ({rate('batches')}; tail {mib / best('tail'):.0f} MiB/s)",
        reached=of_tail >= 0.35,
    )
    add(
        "the same beside `wc -l`", "≤ 20 × its time (stretch 12)", f"{of_wc:.1f} ×",
        reached=of_wc <= 20,
    )  # fmt: skip
    add(
        "line by line: `str`, `Line`",
        "≥ 1.2, ≥ 0.6 M lines/s",
        f"{text:.2f}, {objects:.2f} M lines/s",
        reached=text >= 1.2 and objects >= 0.6,
    )
    add(
        '`mode="chunks"` beside `tail -F`',
        "≥ 1.0 × its throughput",
        f"{chunks:.2f} × ({mib / best('chunks'):.0f} MiB/s)",
        reached=chunks >= 1.0,
    )
    add(
        "beside pygtail",
        "≥ 10 × its throughput",
        f"{pyg / best('batches'):.1f} × ({mib / pyg:.0f} MiB/s)",
        reached=pyg / best("batches") >= 10,
    )
    add(
        "from append to line in an idle file",
        "p50 < 3 ms, p99 < 20 ms; polled ≤ interval + 10 ms",
        f"p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms; polled each 100 ms: "
        f"{slowest * 1e3:.0f} ms",
        reached=p50 < 0.003 and p99 < 0.020 and slowest <= 0.110,
    )
    add(
        f"{files} idle files",
        "< 0.6 % of a core",
        f"{cpu * 100:.2f} % (a glob), {each_cpu * 100:.2f} % (each by its path)",
        reached=max(cpu, each_cpu) < 0.006,
    )
    add(
        "memory",
        "≤ 8 KiB for an idle file; a line of 256 MiB bounded by `max_line`",
        f"{memory / 1024:.1f} KiB (a glob), {each / 1024:.1f} KiB (each by its path); "
        f"{peak >> 20} MiB more",
        reached=max(memory, each) <= 8192 and peak < 64 << 20,
    )
    add(
        "one line of 32 MiB within `max_line`", "< 0.3 s", f"{seconds:.2f} s",
        reached=seconds < 0.3,
    )  # fmt: skip
    add(
        "the state of a busy log",
        "≤ 1 save a second, ≤ 1 % of a core",
        f"{saves:.2f} a second, {share * 100:.2f} %",
        reached=saves <= 1.05 and share <= 0.01,
    )
    many = {
        name: behind(directory / name, command, files=5000, rate=500, secs=6.0)
        for name, command in (("limpet", limpet_follow), ("tail", tail))
    }
    ours, theirs = many["limpet"], many["tail"]
    add(
        "`limpet follow` on 5,000 quiet files, 500 lines a second, beside `tail -F`",
        "p99 < 50 ms, none missing; started in < 2 s",
        f"p50 {ours.p50 * 1e3:.1f} ms, p99 {ours.p99 * 1e3:.1f} ms, {ours.missing} missing, "
        f"started in {ours.started:.2f} s; tail p99 {theirs.p99 * 1e3:.1f} ms",
        reached=ours.p99 < 0.050 and not ours.missing and ours.started < 2.0,
    )
    return targets


def render(targets: list[Target], directory: Path, rounds: int, lines: int) -> str:
    """Return the page."""
    from importlib.metadata import version

    rows = [["", "what", "wanted", "measured", "reached"]]
    rows += [
        [one.number, one.what, one.wanted, one.got, "yes" if one.reached else "**no**"]
        for one in targets
    ]
    done = subprocess.run(["tail", "--version"], capture_output=True, text=True, check=False)
    tail = done.stdout.splitlines()[0] if done.stdout else "no tail"
    missed = [f"{x.number}: {x.got}, wanted {x.wanted}" for x in targets if not x.reached]
    said = "Not reached: " + "; ".join(missed) + "." if missed else "All of them are reached."
    where = (
        f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, {os.cpu_count()} CPUs, {file_system(directory)}; {tail}, "
        f"pygtail {version('pygtail')}."
    )
    head = (
        "# Performance of following\n\n"
        "Written by `make bench-follow`. The targets are ratios to what runs beside limpet in the\n"
        "same round, or bounds. Each figure is the best and each ratio the median of "
        f"{rounds} rounds.\nThe file has {lines:,} lines of 124 bytes and is in the page cache.\n"
    )
    return "\n".join([head, table(rows), "", said, "", where, ""])


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.follow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--page", default=str(ROOT / "docs/explanation/performance/follow.md"))
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="limpet-follow-"))
    try:
        targets = measure(directory, given.rounds, given.lines, given.files)
        page = render(targets, directory, given.rounds, given.lines)
    finally:
        shutil.rmtree(directory)
    print(page)
    Path(given.page).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
