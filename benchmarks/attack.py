"""Try to get out of an output's folder: ``python -m benchmarks.attack [OPERATIONS]``.

Another process swaps a folder in it (or a file) with a symlink to outside, as fast as it can, while
operations of every kind are done below it. Counted is what then changed outside: for the usual way
(resolve the path, check that it is inside, open it) and for limpet's two.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.__main__ import default_folder
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
)
from limpet.output._syscalls import Syscalls

Prey = Literal["folder", "leaf"]
Way = Literal["resolve, check, open", "walk", "openat2"]
"""The third of limpet's ways, that of Windows, is attacked with ``calls`` of a model."""

ATTACKER = r"""
import contextlib, ctypes, os, sys, threading
root, outside, prey = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
os.chdir(root)
name, other = ("d", "other") if prey == "folder" else ("d/leaf", "d/other")
target = outside if prey == "folder" else os.path.join(outside, "leaf")
os.symlink(target, other)
libc = ctypes.CDLL(None)
pair = (-100, name.encode(), -100, other.encode(), 2)
count = 0
while not ended.is_set():
    for _ in range(50):
        count += libc.renameat2(*pair) == 0
    if not os.path.islink(name) and not os.path.islink(other):
        with contextlib.suppress(OSError):
            os.unlink(other)
        with contextlib.suppress(OSError):
            os.symlink(target, other)
    if prey == "leaf" and os.path.islink(name) and os.path.islink(other):
        with contextlib.suppress(OSError):
            os.unlink(other)
            os.close(os.open(other, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    with contextlib.suppress(OSError):
        os.symlink(target, name)  # where it was deleted, or never made
print(count)
"""
"""Swaps by RENAME_EXCHANGE (renameat2(2)): what is attacked is there at every moment, as one or the
other, so that no try is lost to a name that is missing."""

BATCH = 16
"""Operations of one go, as an async output would do them."""


@dataclass(slots=True)
class Count:
    """What came of one attack."""

    way: Way
    prey: Prey
    tried: int = 0
    escaped: int = 0
    swaps: int = 0
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    """Code of each refusal, or ``done`` -> how often (of limpet's ways)."""


def operations(prey: Prey) -> Iterator[Operation]:
    """Return operations of every kind below the name that is swapped, without end."""
    for at in itertools.count():
        number, parents = at % 500, at % 2 == 0
        if prey == "folder":
            yield CreateFile(name=f"d/c{number}", content="x", parents=parents)
            yield AppendToFile(name="d/log", content="line\n", parents=parents)
            yield OverwriteFile(name="d/state", content="x", parents=parents)
            yield MakeDir(name=f"d/m{number}", parents=parents)
            yield CreateFile(name=f"d/m{number}/f", content="x", parents=parents)
            yield MoveFile(name=f"d/c{number}", target=f"d/n{number}", parents=parents)
            yield AppendToFile(name=f"d/n{number}", content="line\n", create=False)
            yield DeleteFile(name=f"d/m{number}/f")
            yield DeleteDir(name=f"d/m{number}")
            yield DeleteFile(name=f"d/n{number}")
            yield DeleteFile(name="d/leaf")
        else:
            yield AppendToFile(name="d/leaf", content="line\n")
            yield OverwriteFile(name="d/leaf", content="x")
            yield MoveFile(name="d/leaf", target="d/kept", overwrite=True)
            yield CreateFile(name="d/leaf", content="x")
            yield AppendToFile(name="d/leaf", content="line\n", lock=True, newline_guard=True)
            yield MoveFile(name="d/kept", target="d/leaf", overwrite=True)
            yield DeleteFile(name="d/leaf")


def naive(root: Path, operation: Operation) -> None:
    """Do it the usual way.

    Raises:
        OSError: It did not work.
        ValueError: The name leads out.
    """
    path = inside(root, operation.name)
    match operation:
        case CreateFile():
            with path.open("x") as file:
                file.write(str(operation.content))
        case OverwriteFile():
            path.write_text(str(operation.content))
        case AppendToFile():
            with path.open("a") as file:
                file.write(str(operation.content))
        case DeleteFile():
            path.unlink()
        case DeleteDir():
            path.rmdir()
        case MakeDir():
            path.mkdir()
        case MoveFile():
            path.rename(inside(root, operation.target))


