"""The async shell: off the loop, in order, bounded, and nothing left after the block."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import limpet
from limpet.output import (
    AppendToFile,
    AsyncOutput,
    CreateFile,
    Done,
    MakeDir,
    MoveFile,
    Output,
    OutputLimits,
    OverwriteFile,
    Refused,
    open_output,
)
from limpet.output import _output_thread as worker
from limpet.output._syscalls import Syscalls
from tests.output.system_calls import SystemCalls
from tests.resources import Resources
from tests.waiting import until

pytestmark = pytest.mark.anyio

BIRTH = Syscalls().birth(-100, "/") is not None
"""Whether this system tells when a file was made (-100: the current directory, as AT_FDCWD)."""

only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Gate:
    """Holds the worker in the middle of a batch until the test lets it go on."""

    def __init__(self, out: AsyncOutput, *, once: bool = True) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.batches: list[int] = []
        assert out._thread is not None
        inner = out._thread._work

        def work(jobs: Sequence[Any]) -> None:
            self.batches.append(len(jobs))
            if not self.opened.is_set():
                self.entered.set()
                self.opened.wait(60)
            inner(jobs)

        out._thread._work = work


async def test_each_operation(tmp_path: Path) -> None:
    """The methods and the values, as the synchronous form has them."""
    async with open_output(tmp_path / "new", create=True) as out:
        assert Path(out.path) == tmp_path / "new"
        assert (await out.create("a/f", "one\n")).ok
        await out.append("a/f", "two\n", newline_guard=True)
        await out.overwrite("state", b"\0")
        await out.make_dir("d")
        await out.move("a/f", "d/f")
        await out.delete("state")
        await out.delete_dir("a")
        with pytest.raises(limpet.ExistsError):
            await out.create("d/f", "")
        answer = await out.perform(CreateFile(name="../x", content=""))
        assert isinstance(answer, Refused)
    assert [str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*")] == [
        "d",
        "d/f",
    ]
    assert (tmp_path / "new/d/f").read_text() == "one\ntwo\n"


async def test_what_the_block_raises_comes_out_as_it_went_in(tmp_path: Path) -> None:
    async def block() -> None:
        async with open_output(tmp_path) as out:
            await out.create("f", "")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    with pytest.raises(limpet.RootGoneError):
        async with open_output(tmp_path / "no"):
            pass


@pytest.fixture(autouse=True)
def before() -> Resources:
    """What was there before the test."""
    return Resources()


async def test_nothing_is_left_after_the_block(tmp_path: Path) -> None:
    """No thread, no descriptor; it may be entered again."""
    out = open_output(tmp_path)
    async with out:  # what anyio and the loop need themselves is there now
        await out.create("0", "")
    before = Resources()
    for turn in range(1, 5):
        async with out:
            async with anyio.create_task_group() as tasks:
                for n in range(20):
                    tasks.start_soon(out.create, f"{turn}-{n}", "x")
            with pytest.raises(limpet.UsageError):
                await out.__aenter__()
        assert before.left() == []
    answer = await out.perform(CreateFile(name="late", content=""))
    assert isinstance(answer, Refused)
    assert answer.code == "closed"
    with pytest.raises(limpet.BusyError):
        await out.create("late", "")


async def test_an_idle_output_has_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Resources
) -> None:
    """It ends by itself, and another is started when it is needed."""
    monkeypatch.setattr(worker, "IDLE_S", 0.01)

    async with open_output(tmp_path) as out:
        assert before.threads_left() == []
        for n in range(3):
            await out.create(f"{n}", "")
            await until(lambda: not before.threads_left())
    assert len(list(tmp_path.iterdir())) == 3


async def test_the_order_of_the_calls_is_kept(tmp_path: Path) -> None:
    """Many tasks, a few names: each name sees its operations in the order they were handed in."""
    expected: dict[str, str] = {}
    async with open_output(tmp_path) as out:

        async def write(task: int) -> None:
            for n in range(50):
                name, text = f"f{(task + n) % 5}", f"{task}.{n}\n"
                expected[name] = expected.get(name, "") + text
                await out.append(name, text)

        async with anyio.create_task_group() as tasks:
            for task in range(40):
                tasks.start_soon(write, task)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


async def test_what_waits_shares_one_hop(tmp_path: Path) -> None:
    """A thousand operations that came while one was done are taken in four goes, not a thousand."""
    async with open_output(tmp_path) as out:
        gate = Gate(out)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(out.append, "log", "x")
            await until(gate.entered.is_set)
            for _ in range(1000):
                tasks.start_soon(out.append, "log", "x")
            thread = out._thread
            assert thread is not None
            await until(lambda: len(thread._queue) == 1000, "all are queued")
            gate.opened.set()
    assert gate.batches == [1, 256, 256, 256, 232]
    assert (tmp_path / "log").read_text() == "x" * 1001


async def test_the_loop_goes_on_while_the_disk_is_waited_for(tmp_path: Path) -> None:
    """While the worker is stuck the loop still takes its turns."""
    async with open_output(tmp_path) as out:
        gate = Gate(out)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(out.create, "f", "x")
            await until(gate.entered.is_set)
            turns = 0
            for _ in range(1000):
                await anyio.lowlevel.checkpoint()
                turns += 1
            assert not (tmp_path / "f").exists()
            gate.opened.set()
    assert turns == 1000
    assert (tmp_path / "f").exists()


async def test_no_call_is_made_on_the_loop(tmp_path: Path) -> None:
    """Every system call is made by another thread than the loop's."""
    loop, seen = threading.get_ident(), set()

    class Noting(SystemCalls):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_"):
                seen.add(threading.get_ident())
            return super().__getattribute__(name)

    async with AsyncOutput(Output(tmp_path, calls=Noting())) as out:
        await out.create("f", "x")
        await out.append("f", "x")
        seen_in_block = set(seen)
    assert seen_in_block
    assert loop not in seen_in_block


