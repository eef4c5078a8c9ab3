"""Whatever call fails, wherever the process dies: the old content or the new, no mixture."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    Refused,
    Rotation,
)
from limpet.output._syscalls import Syscalls
from tests.output.conftest import WAYS
from tests.output.system_calls import SystemCalls
from tests.resources import Resources

CALLS = sorted(
    name
    for name, value in vars(Syscalls).items()
    if not name.startswith("_")
    and callable(value)
    and name not in {"now", "monotonic", "pause", "close_quietly"}
)

OLD, NEW = "old content\n", "new content, and more of it\n"

CASES: dict[str, Operation] = {
    "create": CreateFile(name="d/f", content=NEW, durability="full"),
    "create, not synced": CreateFile(name="d/f", content=NEW, mode=0o640),
    "create from a stream, not synced": CreateFile(name="d/f", content=[NEW.encode()]),
    "create in a new folder": CreateFile(name="n/m/f", content=NEW, durability="full"),
    "overwrite": OverwriteFile(name="old", content=NEW, durability="full"),
    "overwrite nothing": OverwriteFile(name="d/f", content=NEW),
    "append": AppendToFile(name="old", content=NEW, durability="full", lock=True),
    "overwrite a mode": OverwriteFile(name="d/f", content=NEW, mode=0o600, durability="file"),
    "append with a mark": AppendToFile(name="empty file", content=NEW, encoding="utf-8-sig"),
    "append to nothing": AppendToFile(name="d/f", content=NEW, newline_guard=True),
    "delete": DeleteFile(name="old", durability="full"),
    "delete a folder": DeleteDir(name="empty", durability="full"),
    "make a folder": MakeDir(name="n/m", durability="full"),
    "move": MoveFile(name="old", target="n/f", durability="full"),
    "move over": MoveFile(name="old", target="older", overwrite=True),
}


class Watched(SystemCalls):
    """Counts calls, and does something at the nth."""

    def __init__(self, nth: int = 0, *, sticky: bool = False) -> None:
        super().__init__()
        self.nth = nth
        self.sticky = sticky
        self.count = 0
        self.armed = False
        self.hit = ""

    def at(self, name: str, act: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        raise NotImplementedError

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in CALLS or not self.armed:
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            self.count += 1
            if self.count == self.nth or (self.sticky and self.nth and self.count > self.nth):
                self.hit = self.hit or name
                return self.at(name, found, *arguments, **more)
            return found(*arguments, **more)

        return call


class Failing(Watched):
    def __init__(self, nth: int, number: int, *, sticky: bool = False) -> None:
        super().__init__(nth, sticky=sticky)
        self.number = number

    def at(self, name: str, act: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        if name == "close":  # Linux closes even when it says that it could not (close(2))
            act(*arguments)
        raise OSError(self.number, os.strerror(self.number))


class Deadly(Watched):
    def at(self, name: str, act: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(root: Path) -> None:
    (root / "d").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "old").write_text(OLD)
    (root / "old").chmod(0o640)
    (root / "older").write_text("older")
    (root / "empty file").touch()


def state(root: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else None
        for path in root.rglob("*")
    }


def without_new_parents(found: dict[str, str | None]) -> dict[str, str | None]:
    """Folders on the way may have been made before it failed; they are documented to stay."""
    return {name: text for name, text in found.items() if name not in {"n", "n/m"} or text}


def test_a_stream_in_which_a_call_fails(tmp_path: Path) -> None:
    """As content in memory: old or new, and nothing is left over."""

    def operation() -> Operation:
        return OverwriteFile(name="old", content=[NEW.encode(), b"", NEW.encode()])

    prepare(tmp_path / "model")
    before = state(tmp_path / "model")
    counting = Watched()
    assert run(counting, tmp_path / "model", operation(), "walk").ok
    after = state(tmp_path / "model")
    for nth in range(1, counting.count + 1):
        root = tmp_path / f"{nth}"
        prepare(root)
        calls = Failing(nth, errno.ENOSPC)
        answer = run(calls, root, operation(), "walk")
        assert state(root) == (after if answer.ok else before), calls.hit


def run(calls: Watched, root: Path, operation: Operation, way: str) -> Any:
    with Output(root, calls=calls, way=way) as out:  # type: ignore[arg-type]
        calls.armed = True
        answer = out.perform(operation)
        calls.armed = False
    return answer


def outcome(tmp_path: Path, operation: Operation, way: str) -> tuple[int, Any, Any]:
    """How many calls it makes, and the state before and after."""

    class Counting(Watched):
        pass

    root = tmp_path / "model"
    prepare(root)
    before = state(root)
    calls = Counting()
    assert run(calls, root, operation, way).ok
    return calls.count, before, state(root)


NUMBERS = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EACCES,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.EINTR,
]

CONFINED = [way for way in WAYS if way != "handles"]


@pytest.mark.parametrize("way", CONFINED)
@pytest.mark.parametrize("case", CASES)
def test_whichever_call_fails(tmp_path: Path, case: str, way: str) -> None:
    """V40, V41: done, or refused and nothing changed; no temporary file, no descriptor."""
    operation = CASES[case]
    count, before, after = outcome(tmp_path, operation, way)
    assert count > 3
    resources = Resources()
    failed = set()
    for nth in range(1, count + 1):
        for number in NUMBERS:
            root = tmp_path / f"{nth}-{number}"
            prepare(root)
            calls = Failing(nth, number)
            answer = run(calls, root, operation, way)
            found = state(root)
            if isinstance(answer, Refused) and answer.code != "durability":
                failed.add(calls.hit)
                if not (calls.hit == "make_dir" or "n" in found):
                    assert found == before, (calls.hit, number, answer)
                assert without_new_parents(found) == without_new_parents(before), calls.hit
                assert answer.errno == number or calls.hit in {"open_beneath", "lock"}
            else:
                assert found == after, (calls.hit, number, answer)
    assert failed
    assert resources.left() == []


@pytest.mark.parametrize("case", CASES)
def test_from_one_call_on_all_fail(tmp_path: Path, case: str) -> None:
    """A disk that goes away: temporary files may stay until the next opening, nothing else."""
    operation = CASES[case]
    count, before, after = outcome(tmp_path, operation, "walk")
    for nth in range(1, count + 1):
        root = tmp_path / f"{nth}"
        prepare(root)
        calls = Failing(nth, errno.EIO, sticky=True)
        answer = run(calls, root, operation, "walk")
        with Output(root):
            pass
        found = state(root)
        if isinstance(answer, Refused) and answer.code != "durability":
            assert without_new_parents(found) == without_new_parents(before), calls.hit
        else:
            assert found == after, (calls.hit, answer)


@pytest.mark.parametrize("way", CONFINED)
@pytest.mark.parametrize("case", CASES)
def test_killed_between_any_two_calls(tmp_path: Path, case: str, way: str) -> None:
    """V42, V43: old or new; the next opening clears away what was left."""
    operation = CASES[case]
    count, before, after = outcome(tmp_path, operation, way)
    killed = 0
    for nth in range(1, count + 1):
        root = tmp_path / f"{nth}"
        prepare(root)
        child = os.fork()
        if child == 0:
            try:
                run(Deadly(nth), root, operation, way)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        with Output(root):
            pass
        found = state(root)
        assert found == after or without_new_parents(found) == without_new_parents(before), nth
        if isinstance(operation, OverwriteFile) and "old" in found:
            assert (root / "old").stat().st_mode & 0o777 == 0o640
    assert killed == count


def test_two_processes_overwrite_one_name(tmp_path: Path) -> None:
    """V44: whoever reads finds one of their contents, whole, at every moment."""
    program = """
