"""Each way down to a folder, and an output opened by it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.output import Output
from limpet.output._resolve_openat2 import works
from limpet.output._syscalls import Syscalls
from limpet.output._syscalls_by_path import PathSyscalls


def openat2_works() -> bool:
    """Whether this kernel has it."""
    if not os.supports_dir_fd:
        return False
    fd = os.open("/", os.O_RDONLY)
    try:
        return works(Syscalls(), fd)
    finally:
        os.close(fd)


if openat2_works():
    WAYS = ["openat2", "walk", "paths"]
else:
    WAYS = ["walk", "paths"] if os.supports_dir_fd else ["paths"]
CONFINED = [way for way in WAYS if way != "paths"]
"""Those that hold against a racing attacker here; on Windows folders are pinned for the third."""


def made(folder: Path, way: str, **options: Any) -> Output:
    """Give an output that resolves names in one of the ways."""
    if way == "paths":
        return Output(folder, calls=PathSyscalls(), way="walk", **options)
    return Output(folder, way=way, **options)  # type: ignore[arg-type]


def descriptors() -> set[tuple[str, str]]:
    """Return the open descriptors of this process, each with what it leads to."""
    found: set[tuple[str, str]] = set()
    if not os.supports_dir_fd:
        return found
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is written into; what lies beside it is outside."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def out(root: Path, way: str) -> Iterator[Output]:
    """An output opened on it; afterwards no descriptor is left that was not there before.

    Descriptors are compared with what they lead to, not counted: one of an earlier test may be
    freed meanwhile, and its number taken.
    """
    before = descriptors()
    with made(root, way) as out:
        yield out
    assert descriptors() - before == set()


@pytest.fixture
def openers(root: Path, way: str) -> Callable[..., Output]:
    """Makes outputs with options of the test's own."""

    def make(folder: Path = root, **options: Any) -> Output:
        return made(folder, way, **options)

    return make
