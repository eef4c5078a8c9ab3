"""The fault cases that need more than operations on a log; the number of each is in its name."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import CheckpointBusyError, CheckpointCorruptError
from limpet.following._file_io import Entry, FileIO
from limpet.following._follow_events import (
    Accessible,
    Appended,
    CheckpointCorrupt,
    Content,
    Gap,
    Inaccessible,
    Replaced,
    Retired,
    Rotated,
    Truncated,
)
from tests.following.driver import Driven, SteppedFileIO, append, deleted_descriptors, write

ROTATIONS = 10_000 if os.environ.get("LIMPET_PROFILE") == "soak" else 2_000


@pytest.fixture
def p(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


def test_row_05_a_line_without_an_end_waits(p: Path) -> None:
    """For its end, or for ``flush_partial``, or for the end of its file."""
    write(p, "half")
    waiting, flushing = Driven(p), Driven(p, flush_partial=0.5)
    for driven in (waiting, flushing):
        driven.catch_up()
        assert driven.lines() == []
        driven.wait(0.6)
    assert waiting.lines() == []
    assert [(b.lines, b.complete) for b in flushing.of(Appended)] == [(["half"], False)]
    append(p, "-done\nnext\n")
    for driven in (waiting, flushing):
        driven.wait(0.1)
    assert waiting.lines() == ["half-done", "next"]
    last = flushing.of(Appended)[-1]
    assert (last.lines, last.continued, last.complete) == (["-done", "next"], True, True)
    for driven in (waiting, flushing):
        driven.close()


def test_row_05_it_is_not_lost_by_a_restart(p: Path, tmp_path: Path) -> None:
    """What was not delivered is not committed."""
    write(p, "a\nhalf")
    first = Driven(p, state=tmp_path / "state")
    first.catch_up()
    first.commit()
    first.close()
    append(p, "-done\n")
    second = Driven(p, state=tmp_path / "state")
    second.catch_up()
    assert second.lines() == ["half-done"]
    second.close()


def test_row_06_400_empty_files(tmp_path: Path) -> None:
    """The one line comes, from the right one."""
    for number in range(400):
        write(tmp_path / f"{number:03}.log", "")
    driven = Driven(f"{tmp_path}/*.log", max_open=64)
    driven.catch_up()
    assert driven.engine.stats().open_files <= 64
    append(tmp_path / "317.log", "here\n")
    driven.catch_up()
    assert [(b.path.name, b.lines) for b in driven.of(Appended)] == [("317.log", ["here"])]
    driven.close()


def test_row_15_renamed_within_a_glob(tmp_path: Path) -> None:
    """Nothing is delivered again, and what is written to it later comes under its new name."""
    write(tmp_path / "app.log", "a0\n")
    driven = Driven(f"{tmp_path}/*.log*")
    driven.catch_up()
    os.rename(tmp_path / "app.log", tmp_path / "app.log.1")
    write(tmp_path / "app.log", "b0\n")
    driven.catch_up()
    append(tmp_path / "app.log.1", "late\n")
    driven.catch_up()
    assert [(b.path.name, b.lines) for b in driven.of(Appended)] == [
        ("app.log", ["a0"]),
        ("app.log", ["b0"]),
        ("app.log.1", ["late"]),
    ]
    driven.close()


def test_row_15_what_was_not_read_comes_before_its_successor(tmp_path: Path) -> None:
    """Though the file has another path by then."""
    write(tmp_path / "app.log", "a0\n")
    driven = Driven(f"{tmp_path}/*.log*")
    driven.catch_up()
    append(tmp_path / "app.log", "a1\n")
    os.rename(tmp_path / "app.log", tmp_path / "app.log.1")
    write(tmp_path / "app.log", "b0\n")
    driven.catch_up()
    assert driven.lines() == ["a0", "a1", "b0"]
    driven.close()


def test_row_16_a_ring_of_names(tmp_path: Path) -> None:
    """Only what is new of the file that came back."""
    names = ["out.log", "out.lo1", "out.lo2"]
    for name in names:
        write(tmp_path / name, f"{name}\n")
    driven = Driven(f"{tmp_path}/out.lo*")
    driven.catch_up()
    before = len(driven.lines())
    os.rename(tmp_path / "out.log", tmp_path / "out.lo3")
    os.rename(tmp_path / "out.lo1", tmp_path / "out.log")
    append(tmp_path / "out.log", "new\n")
    driven.catch_up()
    driven.catch_up()
    assert driven.lines()[before:] == ["new"]
    assert driven.of(Appended)[-1].path.name == "out.log"
    driven.close()


@pytest.mark.parametrize("steps", ["one", "seen", "partly"])
@pytest.mark.parametrize("how", ["glob", "rotated"])
def test_row_22_a_copy_that_matches(tmp_path: Path, how: str, steps: str) -> None:
    """It is not delivered again; what was written right before the emptying comes once."""
    log, copy = tmp_path / "app.log", tmp_path / "app.log.1"
    write(log, "a0\na1\n")
    driven = Driven(f"{tmp_path}/app.log*") if how == "glob" else Driven(log, rotated="app.log.*")
    driven.catch_up()
    append(log, "a2\n")
    if steps == "partly":
        write(copy, "a0\na")
        driven.catch_up()
    shutil.copyfile(log, copy)
    if steps == "seen":
        driven.catch_up()
    os.truncate(log, 0)
    append(log, "b0\n")
    driven.catch_up()
    driven.catch_up()
    assert driven.lines() == ["a0", "a1", "a2", "b0"]
    assert [event.lost for event in driven.of(Truncated)] == [0]
    append(copy, "late\n")
    driven.catch_up()
    assert driven.lines()[4:] == ["late"]
    driven.close()


def test_row_22_a_mere_copy_comes_after_a_while(tmp_path: Path) -> None:
    """A file of its own, whatever it holds."""
    write(tmp_path / "a.log", "a0\n")
    driven = Driven(f"{tmp_path}/*.log", linger=2.0)
    driven.catch_up()
    shutil.copyfile(tmp_path / "a.log", tmp_path / "b.log")
    driven.catch_up()
    assert driven.lines() == ["a0"]
    driven.wait(2.5)
    assert driven.lines() == ["a0", "a0"]
    driven.close()


def test_row_22_a_copy_that_is_still_being_made(p: Path) -> None:
    """However long ago it was examined: a copy that grew since then is not quiet."""
    write(p, "a0\na1\n")
    driven = Driven(p, rotated="app.log.*", linger=2.0)
    driven.catch_up()
    write(f"{p}.1", "a0\n")
    driven.examine()
    driven.read()
    append(f"{p}.1", "a1\n")
    driven.io.now += 5.0
    driven.read()  # no pass comes between, because there is much to read
    os.truncate(p, 0)
    append(p, "b0\n")
    driven.catch_up()
    assert driven.lines() == ["a0", "a1", "b0"]
    driven.close()


@pytest.mark.parametrize("late", [False, True])
def test_row_23_two_files_that_begin_alike(tmp_path: Path, late: bool) -> None:
    """Both come whole, whether both were there or one came later."""
    head = "".join(f"header line {number}\n" for number in range(100))
    write(tmp_path / "a.log", head + "a\n")
    driven = Driven(f"{tmp_path}/*.log", begun=False)
    if not late:
        write(tmp_path / "b.log", head + "b\n")
    driven.engine.start()
    driven.catch_up()
    if late:
        write(tmp_path / "b.log", head)
        driven.catch_up()
        append(tmp_path / "b.log", "b\n")
    driven.catch_up()
    lines: dict[str, list[str]] = {b.path.name: [] for b in driven.of(Appended)}
    for batch in driven.of(Appended):
        lines[batch.path.name] += batch.lines
    assert lines == {name: [*head.split("\n")[:-1], name[0]] for name in ("a.log", "b.log")}
    driven.close()


def test_row_24_trimmed(p: Path) -> None:
    """By default it is read again, and that is reported."""
    write(p, "a0\na1\n")
    driven = Driven(p)
    driven.catch_up()
    os.truncate(p, 3)
    driven.catch_up()
    append(p, "b0\n")
    driven.catch_up()
    assert driven.grouped() == [["a0", "a1"], ["a0", "b0"]]
    assert [event.kind for event in driven.of(Truncated)] == ["trimmed"]
    driven.close()


def test_row_25_overwritten(p: Path) -> None:
    """By default it is read again, and that is reported."""
    write(p, "a0\na1\n")
    driven = Driven(p)
    driven.catch_up()
    with p.open("r+b") as file:
        file.seek(1)
        file.write(b"X")
    append(p, "b0\n")
    driven.catch_up()
    assert driven.grouped() == [["a0", "a1"], ["aX", "a1", "b0"]]
    assert [event.kind for event in driven.of(Truncated)] == ["rewritten"]
    driven.close()


def test_row_26_a_rolling_file(p: Path) -> None:
    """By lines it is read again each time; with ``mode="whole"`` each change is one event."""
    write(p, "1\n2\n3\n")
    lines, whole = Driven(p), Driven(p, mode="whole")
    for driven in (lines, whole):
        driven.catch_up()
        driven.wait(0.1)
    write(p, "2\n3\n4\n")
    for driven in (lines, whole):
        driven.catch_up()
        driven.wait(0.1)
        driven.wait(0.1)
    assert lines.grouped() == [["1", "2", "3"], ["2", "3", "4"]]
    assert [event.text for event in whole.of(Content)] == ["1\n2\n3\n", "2\n3\n4\n"]
    for driven in (lines, whole):
        driven.close()


def test_row_30_it_says_that_it_goes_on(p: Path) -> None:
    """A replacement that holds all of the old."""
    write(p, "a0\n")
    driven = Driven(p)
    driven.catch_up()
    write(p.with_name("t"), "a0\nb0\n")
    os.replace(p.with_name("t"), p)
    driven.catch_up()
    assert [event.continued for event in driven.of(Replaced)] == [True]
    driven.close()


def test_row_35_no_deleted_file_stays_open(p: Path) -> None:
    """Once it is read and was quiet for ``linger``."""
    write(p, "a0\n")
    driven = Driven(p, linger=5.0)
    driven.catch_up()
    os.unlink(p)
    driven.catch_up()
    assert len(deleted_descriptors(p.parent)) == 1
    driven.wait(4.0)
    assert len(deleted_descriptors(p.parent)) == 1
    driven.wait(2.0)
    assert deleted_descriptors(p.parent) == []
    assert [(e.generation, e.bytes) for e in driven.of(Retired)] == [(1, 3)]
    driven.close()


def test_row_36_a_deleted_file_that_nobody_reads(p: Path) -> None:
    """It is dropped after ``unlinked_timeout``, and its size is reported."""
    write(p, "a0\n")
    driven = Driven(p, unlinked_timeout=60.0)
    driven.catch_up()
    append(p, "x" * 99 + "\n")
    driven.examine()
    os.unlink(p)
    driven.io.now += 30
    driven.examine()
    assert len(deleted_descriptors(p.parent)) == 1
    driven.io.now += 31
    driven.examine()
    driven.read()
    assert deleted_descriptors(p.parent) == []
    assert [(event.kind, event.bytes) for event in driven.of(Gap)] == [("unlinked", 100)]
    assert driven.lines() == ["a0"]
    driven.close()


def test_row_41_two_names_of_one_file(tmp_path: Path) -> None:
    """One stream, under the name that was found first."""
    write(tmp_path / "a.log", "a0\n")
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    os.symlink("a.log", tmp_path / "c.log")
    driven = Driven(f"{tmp_path}/*.log")
    driven.catch_up()
    append(tmp_path / "b.log", "a1\n")
    driven.catch_up()
    assert driven.lines() == ["a0", "a1"]
    assert {batch.path.name for batch in driven.of(Appended)} == {"a.log"}
    os.unlink(tmp_path / "a.log")
    driven.catch_up()
    append(tmp_path / "b.log", "a2\n")
    driven.catch_up()
    assert driven.lines() == ["a0", "a1", "a2"]
    driven.close()


def test_row_44_offsets_count_what_is_taken_away(p: Path) -> None:
    """The mark and the carriage returns are bytes of the file."""
    write(p, b"\xef\xbb\xbfa\r\nbc\r\n")
    driven = Driven(p)
    driven.catch_up()
    (batch,) = driven.of(Appended)
    assert [(line.text, line.start, line.end) for line in batch] == [("a", 0, 6), ("bc", 6, 10)]
    driven.close()


def test_row_48_a_line_that_never_ends(p: Path, tmp_path: Path) -> None:
    """Memory is bounded, the line is cut, its rest reported; no piece comes after a restart."""
    resource: Any = pytest.importorskip("resource", reason="no module resource")
    megabyte = b"x" * (1 << 20)
    with p.open("wb") as file:
        for _ in range(100):
            file.write(megabyte)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = Driven(p, state=tmp_path / "state")
    first.catch_up()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    (batch,) = first.of(Appended)
    assert len(batch.lines[0]) == 1 << 20
    assert (batch.complete, batch.truncated) == (False, frozenset((0,)))
    first.commit()
    first.close()
    append(p, "\nnext\n")
    second = Driven(p, state=tmp_path / "state")
    second.catch_up()
    assert second.lines() == ["next"]
    assert [(event.kind, event.bytes) for event in second.of(Gap)] == [
        ("long-line", (99 << 20) + 1)
    ]
    second.close()


@pytest.mark.parametrize("policy", ["truncate", "split", "skip"])
@pytest.mark.parametrize("size", [16, 17, 100, 300_000])
def test_row_48_policies(p: Path, policy: str, size: int) -> None:
    """Lines of ordinary length before and after come as they are."""
    long = ("0123456789abcdef" * 20_000)[:size]
    write(p, f"a\n{long}\nb\n")
    driven = Driven(p, max_line=16, on_long=policy)
    driven.catch_up()
    lines = driven.lines()
    assert (lines[0], lines[-1]) == ("a", "b")
    if size == 16:
        assert lines[1] == long
    elif policy == "split":
        assert "".join(lines[1:-1]) == long
        assert max(map(len, lines)) == 16
    else:
        assert lines[1:-1] == ([long[:16]] if policy == "truncate" else [])
        kept = 16 if policy == "truncate" else 0
        assert [event.bytes for event in driven.of(Gap)] == [size - kept + 1]
    driven.close()


def test_row_49_never_ended_rotated_and_restarted(p: Path, tmp_path: Path) -> None:
    """The last line comes once, and says that it has no end."""
    write(p, "a0\nhalf")
    first = Driven(p, state=tmp_path / "state", rotated="app.log.*", linger=1.0)
    first.catch_up()
    first.commit()
    os.rename(p, p.with_name("app.log.1"))
    write(p, "b0\n")
    first.catch_up()
    first.commit()
    first.close()
    second = Driven(p, state=tmp_path / "state", rotated="app.log.*", linger=1.0)
    second.catch_up()
    second.wait(2.0)
    assert [(b.lines, b.complete) for b in second.of(Appended)] == [(["half"], False)]
    second.commit()
    second.close()
    third = Driven(p, state=tmp_path / "state", rotated="app.log.*", linger=1.0)
    third.wait(2.0)
    assert third.lines() == []
    third.close()


@pytest.mark.parametrize("damage", [b"\0" * 64, b"", b'{"format":"limpet-follow","v":2}\n', None])
def test_row_57_a_damaged_checkpoint(p: Path, tmp_path: Path, damage: bytes | None) -> None:
    """The one before it is used, the damaged one kept, and all of it said."""
    state = tmp_path / "state"
    write(p, "a0\n")
    first = Driven(p, state=state)
    first.catch_up()
    first.commit()
    first.save()
    append(p, "b0\n")
    first.catch_up()
    first.commit()
    first.close()
    if damage is None:
        state.unlink()
    else:
        write(state, damage)
    second = Driven(p, state=state)
    second.catch_up()
    assert second.lines() == ["b0"]
    if damage is not None:
        (reported,) = second.of(CheckpointCorrupt)
        assert reported.kept_as is not None
        assert reported.kept_as.read_bytes() == damage
    second.close()


def test_row_57_both_damaged(p: Path, tmp_path: Path) -> None:
    """Begin as without, or raise: as asked for."""
    state = tmp_path / "state"
    write(p, "a0\n")
    for policy in ("start", "raise"):
        for name in (state, Path(f"{state}.prev")):
            write(name, '{"format":"limpet-follow"')
        driven = Driven(p, state=state, on_corrupt=policy, begun=False)
        if policy == "raise":
            with pytest.raises(CheckpointCorruptError):
                driven.engine.start()
        else:
            driven.engine.start()
            driven.catch_up()
            assert driven.lines() == ["a0"]
            assert len(driven.of(CheckpointCorrupt)) == 2
            driven.close()


def test_row_58_another_device_number(p: Path, tmp_path: Path) -> None:
    """Volumes get new numbers at each boot: that alone means nothing."""
    state = tmp_path / "state"
    write(p, "a0\n")
    first = Driven(p, state=state)
    first.catch_up()
    first.commit()
    first.close()
    from limpet.following._checkpoint import decode, encode

    checkpoint = decode(state.read_bytes())
    (entry,) = checkpoint.paths[str(p)].files
    import dataclasses

    entry.position = dataclasses.replace(entry.position, device=entry.position.device + 1)
    state.write_bytes(encode(checkpoint))
    append(p, "b0\n")
    second = Driven(p, state=state)
    second.catch_up()
    assert second.lines() == ["b0"]
    second.close()


def test_row_59_two_followers_one_state(p: Path, tmp_path: Path) -> None:
    """The second is refused, also from another process, and may begin once the first has ended."""
    write(p, "a0\n")
    first = Driven(p, state=tmp_path / "state")
    second = Driven(p, state=tmp_path / "state", begun=False)
    with pytest.raises(CheckpointBusyError):
        second.engine.start()
    program = (
        "import limpet, sys\n"
        "try:\n"
        "    next(iter(limpet.follow(sys.argv[1], state=sys.argv[2]).sync()))\n"
        "except limpet.CheckpointBusyError as error:\n"
        "    print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, p, tmp_path / "state"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "state-busy\n"
    first.close()
    second.engine.start()
    second.close()


class Rotating(SteppedFileIO):
    """Rotates the file between the stat of the path and the opening."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.armed = 0

    def open(self, path: str) -> int:
        if self.armed and path == str(self.path):
            self.armed -= 1
            os.rename(self.path, f"{self.path}.{self.armed + 1}")
            write(self.path, f"new{self.armed}\n")
        return super().open(path)


