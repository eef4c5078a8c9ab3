"""A start that finds the world other than the run before left it: nothing again, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.errors import StateFileError, UsageError
from limpet.following import Appended, Position
from limpet.following._checkpoint import decode
from limpet.following._follow_events import (
    Content,
    Gap,
    Inaccessible,
    Replaced,
    Retired,
    Rotated,
    WatchDegraded,
)
from tests.following.driver import Driven, SteppedFileIO, append, write
from tests.following.hostile_io import HostileIO, altered


@pytest.fixture
def p(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {"state": tmp_path / "state", "rotated": "app.log.*"}


def run(p: Path | str, io: SteppedFileIO | None = None, **options: Any) -> Driven:
    driven = Driven(p, io=io, **options)
    driven.catch_up()
    return driven


def finish(driven: Driven) -> list[str]:
    """Commit and close; return the lines."""
    driven.commit()
    driven.close()
    return driven.lines()


# -- rotated files ---------------------------------------------------------------------------------


def shift(p: Path, keep: int = 3) -> None:
    for number in range(keep, 0, -1):
        if os.path.exists(f"{p}.{number}"):
            os.rename(f"{p}.{number}", f"{p}.{number + 1}")
    os.rename(p, f"{p}.1")
    write(p, "")


@pytest.mark.parametrize("nth", range(12))
def test_numbers_that_are_shifted_in_the_middle_of_a_listing(p: Path, nth: int) -> None:
    """A file that the listing misses is not forgotten, and does not come again."""
    io = HostileIO()
    write(p, "")
    driven = run(p, io, rotated="app.log.*", linger=0.0)
    expected = []
    for number in range(4):
        append(p, f"{number}\n")
        expected.append(str(number))
        driven.wait(1.0)
        if number == 2:
            write(f"{p}.x", "")  # the directory is listed
            os.unlink(f"{p}.x")
            io.skip, io.then = nth, lambda: shift(p)
            driven.catch_up()
            io.calm()
        else:
            shift(p)
        driven.wait(1.0)
        driven.wait(1.0)
    assert driven.lines() == expected
    driven.close()


@pytest.mark.parametrize("nth", range(0, 40, 3))
def test_rotated_in_the_middle_of_a_start(p: Path, options: dict[str, Any], nth: int) -> None:
    """What was committed does not come again, and there is no gap."""
    for number in range(8):
        write(f"{p}.{number:03}", f"old {number}\n")
    write(p, "a0\na1\n")
    assert finish(run(p, **options)) == ["a0", "a1"]

    def rotate() -> None:
        os.rename(p, f"{p}.{100}")
        write(p, "b0\n")

    io = HostileIO()
    io.skip, io.then = nth, rotate
    driven = Driven(p, io=io, **options)
    io.calm()
    driven.catch_up()
    assert driven.of(Gap) == []
    assert finish(driven) == ["b0"]


def test_more_rotated_files_than_any_bound(p: Path, options: dict[str, Any]) -> None:
    """Delivered once, however many they are."""
    for number in range(1200):
        write(f"{p}.{number:05}", "old\n")
    write(p, "now\n")
    assert finish(run(p, **options)) == ["now"]
    for _ in range(2):
        assert finish(run(p, **options)) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_line_written_to_a_closed_rotated_file(
    p: Path, options: dict[str, Any], restarted: bool
) -> None:
    """It comes: while the follower runs, and after a restart."""
    write(p, "a0\n")
    driven = run(p, linger=1.0, **options)
    os.rename(p, f"{p}.1")
    write(p, "b0\n")
    driven.wait(2.0)
    driven.wait(2.0)
    assert len(driven.of(Retired)) == 1
    if restarted:
        finish(driven)
    append(f"{p}.1", "late\n")
    if restarted:
        driven = run(p, linger=1.0, **options)
    driven.wait(2.0)
    assert driven.lines()[-1] == "late"
    assert [line for line in driven.lines() if line == "a0"] == ([] if restarted else ["a0"])
    driven.close()


def test_paths_that_share_a_pattern(tmp_path: Path) -> None:
    """A rotated file belongs to the path whose name its name begins with."""
    for name in ("a", "b", "ab"):
        write(tmp_path / f"{name}.log", f"{name}0\n")
    driven = run(f"{tmp_path}/*.log", rotated="*.log.*")
    for name in ("b", "ab", "a"):
        write(tmp_path / f"{name}.log.1", f"{name} rotated\n")
    driven.catch_up()
    found = {line: str(one.path.name) for one in driven.of(Appended) for line in one.lines}
    assert found["ab rotated"] == "ab.log"
    assert found["a rotated"] == "a.log"
    assert found["b rotated"] == "b.log"
    driven.close()


# -- descriptors -----------------------------------------------------------------------------------


def test_max_open_is_a_maximum(tmp_path: Path) -> None:
    """Also while every file has something to read."""
    expected = []
    for number in range(60):
        write(tmp_path / f"{number}.log", f"{number}\n")
        expected.append(str(number))
    driven = Driven(f"{tmp_path}/*.log", max_open=7)
    for turn in range(3):
        assert len(driven.engine.state.held) <= 7
        driven.examine()
        assert len(driven.engine.state.held) <= 7
        while driven.engine.read():
            assert len(driven.engine.state.held) <= 7
        driven.read()
        for number in range(60):
            append(tmp_path / f"{number}.log", f"{turn}.{number}\n")
            expected.append(f"{turn}.{number}")
    driven.catch_up()
    assert sorted(driven.lines()) == sorted(expected)
    assert driven.of(Gap) == []
    driven.close()


def test_closed_for_want_of_descriptors(p: Path) -> None:
    """Opened again once there are some: what is written and deleted then is read."""
    other = p.with_name("other.log")
    write(p, "a0\n")
    io = HostileIO()
    driven = Driven(p, other, io=io)
    driven.catch_up()
    write(other, "o0\n")

    def no_descriptor(path: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    real = io.open
    io.open = no_descriptor  # type: ignore[method-assign]  # for a while
    driven.wait(1.0)
    assert driven.engine.stats().open_files == 0
    assert [one.reason for one in driven.of(WatchDegraded)] == ["descriptors"]
    io.open = real  # type: ignore[method-assign]
    driven.wait(2.0)
    append(p, "a1\n")
    os.unlink(p)
    driven.wait(1.0)
    assert sorted(driven.lines()) == ["a0", "a1", "o0"]
    assert driven.of(Gap) == []
    driven.close()


# -- globs -----------------------------------------------------------------------------------------


def test_a_file_that_came_while_nothing_ran(tmp_path: Path) -> None:
    """It is read from its beginning, as one that comes while it runs; a new glob has none."""
    options: dict[str, Any] = {"state": tmp_path / "state", "fallback": "end"}
    write(tmp_path / "a.log", "a0\n")
    assert finish(run(f"{tmp_path}/*.log", **options)) == []
    append(tmp_path / "a.log", "a1\n")
    write(tmp_path / "b.log", "b0\nb1\n")
    assert sorted(finish(run(f"{tmp_path}/*.log", **options))) == ["a1", "b0", "b1"]
    write(tmp_path / "c.txt", "c0\n")
    driven = Driven(f"{tmp_path}/*.log", f"{tmp_path}/*.txt", **options)
    driven.catch_up()
    assert finish(driven) == []


def test_copied_and_emptied_while_nothing_ran(tmp_path: Path) -> None:
    """The copy, which a glob matches, is the rest of the log."""
    options: dict[str, Any] = {"state": tmp_path / "state"}
    log = tmp_path / "app.log"
    write(log, "a0\n" * 100)
    finish(run(f"{tmp_path}/app.log*", **options))
    append(log, "a1\n")
    shutil.copy(log, f"{log}.1")
    write(log, "b0\n")
    driven = run(f"{tmp_path}/app.log*", **options)
    driven.wait(10.0)
    assert sorted(finish(driven)) == ["a1", "b0"]


def test_its_own_state_is_not_followed(tmp_path: Path) -> None:
    """Each save would be something to read."""
    write(tmp_path / "a.log", "a\n")
    driven = run(f"{tmp_path}/*", state=tmp_path / "state.log")
    driven.commit()
    driven.save()
    driven.save()
    driven.catch_up()
    assert driven.engine.stats().paths == 1
    assert finish(driven) == ["a"]


# -- what is absent for a moment, or has other numbers ---------------------------------------------


@pytest.mark.parametrize("what", ["file", "directory"])
def test_absent_at_the_start(p: Path, options: dict[str, Any], what: str) -> None:
    """A volume that is mounted late: what was committed does not come again."""
    write(p, "a0\na1\n" * 50)
    finish(run(p, **options))
    append(p, "a2\n")
    place = p if what == "file" else p.parent
    os.rename(place, f"{place.parent}/away")
    driven = run(p, **options)
    assert driven.lines() == []
    os.rename(f"{place.parent}/away", place)
    driven.wait(1.0)
    if what == "directory":
        assert driven.of(Gap) == []
    assert finish(driven) == ["a2"]


def test_absent_for_a_whole_run(p: Path, options: dict[str, Any]) -> None:
    """The run in which it is absent keeps its position."""
    write(p, "a0\n")
    finish(run(p, **options))
    os.rename(p.parent, f"{p.parent}-away")
    assert finish(run(p, **options)) == []
    os.rename(f"{p.parent}-away", p.parent)
    append(p, "a1\n")
    assert finish(run(p, **options)) == ["a1"]


def test_away_for_longer_than_it_is_held(p: Path) -> None:
    """A file that comes back to its path goes on where it was, after it was closed."""
    write(p, "a0\n")
    driven = run(p, linger=1.0)
    os.rename(p, f"{p}.away")
    driven.wait(2.0)
    driven.wait(2.0)
    assert driven.engine.stats().open_files == 0
    append(f"{p}.away", "a1\n")
    os.rename(f"{p}.away", p)
    driven.wait(1.0)
    assert driven.lines() == ["a0", "a1"]
    driven.close()


def test_other_device_and_inode_numbers_at_a_start(p: Path, options: dict[str, Any]) -> None:
    """As after a new mount of a FUSE file system: the content tells."""
    write(p, "a0\n")
    write(f"{p}.1", "old\n")
    finish(run(p, **options))
    append(p, "a1\n")
    io = HostileIO()
    io.device, io.inode = 7, 1000
    driven = run(p, io, **options)
    assert driven.lines()[:1] == ["a1"]
    assert driven.of(Gap) == []
    driven.close()


@pytest.mark.parametrize("is_open", [True, False])
def test_other_inode_numbers_while_it_runs(p: Path, tmp_path: Path, is_open: bool) -> None:
    """As FUSE file systems give them when memory is short; nothing comes again."""
    other = tmp_path / "logs" / "other.log"
    write(p, "a0\n")
    write(other, "o0\n")
    io = HostileIO()
    driven = Driven(p, other, io=io, network=True, max_open=2 if is_open else 1)
    driven.catch_up()
    io.inode += 1000
    driven.wait(1.0)
    append(p, "a1\n")
    append(other, "o1\n")
    driven.wait(2.0)
    driven.wait(2.0)
    assert sorted(driven.lines()) == ["a0", "a1", "o0", "o1"]
    assert driven.of(Gap) == []
    driven.close()


class InodeOfPath(SteppedFileIO):
    """A file system that makes the inode number from the path, as rclone does."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[int, int] = {}

    def stat(self, path: str) -> os.stat_result:
        status = super().stat(path)
        return altered(status, device=status.st_dev, inode=hash(path) & 0xFFFF)

    def open(self, path: str) -> int:
        fd = super().open(path)
        self.opened[fd] = hash(path) & 0xFFFF
        return fd

    def fstat(self, fd: int) -> os.stat_result:
        status = super().fstat(fd)
        return altered(status, device=status.st_dev, inode=self.opened[fd])

    def inode_generation(self, fd: int) -> int | None:
        return None


