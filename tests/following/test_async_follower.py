"""The shells of a follower over a real watch: lines come by themselves, and nothing is left."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

import limpet
from limpet.errors import StateFileError
from limpet.following import (
    Appended,
    CaughtUp,
    FollowEvent,
    Gap,
    Rotated,
    Truncated,
    WatchDegraded,
)
from limpet.following import _change_notifier as notifier_module
from limpet.following._follow_thread import FollowThread
from tests.following.driver import append, write
from tests.following.fault_table import ROWS, Field, Row
from tests.waiting import PATIENCE, until, until_sync

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def p(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


def threads() -> int:
    return sum(thread.name.startswith("limpet follow") for thread in threading.enumerate())


async def take(lines: Any, count: int) -> list[str]:
    """The next lines as text."""
    taken: list[str] = []
    with anyio.fail_after(PATIENCE):
        while len(taken) < count:
            item = await lines.__anext__()
            taken.append(getattr(item, "text", item))
    return taken


async def test_the_plain_case(p: Path, backend: Any) -> None:
    """``async for line in follow(path)``: no block, a file that comes later, every backend."""
    follower = limpet.follow(p, backend=backend, poll_interval=0.02)
    lines = aiter(follower)
    async with anyio.create_task_group() as tasks:

        async def written() -> None:
            await follower.fence()
            write(p, "one\n")

        tasks.start_soon(written)
        assert await take(lines, 1) == ["one"]
    append(p, "two\nthree\n")
    assert await take(lines, 2) == ["two", "three"]
    os.rename(p, f"{p}.1")
    write(p, "four\n")
    assert await take(lines, 1) == ["four"]
    await follower.aclose()
    # Those of an abandoned follower of another test end by themselves.
    await until(lambda: not threads(), "no thread is left")


async def test_reported_by_the_watch(p: Path, kernel_backend: Any) -> None:
    """With an hour between two passes, every kind of change is still reported."""
    write(p, "")
    async with limpet.follow(p, backend=kernel_backend, safety=3600.0) as follower:
        lines = follower.text()
        append(p, "appended\n")
        assert await take(lines, 1) == ["appended"]
        os.rename(p, f"{p}.1")
        write(p, "rotated\n")
        assert await take(lines, 1) == ["rotated"]
        write(p, "emptied and filled\n")
        assert await take(lines, 1) == ["emptied and filled"]
        os.rename(p.parent, f"{p.parent}-away")
        p.parent.mkdir()
        write(p, "another directory\n")
        assert await take(lines, 1) == ["another directory"]
        write(p.with_name("data"), "linked\n")
        os.symlink("data", p.with_name("link"))
        os.replace(p.with_name("link"), p)
        assert await take(lines, 1) == ["linked"]
        append(p.with_name("data"), "through the link\n")
        assert await take(lines, 1) == ["through the link"]


async def test_globs(tmp_path: Path, kernel_backend: Any) -> None:
    """Files that come later, those in folders that come later, and symlinks among them."""
    outside = tmp_path / "outside"
    write(outside, "")
    directory = tmp_path / "logs"
    pattern = f"{directory}/**/*.log"
    async with limpet.follow(pattern, backend=kernel_backend, safety=3600.0) as follower:
        lines = aiter(follower)
        directory.mkdir()
        write(directory / "a.log", "a\n")
        assert await take(lines, 1) == ["a"]
        (directory / "deep").mkdir()
        write(directory / "deep" / "b.log", "b\n")
        assert await take(lines, 1) == ["b"]
        os.symlink(outside, directory / "c.log")
        await follower.fence()
        append(outside, "c\n")
        assert await take(lines, 1) == ["c"]
        assert follower.stats().paths == 3


async def test_events_in_order(p: Path) -> None:
    """Batches, and what happens to the file, in one stream."""
    write(p, "a\n")
    events: list[FollowEvent] = []
    async with limpet.follow(p, start="beginning") as follower:
        stream = follower.events()

        async def take_until(kind: type[FollowEvent]) -> None:
            with anyio.fail_after(PATIENCE):
                async for event in stream:
                    events.append(event)
                    if isinstance(event, kind):
                        return

        await take_until(Appended)
        os.rename(p, f"{p}.1")
        write(p, "b\n")
        await take_until(Appended)
        write(p, "longer\n")
        await take_until(Appended)
    kinds = [type(event) for event in events if not isinstance(event, CaughtUp)]
    assert kinds == [Appended, Rotated, Appended, Truncated, Appended]


async def test_passes_go_on_while_nobody_reads(p: Path) -> None:
    """Twenty rotations before the first line is asked for: each file is held."""
    write(p, "0\n")
    async with limpet.follow(p, start="beginning", linger=60.0) as follower:
        for number in range(1, 20):
            os.rename(p, f"{p}.{number}")
            write(p, f"{number}\n")
            await follower.fence()
            os.unlink(f"{p}.{number}")
        assert await take(follower.text(), 20) == [str(number) for number in range(20)]


async def test_reading_ahead_is_bounded(p: Path) -> None:
    """Of a large file a few batches are read before they are asked for."""
    with p.open("wb") as file:
        file.write((b"x" * 99 + b"\n") * 200_000)
    async with limpet.follow(p, start="beginning") as follower:
        batches = follower.batches()
        await anext(batches)
        await follower.fence()
        assert follower.stats().bytes_read < 3 << 20
        assert follower.stats().backlog > 10 << 20


async def test_a_cancelled_wait_loses_nothing(p: Path) -> None:
    """Whenever it is cancelled."""
    write(p, "")
    async with limpet.follow(p) as follower:
        lines = follower.text()
        taken = []
        for number in range(200):
            append(p, f"{number}\n")
            with anyio.move_on_after(0.0005 * (number % 4)):
                taken.append(await anext(lines))
        taken += await take(lines, 200 - len(taken))
        assert taken == [str(number) for number in range(200)]


async def test_two_consumers_share(p: Path) -> None:
    """Each line goes to one of them."""
    write(p, "")
    taken: list[str] = []
    async with limpet.follow(p) as follower, anyio.create_task_group() as tasks:

        async def consume() -> None:
            async for line in follower.text():
                taken.append(line)
                if len(taken) == 100:
                    tasks.cancel_scope.cancel()

        for _ in range(2):
            tasks.start_soon(consume)
        for number in range(100):
            append(p, f"{number}\n")
            await anyio.sleep(0)
    assert sorted(taken, key=int) == [str(number) for number in range(100)]


async def test_closing_ends_iterations(p: Path) -> None:
    """With the end of the iteration, not with an error."""
    follower = limpet.follow(p)
    await follower.__aenter__()
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def consume() -> None:
            async for _ in follower:
                pass
            ended.set()

        tasks.start_soon(consume)
        thread = follower._thread
        assert thread is not None
        await until(lambda: thread._consumers, "nobody waits")
        await follower.aclose()
        with anyio.fail_after(PATIENCE):
            await ended.wait()
    await follower.aclose()
    assert threads() == 0


@pytest.mark.parametrize("turns", range(4))
async def test_closing_ends_an_iteration_that_has_just_begun(p: Path, turns: int) -> None:
    """Also before its task has reached the thread; nothing is started again for it."""
    follower = limpet.follow(p)
    await follower.__aenter__()
    iterator = aiter(follower)
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def consume() -> None:
            assert [line async for line in iterator] == []
            ended.set()

        tasks.start_soon(consume)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        await follower.aclose()
        with anyio.fail_after(PATIENCE):
            await ended.wait()
    assert threads() == 0


async def test_until_the_end(p: Path) -> None:
    """``until="eof"`` ends by itself, and so does a follower that is drained."""
    write(p, "a\nb\n")
    lines = [str(line) async for line in limpet.follow(p, start="beginning", until="eof")]
    assert lines == ["a", "b"]
    async with limpet.follow(p, start="beginning") as follower:
        text = follower.text()
        assert await take(text, 1) == ["a"]
        append(p, "c\n")
        await follower.drain()
        with anyio.fail_after(PATIENCE):
            assert [line async for line in text] == ["b", "c"]


async def test_until_retired(p: Path) -> None:
    """Ends when the file is gone, read and closed."""
    write(p, "a\n")
    async with limpet.follow(p, start="beginning", linger=0.05, until="retired") as follower:
        text = follower.text()
        assert await take(text, 1) == ["a"]
        append(p, "b\n")
        os.unlink(p)
        with anyio.fail_after(PATIENCE):
            assert [line async for line in text] == ["b"]


async def test_what_is_handed_out_is_committed(p: Path, tmp_path: Path) -> None:
    """A loop that is left in the middle of a batch repeats the last line it was given, no other."""
    write(p, "".join(f"{number}\n" for number in range(100)))
    options: Any = {"state": tmp_path / "state", "fallback": "beginning"}
    async with limpet.follow(p, **options) as follower:
        assert await take(follower.text(), 40) == [str(number) for number in range(40)]
    async with limpet.follow(p, **options) as follower:
        assert await take(follower.text(), 61) == [str(number) for number in range(39, 100)]
    append(p, "100\n")
    async with limpet.follow(p, **options) as follower:
        assert await take(follower.text(), 2) == ["99", "100"]


async def test_manual_commit(p: Path, tmp_path: Path) -> None:
    """Only what is committed is, and is on disk when ``commit`` returns."""
    options: Any = {
        "state": tmp_path / "state", "fallback": "beginning", "commit": "manual",
    }  # fmt: skip
    write(p, "a\n")
    async with limpet.follow(p, **options) as follower:
        batches = follower.batches()
        first = await anext(batches)
        append(p, "b\n")
        second = await anext(batches)
        assert (first.lines, second.lines) == (["a"], ["b"])
        before = (tmp_path / "state").read_bytes()
        await follower.commit(first)
        assert (tmp_path / "state").read_bytes() != before
    async with limpet.follow(p, **options) as follower:
        assert await take(follower.text(), 1) == ["b"]


async def test_losses_reach_the_log(p: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that only wants lines still gets a report of what it does not get."""
    write(p, "a\n")
    async with limpet.follow(p, start="beginning") as follower:
        text = follower.text()
        assert await take(text, 1) == ["a"]
        write(p, "something else\n")
        with caplog.at_level(logging.WARNING, logger="limpet.follow"):
            assert await take(text, 1) == ["something else"]
    assert any("Truncated" in record.getMessage() for record in caplog.records)