@pytest.mark.parametrize("times", [1, 20])
def test_row_60_rotated_while_it_is_opened(p: Path, times: int) -> None:
    """Never a new file with an old position; a path that keeps changing is examined again soon."""
    write(p, "a0\n")
    io = Rotating(p)
    driven = Driven(p, io=io, rotated="app.log.*")
    driven.catch_up()
    expected = ["a0"]
    for number in range(times):
        os.rename(p, f"{p}.{100 + number}")
        write(p, f"first{number}\n")
        io.armed = 1
        driven.catch_up()
        os.rename(f"{p}.1", f"{p}.{200 + number}")
        expected += [f"first{number}", "new0"]
    assert driven.lines() == expected
    driven.close()


def test_row_61_compressed_files_are_left_alone(p: Path) -> None:
    """Whatever their names match."""
    import gzip

    write(p, "a0\n")
    driven = Driven(p, rotated="app.log.*")
    driven.catch_up()
    with gzip.open(f"{p}.1.gz", "wb") as file:
        file.write(b"a0\n")
    driven.catch_up()
    assert driven.lines() == ["a0"]
    driven.close()


class Refusing(SteppedFileIO):
    """Refuses to open a file, as for another user."""

    refuse = 0

    def open(self, path: str) -> int:
        if self.refuse:
            raise OSError(self.refuse, os.strerror(self.refuse), path)
        return super().open(path)


