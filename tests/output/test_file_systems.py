"""File systems and sandboxes that lack what ext4 has: names, links, locks, true numbers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.output import (
    AppendToFile,
    CreateFile,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    Refused,
    Rotation,
)
from limpet.output._syscalls import Syscalls
from limpet.testing import describe
from tests.output.system_calls import SystemCalls
from tests.output.test_faults import CALLS, NEW, OLD, prepare, state, without_new_parents
from tests.output.test_rotation import rotated, text_of


def refuse(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class NoUnnamed(SystemCalls):
    """Files have a name from the beginning: most file systems but those of the kernel's own."""

    def open_unnamed(self, dir_fd: int, mode: int) -> int:
        raise refuse(errno.EOPNOTSUPP)


class NoReplace(NoUnnamed):
    """bindfs, mergerfs, sshfs, an older kernel."""

    number = errno.EINVAL

    def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
        raise refuse(self.number)


class NoLinks(NoReplace):
    """exFAT, rclone."""

    link_number = errno.EPERM

    def link(self, dir_fd: int, name: str, to: int, new: str) -> None:
        raise refuse(self.link_number)


class NoLocks(NoUnnamed):
    """Some network file systems; a sandbox that has no flock."""

    number = errno.ENOSYS

    def lock(self, fd: int) -> bool:
        raise refuse(self.number)


def lacking(kind: Any, **numbers: int) -> Any:
    calls = kind()
    for name, number in numbers.items():
        setattr(calls, name, number)
    return calls


LACKING: dict[str, Syscalls] = {
    "no replace": lacking(NoReplace),
    "no replace, ENOSYS": lacking(NoReplace, number=errno.ENOSYS),
    "no links": lacking(NoLinks),
    "no links, EIO": lacking(NoLinks, link_number=errno.EIO),
    "no links, ENOTSUP": lacking(NoLinks, link_number=errno.EOPNOTSUPP),
}


@pytest.mark.parametrize("kind", LACKING)
def test_each_operation_works_without(root: Path, kind: str) -> None:
    """fs-05, fs-12, fs-17: a free name is taken, a taken one refused, nothing is left over."""
    rotation = Rotation(max_bytes=10, keep=2, compress=True)
    with Output(root, calls=LACKING[kind]) as out:
        out.create("a", "1")
        assert out.perform(CreateFile(name="a", content="2")).ok is False
        out.append("b", "1")
        out.append("b", "2")
        out.overwrite("a", "3")
        out.move("a", "c")
        out.make_dir("d")
        out.move("d", "e")
        answer = out.perform(MoveFile(name="b", target="c"))
        assert isinstance(answer, Refused)
        assert answer.code == "exists"
        for n in range(5):
            out.append("log", f"line {n}\n", rotation=rotation)
    assert (root / "b").read_text() == "12"
    assert (root / "c").read_text() == "3"
    assert [text_of(root / name) for name in rotated(root)] == ["line 2\n", "line 3\n"]
    names = {path.name for path in root.iterdir()}
    assert names == {"b", "c", "e", "log", ".limpet-rotation.log", "log.3.gz", "log.4.gz"}


