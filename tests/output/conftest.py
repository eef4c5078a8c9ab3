"""Each way down to a folder, and an output opened by it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.output import Output
from limpet.output._resolve_openat2 import works
from limpet.output._syscalls import Syscalls
from limpet.output._syscalls_by_handle import HandleSyscalls
from tests.output.nt_model import IS_POSSIBLE, NtModel


def openat2_works() -> bool:
    """Whether this kernel has it."""
    if not os.supports_dir_fd:
        return False
    fd = os.open("/", os.O_RDONLY)
    try:
        return works(Syscalls(), fd)
    finally:
        os.close(fd)


if not os.supports_dir_fd:
    WAYS = ["handles"]
else:
    WAYS = [*(["openat2"] if openat2_works() else []), "walk"]
    WAYS += ["handles"] if IS_POSSIBLE else []


def calls_by_handle() -> HandleSyscalls:
    """Return the calls of Windows; elsewhere on a model of it."""
    return HandleSyscalls() if sys.platform == "win32" else HandleSyscalls(NtModel())


def made(folder: Path, way: str, **options: Any) -> Output:
    """Give an output that resolves names in one of the ways."""
    if way == "handles":
        return Output(folder, calls=calls_by_handle(), way="walk", **options)
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