def test_row_62_not_readable_for_a_while(p: Path) -> None:
    """Said once; then read from its beginning, and nothing is lost."""
    write(p, "a0\n")
    io = Refusing()
    driven = Driven(p, io=io)
    driven.catch_up()
    append(p, "a1\n")
    os.rename(p, f"{p}.1")
    write(p, "b0\n")
    io.refuse = errno.EACCES
    for _ in range(5):
        driven.catch_up()
    io.refuse = 0
    driven.catch_up()
    assert driven.grouped() == [["a0", "a1"], ["b0"]]
    assert [event.errno for event in driven.of(Inaccessible)] == [errno.EACCES]
    assert len(driven.of(Accessible)) == 1
    driven.close()


class Stale(SteppedFileIO):
    """Gives an old size for a while, as a network file system may."""

    less = 0

    def fstat(self, fd: int) -> os.stat_result:
        status = super().fstat(fd)
        if not self.less:
            return status
        fields: list[Any] = list(status[:10])
        fields[6] = status.st_size - self.less
        return os.stat_result(
            fields,
            {
                "st_mtime_ns": status.st_mtime_ns,
                "st_ctime_ns": status.st_ctime_ns,
            },
        )


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_row_65_an_old_size_on_a_network(p: Path, seconds: float) -> None:
    """It is asked again a second later; only then is the file taken for emptied."""
    write(p, "a0\na1\n")
    io = Stale()
    driven = Driven(p, io=io, network=True)
    driven.catch_up()
    io.less = 3
    driven.catch_up()
    driven.wait(seconds)
    io.less = 0
    append(p, "b0\n")
    driven.wait(1.0)
    assert len(driven.of(Truncated)) == (0 if seconds < 1 else 1)
    if seconds < 1:
        assert driven.lines() == ["a0", "a1", "b0"]
    driven.close()