import sys
from limpet.output import Output
root, letter = sys.argv[1:]
with Output(root) as out:
    for n in range(300):
        out.overwrite("f", letter * (n * 37 % 20_000 + 1))
"""
    (tmp_path / "f").write_text("a")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), letter], env=environment)
        for letter in "ab"
    ]
    read = set()
    while any(writer.poll() is None for writer in writers):
        text = (tmp_path / "f").read_text()
        assert text in {"a" * len(text), "b" * len(text)}
        assert text
        read.add(text[0])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert read == {"a", "b"}
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


class Short(SystemCalls):
    """Takes some of what it is given, and is interrupted before it takes any."""

    turn = 0

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self.turn += 1
        if self.turn % 2:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        return super().write(fd, bytes(data[: max(1, len(data) // 2)]))


def test_short_and_interrupted_writes(tmp_path: Path) -> None:
    """V41: what is written is whole; a record that was written in part is removed again."""
    with Output(tmp_path, calls=Short()) as out:
        out.create("c", NEW * 100)
        out.overwrite("o", NEW * 100)
        assert (tmp_path / "c").read_text() == (tmp_path / "o").read_text() == NEW * 100
        (tmp_path / "a").write_text(OLD)
        answer = out.perform(AppendToFile(name="a", content=NEW))
        assert isinstance(answer, Refused)
        assert (answer.code, (tmp_path / "a").read_text()) == ("io", OLD)
        assert "was removed again" in answer.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_the_disk_is_full_within_a_record(tmp_path: Path, number: int) -> None:
    """V39: the half that went in is taken out; with somebody else's record behind it, it stays."""

    class Full(SystemCalls):
        writes = 0
        between: Callable[[], object] | None = None

        def write(self, fd: int, data: bytes | memoryview) -> int:
            self.writes += 1
            if self.writes > 1:
                raise OSError(number, os.strerror(number))
            count = super().write(fd, bytes(data[:5]))
            if self.between is not None:
                self.between()
            return count

    (tmp_path / "f").write_text(OLD)
    with Output(tmp_path, calls=Full()) as out:
        answer = out.perform(AppendToFile(name="f", content=NEW))
    assert isinstance(answer, Refused)
    assert answer.errno == number
    assert (tmp_path / "f").read_text() == OLD

    def theirs() -> None:
        with (tmp_path / "f").open("a") as file:
            file.write("theirs\n")

    calls = Full()
    calls.between = theirs
    with Output(tmp_path, calls=calls) as out:
        answer = out.perform(AppendToFile(name="f", content=NEW))
    assert isinstance(answer, Refused)
    assert "5 bytes of the record are in the file" in answer.message
    assert (tmp_path / "f").read_text() == OLD + NEW[:5] + "theirs\n"


