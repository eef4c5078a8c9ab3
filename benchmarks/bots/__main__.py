"""Measures bots: ``python -m benchmarks.bots [short|full] [--page FILE]``.

Each run is a process of its own, so that peak memory is that run's; mewbot's runner and limpet's
take turns, and a ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from benchmarks.bots.parts import Mark

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/explanation/performance/bots.md"

BOTS: Final = {
    "an empty action": {"answers": False, "behaviours": 1},
    "an output for each event": {"answers": True, "behaviours": 1},
    "three behaviours": {"answers": False, "behaviours": 3},
}
TARGET: Final = 3.0
"""The wanted ratio of limpet's throughput to mewbot's."""


def one_run(runner: str, what: str, count: int) -> dict[str, float]:
    """Run one bot to its end in this process; return events a second, CPU and memory.

    What is loaded and started before the first event is counted apart, and the end not at all.
    """
    from benchmarks.bots.parts import DONE, Mark, bot

    made = bot(count, bounded=runner == "limpet", **BOTS[what])  # type: ignore[arg-type]  # as named
    before, start = resource.getrusage(resource.RUSAGE_SELF), Mark.now()
    if runner == "limpet":
        from limpet.bot.runner import run

        asyncio.run(run(made, until_done=True))
    else:
        _run_mewbot(made, DONE)
    after = resource.getrusage(resource.RUSAGE_SELF)
    first, last = made[0].source.began, DONE[-1]
    return {
        "rate": count / (last.time - first.time),
        "cpu": (last.cpu - first.cpu) / count * 1e6,
        "start": (first.cpu - start.cpu) * 1e3,
        "memory": after.ru_maxrss / 1024,
        "grown": (after.ru_maxrss - before.ru_maxrss) / 1024,
    }


def _run_mewbot(made: list[Any], done: list[Mark]) -> None:
    """Run a bot in mewbot's own runner, and stop that once all is done."""
    import logging

    from mewbot.bot import Bot

    logging.disable(logging.WARNING)
    whole = Bot("bench")
    whole.add_io_config(made[0])
    for behaviour in made[1:]:
        whole.add_behaviour(behaviour)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def watch() -> None:
        while not done:
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)  # it cannot be stopped otherwise

    watching = loop.create_task(watch())
    # Its queues wait for five seconds at the end; that is not counted.
    whole.run()
    watching.cancel()


def measure(runner: str, what: str, count: int) -> dict[str, float]:
    """Return the figures of one run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bots", "--run", runner, what, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def soak(count: int) -> dict[str, float]:
    """Run many events through limpet's runner; return memory after a twentieth and at the end."""
    early = measure("limpet", "an output for each event", count // 20)
    late = measure("limpet", "an output for each event", count)
    return {"count": count, "early": early["memory"], "late": late["memory"], "rate": late["rate"]}


def files(count: int) -> dict[str, float]:
    """Create files that a bot watches and answers with a line in a file: the whole way."""
    from limpet.bot import AppendToFileAction, Behaviour, FileSystem, FileSystemTrigger, Runner

    async def main(folder: Path) -> float:
        directory = folder / "in"
        directory.mkdir()
        io = FileSystem(input_path=str(directory), output_path=str(folder / "out"))
        behaviour = Behaviour()
        behaviour.add(FileSystemTrigger(events="file.created"))
        behaviour.add(AppendToFileAction(name="log", content="{{ rel }}"))
        runner = Runner([io, behaviour])
        task = asyncio.create_task(runner.run())
        (one,) = io.get_inputs()
        while not getattr(one, "backend", ""):
            await asyncio.sleep(0.01)

        def make() -> None:
            for number in range(count):
                os.close(os.open(directory / f"f{number}", os.O_CREAT | os.O_WRONLY))

        began = time.monotonic()
        await asyncio.to_thread(make)
        while runner.stats.outputs < count:
            await asyncio.sleep(0.005)
        seconds = time.monotonic() - began
        runner.stop()
        await task
        return count / seconds

    with tempfile.TemporaryDirectory() as name:
        return {"rate": asyncio.run(main(Path(name).resolve()))}


def page(
    rounds: list[dict[str, dict[str, dict[str, float]]]], long: dict[str, float], rate: float
) -> str:
    """Return the page with the figures."""
    rows = []
    for what in BOTS:

        def middle(who: str, figure: str, what: str = what) -> float:
            return median(one[what][who][figure] for one in rounds)

        ratio = median(r[what]["limpet"]["rate"] / r[what]["mewbot"]["rate"] for r in rounds)
        cells = [f"{middle('mewbot', 'rate'):,.0f}", f"{middle('limpet', 'rate'):,.0f}"]
        cells += [f"{ratio:.1f}×"]
        cells += [f"{middle('mewbot', 'cpu'):.1f}", f"{middle('limpet', 'cpu'):.1f}"]
        cells += [f"{middle('mewbot', 'start'):.0f}", f"{middle('limpet', 'start'):.0f}"]
        rows.append(f"| {what} | {' | '.join(cells)} |")
    template = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    return template.format(
        rounds=len(rounds),
        version=sys.version.split()[0],
        rows="\n".join(rows),
        target=TARGET,
        count=long["count"],
        long_rate=long["rate"],
        late=long["late"],
        early=long["early"],
        files=rate,
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", nargs="?", choices=("short", "full"), default="full")
    parser.add_argument("--run", nargs=3, metavar=("RUNNER", "BOT", "COUNT"))
    parser.add_argument("--page", default=str(PAGE))
    given = parser.parse_args()
    if given.run:
        runner, what, count = given.run
        print(json.dumps(one_run(runner, what, int(count))))
        return
    count, rounds, long = {"short": (3000, 1, 20_000), "full": (30_000, 5, 200_000)}[given.profile]
    found = []
    for number in range(rounds):
        found.append(
            {
                what: {who: measure(who, what, count) for who in ("mewbot", "limpet")}
                for what in BOTS
            }
        )
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    text = page(found, soak(long), files(count // 10)["rate"])
    Path(given.page).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