class Failing(SteppedFileIO):
    """Fails to read one descriptor, or all."""

    number = 0
    only: int | None = None

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if self.number and self.only in {None, fd}:
            raise OSError(self.number, os.strerror(self.number))
        return super().pread(fd, size, offset)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_row_66_a_descriptor_that_fails(p: Path, number: int) -> None:
    """The path is fine: it is opened again, compared, and read on."""
    write(p, "a0\n")
    io = Failing()
    driven = Driven(p, io=io)
    driven.catch_up()
    (file,) = held_files(driven)
    io.number, io.only = number, file.fd
    append(p, "b0\n")
    driven.catch_up()
    driven.wait(1.5)
    assert driven.lines() == ["a0", "b0"]
    assert driven.of(Inaccessible) == []
    driven.close()


def test_row_66_a_disk_that_fails(p: Path) -> None:
    """Reported once, tried again, and read once it can be."""
    write(p, "a0\n")
    io = Failing()
    driven = Driven(p, io=io)
    driven.catch_up()
    append(p, "b0\n")
    io.number = errno.EIO
    for _ in range(5):
        driven.wait(1.5)
    io.number = 0
    driven.wait(1.5)
    assert driven.lines() == ["a0", "b0"]
    assert [event.errno for event in driven.of(Inaccessible)] == [errno.EIO]
    assert len(driven.of(Accessible)) == 1
    driven.close()


