"""Rotation by several processes, and packing that keeps nobody waiting."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

import limpet
from limpet._exclusive_lock import lock_exclusively
from limpet._shared_open import open_shared
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteFile,
    MoveFile,
    Operation,
    Output,
    OutputLimits,
    Refused,
    Rotation,
    open_output,
)
from limpet.output._async_output import AsyncOutput
from limpet.output._rotation_manifest import RotatedFile, beyond, dump
from limpet.output._syscalls import Syscalls
from tests.output.system_calls import SystemCalls
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rotated(root: Path, name: str = "log") -> list[str]:
    """Return the rotated files of a log, oldest first."""
    found = [path.name for path in root.iterdir() if path.name.startswith(f"{name}.")]
    return sorted(found, key=lambda one: int(one.split(".")[1]))


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


WRITER = """
import os, sys
from limpet.output import Output, Rotation
root, who, keep, compress = sys.argv[1:]
rotation = Rotation(max_bytes=20_000, compress=compress == "True", keep=int(keep))
with Output(root) as out:
    for n in range(300):
        out.append("log", f"{who} {n} {os.urandom(500).hex()}\\n", rotation=rotation)
"""


def writers(root: Path, count: int, keep: int, *, compress: bool) -> None:
    """Run processes that all rotate one file."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), f"p{n}", str(keep), str(compress)],
            env=environment,
        )
        for n in range(count)
    ]
    assert [process.wait(100) for process in started] == [0] * count


@pytest.mark.parametrize("compress", [False, True])
def test_several_processes_keep_no_more_than_asked_for(root: Path, compress: bool) -> None:
    """O2: the manifest is changed by one process at a time, so no rotated file drops out of it."""
    writers(root, 3, 3, compress=compress)
    assert len(rotated(root)) == 3
    assert all(name.endswith(".gz") is compress for name in rotated(root))
    listed = json.loads((root / ".limpet-rotation.log").read_bytes())
    assert [row["name"] for row in listed] == rotated(root)
    assert not list(root.glob("*.tmp"))


def test_several_processes_lose_and_double_no_record(root: Path) -> None:
    """Each is in one file, once, and those of a process are in order."""
    writers(root, 3, 1000, compress=True)
    names = [*rotated(root), "log"]
    lines = "".join(text_of(root / name) for name in names).splitlines()
    found = [tuple(line.split()[:2]) for line in lines]
    for who in ("p0", "p1", "p2"):
        assert [n for one, n in found if one == who] == [str(n) for n in range(300)]


def test_a_manifest_that_is_held_is_waited_for(root: Path) -> None:
    """Another process that changes which files are rotated delays a rotation, and nothing else."""
    rotation = Rotation(max_bytes=10, keep=3)
    with Output(root, lock_timeout=0.2) as out:
        for text in ("first99\n", "second9\n"):
            out.append("log", text, rotation=rotation)
        with (root / ".limpet-rotation.log").open("r+") as other:
            lock_exclusively(other.fileno())
            answers = out.perform_all(
                [
                    AppendToFile(name="log", content="third99\n", rotation=rotation),
                    AppendToFile(name="other", content="x"),
                ]
            )
            assert isinstance(answers[0], Refused)
            assert (answers[0].code, answers[1].ok) == ("busy", True)
            assert (root / "log").read_text() == "second9\n"
        out.append("log", "third99\n", rotation=rotation)
    assert (root / "log").read_text() == "third99\n"


@pytest.mark.parametrize("place", ["directory", "fifo", "symlink", "hard link"])
def test_something_else_in_the_manifests_place(root: Path, tmp_path: Path, place: str) -> None:
    """Only a directory stops the rotation, and says so; nothing outside is written to."""
    outside = tmp_path / "outside"
    outside.write_text("[]")
    manifest = root / ".limpet-rotation.log"
    if place == "directory":
        manifest.mkdir()
    elif place == "fifo":
        os.mkfifo(manifest)
    elif place == "symlink":
        manifest.symlink_to(outside)
    else:
        manifest.hardlink_to(outside)
    rotation = Rotation(max_bytes=10, keep=1)
    with Output(root) as out:
        out.append("log", "first99\n", rotation=rotation)
        answer = out.perform(AppendToFile(name="log", content="second9\n", rotation=rotation))
    assert outside.read_text() == "[]"
    if place == "directory":
        assert isinstance(answer, Refused)
        assert answer.code == "is-directory"
        assert manifest.name in answer.message
    else:
        assert answer.ok
        assert rotated(root) == ["log.1"]