def test_inode_numbers_made_from_paths(p: Path) -> None:
    """A new log with the number of the old one is another file: size and time tell."""
    write(p, "one\n")
    driven = run(p, InodeOfPath())
    append(p, "two\n")
    driven.wait(1.0)
    os.rename(p, f"{p}.1")
    write(p, "three\n")
    driven.wait(1.0)
    append(p, "four\n")
    driven.wait(1.0)
    assert driven.lines() == ["one", "two", "three", "four"]
    assert [(one.old, one.new) for one in driven.of(Rotated)] == [(1, 2)]
    driven.close()


def test_not_to_be_opened_at_the_start(p: Path) -> None:
    """It existed: what was in it is not read once it can be opened, and what came since is."""
    write(p, "before\n")

    class Refusing(SteppedFileIO):
        refuse = True

        def open(self, path: str) -> int:
            if self.refuse:
                raise PermissionError(13, "Permission denied", path)
            return super().open(path)

    io = Refusing()
    driven = run(p, io, start="end")
    append(p, "since\n")
    driven.wait(1.0)
    io.refuse = False
    driven.wait(1.0)
    assert driven.lines() == ["since"]
    assert len(driven.of(Inaccessible)) == 1
    driven.close()


# -- the state file --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "state.prev"])
def test_a_file_of_another_program(p: Path, tmp_path: Path, name: str) -> None:
    """It is refused, and nothing is changed."""
    write(p, "a\n")
    write(tmp_path / name, "dear diary\n")
    with pytest.raises(UsageError, match="another program"):
        Driven(p, state=tmp_path / "state")
    assert (tmp_path / name).read_text() == "dear diary\n"
    assert sorted(os.listdir(tmp_path)) == ["logs", name]