def held_files(driven: Driven) -> list[Any]:
    return [file for followed in driven.engine.paths for file in followed.files]


class WritingAtClose(SteppedFileIO):
    """Appends in the instant a descriptor is closed."""

    path: Path | None = None

    def close(self, fd: int) -> None:
        path, self.path = self.path, None
        if path is not None:
            append(path, "in the instant\n")
        super().close(fd)


def test_row_67_written_while_its_descriptor_is_closed(tmp_path: Path) -> None:
    """Quiet files are examined by name."""
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    write(a, "a0\n")
    write(b, "b0\n")
    io = WritingAtClose()
    driven = Driven(a, b, io=io, max_open=1)
    driven.catch_up()
    driven.commit()
    append(a, "a1\n")
    driven.catch_up()  # a is open, and is closed for b
    io.path = a
    append(b, "b1\n")
    driven.catch_up()
    assert io.path is None
    assert driven.engine.stats().open_files == 1
    for _ in range(3):
        driven.catch_up()
        driven.commit()
    assert sorted(driven.lines()) == ["a0", "a1", "b0", "b1", "in the instant"]
    driven.close()


def test_row_67_rotated_while_it_is_closed(tmp_path: Path) -> None:
    """It is found by its inode in its directory, with what was written before."""
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    write(a, "a0\n")
    write(b, "b0\n")
    driven = Driven(a, b, max_open=1)
    driven.catch_up()
    driven.commit()
    driven.catch_up()
    for path in (a, b):
        append(path, f"{path.name} late\n")
        os.rename(path, f"{path}.1")
        write(path, f"{path.name} new\n")
    driven.catch_up()
    assert driven.lines() == [
        "a0", "b0", "a.log late", "b.log late", "a.log new", "b.log new",
    ] or sorted(driven.lines()) == sorted(
        ["a0", "b0", "a.log late", "b.log late", "a.log new", "b.log new"]
    )  # fmt: skip
    places = {line: at for at, line in enumerate(driven.lines())}
    assert places["a.log late"] < places["a.log new"]
    assert places["b.log late"] < places["b.log new"]
    assert driven.of(Gap) == []
    driven.close()