def test_what_was_removed_by_hand_counts_no_more(root: Path) -> None:
    """Three are kept of those that are there."""
    rotation = Rotation(max_bytes=1, keep=3)
    with Output(root) as out:
        for n in range(4):
            out.append("log", f"{n}\n", rotation=rotation)
        (root / "log.3").unlink()
        out.append("log", "x\n", rotation=rotation)
    assert rotated(root) == ["log.1", "log.2", "log.4"]


def test_a_file_that_cannot_be_removed_stops_no_other(root: Path) -> None:
    """It stays listed; the bounds hold for the rest, and for it once it can go."""

    class Stuck(SystemCalls):
        names: frozenset[str] = frozenset()

        def unlink(self, dir_fd: int, name: str) -> None:
            if name in self.names:
                raise PermissionError(1, "not permitted")
            super().unlink(dir_fd, name)

    calls = Stuck()
    rotation = Rotation(max_bytes=1, keep=2)
    with Output(root, calls=calls) as out:
        calls.names = frozenset(["log.1"])
        for n in range(7):
            out.append("log", f"{n}\n", rotation=rotation)
        assert rotated(root) == ["log.1", "log.5", "log.6"]
        calls.names = frozenset()
        out.append("log", "x\n", rotation=rotation)
    assert rotated(root) == ["log.6", "log.7"]


def test_a_failing_disk_stops_packing_and_not_keeping(root: Path) -> None:
    """What cannot be packed stays plain, and is removed in its turn."""

    class Full(SystemCalls):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            if bytes(data[:2]) == b"\x1f\x8b":
                raise OSError(28, "No space left on device")
            return super().write(fd, data)

    rotation = Rotation(max_bytes=1, keep=2, compress=True, max_total_bytes=3)
    with Output(root, calls=Full()) as out:
        for n in range(6):
            out.append("log", f"{n}\n", rotation=rotation)
    assert rotated(root) == ["log.5"]
    assert not list(root.glob("*.tmp"))


def test_a_rotated_file_that_was_write_protected_is_kept(root: Path) -> None:
    """O6: who protects it wants it to stay; it is neither packed nor removed."""
    with Output(root) as out:
        out.append("log", "first\n", rotation=Rotation(max_bytes=1))
        out.append("log", "second\n", rotation=Rotation(max_bytes=1))
        (root / "log.1").chmod(0o444)
        for n in range(3):
            out.append("log", f"{n}\n", rotation=Rotation(max_bytes=1, keep=1, compress=True))
    assert rotated(root) == ["log.1", "log.4.gz"]


@pytest.mark.parametrize("date", [0, 1 << 31, 13_569_465_600, -86_400])
def test_a_file_of_any_date_is_packed(root: Path, date: int) -> None:
    """gzip keeps 32 bits of a date; a file of the year 2400 is packed without one."""
    (root / "log").write_text("old\n")
    os.utime(root / "log", (date, date))
    with Output(root) as out:
        out.append("log", "new\n", rotation=Rotation(max_bytes=1, compress=True))
    assert text_of(root / "log.1.gz") == "old\n"
    stamp = int.from_bytes((root / "log.1.gz").read_bytes()[4:8], "little")
    assert stamp == (date if 0 <= date < 1 << 32 else 0)


def test_which_go_is_decided_without_a_disk() -> None:
    rows = [
        RotatedFile(name=f"log.{n}", inode=n, size=10, mtime_ns=n, since=float(n))
        for n in range(1, 5)
    ]

    def gone(*, by_bytes: bool = True, now: float = 4.0, **bounds: Any) -> int:
        found = beyond(rows, Rotation(daily=True, **bounds), now, by_bytes=by_bytes)
        assert found == rows[: len(found)]
        return len(found)

    assert gone() == 0
    assert [gone(keep=n) for n in (0, 1, 4, 9)] == [4, 3, 0, 0]
    assert [gone(max_total_bytes=n) for n in (1, 10, 39, 40)] == [4, 3, 1, 0]
    assert gone(max_total_bytes=1, by_bytes=False) == 0
    assert gone(max_age=1.5, now=4.0) == 2
    assert beyond([], Rotation(daily=True, keep=0), 0.0, by_bytes=True) == []
    assert json.loads(dump(rows))[0]["name"] == "log.1"


# -- nobody waits ----------------------------------------------------------------------------------