async def test_row_63_the_watch_sees_less(p: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polled, reported, and the same lines."""
    from limpet.backends import _hint_router

    def no_mark(*_: Any, **__: Any) -> Any:
        from limpet.backends import MarkError

        raise MarkError(28, limit=True)

    monkeypatch.setattr(_hint_router.HintRouter, "mark", no_mark)
    write(p, "")
    pattern = f"{p.parent}/*.log"
    async with limpet.follow(pattern, poll_interval=0.02, safety=0.05) as follower:
        append(p, "a\n")
        stream = follower.events()
        degraded = 0
        lines: list[str] = []
        with anyio.fail_after(PATIENCE):
            while not (lines and degraded):
                event = await anext(stream)
                if isinstance(event, Appended):
                    lines += event.lines
                elif isinstance(event, WatchDegraded):
                    degraded += 1
    assert lines == ["a"]


async def test_row_64_the_kernels_queue_overflows(p: Path, kernel_backend: Any) -> None:
    """Everything is examined again: nothing is lost."""
    from limpet.backends import _hint_router

    write(p, "")
    async with limpet.follow(p, backend=kernel_backend, safety=3600.0) as follower:
        await follower.fence()  # so that the rest is reported by the watch alone
        original: Any = _hint_router.HintRouter.touched
        router_type: Any = _hint_router.HintRouter
        lost = []

        def lose(router: Any, key: Any, names: Any) -> None:
            lost.append(names)
            router.lost()

        router_type.touched = lose
        try:
            append(p, "a\n")
            os.rename(p, f"{p}.1")
            write(p, "b\n")
            assert await take(follower.text(), 2) == ["a", "b"]
        finally:
            router_type.touched = original
        assert lost


async def test_row_71_idle_files_cost_next_to_nothing(tmp_path: Path) -> None:
    """1000 idle files: less than 3 % of a core, and one thread."""
    for number in range(1000):
        write(tmp_path / f"{number}.log", "x\n")
    async with limpet.follow(f"{tmp_path}/*.log") as follower:
        await follower.fence()
        passes, before = follower.stats().passes, time.process_time()
        await until(lambda: follower.stats().passes >= passes + 2, "two more passes")
        spent = time.process_time() - before
        assert threads() == 2
        assert spent < 0.06 * 5


async def test_pickled(p: Path) -> None:
    """What is kept is what was asked for."""
    follower = pickle.loads(pickle.dumps(limpet.follow(p, linger=7.0)))  # noqa: S301 (our own)
    assert follower.options.linger == 7.0
    assert follower.paths == (p,)


@pytest.mark.parametrize(
    "options",
    [
        {"start": "middle"}, {"start": "checkpoint"}, {"encoding": "no-such"}, {"max_line": 0},
        {"linger": -1.0}, {"delimiter": b""}, {"on_long": "cry"}, {"nothing": 1},
        {"until": "never"}, {"safety": float("nan")}, {"follow_symlinks": "perhaps"},
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_at_once(p: Path, options: Any) -> None:
    """By the call."""
    with pytest.raises(limpet.UsageError):
        limpet.follow(p, **options)
    with pytest.raises(limpet.UsageError):
        limpet.follow("")


async def test_followers_share_a_thread_and_a_kernel_instance(tmp_path: Path) -> None:
    """Fifty followers: fifty threads of their own and one that waits for the kernel for them."""
    followers = [limpet.follow(tmp_path / f"{number}") for number in range(50)]
    for follower in followers:
        await follower.__aenter__()
    assert sum(thread.name == "limpet follow notifier" for thread in threading.enumerate()) == 1
    for number, follower in enumerate(followers):
        write(tmp_path / f"{number}", f"{number}\n")
        assert await take(follower.text(), 1) == [str(number)]
    for follower in followers:
        await follower.aclose()
    assert threads() == 0
    assert notifier_module._notifiers == []


async def test_an_abandoned_one_is_freed(p: Path) -> None:
    """With the object."""
    write(p, "")
    follower = limpet.follow(p)
    lines = follower.text()
    append(p, "")
    await follower.fence()
    del lines
    held = [follower]
    del follower
    with pytest.warns(ResourceWarning, match="unclosed <Follower"):
        held.clear()
    await until(lambda: not threads(), "no thread is left")


async def test_an_error_of_the_engine_is_raised_in_the_iteration(
    p: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and the follower can be closed."""
    write(p, "a\n")
    async with limpet.follow(p, start="beginning") as follower:
        text = follower.text()
        assert await take(text, 1) == ["a"]
        monkeypatch.setattr(
            "limpet.following._follow_engine.FollowEngine.examine_paths",
            lambda *_: 1 / 0,
            raising=True,
        )
        append(p, "b\n")
        with pytest.raises(ZeroDivisionError), anyio.fail_after(PATIENCE):
            await anext(text)


async def test_commit_returns_once_it_is_saved(p: Path, tmp_path: Path) -> None:
    """And raises what the save raised; afterwards it is tried again."""
    write(p, "a\nb\n")
    state = tmp_path / "dir" / "state"
    state.parent.mkdir()
    async with limpet.follow(p, start="beginning", state=state, commit="manual") as follower:
        batch = await anext(aiter(follower.batches()))
        before = follower.stats().saves
        await follower.commit(batch)
        assert follower.stats().saves == before + 1
        os.rename(state.parent, tmp_path / "moved")
        with pytest.raises(StateFileError, match="create the folder"):
            await follower.commit(batch)
        os.rename(tmp_path / "moved", state.parent)
        await follower.save()


async def test_a_state_that_cannot_be_saved_is_reported(p: Path, tmp_path: Path) -> None:
    """And following goes on."""
    state = tmp_path / "sub" / "state"
    state.parent.mkdir()
    write(p, "a\n")
    follower = limpet.follow(p, state=state, fallback="beginning")
    await follower.__aenter__()
    stream = follower.events()
    os.rename(state.parent, tmp_path / "gone")
    with anyio.fail_after(PATIENCE):
        while True:
            event = await anext(stream)
            if isinstance(event, WatchDegraded):
                break
            append(p, "more\n")
    assert event.reason == "state"
    os.rename(tmp_path / "gone", state.parent)
    await follower.aclose()


def test_in_a_script(p: Path) -> None:
    """No event loop, and none is imported."""
    write(p, "a\nb\n")
    program = textwrap.dedent(
        """
        import sys, limpet
        with limpet.follow(sys.argv[1], start="beginning").sync() as follower:
            print(next(iter(follower)).text)
            assert follower.next(timeout=0.01) is not None
            with open(sys.argv[1], "a") as file:
                file.write("c\\n")
            follower.fence()
            while not (lines := getattr(follower.next(), "lines", None)):
                pass
            print(lines)
            assert follower.stats().lines == 3
        print(*(line.text for line in limpet.follow(sys.argv[1], start="beginning",
              until="eof").sync()))
        print(*sorted({"asyncio", "trio", "anyio"} & set(sys.modules)))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, p], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("a\n['c']\na b c\n\n", "")


class Threaded:
    """limpet as it is used: its own watch wakes it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.thread: FollowThread | None = None
        self.batches: list[tuple[int, Appended]] = []
        self.runs = 0

    def start(self, path: Path, **options: Any) -> None:
        if "start" not in options:
            options.update(state=self.state, fallback="beginning")
        from limpet.following._follow_engine import FollowEngine
        from limpet.following._follow_keywords import make_options

        self.runs += 1
        self.thread = FollowThread(FollowEngine([path], make_options({"linger": 0.1, **options})))
        self.thread.start()

    def examine(self) -> None:
        assert self.thread is not None
        for _ in range(2):
            done = threading.Event()
            self.thread.fence(done.set)
            assert done.wait(PATIENCE)
            self.take()

    def take(self) -> None:
        until_sync(self.take_ready, "there is more to be read, and nothing comes")

    def take_ready(self) -> bool:
        """Take what is ready; return whether that was all."""
        assert self.thread is not None
        while (event := self.thread.pop()) is not None:
            if isinstance(event, Appended):
                event.commit()
                self.batches.append((self.runs, event))
        return not self.thread.stats().backlog

    def wait(self, seconds: float) -> None:
        until_sync(lambda: self.thread is None or self.thread.stats().generations < 2)
        self.take()

    def stop(self) -> None:
        assert self.thread is not None
        self.thread.close()

    def groups(self) -> list[list[str]]:
        groups: list[tuple[tuple[int, int], list[str]]] = []
        for run, batch in self.batches:
            key = (run, batch.generation)
            if not groups or groups[-1][0] != key:
                groups.append((key, []))
            groups[-1][1].extend(batch.lines)
        return [lines for _, lines in groups]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_rows_as_they_are_used(row: Row, tmp_path: Path) -> None:
    """The fault cases over the real watch, in the real thread."""
    (tmp_path / "logs").mkdir()
    subject = Threaded(tmp_path / "state")
    options = {name: value for name, value in row.options.items() if name != "linger"}
    linger = {"linger": 0.1} if "linger" in row.options else {"linger": 60.0}
    expected = row.play(Field(tmp_path / "logs", subject, {**options, **linger}))
    subject.examine()
    subject.stop()
    if row.number == 19 and subject.groups() == [["a0", "a1"], ["a0", "a1", "b0"]]:
        return  # it was examined while it was empty
    if row.number == 20 and subject.groups() == [["a0", "lost"], ["b0"]]:
        return  # it was quick enough to read what else is lost
    assert subject.groups() == expected
    assert not [batch for _, batch in subject.batches if isinstance(batch, Gap)]