SANDBOXED = """
import ctypes, struct, sys
from limpet.output import *
number, root = int(sys.argv[1]), sys.argv[2]
program = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.cast(code, ctypes.c_void_p))), 0, 0):
    sys.exit(77)
with Output(root) as out:
    out.create("a", "1")
    out.append("b", "1")
    out.overwrite("c", "1")
    out.move("c", "d")
    out.append("log", "1", rotation=Rotation(max_bytes=1))
    out.append("log", "2", rotation=Rotation(max_bytes=1))
    assert out.perform(CreateFile(name="a", content="")).code == "exists"
"""
NUMBERS = {"renameat2": 316, "statx": 332, "openat2": 437}
"""Of x86_64 (linux/arch/x86/entry/syscalls/syscall_64.tbl)."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="takes the call numbers of x86_64")
@pytest.mark.parametrize("call", NUMBERS)
def test_a_sandbox_that_answers_eperm(root: Path, call: str) -> None:
    """fs-12: an old libseccomp says so of calls that it does not know; they are done without."""
    done = subprocess.run(
        [sys.executable, "-c", SANDBOXED, str(NUMBERS[call]), str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("no seccomp filter can be set here")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in root.iterdir()} == {
        "a",
        "b",
        "d",
        "log",
        "log.1",
        ".limpet-rotation.log",
    }


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("chattr") is None, reason="root and chattr")
@pytest.mark.parametrize("flag", ["a", "i"])
def test_what_the_system_really_forbids_is_denied(root: Path, flag: str) -> None:
    """EPERM of a directory that takes no renames is no missing call: nothing is left in it."""
    (root / "f").write_text("x")
    made = subprocess.run(["chattr", f"+{flag}", root], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this file system has no such attribute")
    try:
        with Output(root, calls=NoUnnamed()) as out:
            for operation in (CreateFile(name="n", content="x"), MoveFile(name="f", target="g")):
                answer = out.perform(operation)
                assert isinstance(answer, Refused)
                assert answer.code == "denied"
            names = {path.name for path in root.iterdir() if path.suffix != ".tmp"}
            assert names == {"f"}
    finally:
        subprocess.run(["chattr", f"-{flag}", root], check=True)


CASES: dict[str, Operation] = {
    "create": CreateFile(name="d/f", content=NEW, durability="full"),
    "append to nothing": AppendToFile(name="d/f", content=NEW),
    "move": MoveFile(name="old", target="n/f"),
}


@pytest.mark.parametrize("kind", [NoReplace, NoLinks])
@pytest.mark.parametrize("case", CASES)
def test_whichever_call_fails_there(tmp_path: Path, case: str, kind: type[Any]) -> None:
    """Done, or refused and as before: no second name, no empty file, no temporary one."""

    class Failing(kind):  # type: ignore[misc]
        armed = False
        count = nth = 0
        hit = ""

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name not in CALLS or not self.armed:
                return found

            def call(*arguments: Any, **more: Any) -> Any:
                self.count += 1
                if self.count == self.nth:
                    self.hit = name
                    if name == "close":
                        found(*arguments)
                    raise refuse(errno.EACCES)
                return found(*arguments, **more)

            return call

    def run(root: Path, nth: int) -> tuple[Any, Any]:
        prepare(root)
        calls = Failing()
        calls.nth = nth
        with Output(root, calls=calls) as out:
            calls.armed = True
            answer = out.perform(CASES[case])
            calls.armed = False
        return answer, calls

    model = tmp_path / "model"
    prepare(model)
    before = state(model)
    answer, calls = run(tmp_path / "all", 0)
    assert answer.ok
    after = state(tmp_path / "all")
    for nth in range(1, calls.count + 1):
        answer, failed = run(tmp_path / f"{nth}", nth)
        found = state(tmp_path / f"{nth}")
        if isinstance(answer, Refused) and answer.code != "durability":
            assert without_new_parents(found) == without_new_parents(before), failed.hit
        else:
            assert found == after, failed.hit
    assert OLD in before.values()


def test_a_name_that_is_taken_while_it_is_claimed(root: Path) -> None:
    """Without links the name is taken by an exclusive open: who came first has it."""

    class Raced(NoLinks):
        def link(self, dir_fd: int, name: str, to: int, new: str) -> None:
            (root / new).write_text("theirs")
            super().link(dir_fd, name, to, new)

    with Output(root, calls=Raced()) as out:
        for operation in (CreateFile(name="a", content=""), MoveFile(name="b", target="c")):
            (root / "b").write_text("ours")
            answer = out.perform(operation)
            assert isinstance(answer, Refused)
            assert answer.code == "exists"
    assert {path.name: path.read_text() for path in root.iterdir()} == {
        "a": "theirs",
        "b": "ours",
        "c": "theirs",
    }


class Cached(SystemCalls):
    """FUSE: a number of links that was right a moment ago, until the file system is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.stale = True

    def stat(self, fd: int) -> os.stat_result:
        found = super().stat(fd)
        if self.stale:
            values = list(found)
            values[3] = 2
            exact = {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns}
            return os.stat_result(values, exact)
        return found

    def birth(self, fd: int, name: str, *, fresh: bool = False) -> float | None:
        if fresh:
            self.stale = False
        return super().birth(fd, name, fresh=fresh)


