"""Compares the backends of Windows: delay and CPU for each change, by turns in one process.

Run by hand, in the CPython for Windows: ``python tests/windows/compare.py [rounds]``. Under Wine
only the ratios mean something, and the CPU of Wine's own server is not counted.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import limpet
from tests.windows import shim

BACKENDS: Final = ("windows", "watchfiles")
SINGLE: Final = 60
MANY: Final = 1500
PACE_S: Final = 0.05
"""Seconds between two single changes: no debounce joins them."""

WRITER: Final = """
import sys
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/{number % 50}", "w") as file:
        file.write("x" * (number % 97))
"""


async def delays(backend: str, folder: Path) -> list[float]:
    """Return the seconds from each of some single changes to its event."""
    found = []
    async with limpet.watch_dir(folder, backend=backend) as watch:  # type: ignore[arg-type]
        for number in range(SINGLE):
            await asyncio.sleep(PACE_S)
            begun: list[float] = []

            def change(path: Path = folder / f"s{number}", begun: list[float] = begun) -> None:
                begun.append(time.perf_counter())
                path.mkdir()

            threading.Thread(target=change).start()
            async with asyncio.timeout(30):
                await anext(watch)
            found.append(time.perf_counter() - begun[0])
    return found


async def cpu(backend: str, folder: Path) -> float:
    """Return the CPU seconds of this process for each of many changes by another."""
    async with limpet.watch_dir(folder, backend=backend) as watch:  # type: ignore[arg-type]
        last = folder / "last"
        command = [sys.executable, "-c", WRITER + f"\nopen({str(last)!r}, 'w').close()"]
        begun = time.process_time()
        writer = subprocess.Popen([*command, str(folder), str(MANY)])
        async with asyncio.timeout(120):
            while True:
                event = await anext(watch)
                if isinstance(event, limpet.FileCreated) and event.path == last:
                    break
        spent = time.process_time() - begun
        writer.wait(30)
    return spent / MANY


def main(rounds: int) -> None:
    """Measure by turns and print the median of each, and what one is of the other."""
    waited: dict[str, list[float]] = {name: [] for name in BACKENDS}
    spent: dict[str, list[float]] = {name: [] for name in BACKENDS}
    for number in range(rounds):
        for backend in BACKENDS if number % 2 else reversed(BACKENDS):
            with tempfile.TemporaryDirectory() as folder:
                waited[backend] += asyncio.run(delays(backend, Path(folder).resolve()))
            with tempfile.TemporaryDirectory() as folder:
                spent[backend].append(asyncio.run(cpu(backend, Path(folder).resolve())))
    for what, unit, found in (("delay", 1e3, waited), ("CPU", 1e6, spent)):
        first, second = (statistics.median(found[name]) for name in BACKENDS)
        name = "ms" if unit == 1e3 else "us per change"
        print(
            f"{what}: {first * unit:.2f} {name} by {BACKENDS[0]}, {second * unit:.2f} {name} by "
            f"{BACKENDS[1]}: {first / second:.2f} times"
        )


if __name__ == "__main__":
    shim.install()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