@pytest.mark.parametrize("level", ["none", "file", "full"])
def test_what_is_synced(tmp_path: Path, level: Any) -> None:
    """The level says which: nothing, the file, or also its folder; a batch syncs each once."""

    class Noting(SystemCalls):
        def __init__(self) -> None:
            super().__init__()
            self.synced: list[str] = []

        def sync(self, fd: int) -> None:
            self.synced.append("folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")
            super().sync(fd)

    calls = Noting()
    with Output(tmp_path, calls=calls, durability=level) as out:
        out.create("a", "x")
        assert calls.synced == {"none": [], "file": ["file"], "full": ["file", "folder"]}[level]
        calls.synced.clear()
        out.overwrite("a", "y")
        assert calls.synced == {"none": [], "file": ["file"], "full": ["file", "folder"]}[level]
        calls.synced.clear()
        out.append("a", "z")
        assert calls.synced == {"none": [], "file": ["file"], "full": ["file"]}[level]
        calls.synced.clear()
        out.delete("a")
        out.make_dir("d")
        assert calls.synced == {"none": [], "file": [], "full": ["folder", "folder"]}[level]
        calls.synced.clear()
        out.perform_all([CreateFile(name=f"f{n}", content="") for n in range(50)])
        assert calls.synced.count("folder") == (level == "full")
        assert calls.synced.count("file") == (0 if level == "none" else 50)
        calls.synced.clear()
        out.perform_all([AppendToFile(name=f"f{n % 2}", content="x") for n in range(50)])
        assert calls.synced.count("file") == (0 if level == "none" else 2)