def test_row_68_a_busy_file_starves_nobody(tmp_path: Path) -> None:
    """Each quiet file has its turn after one piece of the busy one."""
    busy = tmp_path / "busy"
    write(busy, b"x" * 99 + b"\n")
    with busy.open("ab") as file:
        for _ in range(100):
            file.write((b"x" * 99 + b"\n") * 10_000)
    for number in range(50):
        write(tmp_path / f"quiet{number}", "")
    driven = Driven(f"{tmp_path}/*")
    driven.examine()
    driven.read(60)
    for number in range(50):
        append(tmp_path / f"quiet{number}", "one\n")
    driven.examine()
    driven.read(52)
    quiet = {b.path.name for b in driven.of(Appended) if b.path.name != "busy"}
    assert len(quiet) == 50
    driven.close()


def test_row_69_a_batch_that_failed_comes_again(p: Path, tmp_path: Path) -> None:
    """What is not committed is delivered after the restart."""
    write(p, "a0\na1\n")
    first = Driven(p, state=tmp_path / "state")
    first.catch_up()
    first.close()
    second = Driven(p, state=tmp_path / "state")
    second.catch_up()
    assert second.lines() == ["a0", "a1"]
    second.of(Appended)[0].commit_lines(1)
    second.close()
    third = Driven(p, state=tmp_path / "state")
    third.catch_up()
    assert third.lines() == ["a1"]
    third.close()


class RotatingAtRestore(SteppedFileIO):
    """Rotates the file between the examination of its names and its opening."""

    path: Path | None = None

    def entries(self, directory: str) -> list[Entry]:
        entries = super().entries(directory)
        path, self.path = self.path, None
        if path is not None:
            os.rename(path, f"{path}.1")
            write(path, "b0\n")
        return entries


def test_rotated_while_the_checkpoint_is_restored(p: Path, tmp_path: Path) -> None:
    """It is found under its new name: nothing comes again, and no gap is reported."""
    options: dict[str, Any] = {"state": tmp_path / "state", "rotated": "app.log.*"}
    write(p, "a0\n")
    first = Driven(p, **options)
    first.catch_up()
    first.commit()
    first.close()
    append(p, "a1\n")
    io = RotatingAtRestore()
    io.path = p
    second = Driven(p, io=io, **options)
    second.catch_up()
    assert second.lines() == ["a1", "b0"]
    assert second.of(Gap) == []
    second.close()


def test_a_path_that_two_patterns_match_is_followed_once(p: Path, tmp_path: Path) -> None:
    """And has one entry in the checkpoint."""
    write(p, "a0\n")
    both, state = (p, f"{p.parent}/*.log"), tmp_path / "state"
    first = Driven(*both, state=state)
    first.catch_up()
    assert first.lines() == ["a0"]
    assert first.engine.stats().paths == 1
    first.commit()
    first.close()
    append(p, "a1\n")
    second = Driven(*both, state=state)
    second.catch_up()
    assert second.lines() == ["a1"]
    second.close()


def test_row_70_thousands_of_rotations(p: Path, tmp_path: Path) -> None:
    """Descriptors, memory of files and the state stay bounded."""
    write(p, "0\n")
    driven = Driven(p, state=tmp_path / "state", linger=0.0)
    driven.catch_up()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1, ROTATIONS + 1):
        os.rename(p, f"{p}.1")
        write(p, f"{number}\n")
        driven.examine()
        driven.read()
        driven.commit()
    driven.catch_up()
    assert driven.lines() == [str(number) for number in range(ROTATIONS + 1)]
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    driven.save()
    assert (tmp_path / "state").stat().st_size < 2500
    driven.close()