def test_no_regular_file(p: Path, tmp_path: Path) -> None:
    """A folder, a FIFO or a device is no state."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "logs", tmp_path / "fifo", Path("/dev/null")):
        with pytest.raises(UsageError, match="name of a file"):
            Driven(p, state=path)
    assert not os.path.exists("/dev/null.lock")


def test_an_empty_name(p: Path) -> None:
    """It would be the working folder."""
    with pytest.raises(UsageError, match="state must not be empty"):
        limpet.follow(p, state="")


def test_no_folder(p: Path, tmp_path: Path) -> None:
    """It is created, as for a watch; where that cannot be, the file is named."""
    state = tmp_path / "missing" / "more" / "state"
    write(p, "a\n")
    finish(run(p, state=state))
    assert decode(state.read_bytes()).paths
    with pytest.raises(StateFileError, match="/proc/missing/state"):
        Driven(p, state=Path("/proc/missing/state"))


def test_a_symlink_stays_one(p: Path, tmp_path: Path) -> None:
    """The file that it leads to is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real" / "state")
    write(p, "a\n")
    finish(run(p, state=tmp_path / "state"))
    assert (tmp_path / "state").is_symlink()
    assert decode((tmp_path / "real" / "state").read_bytes()).paths


def test_the_state_of_version_2(p: Path, options: dict[str, Any]) -> None:
    """It is read: positions, and which rotated files are delivered."""
    write(f"{p}.1", "old\n")
    write(p, "a0\n")
    finish(run(p, **options))
    state = options["state"]
    whole = json.loads(state.read_bytes().partition(b"\n")[0])
    ((_, known),) = whole.pop("known").items()
    whole.pop("patterns")
    whole["v"] = 2
    for one in whole["paths"].values():
        one["known"] = [[inode, generation] for inode, generation, *_ in known]
        one["active"] = True
        for file in one["files"]:
            del file["reported"], file["active"]
            file["since"] = whole["saved"]
    line = json.dumps(whole, separators=(",", ":")).encode()
    total = blake2b(line, digest_size=8).hexdigest().encode()
    state.write_bytes(line + b"\nb2:" + total + b"\n")
    append(p, "a1\n")
    assert finish(run(p, **options)) == ["a1"]
    assert decode(state.read_bytes()).patterns == [str(p)]