async def test_more_than_may_be_in_flight_wait_their_turn(tmp_path: Path) -> None:
    """V53: the queue never holds more than the limit, however many tasks there are."""
    longest = 0
    async with open_output(tmp_path, limits=OutputLimits(max_in_flight=16)) as out:
        assert out._thread is not None
        inner = out._thread.submit

        def submit(request: Any) -> None:
            nonlocal longest
            inner(request)
            longest = max(longest, out._in_flight)

        out._thread.submit = submit  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            for n in range(3000):
                tasks.start_soon(out.append, "log", f"{n}\n")
        assert (out._in_flight, len(out._turns)) == (0, 0)
    assert longest == 16
    lines = (tmp_path / "log").read_text().split()
    assert sorted(map(int, lines)) == list(range(3000))  # trio starts tasks in any order


async def test_more_than_may_be_in_flight_are_refused_on_request(tmp_path: Path) -> None:
    limits = OutputLimits(max_in_flight=2, when_full="refuse")
    async with open_output(tmp_path, limits=limits) as out:
        gate = Gate(out)
        tickets = [await out.submit(AppendToFile(name="log", content=str(n))) for n in range(2)]
        answer = await out.perform(AppendToFile(name="log", content="x"))
        assert isinstance(answer, Refused)
        assert answer.code == "busy"
        with pytest.raises(limpet.BusyError, match="in flight"):
            await out.submit(AppendToFile(name="log", content="x"))
        gate.opened.set()
        for ticket in tickets:
            assert (await ticket.wait()).ok
        assert (await out.perform(AppendToFile(name="log", content="x"))).ok
    assert (tmp_path / "log").read_text() == "01x"


async def test_cancelled_while_it_waits_it_is_never_done(tmp_path: Path) -> None:
    """V52: and what comes after it is."""
    async with open_output(tmp_path) as out:
        gate = Gate(out)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(out.create, "first", "x")
            await until(gate.entered.is_set)
            with anyio.move_on_after(0.01) as scope:
                await out.create("withdrawn", "x")
            assert scope.cancelled_caught
            tasks.start_soon(out.create, "last", "x")
            gate.opened.set()
        assert out._in_flight == 0
    assert {path.name for path in tmp_path.iterdir()} == {"first", "last"}


async def test_cancelled_while_it_is_done_it_is_done(tmp_path: Path) -> None:
    """V52: wholly; of one that was submitted the answer can still be asked for."""
    async with open_output(tmp_path) as out:
        gate = Gate(out)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(out.create, "f", "whole")
                await until(gate.entered.is_set)
                scope.cancel()
        assert scope.cancelled_caught
        ticket = await out.submit(OverwriteFile(name="g", content="whole"))
        with anyio.move_on_after(0.01) as scope:
            await ticket.wait()
        assert scope.cancelled_caught
        assert ticket.result is None
        gate.opened.set()
        answer = await ticket.wait()
        assert answer.ok
        assert ticket.result == answer
        assert ticket.operation == OverwriteFile(name="g", content="whole")
        assert out._in_flight == 0
    assert (tmp_path / "f").read_text() == (tmp_path / "g").read_text() == "whole"