def test_row_72_a_file_that_is_bind_mounted(p: Path) -> None:
    """Nothing in the container can see that it was replaced outside; the inode stays."""
    outside = p.with_name("outside")
    write(outside, "a0\n")
    write(p, "")
    done = subprocess.run(["mount", "--bind", outside, p], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount")
    try:
        driven = Driven(p)
        driven.catch_up()
        os.rename(outside, p.with_name("outside.1"))
        write(outside, "b0\n")
        append(p.with_name("outside.1"), "a1\n")
        driven.catch_up()
        assert driven.lines() == ["a0", "a1"]
        driven.close()
    finally:
        subprocess.run(["umount", p], check=True)


# -- beyond the rows -------------------------------------------------------------------------------


def test_strict_order(p: Path) -> None:
    """The new file waits until the old one is closed."""
    write(p, "a0\n")
    driven = Driven(p, order="strict", linger=1.0)
    driven.catch_up()
    with p.open("ab", buffering=0) as writer:
        os.rename(p, f"{p}.1")
        write(p, "b0\n")
        driven.catch_up()
        writer.write(b"late\n")
        driven.catch_up()
    driven.wait(2.0)
    driven.catch_up()
    assert driven.grouped() == [["a0", "late"], ["b0"]]
    driven.close()


@pytest.mark.skipif(sys.platform != "linux", reason="leases are of Linux")
def test_retired_once_nobody_writes(p: Path) -> None:
    """At once after the last writer has closed it, and not before."""
    write(p, "a0\n")
    driven = Driven(p, retire="no-writer", linger=0.0)
    driven.catch_up()
    with p.open("ab", buffering=0):
        os.rename(p, f"{p}.1")
        write(p, "b0\n")
        driven.wait(10.0)
        assert driven.of(Retired) == []
    driven.wait(0.1)
    assert len(driven.of(Retired)) == 1
    driven.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"start": "beginning"}, ["1", "2", "3", "4", "5"]),
        ({"start": "end"}, ["5"]),
        ({"start": "last", "last": 2}, ["3", "4", "5"]),
        ({"start": "last", "last": 0}, ["5"]),
        ({"start": "last", "last": 9}, ["1", "2", "3", "4", "5"]),
        ({"start": "beginning", "ignore_older": 1e9}, ["1", "2", "3", "4", "5"]),
        ({"start": "beginning", "ignore_older": 0.0}, ["5"]),
    ],
)
def test_where_it_begins(p: Path, options: Any, expected: list[str]) -> None:
    """``4`` has no end yet at the start, and is followed by one line more."""
    write(p, "1\n2\n3\n4")
    os.utime(p, (1e9, 1e9)) if options.get("ignore_older") == 0.0 else None
    driven = Driven(p, **options)
    driven.catch_up()
    append(p, "\n5\n")
    driven.catch_up()
    if options["start"] == "end" or options.get("ignore_older") == 0.0 or options.get("last") == 0:
        expected = ["4", "5"]
    elif options.get("last") == 2:
        expected = ["2", "3", "4", "5"]
    assert driven.lines() == expected
    driven.close()


def test_a_position_finds_its_place(p: Path) -> None:
    """Stored with the results of the lines, it makes each line come exactly once."""
    from limpet.following import Position

    write(p, "a0\na1\na2\n")
    first = Driven(p)
    first.catch_up()
    (batch,) = first.of(Appended)
    text = str(batch.position)
    first.close()
    append(p, "a3\n")
    second = Driven(p, start=Position.parse(text))
    second.catch_up()
    assert second.lines() == ["a3"]
    assert Position.parse(text) == batch.position
    second.close()


def test_chunks(p: Path) -> None:
    """The bytes as they come; offsets leave no gap."""
    write(p, b"\0\xffabc")
    driven = Driven(p, mode="chunks")
    driven.catch_up()
    append(p, b"de")
    driven.catch_up()
    batches = driven.of(Appended)
    assert b"".join(batch.data for batch in batches) == b"\0\xffabcde"
    assert [(batch.start, batch.end) for batch in batches] == [(0, 5), (5, 7)]
    driven.close()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "жы€"),
        ("latin-1", "caf\xe9"),
        ("utf-16", "жыĊ"),
        ("utf-16-be", "ਊĊ"),
        ("utf-32", "ж\U0001f600"),
        ("shift_jis", "日本ソ"),
        ("gb18030", "中文"),
        ("cp1251", "ж"),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_encodings(p: Path, encoding: str, text: str, step: int) -> None:
    """However the bytes come, lines are cut at line ends only."""
    lines = [text, "", text * 3, "x\r", text]
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    write(p, "")
    driven = Driven(p, encoding=encoding, keep_cr=True)
    for at in range(0, len(data), step):
        append(p, data[at : at + step])
        driven.examine()
        driven.read()
    assert driven.lines() == lines
    offsets = [line.start for batch in driven.of(Appended) for line in batch]
    assert len(set(offsets)) == len(lines)
    driven.close()