class Slow(SystemCalls):
    """Holds a packing between two of its reads until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.reading: str | None = None

    def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:
        if name == "log.1" and flags == os.O_RDONLY:
            self.entered.set()
            assert self.opened.wait(60)
        return super().open_file(dir_fd, name, flags, mode)


def slow_output(root: Path, calls: Syscalls, **options: Any) -> AsyncOutput:
    return AsyncOutput(Output(root, calls=calls, **options))


async def test_packing_keeps_nobody_waiting(root: Path) -> None:
    """O3: neither another file, nor the same one, nor its next rotation; leaving waits for it."""
    calls = Slow()
    rotation = Rotation(max_bytes=10, compress=True)
    left = False
    leaving = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            nonlocal left
            async with slow_output(root, calls) as out:
                with anyio.fail_after(60):
                    await out.append("log", "first99\n", rotation=rotation)
                    await out.append("log", "second9\n", rotation=rotation)
                    await until(calls.entered.is_set)
                    await out.append("other", "x")
                    await out.append("log", "third99\n", rotation=rotation)
                    await out.append("log", "fourth9\n", rotation=rotation)
                    assert rotated(root) == ["log.1", "log.2", "log.3"]
                leaving.set()
            left = True

        tasks.start_soon(leave)
        await leaving.wait()
        assert not left
        calls.opened.set()
    assert left
    assert rotated(root) == ["log.1.gz", "log.2.gz", "log.3.gz"]
    texts = [text_of(root / name) for name in [*rotated(root), "log"]]
    assert texts == ["first99\n", "second9\n", "third99\n", "fourth9\n"]
    await until(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("limpet output")]
    )


def test_other_threads_use_a_synchronous_output_while_one_packs(root: Path) -> None:
    """O3: the caller whose append rotated waits for it, and nobody else."""
    calls = Slow()
    rotation = Rotation(max_bytes=10, compress=True)
    with Output(root, calls=calls) as out:
        out.append("log", "first99\n", rotation=rotation)
        thread = threading.Thread(
            target=out.append, args=("log", "second9\n"), kwargs={"rotation": rotation}
        )
        thread.start()
        try:
            assert calls.entered.wait(60)
            out.append("log", "3\n")
            out.append("other", "x")
            assert (root / "log").read_text() == "second9\n3\n"
        finally:
            calls.opened.set()
            thread.join()
    assert rotated(root) == ["log.1.gz"]


@pytest.fixture
def held(root: Path) -> Any:
    """A file whose lock somebody else holds."""
    (root / "held").write_text("")
    with os.fdopen(open_shared(root / "held", os.O_RDWR), "w") as other:
        lock_exclusively(other.fileno())
        yield other


async def test_a_foreign_lock_keeps_only_its_own_file_waiting(root: Path, held: Any) -> None:
    """O3: other files go on; what comes after on the same name stays behind it, in order."""
    order: list[str] = []
    reader = os.fdopen(open_shared(root / "held", os.O_RDONLY))
    async with open_output(root) as out, anyio.create_task_group() as tasks:

        async def one(what: str, operation: Operation) -> None:
            assert (await out.perform(operation)).ok, what
            order.append(what)

        tasks.start_soon(one, "1", AppendToFile(name="held", content="1", lock=True))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(one, "2", AppendToFile(name="held", content="2"))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(one, "moved", MoveFile(name="held", target="d/held"))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(one, "deleted", DeleteFile(name="d/held"))
        for n in range(20):
            await one(f"other {n}", AppendToFile(name="other", content="x"))
        assert order == [f"other {n}" for n in range(20)]
        assert (root / "held").read_text() == ""
        held.close()  # releases the lock
    assert set(order[20:]) == {"1", "2", "moved", "deleted"}  # trio wakes tasks in any order
    assert not (root / "d/held").exists()
    with reader:
        assert reader.read() == "12"


async def test_a_foreign_lock_is_given_up_in_time_for_all_behind_it(root: Path, held: Any) -> None:
    """``busy`` after ``lock_timeout`` for the first; those behind it do not wait as long again."""
    began = time.monotonic()
    async with open_output(root, lock_timeout=0.3) as out:
        tickets = [
            await out.submit(AppendToFile(name="held", content="x", lock=True)) for _ in range(50)
        ]
        answers = [await ticket.wait() for ticket in tickets]
    assert {answer.code for answer in answers if isinstance(answer, Refused)} == {"busy"}
    assert not any(answer.ok for answer in answers)
    assert 0.3 <= time.monotonic() - began < 5


async def test_leaving_waits_for_a_foreign_lock_no_longer_than_its_time(
    root: Path, held: Any
) -> None:
    async with open_output(root, lock_timeout=0.2) as out:
        ticket = await out.submit(AppendToFile(name="held", content="x", lock=True))
    result = ticket.result
    assert isinstance(result, Refused)
    assert result.code == "busy"


async def test_cancelled_while_it_waits_for_a_foreign_lock_it_is_never_done(
    root: Path, held: Any
) -> None:
    async with open_output(root) as out:
        with anyio.move_on_after(0.05) as scope:
            await out.append("held", "never", lock=True)
        assert scope.cancelled_caught
        held.close()  # releases the lock
        await out.append("held", "x", lock=True)
    assert (root / "held").read_text() == "x"


async def test_what_waits_for_locks_is_bounded(root: Path, held: Any) -> None:
    """It counts as in flight for as long as it waits."""
    limits = OutputLimits(max_in_flight=3, when_full="refuse")
    async with open_output(root, limits=limits, lock_timeout=0.2) as out:
        for _ in range(3):
            await out.submit(AppendToFile(name="held", content="x", lock=True))
        with pytest.raises(limpet.BusyError, match="in flight"):
            await out.submit(CreateFile(name="f", content=""))


def test_a_synchronous_batch_goes_on_past_a_foreign_lock(root: Path, held: Any) -> None:
    """Others are done first; the result is in its place."""
    free = threading.Timer(0.1, held.close)
    with Output(root) as out:
        free.start()
        answers = out.perform_all(
            [
                AppendToFile(name="held", content="1", lock=True),
                CreateFile(name="f", content="whole"),
                AppendToFile(name="held", content="2"),
            ]
        )
    free.join()
    assert [answer.ok for answer in answers] == [True] * 3
    assert (root / "held").read_text() == "12"
    assert answers[1].operation.name == "f"


async def test_a_log_that_is_packed_elsewhere_is_left_to_it(root: Path) -> None:
    """The rotated file is locked meanwhile; an append that still has it open does not wait."""
    rotation = Rotation(max_bytes=10, compress=True)
    async with open_output(root) as out:
        await out.append("log", "first99\n", rotation=Rotation(max_bytes=10))
        await out.append("log", "second9\n", rotation=Rotation(max_bytes=10))
        with (root / "log.1").open("r+") as other:
            lock_exclusively(other.fileno())
            await out.append("log", "third99\n", rotation=rotation)
            await until((root / "log.2.gz").exists)
            assert (root / "log.1").exists()
        await out.append("log", "fourth9\n", rotation=rotation)
    assert rotated(root) == ["log.1.gz", "log.2.gz", "log.3.gz"]


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_rotated_files_and_manifests_count(root: Path, compress: bool) -> None:
    """O5: as they come and go, and not at the next count only."""
    rotation = Rotation(max_bytes=3, compress=compress)
    with Output(root, limits=OutputLimits(max_files=5, recount=1e6)) as out:
        answers = [
            out.perform(AppendToFile(name="log", content=f"{n}\n", rotation=rotation))
            for n in range(9)
        ]
        assert len(list(root.iterdir())) == 5  # log, three rotated files, the manifest
        assert [answer.ok for answer in answers] == [True] * 4 + [False] * 5
        assert {answer.code for answer in answers if isinstance(answer, Refused)} == {"over-cap"}
        assert (root / "log").read_text() == "3\n"
        (root / rotated(root)[0]).unlink()
        assert out.perform(AppendToFile(name="log", content="x\n", rotation=rotation)).ok
        out.delete("log")
        assert out.perform(CreateFile(name="f", content="")).ok
        assert not out.perform(CreateFile(name="g", content="")).ok


def test_a_rotation_that_removes_one_needs_no_room(root: Path) -> None:
    """A full folder goes on rotating within ``keep``; moved and replaced files are counted."""
    rotation = Rotation(max_bytes=3, keep=2)
    with Output(root, limits=OutputLimits(max_files=4, recount=1e6)) as out:
        for n in range(9):
            out.append("log", f"{n}\n", rotation=rotation)
        assert len(list(root.iterdir())) == 4
        assert not out.perform(CreateFile(name="f", content="")).ok
        out.move("log.7", "log.8", overwrite=True)
        assert out.perform(CreateFile(name="f", content="")).ok
        assert not out.perform(CreateFile(name="g", content="")).ok


def test_bytes_of_packed_files_count_as_they_are(root: Path) -> None:
    rotation = Rotation(max_bytes=10_000, compress=True)
    with Output(root, limits=OutputLimits(max_total_bytes=25_000, recount=1e6)) as out:
        for _ in range(9):
            out.append("log", "x" * 9_000, rotation=rotation)
    assert len(rotated(root)) == 8
