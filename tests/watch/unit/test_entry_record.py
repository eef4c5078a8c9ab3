"""The quick ways of records and names meet the plain ones they stand for."""

from __future__ import annotations

import os
import stat
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet._file_stat import kind_of_mode
from limpet.backends import ATTRIB, DELETE, WRITE
from limpet.watching.diff._change_detection import changes_of, is_same
from limpet.watching.index._entry_record import (
    BRIEF_DIR,
    BRIEF_FILE,
    COARSE_NS,
    RACY_NS,
    StatResult,
    inode_of,
    is_dir,
    kind_of,
    only_written,
    pack,
    public_stat,
    unpack,
)
from limpet.watching.index._filter import (
    DEFAULT_NAMES,
    DEFAULT_PREFIXES,
    DEFAULT_SUFFIXES,
    SIGNS,
    Filter,
)
from limpet.watching.index._fs import FileSystemCalls, PathSystemCalls, _from_result, sift
from limpet.watching.index._index import DirNode

NUMBERS = st.integers(0, 3)
TIMES = st.sampled_from([0, 1, 10**18, 10**18 + 1, 10**18 + 30_000_000, 2**62])
FACTS_NOW = StatResult(0o100644, 1, 0, 0, 1, 7, 1, 10**18, 10**18, 10**18)
FACTS = st.builds(
    StatResult,
    mode=st.sampled_from([0o100644, 0o100600, 0o120777, 0o040755, 0o010644, 0o140755]),
    nlink=NUMBERS, uid=NUMBERS, gid=NUMBERS, device=NUMBERS,
    inode=st.sampled_from([1, 2, 2**64 - 1]), size=st.sampled_from([0, 1, 2**62]),
    mtime=TIMES, ctime=TIMES, birth=TIMES,
)  # fmt: skip


ANY_TIME = st.one_of(
    st.integers(-(2**63), 2**63 - 1),  # seconds
    st.sampled_from([-(2**63), -1, 2**33, 9_223_372_036, 9_223_372_037, 13_569_465_600, 2**63 - 1]),
)
CLOCK_LIMIT = 2**63 - 1


def span(moment: int) -> int:
    """Return how long after a change another may have the same stamp."""
    return RACY_NS if moment % 10**9 else COARSE_NS


@given(ANY_TIME, ANY_TIME, ANY_TIME, st.integers(0, 999_999_999), st.integers(0, 2**64 - 1))
def test_a_record_keeps_any_date(mtime: int, ctime: int, birth: int, ns: int, size: int) -> None:
    """An mtime may be set to any date. A clock's dates end in 2262; beyond, the nearest is kept."""
    facts = FACTS_NOW._replace(
        size=size, mtime=mtime * 10**9 + ns, ctime=ctime * 10**9 + ns, birth=birth * 10**9 + ns
    )
    found = unpack(pack(facts, 10**18))
    assert found.mtime == facts.mtime
    assert found.ctime == max(-CLOCK_LIMIT - 1, min(facts.ctime, CLOCK_LIMIT))
    assert found.birth == max(-CLOCK_LIMIT - 1, min(facts.birth, CLOCK_LIMIT))
    assert found.size == min(size, CLOCK_LIMIT)
    assert public_stat(found).mtime == found.mtime / 1e9


@pytest.mark.parametrize("date", [-(2**40), -1, 2**33, 13_569_465_600, 2**40])
def test_both_ways_to_stat_agree_on_a_far_date(tmp_path: Path, date: int) -> None:
    """As many of these dates as the file system below keeps (ext4: 1901 to 2446)."""
    (tmp_path / "f").write_text("")
    os.utime(tmp_path / "f", (date, date))
    disk = FileSystemCalls()
    handle = disk.open(str(tmp_path))
    try:
        facts = disk.stat_at(handle, "f")
        (record,) = disk.records(handle, ["f"], disk.now())
    finally:
        disk.close(handle)
    assert facts is not None
    assert record is not None
    assert unpack(record)[:10] == facts[:10]
    assert facts.mtime == os.stat(tmp_path / "f").st_mtime_ns


@given(FACTS, TIMES)
def test_a_record_keeps_what_stat_said(facts: StatResult, now: int) -> None:
    """Packed and unpacked again it is the same, and its parts can be had without unpacking."""
    record = pack(facts, now)
    assert unpack(record)[:10] == facts[:10]
    assert unpack(record).fresh == (now - facts.ctime < span(facts.ctime))
    assert unpack(record).young == (now - facts.birth < span(facts.birth))
    assert inode_of(record) == facts.inode
    assert kind_of(record) == kind_of_mode(facts.mode)
    assert is_dir(record) == (kind_of_mode(facts.mode) == "dir")


