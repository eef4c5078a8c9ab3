"""``python -m benchmarks.output``: limpet's output beside others; ``performance/output.md``.

Every round runs all of them one after the other, so that all see one machine on one day; another
one begins each round. Each run is a process of its own in a fresh folder, and folders are removed
only after the last round, for ext4 passes over inodes freed a moment ago one by one.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from benchmarks.__main__ import default_folder
from benchmarks._report import file_system, table
from benchmarks._watchers import ROOT

Run = Callable[[str, str, int, int], Coroutine[None, None, "Cost"]]
"""Folder, kind of work, operations, tasks -> what the work took."""

TEXT = "x" * 99 + "\n"
LOGS = 4
"""Files that are appended to by turns."""

WORK = {
    "create": "new files of 100 bytes",
    "overwrite": "files replaced, 100 bytes",
    "append": "records of 100 bytes appended",
}


class Cost(NamedTuple):
    """What the work took."""

    seconds: float
    cpu: float
    """Seconds of all threads of the process."""


async def spread(one: Callable[[int], Awaitable[object]], count: int, tasks: int) -> Cost:
    """Do ``count`` of them with so many tasks; one before them loads and starts what they need."""

    async def task(first: int) -> None:
        for number in range(first, count, tasks):
            await one(number)

    await one(count)
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(task(first) for first in range(tasks)))
    return Cost(time.perf_counter() - started, time.process_time() - cpu)


async def with_limpet(folder: str, work: str, count: int, tasks: int) -> Cost:
    """Each operation awaited by itself, as a bot would."""
    from limpet.output import open_output

    async with open_output(folder) as out:

        async def one(number: int) -> None:
            if work == "create":
                await out.create(f"f{number}", TEXT)
            elif work == "overwrite":
                await out.overwrite(f"f{number % 100}", TEXT)
            else:
                await out.append(f"log{number % LOGS}", TEXT)

        return await spread(one, count, tasks)


async def with_aiofiles(folder: str, work: str, count: int, tasks: int) -> Cost:
    """Open, write, close; nothing is replaced in one step, and nothing is confined."""
    import aiofiles  # type: ignore[import-untyped]  # comes without types

    async def one(number: int) -> None:
        name, mode = {
            "create": (f"f{number}", "x"),
            "overwrite": (f"f{number % 100}", "w"),
            "append": (f"log{number % LOGS}", "a"),
        }[work]
        async with aiofiles.open(f"{folder}/{name}", mode) as file:
            await file.write(TEXT)

    return await spread(one, count, tasks)


async def with_anyio(folder: str, work: str, count: int, tasks: int) -> Cost:
    """The same with anyio's files."""
    import anyio

    async def one(number: int) -> None:
        if work == "create":
            name, mode = f"f{number}", "x"
        elif work == "overwrite":
            name, mode = f"f{number % 100}", "w"
        else:
            name, mode = f"log{number % LOGS}", "a"
        async with await anyio.open_file(f"{folder}/{name}", mode) as file:  # type: ignore[call-overload]  # the mode is no literal
            await file.write(TEXT)

    return await spread(one, count, tasks)


async def in_threads(folder: str, work: str, count: int, tasks: int) -> Cost:
    """One thread hop an operation, the plain calls in it."""

    def work_on(number: int) -> None:
        name, mode = {
            "create": (f"f{number}", "x"),
            "overwrite": (f"f{number % 100}", "w"),
            "append": (f"log{number % LOGS}", "a"),
        }[work]
        with open(f"{folder}/{name}", mode) as file:
            file.write(TEXT)

    async def one(number: int) -> None:
        await asyncio.to_thread(work_on, number)

    return await spread(one, count, tasks)


RUNS: dict[str, tuple[Run, str]] = {
    "limpet": (with_limpet, "limpet"),
    "aiofiles": (with_aiofiles, "aiofiles"),
    "anyio.open_file": (with_anyio, "anyio"),
    "asyncio.to_thread": (in_threads, ""),
}
"""Title -> what runs it, the package whose version is shown."""


