"""How far behind ``limpet follow`` and ``tail -F`` are on thousands of quiet files, in one run.

Lines go to files at random, so many a second, while both programs follow all of them. A line is
behind by the time from its write to its arrival at the reader of the program's output.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, NamedTuple

_READY: Final = "ready"


class Behind(NamedTuple):
    """Seconds that lines were behind."""

    p50: float
    p99: float
    missing: int
    """Lines that did not come."""
    started: float
    """Seconds until the program saw every file."""


class _Reader(threading.Thread):
    """Notes when each line of a program's output comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.output: IO[bytes] | tuple[()] = process.stdout or ()
        self.seen: dict[str, float] = {}

    def run(self) -> None:
        for line in self.output:
            self.seen.setdefault(line.decode().strip().rpartition(" ")[2], time.monotonic())


def behind(
    directory: Path,
    command: Callable[[list[Path]], list[str]],
    *,
    files: int,
    rate: int,
    secs: float,
) -> Behind:
    """Start a program on ``files`` files, write ``rate`` lines a second, and measure."""
    directory.mkdir()
    paths = [directory / f"{number}.log" for number in range(files)]
    for path in paths:
        path.write_text("")
    began = time.monotonic()
    process = subprocess.Popen(
        command(paths), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory
    )
    reader = _Reader(process)
    reader.start()
    written: dict[str, float] = {}
    try:
        last = paths[-1]
        while _READY not in reader.seen:
            with last.open("a") as file:
                file.write(f"{_READY}\n")
            time.sleep(0.05)
        started = reader.seen[_READY] - began
        time.sleep(1.0)
        dice, turn = random.Random(1), time.monotonic()
        for number in range(int(rate * secs)):
            with dice.choice(paths).open("a") as file:
                file.write(f"n{number}\n")
            written[f"n{number}"] = time.monotonic()
            turn += 1 / rate
            time.sleep(max(0.0, turn - time.monotonic()))
        end = time.monotonic() + 10.0
        while time.monotonic() < end and not written.keys() <= reader.seen.keys():
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
        reader.join()
    late = sorted(reader.seen[key] - at for key, at in written.items() if key in reader.seen)
    return Behind(
        late[len(late) // 2], late[int(len(late) * 0.99)], len(written) - len(late), started
    )


def limpet_follow(paths: list[Path]) -> list[str]:
    """Return the command for limpet: one glob."""
    del paths
    return [sys.executable, "-m", "limpet", "follow", "*.log"]


def tail(paths: list[Path]) -> list[str]:
    """Return the command for tail, which has no globs of its own."""
    return ["tail", "-q", "-F", *(path.name for path in paths)]


def main() -> None:
    """Measure both, and print."""
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix="limpet-many-"))
    try:
        for name, command in (("limpet follow", limpet_follow), ("tail -F", tail)):
            got = behind(directory / command.__name__, command, files=5000, rate=500, secs=6.0)
            print(
                f"{name}: p50 {got.p50 * 1e3:.1f} ms, p99 {got.p99 * 1e3:.1f} ms, "
                f"{got.missing} missing, started in {got.started:.2f} s"
            )
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
