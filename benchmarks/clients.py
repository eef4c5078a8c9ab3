"""Programs that reload, over their own library and over limpet's drop-in, in the same run.

``python -m benchmarks.clients [ROUNDS [NAME]]`` prints a table for each: the time from a change on
disk until the program was loaded again, the median of all rounds; the two take turns. A change that
makes no reload within some seconds is counted as missed. mkdocs polls twice a second, and uvicorn
examines ten times a second whether it is to end: they add such a time at random.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.compat.clients import CLIENTS, Client, Running, running

PATIENCE_S: Final = 6.0
"""A change that is not seen by then is missed."""
PAUSE_S: Final = 1.5
"""Between two changes, so that programs which start again have found their places."""

Found = dict[tuple[str, bool], list[float | None]]


def edit(at: Running, number: int) -> None:
    """Write a file anew."""
    at.file("first").write_text(at.step(number))


def save_atomically(at: Running, number: int) -> None:
    """Write a file aside and rename it over the old one."""
    new = at.src / ".first.tmp"
    new.write_text(at.step(number))
    os.replace(new, at.file("first"))


def make_a_package(at: Running, number: int) -> None:
    """Make a folder in a folder, with files."""
    folder = at.src / f"pkg{number}" / "sub"
    folder.mkdir(parents=True)
    at.file("m", folder).write_text(at.step(number))


def make_the_folder_again(at: Running, number: int) -> None:
    """Delete the folder that is watched and make it again."""
    shutil.rmtree(at.src)
    at.src.mkdir()
    edit(at, number)


def swap_the_folder(at: Running, number: int) -> None:
    """Rename a finished folder into the place of the one that is watched."""
    new = at.folder.parent / f"new{number}"
    new.mkdir()
    at.file("first", new).write_text(at.step(number))
    at.src.rename(at.folder.parent / f"old{number}")
    new.rename(at.src)


CHANGES: Final[dict[str, Callable[[Running, int], None]]] = {
    "edit": edit,
    "atomic save": save_atomically,
    "new package": make_a_package,
    "folder made again": make_the_folder_again,
    "edit after that": edit,
    "folder swapped": swap_the_folder,
    "edit after it": edit,
}


def measure(client: Client, *, own: bool, found: Found) -> None:
    """Add the seconds of each change; ``None`` is one that was missed."""
    home = tempfile.TemporaryDirectory()
    with home, running(client, Path(home.name) / "at", own=own) as at:
        for number, (name, change) in enumerate(CHANGES.items(), 2):
            time.sleep(PAUSE_S)
            begin = time.perf_counter()
            change(at, number)
            found.setdefault((name, own), []).append(until_loaded(at, number, begin))


def until_loaded(at: Running, number: int, begin: float) -> float | None:
    """Return the seconds until the program was loaded with a step."""
    while number not in at.loads()[-1:]:
        if time.perf_counter() - begin > PATIENCE_S:
            return None
        time.sleep(0.002)
    return time.perf_counter() - begin


def shown(times: list[float | None]) -> str:
    """Return the median in milliseconds, and how many were missed."""
    seen = [one for one in times if one is not None]
    missed = len(times) - len(seen)
    if not seen:
        return "missed"
    text = f"{statistics.median(seen) * 1000:.0f} ms"
    return f"{text} ({missed} of {len(times)} missed)" if missed else text


def main() -> None:
    """Print a table for each program."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    for client in (one for one in CLIENTS if wanted in one.name):
        found: Found = {}
        for number in range(rounds * 2):
            own = number % 2 == 0
            try:
                measure(client, own=own, found=found)
            except Exception as error:
                print(f"{client.name}: left out: {error}", file=sys.stderr)
        print(f"\n{client.name}\n\n| change | {client.library} | limpet |\n| --- | ---: | ---: |")
        for name in CHANGES:
            own_times, ours = (found.get((name, own), []) for own in (True, False))
            print(f"| {name} | {shown(own_times)} | {shown(ours)} |", flush=True)


if __name__ == "__main__":
    main()