def test_links_that_a_cache_counts_wrongly(root: Path) -> None:
    """fs-05: the file system is asked before a file counts as one with other names."""
    (root / "f").write_text("1")
    with Output(root, calls=Cached()) as out:
        out.append("f", "2")
        (root / "g").hardlink_to(root / "f")
        answer = out.perform(AppendToFile(name="f", content="3"))
    assert isinstance(answer, Refused)
    assert answer.code == "hard-link"
    assert (root / "f").read_text() == "12"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM])
def test_without_locks_the_refusal_says_so(root: Path, number: int) -> None:
    """fs-22: append with lock and rotation name the reason and the way out; the rest works."""
    (root / "f").write_text("x")
    with Output(root, calls=lacking(NoLocks, number=number)) as out:
        for options in ({"lock": True}, {"rotation": Rotation(max_bytes=1)}):
            answer = out.perform(AppendToFile(name="f", content="y", **options))
            assert isinstance(answer, Refused)
            assert (answer.code, answer.errno) == ("io", number)
            assert "no file can be locked here" in answer.message
            assert "without lock and rotation" in answer.message
        out.append("f", "y")
        out.overwrite("g", "z")
    assert {path.name: path.read_text() for path in root.iterdir()} == {"f": "xy", "g": "z"}


def test_without_locks_leftovers_go_by_their_age(root: Path) -> None:
    """fs-22: one of an hour ago is nobody's; a younger one may be a writer's."""
    old, young = (root / f".limpet-00000000000000{end}.tmp" for end in ("ab", "ac"))
    for path in (old, young):
        path.write_text("x")
    hours = time.time() - 2 * 3600
    os.utime(old, (hours, hours))
    with Output(root, calls=NoLocks()):
        pass
    assert list(root.iterdir()) == [young]


def test_a_temporary_file_lost_between_its_close_and_its_rename(root: Path) -> None:
    """Closed, its lock is gone: another process may remove it, and it is made again."""

    class Cleaned(NoUnnamed):
        left = 2

        def _clean(self) -> None:
            if self.left:
                self.left -= 1
                for path in root.glob(".limpet-*.tmp"):
                    path.unlink()

        def rename(self, dir_fd: int, name: str, to: int, new: str) -> None:
            self._clean()
            super().rename(dir_fd, name, to, new)

        def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
            self._clean()
            super().rename_new(dir_fd, name, to, new)

    calls = Cleaned()
    with Output(root, calls=calls) as out:
        out.create("f", "x")
        calls.left = 2
        out.overwrite("f", "y")
        calls.left = 1
        answer = out.perform(OverwriteFile(name="f", content=[b"read", b"once"]))
        assert isinstance(answer, Refused)
        assert answer.code == "busy"
        rotation = Rotation(max_bytes=1, keep=1, compress=True)
        for n in range(3):
            calls.left = 1
            out.append("log", f"{n}\n", rotation=rotation)
    assert (root / "f").read_text() == "y"
    assert (root / "log").read_text() == "2\n"
    assert not list(root.glob("*.tmp"))


