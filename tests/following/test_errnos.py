"""Each system call of following fails with each error; nothing ends, is lost or comes again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.following._file_io import FileIO
from limpet.following._follow_events import Appended, Gap, Inaccessible, WatchDegraded
from tests.following.driver import Driven, SteppedFileIO, append, write

CALLS = ["stat", "open", "fstat", "pread", "close", "inode_generation", "data_from", "entries"]
ERRNOS = [
    errno.EPERM, errno.EINTR, errno.EIO, errno.ENXIO, errno.EAGAIN, errno.ENOMEM, errno.EACCES,
    errno.ENODEV, errno.EINVAL, errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.ELOOP,
    errno.ENAMETOOLONG, errno.EOVERFLOW, errno.EBADMSG, errno.ESTALE, errno.EDQUOT, errno.ENOTCONN,
    errno.ECONNABORTED, errno.ETIMEDOUT, errno.EHOSTDOWN, 121, 4095,  # EREMOTEIO
]  # fmt: skip
SHORT = [errno.EIO, errno.EMFILE, errno.ENOTCONN, errno.EACCES]


class Failing(SteppedFileIO):
    """One of its calls fails from the n-th time on, for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.call = ""
        self.number = 0
        self.skip = 0
        self.left = 0
        self.failed = 0

    def fail(self, call: str, number: int, *, skip: int = 0, times: int = 1) -> None:
        self.call, self.number, self.skip, self.left, self.failed = call, number, skip, times, 0


def _failing(name: str) -> Callable[..., Any]:
    real = getattr(FileIO, name)

    def call(self: Failing, *args: Any, **options: Any) -> Any:
        if self.call == name and self.left:
            if self.skip:
                self.skip -= 1
            else:
                self.left -= 1
                self.failed += 1
                if name in {"close", "inode_generation", "data_from"}:
                    real(self, *args, **options)  # the real one hides what its system call raises
                    return None if name == "inode_generation" else 0
                raise OSError(self.number, os.strerror(self.number))
        return real(self, *args, **options)

    return call


for _name in CALLS:
    setattr(Failing, _name, _failing(_name))


def play(tmp_path: Path, io: Failing, *, state: bool) -> tuple[Driven, list[str]]:
    """Write, rotate, empty and delete, with a follower that is examined in between."""
    p, q = tmp_path / "app.log", tmp_path / "other.log"
    write(p, "a0\n")
    write(q, "q0\n")
    write(f"{p}.9", "old\n")
    options: dict[str, Any] = {"state": tmp_path / "state"} if state else {}
    driven = Driven(p, q, io=io, rotated="app.log.*", linger=3.0, **options)
    driven.catch_up()
    expected = ["a0", "q0"]
    append(p, "a1\n")
    os.rename(p, f"{p}.1")
    write(p, "b0\n")
    append(q, "q1\n")
    driven.wait(1.0)
    append(f"{p}.1", "late\n")
    append(p, "b1\n")
    driven.wait(1.0)
    expected += ["a1", "b0", "q1", "late", "b1"]
    return driven, expected


def end(driven: Driven) -> None:
    """Let it recover."""
    for _ in range(6):
        driven.wait(1.1)


@pytest.mark.parametrize("call", CALLS)
def test_it_fails_once(tmp_path: Path, call: str) -> None:
    """At whatever moment: all lines come, once each, and the other file's in any case."""
    for number in SHORT:
        nth = 0
        while True:
            directory = tmp_path / f"{number}-{nth}"
            directory.mkdir()
            io = Failing()
            io.fail(call, number, skip=nth)
            driven, expected = play(directory, io, state=False)
            failed = io.failed
            end(driven)
            lines = driven.lines()
            assert sorted(lines) == sorted(expected), (os.strerror(number), nth)
            assert driven.of(Gap) == [], (os.strerror(number), nth)
            driven.close()
            if not failed:
                break
            nth += 1