@given(FACTS, FACTS, TIMES, st.sampled_from([0, WRITE, ATTRIB, DELETE, WRITE | DELETE]))
def test_the_quick_comparison_agrees_with_the_full_one(
    old: StatResult, new: StatResult, now: int, bits: int
) -> None:
    """Where it gives an answer, it is the one that unpacking both would give."""
    was, folder = pack(old, now), DirNode("", None, 1, 1, b"")
    for exact in (False, True):
        for now_there in (new, old._replace(size=new.size, mtime=new.mtime, ctime=new.ctime)):
            quick = only_written(
                was, pack(now_there, now), deleted=bool(bits & DELETE), exact=exact
            )
            if quick is None or kind_of_mode(now_there.mode) == "dir":
                continue
            assert is_same(folder, was, now_there, 0, bits)
            full = changes_of(was, now_there, bits, seen=0, exact=exact, metadata=True)
            assert full == ({"content"} if quick else set())


@pytest.mark.parametrize("disk", [FileSystemCalls(), PathSystemCalls()])
def test_many_stats_at_once_are_single_ones(tmp_path: Path, disk: FileSystemCalls) -> None:
    """Files, folders, links, FIFOs and missing names; a name that is no text."""
    (tmp_path / "file").write_text("12")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    odd = "\udcff odd"
    (tmp_path / odd).touch()
    names = ["file", "dir", "link", "missing", "fifo", odd]
    handle = disk.open(os.fspath(tmp_path))
    try:
        now = disk.now()
        single = [disk.stat_at(handle, name) for name in names]
        assert disk.records(handle, names, now) == [facts and pack(facts, now) for facts in single]
        folder = disk.stat(handle)
        record, device, inode = disk.directory(handle, now)
        assert (record, device, inode) == (pack(folder, now), folder.device, folder.inode)
        assert disk.identity(handle) == (device, inode)
        with pytest.raises(OSError, match="name too long"):
            disk.records(handle, ["file", "x" * 300], now)
        assert disk.records(handle, [], now) == []
    finally:
        disk.close(handle)


def listing(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 4 | BRIEF_FILE)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(DEFAULT_NAMES),
        *(prefix + "x" for prefix in DEFAULT_PREFIXES),
        *("x" + suffix for suffix in DEFAULT_SUFFIXES),
        *(suffix for suffix in DEFAULT_SUFFIXES if len(suffix) > 1),
        "report.sb-1a2b3c-x",
        "#x#",
    ],
)
def test_every_default_ignore_has_a_sign(name: str) -> None:
    """The search through a folder's names misses none of them."""
    assert any(sign in f"/{name}/" for sign in SIGNS)
    assert Filter().hidden("", listing("a", name, "b"), signed=True) == [name]
    assert Filter(default_ignores=False).hidden("", listing("a", name, "b"), signed=True) == []


@pytest.mark.parametrize("name", ["#", "~", "4913", ".profile", "flycheck", "~WR", ".sub"])
def test_names_that_only_look_like_one_are_no_default_ignore(name: str) -> None:
    assert Filter().hidden("", listing(name), signed=True) == []


LETTERS = st.text(alphabet="ab.~#$_swpxTDS", min_size=1, max_size=8)


@given(st.lists(LETTERS, unique=True, max_size=6), st.booleans())
def test_hidden_names_are_those_that_are_hidden(names: list[str], folders: bool) -> None:
    """A listing is filtered as its names are, one by one."""
    entries = dict.fromkeys(names, BRIEF_DIR if folders else BRIEF_FILE)
    _, signed = sift(entries, SIGNS)
    for options in ({}, {"exclude": ("a*",)}, {"include": ("*b",)}, {"default_ignores": False}):
        chosen = Filter(**options)
        expected = [n for n in names if chosen.hides("d", n, is_dir=folders)]
        assert chosen.hidden("d", entries, signed=signed) == expected


def test_listing_and_records_agree(tmp_path: Path) -> None:
    """A listing and stat agree about kind and inode."""
    (tmp_path / "file").touch()
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("dir")
    os.mkfifo(tmp_path / "fifo")
    disk: Any = FileSystemCalls()
    handle = disk.open(os.fspath(tmp_path))
    try:
        entries = disk.read(handle)
        for (name, brief), record in zip(
            entries.items(), disk.records(handle, entries, disk.now()), strict=True
        ):
            assert (inode_of(brief), kind_of(brief)) == (inode_of(record), kind_of(record)), name
    finally:
        disk.close(handle)


def test_a_junction_of_windows_is_recorded_as_a_symlink() -> None:
    """It leads elsewhere, perhaps to a directory above: nobody goes into it (recorded answer)."""
    found = types.SimpleNamespace(
        st_mode=stat.S_IFDIR | 0o777,
        st_reparse_tag=0xA0000003,
        **dict.fromkeys("st_nlink st_uid st_gid st_dev st_ino st_size".split(), 1),
        **dict.fromkeys("st_mtime_ns st_ctime st_ctime_ns st_birthtime_ns".split(), 1),
    )
    assert stat.S_ISLNK(_from_result(found).mode)  # type: ignore[arg-type]
    found.st_reparse_tag = 0
    assert stat.S_ISDIR(_from_result(found).mode)  # type: ignore[arg-type]
