"""Both forms of listing and marking a directory give the same, and fail alike."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speedups.forms import both, compiled_part, ordered, outcome

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from limpet import _libc
from tests.conftest import KERNEL_BACKENDS


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Open on a directory with every kind of entry, and more than one buffer of them."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for number in range(600):
        (tmp_path / f"{number}{'n' * 60}").touch()
    (tmp_path / os.fsdecode(b"\xff\xfe")).touch()
    (tmp_path / "ä").touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_directory_is_listed_alike_again_and_again(folder: int) -> None:
    """In the same order, by either form after either."""
    python, compiled = both("list_directory")
    first = outcome(python, folder)
    assert len(first) == 605
    assert [outcome(form, folder) for form in (compiled, compiled, python, compiled)] == [first] * 4


def test_the_kernels_own_directories(tmp_path: Path) -> None:
    """An empty one, and one that was deleted while it was open: its listing is empty."""
    python, compiled = both("list_directory")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert python(fd) == compiled(fd) == {}
        os.rmdir(tmp_path)
        assert python(fd) == compiled(fd) == {}
    finally:
        os.close(fd)


def test_what_cannot_be_listed_fails_alike(tmp_path: Path) -> None:
    """A file, a closed descriptor."""
    python, compiled = both("list_directory")
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        for number in (fd, 1 << 20):
            assert outcome(python, number) == outcome(compiled, number)
    finally:
        os.close(fd)


KINDS = {8: 0, 4: 1, 10: 2}
"""DT_REG, DT_DIR, DT_LNK -> the kind of a brief record; all others are 3."""
ENTRIES = st.lists(
    st.tuples(
        st.integers(0, (1 << 64) - 1),
        st.sampled_from([0, 1, 4, 8, 10, 12, 255]),
        st.sampled_from([b".", b"..", b"a", b"...", b"\xff", b"x" * 255, "名".encode()]),
    )
)


def listing(entries: list[tuple[int, int, bytes]]) -> bytes:
    """Return what getdents64(2) answers."""
    found = b""
    for inode, kind, name in entries:
        padded = name + bytes(8 - (19 + len(name)) % 8)
        found += struct.pack("=QqHB", inode, 1, 19 + len(padded), kind) + padded
    return found


@given(ENTRIES)
def test_the_buffer_of_a_listing(entries: list[tuple[int, int, bytes]]) -> None:
    """Inodes of 64 bits, every kind, names that come twice; deleted entries are left out."""
    expected = {
        os.fsdecode(name): inode << 2 | KINDS.get(kind, 3)
        for inode, kind, name in entries
        if inode and name not in {b".", b".."}
    }
    assert ordered(compiled_part().parse_listing(listing(entries))) == ordered(expected)


@given(ENTRIES, st.data())
def test_a_damaged_listing_is_an_error_or_a_part(
    entries: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    """No length in it is believed."""
    raw = bytearray(listing(entries))
    if raw:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    try:
        compiled_part().parse_listing(bytes(raw))
    except OSError as error:
        assert error.errno == 5  # noqa: PT017


def test_handles_are_alike(folder: int, tmp_path: Path) -> None:
    """And the errors of what has none."""
    python, compiled = both("name_to_handle")
    for number in (folder, os.open("/proc/self", os.O_RDONLY), 1 << 20, -1):
        assert outcome(python, number) == outcome(compiled, number)
        if number not in {folder, 1 << 20, -1}:
            os.close(number)


@pytest.mark.skipif("fanotify" not in KERNEL_BACKENDS, reason="fanotify is refused here")
def test_marks_are_made_and_refused_alike(folder: int, tmp_path: Path) -> None:
    """Flags that cannot be, a file where a directory is asked for, no group."""
    python, compiled = both("fanotify_mark")
    group = _libc.fanotify_init(0xC03)
    file = os.open(tmp_path / "ä", os.O_RDONLY)
    try:
        for args in (
            (group, 0x9, 0x40000302, folder, b"."),
            (group, 0x9, 0x40000302, folder),
            (group, 0xFF, 0x40000302, folder, b"."),
            (group, 0x9, 0x40000302, file, b"."),
            (group, 0x9, 0x302, folder, b"none"),
            (group, 0x9, 0x302, 1 << 20, b"."),
            (folder, 0x9, 0x302, folder, b"."),
            (group, 0xA, 0x40000302, file, b"."),
        ):
            assert outcome(compiled, *args) == outcome(python, *args), args
        compiled(group, 0xA, 0x40000302, folder, b".")
        assert outcome(python, group, 0xA, 0x40000302, folder, b".")[0] is FileNotFoundError
    finally:
        os.close(file)
        os.close(group)