async def test_cancelled_while_it_waits_for_room(tmp_path: Path) -> None:
    """Its place goes to the next one."""
    async with open_output(tmp_path, limits=OutputLimits(max_in_flight=1)) as out:
        gate = Gate(out)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(out.append, "log", "1")
            await until(gate.entered.is_set)
            with anyio.move_on_after(0.01):
                await out.append("log", "never")
            tasks.start_soon(out.append, "log", "2")
            await until(lambda: len(out._turns) == 1)
            tasks.start_soon(out.append, "log", "3")
            await until(lambda: len(out._turns) == 2)
            gate.opened.set()
        assert (out._in_flight, len(out._turns)) == (0, 0)
    assert (tmp_path / "log").read_text() == "123"


async def test_leaving_waits_for_what_was_handed_in(tmp_path: Path) -> None:
    """Also when the block is left by a cancellation."""
    with anyio.CancelScope() as scope:
        async with open_output(tmp_path) as out:
            gate = Gate(out)
            for n in range(10):
                await out.submit(CreateFile(name=f"{n}", content="x"))
            await until(gate.entered.is_set)
            threading.Timer(0.02, gate.opened.set).start()
            scope.cancel()
            await anyio.sleep(60)
    assert scope.cancelled_caught
    assert len(list(tmp_path.iterdir())) == 10


@only_asyncio
async def test_native_cancellation(tmp_path: Path, anyio_backend: str, before: Resources) -> None:
    """asyncio's own cancel(), which passes shields: nothing is lost, left or doubled."""
    for turn in range(40):
        root = tmp_path / str(turn)
        root.mkdir()
        done: list[int] = []

        async def write(root: Path, done: list[int]) -> None:
            async with open_output(root) as out:
                for n in range(10_000):
                    await out.append("log", f"{n}\n")
                    done.append(n)

        task = asyncio.create_task(write(root, done))
        while len(done) < turn:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        lines = (root / "log").read_text().split() if (root / "log").exists() else []
        # The one that was under way may be done; no other.
        assert len(lines) - len(done) in {0, 1}
        assert lines == [str(n) for n in range(len(lines))]
    assert before.threads_left() == []


@only_asyncio
async def test_it_works_under_asyncio_wait_for(tmp_path: Path, anyio_backend: str) -> None:
    async with open_output(tmp_path) as out:
        await asyncio.wait_for(out.create("f", "x"), 60)
    assert (tmp_path / "f").exists()


async def test_a_mistake_of_our_own_reaches_whoever_waits(tmp_path: Path) -> None:
    """Not swallowed, and the output goes on."""
    async with open_output(tmp_path) as out:
        assert out._thread is not None
        inner = out._thread._work

        def broken(operations: Any) -> Any:
            raise ZeroDivisionError

        out._thread._work = broken
        with pytest.raises(ZeroDivisionError):
            await out.create("f", "")
        ticket = await out.submit(CreateFile(name="f", content=""))
        with pytest.raises(ZeroDivisionError):
            await ticket.wait()
        out._thread._work = inner
        assert (await out.create("f", "")).ok


def test_a_loop_that_is_gone(tmp_path: Path, before: Resources) -> None:
    """Its answers go nowhere; the operation is done, and another loop may close the output."""
    opened = threading.Event()
    out = open_output(tmp_path)

    async def main() -> None:
        await out.aopen()
        gate = Gate(out)
        await out.submit(CreateFile(name="f", content="x"))
        await until(gate.entered.is_set)
        opened.set()
        threading.Timer(0.05, gate.opened.set).start()

    asyncio.run(main())
    asyncio.run(out.aclose())
    assert (tmp_path / "f").exists()
    assert before.threads_left() == []


@pytest.mark.parametrize("kind", [AsyncOutput, Output])
def test_one_that_was_never_closed_says_so(tmp_path: Path, kind: type[Any]) -> None:
    """A ResourceWarning that names it; its descriptor is freed."""
    gc.collect()  # what other tests have left
    before = Resources()

    def leave_open() -> None:
        if kind is Output:
            Output(tmp_path).open()
        else:
            asyncio.run(opened())
        gc.collect()

    async def opened() -> None:
        await open_output(tmp_path).aopen()

    with pytest.warns(ResourceWarning, match=f"{kind.__name__} .* was not closed"):
        leave_open()
    assert before.left() == []