def test_a_number_of_the_inode_that_is_made_from_the_name(root: Path) -> None:
    """rclone: the file at the new name is ours all the same, by its content."""

    class ByName(NoUnnamed):
        def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
            found = super().stat_at(dir_fd, name)
            values = list(found)
            values[1] = hash(name) & 0xFFFF
            exact = {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns}
            return os.stat_result(values, exact)

    with Output(root, calls=ByName()) as out:
        done = out.create("f", "abc")
    assert done.stat is not None
    assert (done.stat.size, done.stat.inode) == (3, hash("f") & 0xFFFF)


def test_another_device_and_a_name_inside_itself(root: Path) -> None:
    """fs-20, O7: the message says what is wrong and what helps."""

    class Subvolume(SystemCalls):
        def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
            raise refuse(errno.EXDEV)

    (root / "d/e").mkdir(parents=True)
    with Output(root, calls=Subvolume()) as out:
        answer = out.perform(MoveFile(name="d", target="x"))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.errno) == ("io", errno.EXDEV)
        assert "another file system, mount or subvolume" in answer.message
        assert "cross_mounts" not in answer.message
    with Output(root) as out:
        for target in ("d/x", "d/e/x", "d/new/x"):
            with pytest.raises(limpet.NameRefusedError, match="inside itself"):
                out.move("d", target)
        assert [path.name for path in root.rglob("*")] == ["d", "e"]
        out.move("d/e", "d2")
        assert out.perform(MoveFile(name="d", target="d", overwrite=True)).ok is False


def test_a_name_that_is_spelled_anew(root: Path) -> None:
    """fs-02: where case is ignored, the new spelling is no other file; elsewhere it may be."""

    class Folding(SystemCalls):
        """Finds ``q`` under any spelling, and lists the one it has."""

        def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
            for there in os.listdir(root):
                if there.casefold() == name.casefold():
                    return super().stat_at(dir_fd, there)
            return super().stat_at(dir_fd, name)

    (root / "q").write_text("x")
    with Output(root, calls=Folding()) as out:
        out.move("q", "Q")
    assert [path.name for path in root.iterdir()] == ["Q"]
    (root / "q").write_text("y")
    with Output(root) as out:
        assert out.perform(MoveFile(name="q", target="Q")).ok is False
    assert (root / "Q").read_text() == "x"


# -- real ones -------------------------------------------------------------------------------------


def mounts(program: str) -> bool:
    """Whether a file system of that program can be mounted here."""
    return (
        os.geteuid() == 0
        and shutil.which(program) is not None
        and os.access("/dev/fuse", os.R_OK | os.W_OK)
    )


@pytest.fixture
def bindfs(tmp_path: Path) -> Iterator[Path]:
    under, point = tmp_path / "under", tmp_path / "mounted"
    under.mkdir()
    point.mkdir()
    made = subprocess.run(["bindfs", under, point], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"bindfs cannot mount here: {made.stderr.decode()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=True)


@pytest.mark.skipif(not mounts("bindfs"), reason="takes bindfs, /dev/fuse and root")
def test_fuse(bindfs: Path) -> None:
    """fs-05, fs-16: each append is taken, and no own write comes back as an event."""
    rotation = Rotation(max_bytes=10, keep=2, compress=True)
    with limpet.watch_dir(bindfs, poll_interval=3600).sync() as watch, Output(bindfs) as out:
        echoes = []
        for n in range(3):
            out.create(f"c{n}", "x")
            echoes += watch.fence()
            out.append("log", f"{n}\n")
            echoes += watch.fence()
            out.overwrite("o", f"{n}")
            echoes += watch.fence()
            out.append("rotated", f"line {n}..\n", rotation=rotation)
            echoes += watch.fence()
        out.move("c0", "moved")
        out.perform(MakeDir(name="d"))
        echoes += watch.fence()
    assert [describe(event) for event in echoes] == []
    assert (bindfs / "log").read_text() == "0\n1\n2\n"
    assert rotated(bindfs, "rotated") == ["rotated.1.gz", "rotated.2.gz"]
