"""Records event streams: random steps, and what the engine reports of them, as scenario files.

``python -m tests.watch.model.recorder COUNT > tests/watch/model/recorded_streams.txt`` keeps each
seed whose stream is the
same on fanotify and inotify, time after time. What was recorded with one engine is what the next
one is held to (``test_recorded_streams.py``): a change made for speed must not change a stream.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import limpet
from limpet.testing import describe, perform

if TYPE_CHECKING:
    from limpet.config import BackendName

BACKENDS: tuple[BackendName, ...] = ("fanotify", "inotify")
NAMES = ("a", "b", "c", "d")
HEAD = "#### seed "
BLOCKS = 20


def place(random_: random.Random) -> str:
    """Draw a place, mostly near the top, so that names collide."""
    return "/".join(random_.choices(NAMES, k=random_.choice((1, 1, 1, 2, 2, 3))))


def step(random_: random.Random, number: int) -> str:
    """Draw one step in the language of scenarios; many will not apply."""
    here, there = place(random_), place(random_)
    kind = random_.choices(
        ("write", "append", "mkdirs", "rename", "swap", "delete", "rmtree", "touch", "symlink",
         "link", "out", "in", "save"),
        (9, 6, 4, 8, 2, 5, 1, 2, 1, 1, 1, 1, 3),
    )[0]  # fmt: skip
    match kind:
        case "write" | "append":
            return f"{kind} {here} {number}{'x' * random_.randrange(9)}"
        case "rename" | "swap" | "link":
            return f"{kind} {here} {there}"
        case "symlink":
            return f"symlink {there} {here}"
        case "out":
            return f"rename {here} @out{random_.randrange(3)}"
        case "in":
            return f"rename @out{random_.randrange(3)} {here}"
        case "save":
            return f"write {here}.new {number}\nrename {here}.new {here}"
        case _:
            return f"{kind} {here}"


def script(seed: int) -> list[list[str]]:
    """Give the steps of a seed, in blocks; many of them fail, which is part of the recording."""
    random_ = random.Random(seed)
    blocks: list[list[str]] = []
    for number in range(BLOCKS):
        steps = [step(random_, number * 10 + k) for k in range(random_.choice((1, 2, 2, 4, 8)))]
        blocks.append("\n".join(steps).split("\n"))
    return blocks


def stream(blocks: list[list[str]], location: Path, backend: BackendName) -> list[list[str]]:
    """Carry the steps out before a watch and return what it reports after each block."""
    reported: list[list[str]] = []
    with limpet.watch_dir(location, backend=backend, default_ignores=False).sync() as watch:
        for block in blocks:
            for line in block:
                with contextlib.suppress(OSError):
                    perform(line, location)
            reported.append([describe(event) for event in watch.fence()])
    return reported


def recorded(seed: int, times: int = 3) -> str | None:
    """Give the scenario of a seed, or nothing if its stream depends on more than the steps."""
    streams: list[list[list[str]]] = []
    blocks = script(seed)
    for base in (None, "/dev/shm"):
        for backend in BACKENDS:
            for _ in range(times):
                with tempfile.TemporaryDirectory(dir=base) as home:
                    location = Path(home) / "up" / "base"
                    location.mkdir(parents=True)
                    streams.append(stream(blocks, location, backend))
    if any(other != streams[0] for other in streams):
        return None
    lines: list[str] = []
    for block, reported in zip(blocks, streams[0], strict=True):
        lines += [f"$ {line}" for line in block]
        lines += reported or ["-"]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write as many recordings as asked for."""
    wanted = int(sys.argv[1])
    seed = made = 0
    while made < wanted:
        text = recorded(seed)
        if text is not None:
            print(f"{HEAD}{seed}\n{text}")
            made += 1
        seed += 1
    print(f"{made} of {seed} seeds", file=sys.stderr)


if __name__ == "__main__":
    main()
