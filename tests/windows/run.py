"""Runs the tests of ``selection.py`` in the CPython for Windows, under Wine: ``make test-windows``.

Each file has a process of its own and a limit; one that fails is run again, alone, twice at most.
Arguments: files to run instead.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.windows.selection import RUN, RUN_ON_THE_OLDEST
from tests.windows.setup import PYTHONS, ROOT, Setup, environment, setup

LIMIT: Final = 900
"""Seconds for a file."""
AGAIN: Final = 2
"""Further runs of a file in which a test failed."""
LIMIT_OF_A_TEST: Final = 300
AT_ONCE: Final = min(4, os.cpu_count() or 1)
COUNTED: Final = ("passed", "failed", "skipped")


class Outcome(NamedTuple):
    """What came of a file."""

    file: str
    """With the version of Python, unless that is the usual one."""
    counts: Counter[str]
    """How many tests passed, failed and were skipped."""
    seconds: float
    output: str


def counts_of(output: str, code: int | None) -> Counter[str]:
    """Return how many tests passed, failed and were skipped, from pytest's closing line.

    Args:
        output: All that pytest printed.
        code: How it ended; none if it had to be ended.
    """
    counts: Counter[str] = Counter()
    closing = re.findall(r"^((?:\d+ \w+(?:, )?)+) in [\d.]+s", output, re.MULTILINE)
    for number, word in re.findall(r"(\d+) (\w+)", closing[-1] if closing else ""):
        name = "failed" if word.startswith("error") else word
        if name in COUNTED:
            counts[name] += int(number)
    if (code != 0 or not closing) and not counts["failed"]:
        counts["failed"] += 1  # a hang, a crash, or a file that could not be loaded
    return counts


def run_file(made: Setup, file: str) -> Outcome:
    """Run one file; end it when its time is over."""
    started = time.monotonic()
    options = ("-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly")
    command: list[str | Path] = ["wine", made.python / "python.exe", "-m", "pytest", *options]
    code: int | None
    process = subprocess.Popen(
        [*command, f"--timeout={LIMIT_OF_A_TEST}", file],
        cwd=ROOT,
        env=environment(made),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    # Not up to the end of the pipe: a program that a test left running would hold it open.
    printed: list[bytes] = []
    reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        code = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed.append(f"\nended after {LIMIT} s\n".encode())
        code = None
    reader.join(2)
    text = b"".join(printed).decode("utf-8", "replace").replace("\r\n", "\n")
    python = made.python.name.removeprefix("python-")
    name = file if python == PYTHONS[0] else f"{file} on {python}"
    return Outcome(name, counts_of(text, code), time.monotonic() - started, text)


def show(outcome: Outcome) -> None:
    """Print one line for a file, and what pytest printed if a test failed."""
    words = ", ".join(f"{outcome.counts[name]} {name}" for name in COUNTED if outcome.counts[name])
    print(f"{outcome.file}  {words}  {outcome.seconds:.1f} s", flush=True)
    if outcome.counts["failed"]:
        print(outcome.output[-20_000:], flush=True)


def run_again(made: Setup, file: str) -> Counter[str]:
    """Run a file until nothing fails, or it had its tries; return the counts of the last one."""
    counts: Counter[str] = Counter()
    for _ in range(AGAIN):
        print("once more, alone:", flush=True)
        outcome = run_file(made, file)
        show(outcome)
        counts = outcome.counts
        if not counts["failed"]:
            break
    return counts


def main(files: Iterable[str], on_the_oldest: Iterable[str]) -> int:
    """Run the files; return 1 if a test failed or hung."""
    made, oldest = setup(), setup(PYTHONS[-1])
    total: Counter[str] = Counter()
    again: list[tuple[Setup, str]] = []
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            wanted = [(made, file) for file in files] + [(oldest, file) for file in on_the_oldest]
            runs = {pool.submit(run_file, *one): one for one in wanted}
            for run in as_completed(runs):
                outcome = run.result()
                show(outcome)
                if outcome.counts["failed"]:
                    again.append(runs[run])
                else:
                    total += outcome.counts
        for one in again:  # alone, for Wine is less reliable than what is tested in it
            total += run_again(*one)
    finally:
        subprocess.run(["wineserver", "-k"], env=environment(made), check=False)
    numbers = ", ".join(f"{total[name]} {name}" for name in COUNTED)
    more = f"; {len(again)} files were run again" if again else ""
    print(f"{numbers} (Windows' CPython under Wine, corrected by tests/windows/shim.py{more})")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    asked = sys.argv[1:]
    sys.exit(main(asked or RUN, [one for one in asked or RUN if one in RUN_ON_THE_OLDEST]))