@dataclass(slots=True)
class Figures:
    """One title's figures for one kind of work, a value for each round."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def child(title: str, folder: str, work: str, count: int, tasks: int) -> None:
    """Run one in this process and print its figures."""
    print(json.dumps(asyncio.run(RUNS[title][0](folder, work, count, tasks))._asdict()))


def measure(
    base: Path, counts: dict[str, int], rounds: int, tasks: int
) -> dict[str, dict[str, Figures]]:
    """Run all rounds; returns work -> title -> figures."""
    found = {work: {title: Figures() for title in RUNS} for work in counts}
    titles = list(RUNS)
    for turn in range(rounds):
        order = titles[turn % len(titles) :] + titles[: turn % len(titles)]
        for work, count in counts.items():
            for title in order:
                folder = base / f"{turn}-{work}-{title}"
                folder.mkdir()
                command = [sys.executable, "-m", "benchmarks.output", "--child", title]
                command += [str(folder), work, str(count), str(tasks)]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                line = json.loads(done.stdout)
                found[work][title].rates.append(count / line["seconds"])
                found[work][title].cpu.append(line["cpu"] / count)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over the rounds of one figure by the other, round by round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def tables(found: dict[str, dict[str, Figures]], counts: dict[str, int]) -> str:
    """Return one table for each kind of work."""
    parts = []
    for work, rows in found.items():
        ours = rows["limpet"]
        lines = [["", "a second", "limpet is", "CPU for each, µs", "by limpet's CPU"]]
        for title, figures in rows.items():
            rate, cpu = statistics.median(figures.rates), statistics.median(figures.cpu) * 1e6
            row = [title, f"{rate:,.0f}", "", f"{cpu:,.1f}", ""]
            if figures is not ours:
                row[2] = f"{ratio(ours.rates, figures.rates):.1f}× as fast"
                row[4] = f"{ratio(figures.cpu, ours.cpu):.1f}×"
            lines.append(row)
        parts.append(f"### {counts[work]:,} {WORK[work]}\n\n{table(lines)}\n")
    return "\n".join(parts)


def shown(package: str) -> str:
    """Return a package's version, or Python's for the standard library."""
    try:
        return version(package) if package else platform.python_version()
    except PackageNotFoundError:
        return "from source"


def default_places() -> list[str]:
    """Return a file system in memory, if there is one, and the one the system keeps files on."""
    return sorted({default_folder(), str(ROOT.parent)})


def main() -> None:
    """Run what the arguments ask for."""
    if sys.argv[1:2] == ["--child"]:
        title, folder, work, *numbers = sys.argv[2:]
        child(title, folder, work, *map(int, numbers))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.output", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual amount of work")
    parser.add_argument("--tasks", default="40,400")
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs/explanation/performance/output.md"
    )
    parser.add_argument("--folders", default="", help="where to work, comma-separated")
    options = parser.parse_args()
    counts = {
        work: max(400, int(count * options.scale))
        for work, count in {"create": 4_000, "overwrite": 4_000, "append": 12_000}.items()
    }
    places = options.folders.split(",") if options.folders else default_places()
    sections = []
    for place in places:
        for tasks in map(int, options.tasks.split(",")):
            with tempfile.TemporaryDirectory(prefix="limpet-bench-", dir=place) as base:
                system = file_system(Path(base))
                found = measure(Path(base), counts, options.rounds, tasks)
            heading = f"## {tasks} tasks, {system}\n"
            sections.append(heading + "\n" + tables(found, counts))
            print(sections[-1])
    machine = (
        f"{platform.system()} {platform.release().partition('-')[0]}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end"
    )
    versions = "\n".join(f"| {title} | {shown(package)} |" for title, (_, package) in RUNS.items())
    text = (
        (ROOT / "benchmarks" / "output.md")
        .read_text(encoding="utf-8")
        .format(
            rounds=options.rounds,
            tasks=options.tasks.replace(",", " or "),
            machine=machine,
            versions=versions,
            sections="\n".join(sections),
        )
    )
    options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