@pytest.mark.parametrize("number", ERRNOS)
@pytest.mark.parametrize("call", CALLS)
def test_it_fails_for_a_while(tmp_path: Path, call: str, number: int) -> None:
    """Reported at most once for each name, not at every try; then all lines come, once each."""
    io = Failing()
    driven, expected = play(tmp_path, io, state=True)
    p, q = tmp_path / "app.log", tmp_path / "other.log"
    io.fail(call, number, times=1 << 30)
    append(p, "b2\n")
    append(q, "q2\n")
    for _ in range(6):
        driven.wait(1.1)
    io.left = 0
    end(driven)
    expected += ["b2", "q2"]
    assert sorted(driven.lines()) == sorted(expected)
    assert driven.of(Gap) == []
    names = [event.path for event in driven.of(Inaccessible)]
    assert len(names) == len(set(names))
    assert len(driven.of(WatchDegraded)) <= 1
    driven.commit()
    driven.close()


@pytest.mark.parametrize("number", [*SHORT, errno.ENFILE, errno.ESTALE])
@pytest.mark.parametrize("call", [one for one in CALLS if one != "close"])
def test_it_fails_at_a_start_with_a_checkpoint(tmp_path: Path, call: str, number: int) -> None:
    """Nothing that was committed comes again, and no gap is reported for what is there."""
    first, _ = play(tmp_path, Failing(), state=True)
    first.commit()
    first.close()
    p, q = tmp_path / "app.log", tmp_path / "other.log"
    append(p, "b2\n")
    os.rename(p, f"{p}.2")
    write(p, "c0\n")
    append(q, "q2\n")
    expected = ["b2", "c0", "q2"]
    for nth in (0, 1, 2, 3, 5, 8, 13, 21, None):
        io = Failing()
        times = 1 << 30 if nth is None else 1
        io.fail(call, number, skip=nth or 0, times=times)
        driven = Driven(p, q, io=io, rotated="app.log.*", linger=3.0, state=tmp_path / "state")
        driven.catch_up()
        io.left = 0
        end(driven)
        assert sorted(driven.lines()) == expected, nth
        assert driven.of(Gap) == [], nth
        driven.kill()


def test_a_descriptor_that_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close(2) of what was only read: nothing can be lost by it."""
    write(tmp_path / "log", "")
    fd = FileIO().open(str(tmp_path / "log"))
    close = os.close

    def failing(number: int) -> None:
        close(number)
        raise OSError(errno.ENOTCONN, "the server is gone")

    monkeypatch.setattr(os, "close", failing)
    FileIO().close(fd)


def test_one_file_fails_and_the_others_do_not_wait(tmp_path: Path) -> None:
    """Nor does its failure end an iteration, or keep the processor busy."""
    write(tmp_path / "bad.log", "x\n")
    write(tmp_path / "good.log", "a\n")
    inode = os.stat(tmp_path / "bad.log").st_ino

    class Bad(SteppedFileIO):
        reads = 0

        def pread(self, fd: int, size: int, offset: int) -> bytes:
            if os.fstat(fd).st_ino == inode:
                self.reads += 1
                raise OSError(errno.EIO, "bad sector")
            return super().pread(fd, size, offset)

    io = Bad()
    driven = Driven(f"{tmp_path}/*.log", io=io)
    for number in range(20):
        append(tmp_path / "good.log", f"{number}\n")
        driven.wait(1.0)
    assert driven.lines() == ["a", *map(str, range(20))]
    assert [event.path.name for event in driven.of(Inaccessible)] == ["bad.log"]
    assert io.reads < 1000
    driven.close()


def test_events_are_batches(tmp_path: Path) -> None:
    """What ``play`` writes is what a follower without failures delivers."""
    driven, expected = play(tmp_path, Failing(), state=False)
    assert sorted(line for one in driven.of(Appended) for line in one.lines) == sorted(expected)
    driven.close()