def test_a_position_is_of_one_file(p: Path) -> None:
    """Several paths, or a glob, have no place that one position could mean."""
    write(p, "a\n")
    driven = run(p)
    position = driven.of(Appended)[0].position
    assert isinstance(position, Position)
    driven.close()
    for paths in ([p, f"{p}.1"], [f"{p.parent}/*.log"]):
        with pytest.raises(UsageError, match="one file"):
            limpet.follow(*paths, start=position)
    with pytest.raises(UsageError, match="path must be"):
        limpet.follow([p, p])  # type: ignore[arg-type]  # what a caller may write


def test_a_copy_that_replaces_the_log_is_reported_as_before(p: Path) -> None:
    """Only a file that cannot be read, or one of a FUSE file system, is taken for the same."""
    write(p, "a0\n")
    driven = run(p)
    shutil.copy2(p, f"{p}.new")
    os.replace(f"{p}.new", p)
    append(p, "a1\n")
    driven.catch_up()
    assert driven.lines() == ["a0", "a1"]
    assert len(driven.of(Replaced)) == 1
    driven.close()


# -- times in whole seconds ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["lines", "whole"])
@pytest.mark.parametrize("closed", [False, True])
def test_written_again_within_one_second(p: Path, tmp_path: Path, mode: Any, closed: bool) -> None:
    """The same size and the same times, without a hint: what was written comes."""
    io = HostileIO()
    io.seconds = True
    write(p, "one\n")
    write(tmp_path / "logs" / "z.log", "z\n")
    driven = Driven(
        f"{tmp_path}/logs/*.log", io=io, mode=mode, settle=0.0, max_open=1 if closed else 9
    )
    driven.catch_up()
    status = os.stat(p)
    with p.open("r+") as file:
        file.write("two\n")
    os.utime(p, ns=(status.st_atime_ns, status.st_mtime_ns))
    io.now += 1.0
    for _ in range(3):
        driven.engine.examine_due()
        driven.read()
    shown = [*driven.lines(), *(str(one.text).strip() for one in driven.of(Content))]
    assert shown.count("two") == 1
    assert shown.count("one") == 1
    driven.close()
