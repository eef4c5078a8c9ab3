"""No call of a compiled function keeps memory, whether it succeeds or fails."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from limpet import _compiled
from tests.speedups.forms import compiled_part
from tests.speedups.kernel_buffers import OWN, buffers

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from tests.speedups.random_rows import check_rows, compare

CALLS = 25_000
FEW_BYTES = 10_000
"""Less than one byte a call."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def fails(function: Callable[..., object], *args: object) -> None:
    try:
        function(*args)
    except (IndexError, OSError, TypeError, ValueError):
        return
    raise AssertionError


def calls(folder: int) -> dict[str, list[Callable[[], object]]]:
    """Return what is called of each function, the failures too."""
    identity, top = (os.fstat(folder).st_dev, os.fstat(folder).st_ino), f"/proc/self/fd/{folder}"
    part, random, device = compiled_part(), Random(1), os.fstat(folder).st_dev
    fans = [buffers(random, "fanotify") for _ in range(40)]
    inos = [buffers(random, "inotify") for _ in range(40)]
    return {
        "merge_fanotify": [
            *(lambda read=read: part.merge_fanotify(read, OWN) for read in fans),
            lambda: fails(part.merge_fanotify, [*fans[0], "no bytes"], OWN),
        ],
        "merge_inotify": [
            *(lambda read=read: part.merge_inotify(read, {2: (1, b"x\0")}) for read in inos),
            lambda: fails(part.merge_inotify, [*inos[0], "no bytes"], {}),
        ],
        "rows": [
            lambda: check_rows(Random(3), _compiled.PYTHON, part),
            lambda: check_rows(Random(4), _compiled.PYTHON, part),
            lambda: fails(part.find_rows, {"a": 1}, [b"short"], {}, False, False, compare),
            lambda: fails(part.find_rows, {"a": 1}, [], {}, False, False, compare),
            lambda: fails(part.tie, [()], {}),
            lambda: fails(part.emit_rows, [], [], {}, 0, 1, 1, 0.0, "live", (), compare, ()),
        ],
        "statx_records": [
            lambda: part.statx_records(folder, ["a", "b", "none", "\xe4"], 0, 9),
            lambda: fails(part.statx_records, folder, ["a", "\ud800"], 0, 9),
            lambda: fails(part.statx_records, folder, ["a", "n" * 300, "\ud800"], 0, 9),
        ],
        "list_directory": [
            lambda: part.list_directory(folder),
            lambda: fails(part.list_directory, -1),
            lambda: part.list_sifted(folder, ("/a", "zz")),
            lambda: part.parse_listing(b"", ("zz",)),
            lambda: fails(part.parse_listing, b"too short", ()),
            lambda: fails(part.list_sifted, folder, ("zz", 1)),
        ],
        "name_to_handle": [
            lambda: part.name_to_handle(folder),
            lambda: fails(part.name_to_handle, -1),
            lambda: fails(part.fanotify_mark, -1, 1, 2, folder, b"."),
        ],
        "open_directories": [
            lambda: os.close(part.open_directories(folder, ["b"], device, 0, 9)[0][0]),
            lambda: part.open_directories(folder, ["b", "a"], 0, 0, 9),
            lambda: fails(part.open_directories, folder, [1], 0, 0, 9),
            lambda: part.fanotify_mark_several(-1, 9, 0, [folder]),
            lambda: part.inotify_mark_several(-1, 2, [folder]),
        ],
        "records_in": [
            lambda: part.records_in(top, os.O_RDONLY, *identity, ["a", "none", "\xe4"], 0, 9),
            lambda: part.records_in(top, os.O_RDONLY, 0, 0, ["a"], 0, 9),
            lambda: fails(part.records_in, "none", os.O_RDONLY, *identity, ["a"], 0, 9),
            lambda: fails(part.records_in, top, os.O_RDONLY, *identity, ["a", "n" * 300], 0, 9),
            lambda: fails(part.records_in, top, os.O_RDONLY, *identity, ["a", "\ud800"], 0, 9),
        ],
        "statx_directory": [
            lambda: part.statx_directory(folder, 0, 9),
            lambda: fails(part.statx_directory, -1, 0, 9),
        ],
    }


def test_all_calls_leave_nothing_behind(folder: int) -> None:
    """A hundred thousand and more in all: their results, their errors, the values handed in."""
    for name, all_calls in calls(folder).items():
        work(all_calls, CALLS // 100)
        tracemalloc.start()
        try:
            work(all_calls, CALLS // 100)
            before = used()
            work(all_calls, CALLS // 10 if name == "rows" else CALLS)
            assert used() - before < FEW_BYTES, name
        finally:
            tracemalloc.stop()


def work(all_calls: list[Callable[[], object]], times: int) -> None:
    for _ in range(times // len(all_calls)):
        for call in all_calls:
            call()


def used() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