async def test_many_outputs_side_by_side(tmp_path: Path) -> None:
    """Sixty of them take nobody else's threads: the program's own calls still run."""
    async with anyio.create_task_group() as tasks:

        async def one(n: int) -> None:
            async with open_output(tmp_path / str(n), create=True) as out:
                for turn in range(5):
                    await out.append("f", f"{turn}")

        for n in range(60):
            tasks.start_soon(one, n)
    assert {p.read_text() for p in tmp_path.glob("*/f")} == {"01234"}


async def test_without_a_block(tmp_path: Path, before: Resources) -> None:
    """py-10: opened by one function of a framework, closed by another; twice does no harm."""
    out = await open_output(tmp_path).aopen()
    assert repr(out) == f"<AsyncOutput {str(tmp_path)!r}, open>"
    with pytest.raises(limpet.UsageError, match="open already"):
        await out.aopen()
    ticket = await out.submit(CreateFile(name="f", content="x"))
    await out.aclose()
    assert ticket.result is not None
    assert ticket.result.ok
    assert repr(out) == f"<AsyncOutput {str(tmp_path)!r}, closed>"
    await out.aclose()
    result = await out.perform(CreateFile(name="g", content=""))
    assert isinstance(result, Refused)
    assert result.code == "closed"
    assert before.threads_left() == []
    async with out:
        await out.append("f", "y")
    await open_output(tmp_path / "never").aclose()
    assert (tmp_path / "f").read_text() == "xy"


def test_another_event_loop_is_told_at_once(tmp_path: Path, before: Resources) -> None:
    """Instead of an answer that wakes nobody: the error names the way out."""
    out = open_output(tmp_path)

    async def opened() -> None:
        await out.aopen()
        await out.create("f", "")

    async def used() -> None:
        operation = CreateFile(name="g", content="")
        for use in (
            lambda: out.perform(operation),
            lambda: out.submit(operation),
            lambda: out.append("g", "x"),
            out.aclose,
        ):
            with pytest.raises(
                RuntimeError, match=r"AsyncOutput .* belongs to another event loop: enter one here"
            ):
                await use()

    with asyncio.Runner() as first:
        first.run(opened())
        asyncio.run(used())
        anyio.run(used, backend="trio")
        first.run(out.aclose())
    assert not (tmp_path / "g").exists()
    assert before.threads_left() == []


def in_a_child(act: Callable[[], object]) -> int:
    """Return the exit code of a forked child that does something: 0, or 1 if it raised."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@only_asyncio
async def test_a_forked_child_is_told_at_once(tmp_path: Path, anyio_backend: str) -> None:
    """Its threads are not there, so nothing would ever be done."""
    async with open_output(tmp_path) as out:
        await out.create("f", "")

        def use() -> None:
            with pytest.raises(RuntimeError, match=r"AsyncOutput .* a fork of"):
                out.append("f", "child").send(None)

        assert in_a_child(use) == 0
        await out.append("f", "parent")
    assert (tmp_path / "f").read_text() == "parent"


def test_a_synchronous_output_works_in_a_forked_child(tmp_path: Path) -> None:
    """Also if another thread was in the middle of an operation at the fork."""
    entered, opened = threading.Event(), threading.Event()

    class Held(SystemCalls):
        def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:
            if name == "held" and not opened.is_set():
                entered.set()
                assert opened.wait(60)
            return super().open_file(dir_fd, name, flags, mode)

    (tmp_path / "held").write_text("")
    with Output(tmp_path, calls=Held()) as out:
        thread = threading.Thread(target=out.append, args=("held", "x"))
        thread.start()
        try:
            assert entered.wait(60)
            assert in_a_child(lambda: out.append("f", "child")) == 0
        finally:
            opened.set()
            thread.join()
    assert (tmp_path / "f").read_text() == "child"
    assert (tmp_path / "held").read_text() == "x"


def test_a_lock_does_not_stay_in_a_forked_child(tmp_path: Path) -> None:
    """A child forked in the middle of a locked append shares the open file, and lets it go."""
    entered, opened = threading.Event(), threading.Event()

    class Held(SystemCalls):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            if not opened.is_set():
                entered.set()
                assert opened.wait(60)
            return super().write(fd, data)

    (tmp_path / "f").write_text("")
    read, write = os.pipe()
    with Output(tmp_path, calls=Held(), lock_timeout=20, durability="file") as out:
        thread = threading.Thread(target=out.append, args=("f", "1"), kwargs={"lock": True})
        thread.start()
        assert entered.wait(60)
        child = os.fork()
        if child == 0:
            os.read(read, 1)  # lives for as long as the test
            os._exit(0)
        try:
            opened.set()
            thread.join()
            began = time.monotonic()
            out.append("f", "2", lock=True)
            assert time.monotonic() - began < 10
        finally:
            os.write(write, b"x")
            os.waitpid(child, 0)
            os.close(read)
            os.close(write)
    assert (tmp_path / "f").read_text() == "12"


class Hung(SystemCalls):
    """A disk on which one call does not return until it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name != super().__getattribute__("name"):
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            self.entered.set()
            assert self.opened.wait(60)
            return found(*arguments, **more)

        return call