def inside(root: Path, name: object) -> Path:
    """Resolve a name and check it.

    Raises:
        ValueError: It leads out.
    """
    path = (root / str(name)).resolve()
    if not path.is_relative_to(root):
        message = "leads out"
        raise ValueError(message)
    return path


def prepare(outside: Path) -> None:
    """Put outside what nobody may touch."""
    outside.mkdir(exist_ok=True)
    (outside / "leaf").write_text("nobody touches this\n")


def touched(outside: Path) -> Callable[[], bool]:
    """Return a function that says whether anything outside has changed since its last call."""

    def look() -> tuple[int, ...]:
        there = os.stat(outside)
        try:
            leaf = os.stat(outside / "leaf")
        except OSError:
            return (there.st_mtime_ns,)
        return (there.st_mtime_ns, leaf.st_ino, leaf.st_size, leaf.st_mtime_ns)

    known = [look()]

    def ask() -> bool:
        now = look()
        if now == known[0]:
            return False
        prepare(outside)
        known[0] = look()
        return True

    return ask


@contextlib.contextmanager
def attacked(root: Path, outside: Path, prey: Prey, count: Count) -> Iterator[None]:
    """Have another process swap, for as long as the block lasts."""
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACKER, str(root), str(outside), prey],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        while attacker.poll() is None and not any(one.is_symlink() for one in swapped(root, prey)):
            pass
        yield
    finally:
        said, _ = attacker.communicate()
        count.swaps = int(said)


def swapped(root: Path, prey: Prey) -> list[Path]:
    """Return what is swapped, to see that it has begun."""
    return [root / "d" if prey == "folder" else root / "d" / "leaf"]


def attack(way: Way, prey: Prey, tries: int, base: Path, *, calls: Syscalls | None = None) -> Count:
    """Do so many operations under attack, and count what got out.

    Args:
        way: How names are resolved.
        prey: What is swapped: a folder on the way, or the file itself.
        tries: Operations.
        base: Empty folder for it; what is left in it is the caller's.
        calls: System calls of the output; ``None`` for those of this system.
    """
    root, outside = (base / "root").resolve(), (base / "outside").resolve()
    (root / "d").mkdir(parents=True)
    (root / "d" / "leaf").write_text("inside\n")
    prepare(outside)
    count = Count(way, prey)
    escaped = touched(outside)
    asked = operations(prey)
    started = time.monotonic()
    with attacked(root, outside, prey, count):
        if way == "resolve, check, open":
            for operation in itertools.islice(asked, tries):
                with contextlib.suppress(OSError, ValueError):
                    naive(root, operation)
                count.escaped += escaped()
        else:
            with Output(root, way=way, clean=False, calls=calls) as out:
                for _ in range(0, tries, BATCH):
                    answers = out.perform_all(list(itertools.islice(asked, BATCH)))
                    count.answers.update("done" if one.ok else one.code for one in answers)
                    count.escaped += escaped()
    count.tried = tries
    count.seconds = time.monotonic() - started
    return count


def main() -> None:
    """Run all of them and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__)
    parser.add_argument("operations", nargs="?", type=int, default=100_000)
    parser.add_argument("--folder", default=default_folder(), help="where (%(default)s)")
    options = parser.parse_args()
    ways: tuple[Way, ...] = ("resolve, check, open", "walk", "openat2")
    preys: tuple[Prey, ...] = ("folder", "leaf")
    print("| way | swapped | operations | swaps meanwhile | done | escapes |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for prey, way in itertools.product(preys, ways):
        with tempfile.TemporaryDirectory(prefix="limpet-attack-", dir=options.folder) as base:
            count = attack(way, prey, options.operations, Path(base))
        done = f"{count.answers['done']:,}" if count.answers else "–"
        print(
            f"| {way} | {prey} | {count.tried:,} | {count.swaps:,} | {done} | {count.escaped:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
