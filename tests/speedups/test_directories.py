"""Both forms of listing and marking a directory give the same, and fail alike."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speedups.forms import both, compiled_part, ordered, outcome

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from limpet import _libc
from limpet.watching.index._filter import SIGNS
from limpet.watching.index._fs import sift
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


def test_a_listing_is_sifted_alike(folder: int) -> None:
    """Its directories, and whether a sign is in a name, at its borders too."""
    python, compiled = both("list_sifted")
    signs: Any
    for signs in (SIGNS, (), ("/dir/",), ("/599n",), ("nn/",), ("fifofi",), ("/ä/", "zz")):
        expected = outcome(python, folder, signs)
        assert outcome(compiled, folder, signs) == expected
    for signs in (["/d"], ("a",), ("ab",) * 65, ("ab", 3)):
        assert outcome(compiled, folder, signs)[0] in {TypeError, ValueError}


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
    for signs in (SIGNS, ("x/", "/\u540d/")):
        found = compiled_part().parse_listing(listing(entries), signs)
        assert ordered(found) == ordered((expected, *sift(expected, signs)))


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
        compiled_part().parse_listing(bytes(raw), SIGNS)
    except OSError as error:
        assert error.errno == 5  # noqa: PT017


@pytest.fixture
def siblings(tmp_path: Path) -> Iterator[int]:
    """Open on plain directories, one with another in it, and names that are none."""
    for name in "abcdef":
        (tmp_path / name).mkdir()
    (tmp_path / "d" / "below").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("a")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


NO_DEVICE = 0xFFFF


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ("a b c", 3), ("a d e", 2), ("d", 1), ("a none b", 1), ("a file b", 1), ("a link b", 1),
        ("a \ud800 b", 1), ("a b\0 c", 1), ("none", 0), ("", 0),
    ],
)  # fmt: skip
def test_directories_are_opened_alike(siblings: int, names: str, count: int) -> None:
    """Up to the first that is not plain; one with directories in it is the last."""
    device, wanted = os.fstat(siblings).st_dev, names.split(" ") if names else []
    rows = []
    for form in both("open_directories"):
        found = form(siblings, wanted, device, 5, 9)
        assert len(found) == count
        for (fd, _, inode), name in zip(found, wanted, strict=False):
            there = os.fstat(fd)
            assert (there.st_ino, os.get_inheritable(fd)) == (inode, False)
            assert os.stat(name, dir_fd=siblings).st_ino == inode
            os.close(fd)
        rows.append([row[1:] for row in found])
        assert form(siblings, wanted, NO_DEVICE, 5, 9) == []
        assert form(1 << 20, wanted, device, 5, 9) == []
    assert rows[0] == rows[1]


def test_no_descriptor_is_left_open_by_a_refusal(siblings: int) -> None:
    """Of another device, or beyond the first that is not plain."""
    device = os.fstat(siblings).st_dev
    before = os.listdir("/proc/self/fd")
    for form in both("open_directories"):
        form(siblings, ["a"], NO_DEVICE, 5, 9)
        for fd, _, _ in form(siblings, ["a", "file"], device, 5, 9):
            os.close(fd)
        with pytest.raises(TypeError):
            form(siblings, ["a", 3], device, 5, 9)
    assert (
        len(os.listdir("/proc/self/fd")) <= len(before) + 1
    )  # of Python's, which a test alone meets


@pytest.mark.parametrize("kind", KERNEL_BACKENDS)
def test_several_are_marked_alike(siblings: int, kind: str) -> None:
    """Up to the first that cannot be."""
    python, compiled = both(f"{kind}_mark_several")
    file = os.open("file", os.O_RDONLY, dir_fd=siblings)
    fds = [os.open(name, os.O_RDONLY, dir_fd=siblings) for name in "abc"]
    group = _libc.fanotify_init(0xC03) if kind == "fanotify" else _libc.inotify_init()
    mask = (0x9, 0x40000302) if kind == "fanotify" else (0x25000002,)
    try:
        for wanted in (fds, [fds[0], file, fds[1]], [1 << 20], []):
            expected = outcome(python, group, *mask, wanted)
            assert outcome(compiled, group, *mask, wanted) == expected
        if kind == "fanotify":  # no mark: the handle of a file will do
            assert len(compiled(group, 0x9, 0, [fds[0], file])) == 2
    finally:
        for fd in (*fds, file, group):
            os.close(fd)


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