def test_bytes_and_another_delimiter(p: Path) -> None:
    """``encoding=None`` returns bytes; a record may end with any bytes."""
    write(p, b"a\0b\n\0c")
    driven = Driven(p, encoding=None, delimiter=b"\0")
    driven.catch_up()
    assert [line for batch in driven.of(Appended) for line in batch.lines] == [b"a", b"b\n"]
    driven.close()
    write(p, "one--two---three--")
    driven = Driven(p, delimiter=b"--")
    driven.catch_up()
    assert driven.lines() == ["one", "two", "-three"]
    driven.close()


@pytest.mark.parametrize("policy", [True, False, "same-owner"])
def test_symlinks(p: Path, policy: Any) -> None:
    """Refused if asked for: somebody else may have put it there."""
    write(p.with_name("target"), "a0\n")
    os.symlink("target", p)
    driven = Driven(p, follow_symlinks=policy)
    driven.catch_up()
    assert driven.lines() == ([] if policy is False else ["a0"])
    if os.geteuid() == 0 and policy == "same-owner":
        os.lchown(p, 12345, 12345)
        append(p.with_name("target"), "a1\n")
        other = Driven(p, follow_symlinks=policy)
        other.catch_up()
        assert other.lines() == []
        assert [event.errno for event in other.of(Inaccessible)] == [errno.ELOOP]
        other.close()
    driven.close()


def test_more_files_than_are_held(p: Path) -> None:
    """While nobody reads, the oldest are dropped, and their size is reported."""
    write(p, "0\n")
    driven = Driven(p, max_generations=4)
    for number in range(1, 10):
        os.rename(p, f"{p}.{number}")
        write(p, f"{number}\n")
        driven.examine()
    driven.catch_up()
    assert driven.lines() == ["6", "7", "8", "9"]
    assert sum(gap.bytes for gap in driven.of(Gap)) == 12
    assert {gap.kind for gap in driven.of(Gap)} == {"too-many"}
    driven.close()


def test_events_that_nobody_takes_are_bounded(p: Path) -> None:
    """What merely informs goes; losses are added up."""
    driven = Driven(p)
    for number in range(1100):
        write(p, f"{number:04}\n")
        driven.examine()
        os.unlink(p)
        driven.examine()
    assert len(driven.engine.state.events) <= 1000
    driven.catch_up()
    lost = sum(gap.bytes for gap in driven.of(Gap))
    assert len(driven.lines()) * 5 + lost == 5500
    assert driven.engine.stats().events_dropped > 0
    driven.close()


def test_rotation_is_reported(p: Path) -> None:
    """With the numbers of both files."""
    write(p, "a\n")
    driven = Driven(p)
    driven.catch_up()
    os.rename(p, f"{p}.1")
    write(p, "b\n")
    driven.catch_up()
    assert [(event.old, event.new) for event in driven.of(Rotated)] == [(1, 2)]
    driven.close()


def test_the_state_is_readable(p: Path, tmp_path: Path) -> None:
    """A line of JSON and its checksum, for the owner only."""
    write(p, "a0\n")
    driven = Driven(p, state=tmp_path / "state")
    driven.catch_up()
    driven.commit()
    driven.close()
    line, checksum, rest = (tmp_path / "state").read_bytes().split(b"\n")
    saved = json.loads(line)
    assert saved["paths"][str(p)]["files"][0]["off"] == 3
    assert checksum.startswith(b"b2:")
    assert rest == b""
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    """Survives in the state."""
    path = tmp_path / "caf\udce9.log"
    write(path, "a0\n")
    first = Driven(path, state=tmp_path / "state")
    first.catch_up()
    first.commit()
    first.close()
    append(path, "b0\n")
    second = Driven(path, state=tmp_path / "state")
    second.catch_up()
    assert second.lines() == ["b0"]
    second.close()


def test_the_whole_disk_is_reached_through_one_class() -> None:
    """So that a test can make each call fail."""
    assert {"open", "pread", "fstat", "stat", "close"} <= set(vars(FileIO))
    assert time.monotonic() >= 0


def test_a_file_that_is_too_large_as_a_whole(p: Path) -> None:
    """It is reported as a gap, once."""
    write(p, "x" * 100)
    driven = Driven(p, mode="whole", max_bytes=10)
    driven.wait(1.0)
    driven.wait(1.0)
    assert [gap.bytes for gap in driven.of(Gap)] == [100]
    assert driven.of(Content) == []
    driven.close()
