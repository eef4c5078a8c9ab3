"""Scenarios: steps on disk, then the events that one scan must find for them."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from limpet.events import Event
from limpet.testing._mirror import describe, listing
from limpet.watching import RACY_NS

_COMMANDS: Final = (
    "write", "append", "mkdir", "mkdirs", "rename", "swap", "delete", "rmtree", "chmod", "touch",
    "symlink", "link", "fifo", "age",
)  # fmt: skip


def parse_scenario(text: str) -> list[tuple[list[str], list[str]]]:
    """Read a scenario: blocks of steps and the events that one scan must find for them.

    Lines starting with ``$`` are steps, other lines are expected events as ``describe`` writes
    them; ``#`` starts a comment. Blocks follow each other; steps after events begin the next block.
    """
    blocks: list[tuple[list[str], list[str]]] = [([], [])]
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("$"):
            if blocks[-1][1]:
                blocks.append(([], []))
            blocks[-1][0].append(line[1:].strip())
        else:
            blocks[-1][1].append("" if line == "-" else line)
    return [(steps, [line for line in lines if line]) for steps, lines in blocks]


def perform(step: str, location: Path) -> None:
    """Carry out one step; paths are relative to the location, ``.`` is the location itself.

    ``write P TEXT``, ``append P TEXT``, ``mkdir P``, ``mkdirs P``, ``rename P Q``, ``swap P Q``,
    ``delete P`` (file or empty directory), ``rmtree P``, ``chmod MODE P``, ``touch P``, ``symlink
    TARGET P``, ``link P Q``, ``fifo P``, ``age`` (wait until everything there is old enough for the
    file system's clock to distinguish it from what comes next). ``@NAME`` is a path beside the
    location.

    Raises:
        ValueError: The step is not one of these.
        OSError: It failed.
    """
    command, *words = shlex.split(step)

    def at(word: str) -> Path:
        if word.startswith("@"):
            return location.parent / word[1:]
        return location if word == "." else location / word

    actions: dict[str, Callable[[], object]] = {
        "write": lambda: at(words[0]).write_bytes(" ".join(words[1:]).encode()),
        "append": lambda: _append(at(words[0]), " ".join(words[1:])),
        "mkdir": lambda: at(words[0]).mkdir(),
        "mkdirs": lambda: at(words[0]).mkdir(parents=True),
        "rename": lambda: os.replace(at(words[0]), at(words[1])),
        "swap": lambda: _swap(at(words[0]), at(words[1])),
        "delete": lambda: at(words[0]).rmdir() if _is_dir(at(words[0])) else at(words[0]).unlink(),
        "rmtree": lambda: shutil.rmtree(at(words[0])),
        "chmod": lambda: at(words[1]).chmod(int(words[0], 8)),
        "touch": lambda: at(words[0]).touch(),
        "symlink": lambda: at(words[1]).symlink_to(words[0]),
        "link": lambda: os.link(at(words[0]), at(words[1])),
        "fifo": lambda: _fifo(at(words[0])),
        "age": lambda: _age(location),
    }
    if command not in actions:
        message = f"unknown step {step!r}: use one of {', '.join(_COMMANDS)}"
        raise ValueError(message)
    actions[command]()


def run_scenario(
    text: str, location: Path, fence: Callable[[], list[Event]]
) -> list[tuple[list[str], list[str], list[str]]]:
    """Run a scenario against a running watch.

    Args:
        text: The scenario, see ``parse_scenario``.
        location: The location of the watch.
        fence: Returns all events so far, such as ``SyncWatch.fence``.

    Returns:
        For each block its steps, the events expected and the events that came.
    """
    outcome = []
    for steps, expected in parse_scenario(text):
        for step in steps:
            perform(step, location)
        outcome.append((steps, expected, [describe(event) for event in fence()]))
    return outcome


def _fifo(path: Path) -> None:
    make: Callable[[Path], None] | None = getattr(os, "mkfifo", None)
    if make is None:
        message = "there are no FIFOs on this system"
        raise OSError(message)
    make(path)


def _age(location: Path) -> None:
    youngest = max(path.lstat().st_ctime_ns for path in listing(location))
    while time.time_ns() < youngest + 2 * RACY_NS:
        time.sleep(0.001)


def _append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode())


def _swap(first: Path, second: Path) -> None:
    between = first.with_name(first.name + ".between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def _is_dir(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