async def test_entering_obeys_a_time_out_though_the_disk_hangs(tmp_path: Path) -> None:
    """And what was opened too late is closed; the output may be entered again."""
    calls = Hung("open_root")
    before = Resources()
    out = AsyncOutput(Output(tmp_path, calls=calls))
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.1):
            await out.aopen()
    assert calls.entered.is_set()
    calls.opened.set()
    async with out:
        await out.create("f", "x")
    assert (tmp_path / "f").exists()
    await until(before.is_as_before, before.text)


async def by_time_out(out: AsyncOutput) -> None:
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.1):
            await out.aclose()


async def by_cancel(out: AsyncOutput) -> None:
    async def use() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await out.aclose()

    task = asyncio.ensure_future(use())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize(
    ("anyio_backend", "leave"),
    [("asyncio", by_time_out), ("trio", by_time_out), ("asyncio", by_cancel)],
)
async def test_leaving_obeys_a_time_out_though_the_disk_hangs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leave: Callable[[AsyncOutput], Awaitable[None]],
    anyio_backend: str,
) -> None:
    """After a grace; what was begun is finished and the root closed by the output's thread.

    asyncio's own cancel() is delivered once, in the block, and the grace counts from there.
    """
    from limpet.output import _async_output

    monkeypatch.setattr(_async_output, "_GRACE_S", 0.1)
    calls = Hung("write")
    before = Resources()
    out = await AsyncOutput(Output(tmp_path, calls=calls)).aopen()
    ticket = await out.submit(CreateFile(name="f", content="x"))
    await until(calls.entered.is_set)
    await leave(out)
    assert ticket.result is None
    assert not (tmp_path / "f").exists()
    calls.opened.set()
    assert (await ticket.wait()).ok
    await until(before.is_as_before, before.text)
    assert (tmp_path / "f").read_text() == "x"
    assert "closed" in repr(out)


async def test_a_status_is_that_of_events(tmp_path: Path) -> None:
    """py-10: times to the same bit, and the birth time where the system has one."""
    with limpet.watch_dir(tmp_path, own="mark").sync() as watch:
        async with open_output(tmp_path) as out:
            for operation in (
                CreateFile(name="f", content="x"),
                AppendToFile(name="f", content="y"),
                OverwriteFile(name="f", content="z"),
                MakeDir(name="d"),
                MoveFile(name="f", target="g"),
            ):
                done = await out.perform(operation)
                assert done.ok
                events = await anyio.to_thread.run_sync(watch.fence)
                stats = [event.stat for event in events if hasattr(event, "stat")]
                assert stats
                assert stats[-1] == done.stat
                assert done.stat is not None
                if BIRTH:
                    assert done.stat.birthtime is not None


def test_a_program_is_checked_by_its_types(tmp_path: Path) -> None:
    """py-08: ``ok`` is a field of a literal type: what mypy, and pyright by ``is True``, narrow."""
    annotations = [kind.__annotations__["ok"] for kind in (Done, Refused)]
    assert annotations == ["Literal[True]", "Literal[False]"]
    with Output(tmp_path) as out:
        results = out.perform_all([CreateFile(name="f", content=""), MakeDir(name="f")])
    assert [result.ok for result in results] == [True, False]
    assert [result.ok for result in pickle.loads(pickle.dumps(results))] == [True, False]  # noqa: S301