def test_synced_by_the_hundred(tmp_path: Path) -> None:
    """More files than descriptors are held for; all of them are synced all the same."""

    class Noting(SystemCalls):
        synced = 0

        def sync(self, fd: int) -> None:
            self.synced += 1

    calls = Noting()
    with Output(tmp_path, calls=calls, durability="file") as out:
        answers = out.perform_all([AppendToFile(name=f"f{n}", content="x") for n in range(300)])
    assert all(answer.ok for answer in answers)
    assert calls.synced == 300


def test_done_but_maybe_not_for_good(tmp_path: Path) -> None:
    """A sync that fails after the renaming: the new content is there, and the answer says so."""

    class Failing(SystemCalls):
        def sync(self, fd: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Output(tmp_path, calls=Failing(), durability="full") as out:
        with pytest.raises(limpet.DurabilityError, match="it is done, but syncing it failed") as no:
            out.overwrite("f", NEW)
        assert no.value.errno == errno.EIO
        assert (tmp_path / "f").read_text() == NEW
        answers = out.perform_all(
            [OverwriteFile(name="g", content=""), CreateFile(name="g", content="")]
        )
        assert [a.code for a in answers if isinstance(a, Refused)] == ["durability", "exists"]


# -- rotation --------------------------------------------------------------------------------------

ROTATION = Rotation(max_bytes=10, compress=True, keep=50)


def records(root: Path) -> list[str]:
    """All records in all files, oldest first; each file plain or packed."""
    numbers = {
        int(path.name.removesuffix(".gz")[4:])
        for path in root.iterdir()
        if path.name.startswith("log.")
    }
    found = []
    for number in sorted(numbers):
        plain, packed = root / f"log.{number}", root / f"log.{number}.gz"
        data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        if plain.exists() and packed.exists():
            assert gzip.decompress(packed.read_bytes()) == data
        found += data.decode().splitlines()
    if (root / "log").exists():
        found += (root / "log").read_text().splitlines()
    return found


def rotating(root: Path, calls: Watched) -> Any:
    with Output(root, calls=calls) as out:
        calls.armed = True
        answer = out.perform(AppendToFile(name="log", content="third9\n", rotation=ROTATION))
        calls.armed = False
    return answer


def fill(root: Path) -> None:
    root.mkdir()
    with Output(root) as out:
        for text in ("first99\n", "second9\n"):
            out.append("log", text, rotation=ROTATION)


def settle(root: Path) -> list[str]:
    """What another program's rotation makes of it: every file packed, none twice."""
    with Output(root) as out:
        out.append("log", "last999\n", rotation=ROTATION)
        out.append("log", "end9999\n", rotation=ROTATION)
    names = {path.name for path in root.iterdir()} - {"log", ".limpet-rotation.log"}
    assert all(name.endswith(".gz") for name in names), names
    return records(root)


def rotation_calls(tmp_path: Path) -> int:
    fill(tmp_path / "model")
    calls = Watched()
    assert rotating(tmp_path / "model", calls).ok
    assert records(tmp_path / "model") == ["first99", "second9", "third9"]
    return calls.count


def test_a_rotation_in_which_a_call_fails(tmp_path: Path) -> None:
    """V57: no record is lost or doubled, and the next rotation puts right what was left."""
    for nth in range(1, rotation_calls(tmp_path) + 1):
        root = tmp_path / f"{nth}"
        fill(root)
        calls = Failing(nth, errno.EIO)
        answer = rotating(root, calls)
        expected = ["first99", "second9"] + ["third9"] * isinstance(answer, Done)
        assert records(root) == expected, (calls.hit, answer)
        assert [p.name for p in root.glob("*.tmp")] == []
        assert settle(root) == [*expected, "last999", "end9999"], calls.hit


def test_a_rotation_that_is_killed(tmp_path: Path) -> None:
    """V57: between any two calls."""
    count = rotation_calls(tmp_path)
    for nth in range(1, count + 1):
        root = tmp_path / f"{nth}"
        fill(root)
        child = os.fork()
        if child == 0:
            try:
                rotating(root, Deadly(nth))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        found = records(root)
        assert found in (["first99", "second9"], ["first99", "second9", "third9"])
        assert settle(root) == [*found, "last999", "end9999"], nth
