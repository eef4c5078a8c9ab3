"""Hands random and damaged input to a compiled part, and compares with the Python form.

``python fuzz.py COMPILED SEED ROUNDS``; tests start it with a build that has sanitizers in it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from random import Random
from typing import Any

from limpet import _compiled
from limpet.watching.index._filter import SIGNS
from tests.speedups.forms import ordered, outcome
from tests.speedups.kernel_buffers import NAMES, OWN, buffers
from tests.speedups.random_rows import check_rows

PYTHON = _compiled.PYTHON


def load(path: str) -> Any:
    loader = importlib.machinery.ExtensionFileLoader("limpet._speedups", path)
    spec = importlib.util.spec_from_loader("limpet._speedups", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def records(part: Any, random: Random) -> None:
    read = buffers(random, "fanotify")
    assert outcome(part.merge_fanotify, read, OWN) == outcome(PYTHON["merge_fanotify"], read, OWN)
    kept: list[dict[int, Any]] = [{}, {}]
    for _ in range(2):
        read = buffers(random, "inotify")
        found = outcome(part.merge_inotify, read, kept[0])
        assert found == outcome(PYTHON["merge_inotify"], read, kept[1])
        assert ordered(kept[0]) == ordered(kept[1])


def listings(part: Any, random: Random) -> None:
    data = bytearray()
    for _ in range(random.randrange(6)):
        name = random.choice(NAMES) + bytes(random.randrange(1, 9))
        kind, inode = random.choice((0, 4, 8, 10, 12)), random.getrandbits(random.choice((3, 64)))
        data += struct.pack("=QqHB", inode, 1, 19 + len(name), kind) + name
    for _ in range(random.randrange(3)):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)
    del data[random.randrange(len(data) + 1) if random.random() < 0.3 else len(data) :]
    signs = random.choice((SIGNS, (), ("/a", "a/"), (".t" * 300,)))
    outcome(part.parse_listing, bytes(data), signs)
    outcome(part.parse_listing, random.randbytes(random.randrange(60)), signs)


def stats(part: Any, random: Random) -> None:
    answer = random.randbytes(random.choice((0, 1, 255, 256, 300)))
    now = random.choice((0, 1 << 62, -(1 << 63), random.getrandbits(60)))
    for shortcut in (True, False):
        assert len(part.pack_statx(answer, now, 9, shortcut)) == 63


def names(part: Any, random: Random, folder: int, device: int) -> None:
    wanted = [os.fsdecode(random.choice(NAMES)) for _ in range(random.randrange(5))]
    wanted += random.choice(([], ["\ud800"], ["n" * 300], ["a\0b"], ["dir"] * 200))
    expected = outcome(PYTHON["statx_records"], folder, wanted, 0, 9)
    assert outcome(part.statx_records, folder, wanted, 0, 9) == expected
    identity = random.choice(((device, os.fstat(folder).st_ino), (device, 1)))
    top = random.choice((f"/proc/self/fd/{folder}", "/none", "\ud800"))
    args = (top, os.O_RDONLY, *identity, wanted, 0, 9)
    assert outcome(part.records_in, *args) == outcome(PYTHON["records_in"], *args)
    for row in part.open_directories(folder, wanted, device, 0, 9):
        os.close(row[0])
    assert outcome(part.list_directory, folder) == outcome(PYTHON["list_directory"], folder)


def nonsense(part: Any, random: Random) -> None:
    """Arguments of the wrong kind are an error of Python's."""
    values: tuple[Any, ...] = (
        None,
        1,
        -1,
        1 << 70,
        "x",
        b"x",
        [],
        ["x", 1],
        {},
        {1: 2},
        (b"",),
        object(),
    )
    function: Callable[..., Any] = getattr(part, random.choice(_compiled.FUNCTIONS))
    outcome(function, *(random.choice(values) for _ in range(random.randrange(6))))


def main(path: str, seed: str, rounds: str) -> None:
    part, random = load(path), Random(int(seed))
    with tempfile.TemporaryDirectory() as outer:
        top = os.path.join(outer, "top")  # so that nobody else changes what is at ".."
        os.makedirs(top)
        os.mkdir(os.path.join(top, "dir"))
        for name in NAMES:
            if name not in {b"", b".", b".."}:
                open(os.path.join(os.fsencode(top), name), "wb").close()
        folder = os.open(top, os.O_RDONLY)
        device = os.fstat(folder).st_dev
        for _ in range(int(rounds)):
            records(part, random)
            listings(part, random)
            stats(part, random)
            check_rows(random, PYTHON, part)
            names(part, random, folder, device)
            nonsense(part, random)
        os.close(folder)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
