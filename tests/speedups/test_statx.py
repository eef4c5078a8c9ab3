"""Both forms of a stat give the same records and the same errors."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.speedups.forms import both, compiled_part, outcome

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from limpet.watching.index import _statx
from limpet.watching.index._entry_record import RACY_NS

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
LAYOUT = struct.Struct("<I12xIIIH2xQQ32xqI4xqI4xqI12xII")


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1) | st.just((1 << bits) - 1)


SECONDS = (
    st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers(1_699_999_996, 1_700_000_003)
    | st.sampled_from([-(1 << 63), (1 << 63) - 1, 0, -1, 9_223_372_036, -9_223_372_037])
)
PART = unsigned(32) | st.integers(0, SECOND) | st.sampled_from([0, 1, SECOND - 1, SECOND])
ANSWERS = st.tuples(
    st.sampled_from([0xFFF, 0x7FF, 0]), unsigned(32), unsigned(32), unsigned(32), unsigned(16),
    unsigned(64), unsigned(64), SECONDS, PART, SECONDS, PART, SECONDS, PART,
    st.integers(0, 0xFFF), st.integers(0, 0xFFFFF),  # the kernel has 12 and 20 bits of a device
)  # fmt: skip
NOWS = st.integers(NOW - 3 * SECOND, NOW + 3 * SECOND) | st.sampled_from([0, -(1 << 63), 1 << 62])


@given(ANSWERS, NOWS, st.sampled_from([RACY_NS, RACY_NS * 10**6, 0]))
@example(
    (0xFFF, 1, 0, 0, 0o100644, 5, 6, 1_700_000_000, 0, 1_700_000_000, 0, 0, 0, 8, 1), NOW, RACY_NS
)
@example((0xFFF, 1, 0, 0, 0o100644, 5, 6, 1_699_999_999, SECOND, 1_699_999_999, SECOND, 0, 0, 0, 0), NOW, RACY_NS)  # fmt: skip  # noqa: E501
def test_an_answer_is_packed_alike(answer: tuple[int, ...], now: int, racy: int) -> None:
    """Any answer that a file system may give: far dates, sizes without end, no birth time."""
    pack = compiled_part().pack_statx
    raw = LAYOUT.pack(*answer)

    def call(_fd: int, _name: bytes, _flags: int, _wanted: int, buffer: Any) -> int:
        ctypes.memmove(buffer, raw, len(raw))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_statx, "statx_call", call)
        assert [pack(raw, now, racy, True)] == both("statx_records")[0](3, ["x"], now, racy)
        assert pack(raw, now, racy, False) == both("statx_directory")[0](3, now, racy)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Open on a directory with a bit of everything."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for number in range(300):
        (tmp_path / f"f{number}").write_bytes(b"x" * number)
    (tmp_path / os.fsdecode(b"\xff\xfe")).touch()
    os.utime(tmp_path / "f1", ns=(0, -5 * SECOND))
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["f1"],
        ["dir", "link", "fifo", "none", "f1/below", "link/below", "", ".", ".."],
        [os.fsdecode(b"\xff\xfe"), "ä", "名"],
        [f"f{number}" for number in range(310)],
        [*(f"f{number}" for number in range(200)), "n" * 300, "f1"],
        ["f1", "n" * 300, "\ud800", "f2"],
        ["f1", "\ud800", "n" * 300],
        ["f1\0junk", "\0"],
        dict.fromkeys(["f3", "f2"]),
        iter(["f3", "f2"]),
    ],
    ids=range(11),
)
def test_names_are_statted_alike(folder: int, names: Any) -> None:
    """Those that are not there, that cannot be spelled or asked for, and more than one part."""
    python, compiled = both("statx_records")
    names = names if isinstance(names, dict) else list(names)
    for now in (time.time_ns(), 0):
        assert outcome(python, folder, names, now, RACY_NS) == outcome(
            compiled, folder, names, now, RACY_NS
        )
    assert outcome(python, folder, iter(names), 0, RACY_NS) == outcome(
        compiled, folder, iter(names), 0, RACY_NS
    )


def test_a_descriptor_that_is_none_is_refused_alike(tmp_path: Path) -> None:
    """The error is that of the first name; a file is no directory, so no name is in it."""
    file = tmp_path / "file"
    file.touch()
    fd = os.open(file, os.O_RDONLY)
    try:
        for name, args in (
            ("statx_records", (["a", "b"], 0, RACY_NS)),
            ("statx_directory", (0, RACY_NS)),
        ):
            python, compiled = both(name)
            for number in (fd, 1 << 20, -1):
                assert outcome(python, number, *args) == outcome(compiled, number, *args)
    finally:
        os.close(fd)


def test_a_directory_is_statted_alike(folder: int) -> None:
    """Its record, device and inode."""
    python, compiled = both("statx_directory")
    for now in (time.time_ns(), 0):
        assert outcome(python, folder, now, RACY_NS) == outcome(compiled, folder, now, RACY_NS)


FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["f1", "none", "dir"],
        [f"f{number}" for number in range(310)],
        ["f1", "n" * 300, "f2"],
        ["f1", "\ud800"],
    ],
    ids=range(5),
)
def test_names_of_a_path_are_statted_alike(tmp_path: Path, folder: int, names: list[str]) -> None:
    """Of the directory that is meant, and of none that is at its path now."""
    python, compiled = both("records_in")
    (tmp_path / "way").symlink_to(tmp_path)
    there = os.fstat(folder)
    before = len(os.listdir("/proc/self/fd"))
    for path, flags in (
        (tmp_path, FLAGS | os.O_NOFOLLOW),
        (tmp_path / "way", FLAGS),
        (tmp_path / "way", FLAGS | os.O_NOFOLLOW),
        (tmp_path / "f1", FLAGS),
        (tmp_path / "gone", FLAGS),
        (tmp_path / ("n" * 300), FLAGS),
    ):
        for device, inode in (
            (there.st_dev, there.st_ino),
            (there.st_dev, there.st_ino + 1),
            (0, there.st_ino),
        ):
            args = (str(path), flags, device, inode, names, 5, RACY_NS)
            assert outcome(python, *args) == outcome(compiled, *args)
    assert len(os.listdir("/proc/self/fd")) == before
