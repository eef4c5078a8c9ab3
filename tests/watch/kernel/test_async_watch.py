"""The shells: cancelled, shared, paused, left in the middle; nothing is lost, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import limpet
from limpet.backends import HintRouter, PendingHints
from limpet.backends._hint_router import HINT_LIMIT
from limpet.testing import check_stream, describe, listing
from limpet.watching._dir_watcher import DirWatcher
from limpet.watching._loop_dispatcher import LoopDispatcher
from limpet.watching._watcher import Watcher
from limpet.watching.index._fs import FileSystemCalls
from tests.waiting import PATIENCE, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""Native cancellation is a thing of asyncio."""


def descriptors() -> list[str]:
    """Name what this process holds open, apart from pipes and files of others."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").partition(":[")[0])
        except OSError:
            continue
    return sorted(found)


def marks() -> int:
    """Count the marks of all kernel instances of this process."""
    count = 0
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            text = Path(f"/proc/self/fdinfo/{name}").read_text()
        except OSError:
            continue
        count += sum(line.startswith(("inotify wd", "fanotify ino")) for line in text.splitlines())
    return count


def threads_of_ours() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and "worker" not in thread.name.lower()
    ]


class PendingFile:
    """What this process holds; afterwards, what it holds beyond that."""

    def __init__(self) -> None:
        gc.collect()
        self.before = self.count()

    @staticmethod
    def count() -> Counter[str]:
        return Counter(descriptors()) + Counter(mark=marks()) + Counter(threads_of_ours())

    def left(self) -> Counter[str]:
        return self.count() - self.before


def pop_all(watch: limpet.Watch) -> list[limpet.Event]:
    core = watch._core
    assert core is not None
    return core.pop_all()


def big_tree(root: Path, folders: int = 300) -> Path:
    for number in range(folders):
        (root / f"d{number}").mkdir(parents=True)
        (root / f"d{number}" / "f").touch()
    return root


async def settle() -> None:
    """Let every task go as far as it can without a hint from outside (threads aside)."""
    await anyio.wait_all_tasks_blocked()


CHURN = textwrap.dedent("""
    import os, random, shutil, sys
    root, chance = sys.argv[1], random.Random(int(sys.argv[2]))
    for step in range(2500):
        path = os.path.join(root, *[chance.choice("abc") for _ in range(chance.randint(1, 3))])
        try:
            match chance.randint(0, 4):
                case 0: os.makedirs(path)
                case 1: open(path, "a").write("x")
                case 2: os.replace(path, os.path.join(root, chance.choice("abcdef")))
                case 3: shutil.rmtree(path)
                case 4: os.unlink(path)
        except OSError:
            pass
""")


# -- cancellation ----------------------------------------------------------------------------------


async def consume(watch: limpet.Watch, events: list[limpet.Event], last: str, how: str) -> None:
    """Take events with waits that are cancelled at random moments, up to the name ``last``."""
    chance = random.Random(3)

    async def take() -> None:
        events.append(await watch.__anext__())

    with anyio.fail_after(PATIENCE * 2):
        while not events or getattr(events[-1], "path", Path()).name != last:
            delay = chance.choice([0, 0, 0.00001, 0.0001, 0.0005, 0.001, 0.003])
            if how == "scope":
                with anyio.move_on_after(delay):
                    await take()
            elif how == "wait_for":
                try:
                    events.append(await asyncio.wait_for(watch.__anext__(), delay or 0.00001))
                except TimeoutError:
                    pass
            else:
                task = asyncio.ensure_future(take())
                for _ in range(chance.randint(0, 6)):
                    await asyncio.sleep(0)
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.wait([task])


@pytest.mark.parametrize(
    ("anyio_backend", "how"),
    [("asyncio", "scope"), ("asyncio", "wait_for"), ("asyncio", "native"), ("trio", "scope")],
)
@pytest.mark.parametrize("seed", [1, 2])
async def test_cancelled_waits_lose_and_double_nothing(
    tmp_path: Path, backend: Any, how: str, seed: int, anyio_backend: str
) -> None:
    """W87, L1, L2: an event that was not handed over comes with the next call."""
    events: list[limpet.Event] = []
    command = [sys.executable, "-c", CHURN, str(tmp_path), str(seed)]
    async with limpet.watch_dir(tmp_path, backend=backend, poll_interval=0.02) as watch:
        start = watch.entries()

        async def work() -> None:
            await anyio.run_process(command)
            (tmp_path / "last one").touch()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await consume(watch, events, "last one", how)
        await watch.fence()
        events += pop_all(watch)
        assert check_stream(events, start).entries == listing(tmp_path)


async def test_a_cancelled_fence_loses_nothing(tmp_path: Path, backend: Any) -> None:
    """L1: what a fence found before it was cancelled is handed out by what comes next."""
    async with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600) as watch:
        start = watch.entries()
        for number in range(60):
            (tmp_path / str(number)).touch()
            with anyio.move_on_after(0.0002 * (number % 4)):
                await watch.fence()
        await watch.fence()
        assert check_stream(pop_all(watch), start).entries == listing(tmp_path)


# -- several tasks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 6])
async def test_several_tasks_iterate_one_watch(
    tmp_path: Path, kernel_backend: Any, count: int
) -> None:
    """Watch: each event goes to one of the tasks, and every task gets to work."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
        start = watch.entries()
        events: list[limpet.Event] = []

        async def take() -> None:
            async for event in watch:
                events.append(event)
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(take)
                await settle()
                for number in range(50):
                    (tmp_path / str(number)).touch()
                    if number % 7 == 0:
                        await anyio.sleep(0)
                await until(lambda: len(events) >= 50)
                tasks.cancel_scope.cancel()
        events.sort(key=lambda event: event.seq)
        assert check_stream(events, start).entries == listing(tmp_path)


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_as_many_events_as_tasks_that_wait(
    tmp_path: Path, kernel_backend: Any, count: int
) -> None:
    """L5: when one scan finds an event for each of the waiting tasks, each gets one."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
        got: list[str] = []

        async def take_one() -> None:
            got.append(describe(await anext(watch)))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(take_one)
                await settle()
                for number in range(count):
                    (tmp_path / str(number)).touch()
        assert sorted(got) == [f"FileCreated {number}" for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("others", [0, 1])
async def test_leaving_while_tasks_wait(
    tmp_path: Path, backend: Any, count: int, others: int
) -> None:
    """W83: who waits for an event when the block is left gets StopAsyncIteration."""
    ended: list[int] = []
    (tmp_path / "other").mkdir()

    async def take(watch: limpet.Watch, number: int) -> None:
        async for _ in watch:
            pass
        ended.append(number)

    options: Any = {"backend": backend, "poll_interval": 3600}
    (tmp_path / "place").mkdir()
    async with anyio.create_task_group() as tasks:
        async with limpet.watch_dir(tmp_path / "other", **options) as other:
            if others:
                tasks.start_soon(take, other, -1)
                await settle()
            # Leaving is shielded: a hang shows by the test's own timeout.
            async with limpet.watch_dir(tmp_path / "place", **options) as watch:
                for number in range(count):
                    tasks.start_soon(take, watch, number)
                await settle()
            await until(lambda: len(ended) == count)
        tasks.cancel_scope.cancel()


async def test_leaving_while_a_task_works_on_an_event(tmp_path: Path, kernel_backend: Any) -> None:
    """W83: a task's loop over the events ends, too, if it was not waiting when the block was left.

    Else it hangs on the moment whether ``async for`` ends or raises.
    """
    at_work, go_on = anyio.Event(), anyio.Event()
    ended = []

    async def take(watch: limpet.Watch) -> None:
        async for _ in watch:
            at_work.set()
            await go_on.wait()
        ended.append(True)

    async with anyio.create_task_group() as tasks:
        async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
            tasks.start_soon(take, watch)
            await settle()
            (tmp_path / "f").touch()
            await at_work.wait()
        go_on.set()
    assert ended == [True]


@pytest.mark.parametrize("fenced", ["poll", "fanotify", "inotify"])
async def test_a_fence_wakes_the_task_that_iterates(tmp_path: Path, fenced: Any) -> None:
    """fence: what it made ready is delivered to who waits, without another change."""
    async with limpet.watch_dir(tmp_path, backend=fenced, poll_interval=3600) as watch:
        got: list[str] = []

        async def take() -> None:
            got.extend([describe(await anext(watch)), describe(await anext(watch))])

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                await settle()
                (tmp_path / "a").touch()
                await watch.fence()
                await until(lambda: got or watch.stats().events)
                (tmp_path / "b").touch()
                await watch.fence()
        assert got == ["FileCreated a", "FileCreated b"]


@pytest.mark.parametrize("fenced", ["poll", "fanotify", "inotify"])
async def test_a_fence_wakes_a_task_that_does_not_lead(tmp_path: Path, fenced: Any) -> None:
    """fence: the same when another watch's task waits for the hub in its stead."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    options: Any = {"backend": fenced, "poll_interval": 3600}
    async with (
        limpet.watch_dir(tmp_path / "a", **options) as first,
        limpet.watch_dir(tmp_path / "b", **options) as second,
    ):
        got: list[str] = []

        async def take(watch: limpet.Watch) -> None:
            got.append(describe(await anext(watch)))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take, first)
                await settle()
                tasks.start_soon(take, second)
                await settle()
                (tmp_path / "b" / "f").touch()
                await second.fence()
                await until(lambda: got)
                (tmp_path / "a" / "g").touch()
                await first.fence()
        assert got == ["FileCreated f", "FileCreated g"]


async def test_a_leader_that_is_cancelled_is_followed(tmp_path: Path, kernel_backend: Any) -> None:
    """L5: the tasks that wait go on when the one that waits for all of them is cancelled."""
    names = [str(number) for number in range(5)]
    for name in names:
        (tmp_path / name).mkdir()
    got: list[str] = []
    scopes: list[anyio.CancelScope] = []

    async def take(name: str) -> None:
        async with limpet.watch_dir(tmp_path / name, backend=kernel_backend) as watch:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                async for _ in watch:
                    got.append(name)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(take, name)
            await until(lambda: len(scopes) == int(name) + 1)  # noqa: B023
            await settle()
        for number, name in enumerate(names):
            (tmp_path / name / "f").touch()
            await until(lambda: name in got)  # noqa: B023
            scopes[number].cancel()
            await settle()
        tasks.cancel_scope.cancel()
    assert got == names


# -- entering and leaving --------------------------------------------------------------------------


async def test_nothing_is_left_after_the_block(tmp_path: Path, backend: Any) -> None:
    """W83, W84: no descriptor, mark, thread or task of ours, many times over."""
    big_tree(tmp_path, 5)

    async def once() -> None:
        async with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600) as watch:
            (tmp_path / "x").touch()
            await watch.fence()
            (tmp_path / "x").unlink()

    await once()
    held, tasks = PendingFile(), len(anyio.get_running_tasks())
    for _ in range(10 if backend == "watchfiles" else 50):
        await once()
        if backend == "watchfiles":
            await freed(held)  # its notifier frees its descriptors in a thread of its own
        assert not held.left()
        assert len(anyio.get_running_tasks()) == tasks


async def test_entering_is_cancelled(tmp_path: Path, kernel_backend: Any) -> None:
    """W83: a start that was cancelled at any moment leaves nothing behind."""
    big_tree(tmp_path)

    async def once(delay: float) -> None:
        with anyio.move_on_after(delay):
            async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
                await anext(watch)

    await once(1)
    held = PendingFile()
    for number in range(40):
        await once(number * 0.0004)
        assert not held.left()


@only_asyncio
async def test_entering_is_cancelled_natively(tmp_path: Path, kernel_backend: Any) -> None:
    """W83: the same by ``task.cancel()``, which no shield of anyio's holds back."""
    big_tree(tmp_path)

    async def enter() -> None:
        async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
            await anext(watch)

    async def once(number: int) -> None:
        task = asyncio.ensure_future(enter())
        for _ in range(number % 12):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0005 * (number // 12))
        task.cancel()
        await asyncio.wait([task])

    await once(1000)
    held = PendingFile()
    for number in range(120):
        await once(number)
    await until(lambda: not held.left())


@only_asyncio
async def test_entering_is_cancelled_before_its_thread_began(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W83: a start that a slow thread begins only after the watch was closed does nothing."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    start = Watcher.start

    def late(core: Watcher) -> None:
        begun.set()
        go.wait(PATIENCE)
        try:
            start(core)
        finally:
            done.set()

    async with limpet.watch_dir(tmp_path, backend=kernel_backend):
        pass
    held = PendingFile()
    monkeypatch.setattr(Watcher, "start", late)
    watch = limpet.watch_dir(tmp_path, backend=kernel_backend)
    task = asyncio.ensure_future(watch.__aenter__())
    await until(begun.is_set)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    go.set()
    await until(done.is_set)
    gc.collect()
    assert not held.left()


@only_asyncio
@pytest.mark.parametrize("steps", range(1, 9))
async def test_leaving_is_cancelled_natively(
    tmp_path: Path, kernel_backend: Any, steps: int
) -> None:
    """Stopping: ``task.cancel()`` while the block is left keeps nothing from being freed."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend):
        pass
    held = PendingFile()
    for _ in range(10):
        watch = await limpet.watch_dir(tmp_path, backend=kernel_backend).__aenter__()
        task = asyncio.ensure_future(watch.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del watch, task
    await freed(held)


async def freed(held: PendingFile) -> None:
    """A thread that was left behind by a native cancellation may take a moment to finish."""
    gc.collect()
    await until(lambda: not held.left(), "what the watch held is free")


@only_asyncio
async def test_leaving_is_cancelled_natively_while_a_task_waits(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """Stopping: the same while leaving waits for the task that iterates."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend):
        pass
    held = PendingFile()

    async def take(watch: limpet.Watch) -> None:
        async for _ in watch:
            pass

    for steps in range(1, 9):
        watch = await limpet.watch_dir(tmp_path, backend=kernel_backend).__aenter__()
        taking = asyncio.ensure_future(take(watch))
        await settle()
        task = asyncio.ensure_future(watch.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task, taking], timeout=PATIENCE)
        assert taking.done()
        del watch, task, taking
    await freed(held)


async def test_leaving_is_cancelled_by_a_scope(tmp_path: Path, kernel_backend: Any) -> None:
    """Stopping: a scope that was cancelled already does not keep anything from being freed."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend):
        pass
    held = PendingFile()
    for _ in range(10):
        with anyio.CancelScope() as scope:
            async with limpet.watch_dir(tmp_path, backend=kernel_backend):
                scope.cancel()
        assert not held.left()


async def test_leaving_ends_a_scan_that_is_under_way(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W83: leaving does not wait for a long scan; it is left off."""
    big_tree(tmp_path / "in", 5)
    opened, given_up, waiting = threading.Event(), threading.Event(), threading.Event()
    cores: list[Watcher] = []
    plain = FileSystemCalls.open

    def slow(disk: FileSystemCalls, path: str, *, follow: bool = False) -> Any:
        if opened.is_set() and "/moved" in path and cores:
            waiting.set()
            for _ in range(2000):
                tree = cores[0]._context
                if tree is not None and tree.stopping:
                    break
                given_up.wait(0.001)
            else:
                given_up.set()
        return plain(disk, path, follow=follow)

    monkeypatch.setattr(FileSystemCalls, "open", slow)
    (tmp_path / "place").mkdir()

    async def take(watch: limpet.Watch) -> None:
        with contextlib.suppress(RuntimeError):  # another test's promise
            async for _ in watch:
                pass

    async with anyio.create_task_group() as tasks:
        async with limpet.watch_dir(tmp_path / "place", backend=kernel_backend) as watch:
            core = watch._core
            assert core is not None
            cores.append(core)
            tasks.start_soon(take, watch)
            await settle()
            opened.set()
            (tmp_path / "in").rename(tmp_path / "place" / "moved")
            await until(waiting.is_set)
    assert not given_up.is_set()


async def test_an_exception_comes_out_as_it_is(tmp_path: Path, backend: Any) -> None:
    """Watch: no exception group is made of what the block raises."""
    with pytest.raises(LookupError, match="mine") as caught:
        async with limpet.watch_dir(tmp_path, backend=backend):
            raise LookupError("mine")
    assert caught.type is LookupError
    assert not isinstance(caught.value, BaseExceptionGroup)


async def test_outside_of_its_block(tmp_path: Path) -> None:
    """Watch: before and after the block every use is a RuntimeError that says what to do."""
    watch = limpet.watch_dir(tmp_path)
    for _ in range(2):
        for use in (watch.__anext__, watch.fence, anext_batch(watch)):
            with pytest.raises(RuntimeError, match="async with"):
                await use()
        with pytest.raises(RuntimeError, match="async with"):
            watch.entries()
        with pytest.raises(RuntimeError, match="async with"):
            watch.stats()
        await watch.aclose()
        async with watch:
            with pytest.raises(RuntimeError, match="already"):
                await watch.__aenter__()
            (tmp_path / "f").touch()
            with anyio.fail_after(PATIENCE):
                await anext(watch)
            (tmp_path / "f").unlink()


def anext_batch(watch: limpet.Watch) -> Callable[[], Any]:
    return lambda: anext(watch.batches())


async def test_entered_again(tmp_path: Path, backend: Any) -> None:
    """Starting and stopping: a watch can be started again, and counts from 1 again."""
    watch = limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600)
    for number in range(5):
        (tmp_path / f"before{number}").touch()
        async with watch:
            assert watch.entries() == listing(tmp_path)
            (tmp_path / f"in{number}").touch()
            await watch.fence()
            with anyio.fail_after(PATIENCE):
                event = await anext(watch)
            assert (event.seq, describe(event)) == (1, f"FileCreated in{number}")


async def close(batches: Any) -> None:
    if hasattr(batches, "aclose"):
        await batches.aclose()


async def test_a_loop_over_batches_is_left(tmp_path: Path, kernel_backend: Any) -> None:
    """batches: break needs no clean-up of the caller's, on any event loop (no async generator)."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
        (tmp_path / "f").touch()
        with anyio.fail_after(PATIENCE):
            async for batch in watch.batches():
                assert batch
                break
        gc.collect()
        with anyio.move_on_after(0):
            async for _ in watch.batches():
                break
        gc.collect()
        await anyio.lowlevel.checkpoint()


async def test_batches(tmp_path: Path, kernel_backend: Any) -> None:
    """batches: all that is ready, in order, never an empty list; a cancelled wait loses nothing."""
    async with limpet.watch_dir(tmp_path, backend=kernel_backend) as watch:
        start = watch.entries()
        events: list[limpet.Event] = []
        for number in range(100):
            (tmp_path / str(number)).touch()
            with anyio.move_on_after(0.001 * (number % 3)):
                batches = watch.batches()
                try:
                    batch = await anext(batches)
                    assert batch
                    events += batch
                finally:
                    await close(batches)
        with anyio.fail_after(PATIENCE):
            batches = watch.batches()
            while len(events) < 100:
                batch = await anext(batches)
                assert batch
                events += batch
            await close(batches)
        assert check_stream(events, start).entries == listing(tmp_path)


# -- threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers_at_once", [True, False])
async def test_the_loop_never_waits_for_the_disk(
    tmp_path: Path, backend: Any, answers_at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L5: of all that reads the disk, only a look at a few names of a file system that the kernel
    keeps itself runs in the thread of the event loop.
    """
    mine, wrong, names = threading.get_ident(), [], []
    traits = FileSystemCalls.traits

    def changed(self: FileSystemCalls, path: str) -> Any:
        return traits(self, path)._replace(answers_at_once=answers_at_once)

    monkeypatch.setattr(FileSystemCalls, "traits", changed)

    def spy(name: str) -> None:
        plain = getattr(FileSystemCalls, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == mine:
                wrong.append(name)
                if name == "records_in":
                    names.append(len(args[3]))
            return plain(*args, **kwargs)

        monkeypatch.setattr(FileSystemCalls, name, call)

    for name in ("open", "close", "stat", "stat_at", "records", "records_in", "read", "stat_path"):
        spy(name)
    big_tree(tmp_path, 5)
    async with limpet.watch_dir(tmp_path, backend=backend, poll_interval=0.02) as watch:
        for number in range(5):
            (tmp_path / "d1" / str(number)).touch()
            with anyio.fail_after(PATIENCE):
                await anext(watch)
        await watch.fence()
        for number in range(3000):
            (tmp_path / "d2" / str(number)).touch()
        seen = 0
        with anyio.fail_after(PATIENCE):
            async for batch in watch.batches():
                seen += len(batch)
                if seen == 3000:
                    break
        watch.entries()
        watch.stats()
    if backend in {"fanotify", "inotify"} and answers_at_once:
        assert set(wrong) == {"records_in"}
        assert max(names) <= 256
    else:
        assert wrong == []


async def test_a_turn_of_the_loop_is_short_however_many_watches_there_are(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L5: what 256 names leave over is examined in the next turn, and none is left out."""
    turns: list[int] = []
    plain_all, plain = LoopDispatcher._examine_all, LoopDispatcher._examine

    def examine_all(self: LoopDispatcher) -> None:
        turns.append(0)
        plain_all(self)

    def examine(self: LoopDispatcher, watcher: Any, waiter: Any, names: int, now: float) -> None:
        turns[-1] += names if names <= 256 else 0  # more of one watch goes to a thread
        plain(self, watcher, waiter, names, now)

    monkeypatch.setattr(LoopDispatcher, "_examine_all", examine_all)
    monkeypatch.setattr(LoopDispatcher, "_examine", examine)
    counts = [0] * 12
    async with contextlib.AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        watches = [
            await stack.enter_async_context(limpet.watch_dir(tmp_path, backend=kernel_backend))
            for _ in counts
        ]

        async def count(number: int) -> None:
            async for batch in watches[number].batches():
                counts[number] += len(batch)

        for number in range(len(counts)):
            tasks.start_soon(count, number)
        await settle()
        for number in range(150):
            (tmp_path / str(number)).touch()
        await until(lambda: counts == [150] * len(counts), lambda: f"{counts}")
        tasks.cancel_scope.cancel()
    assert max(turns) <= 256
    assert sum(turns) >= 150


async def test_many_watches_leave_the_threads_to_the_program(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """W88: sixty watches that wait hold no token of anyio's thread limit."""
    async with anyio.create_task_group() as tasks:
        started: list[limpet.Watch] = []

        async def take(place: Path) -> None:
            async with limpet.watch_dir(place, backend=kernel_backend) as watch:
                started.append(watch)
                async for _ in watch:
                    pass

        for number in range(60):
            (tmp_path / str(number)).mkdir()
            tasks.start_soon(take, tmp_path / str(number))
        await until(lambda: len(started) == 60)
        await settle()
        limiter = anyio.to_thread.current_default_thread_limiter()
        assert limiter.borrowed_tokens == 0
        together = threading.Barrier(int(limiter.total_tokens))
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for _ in range(int(limiter.total_tokens)):
                    calls.start_soon(anyio.to_thread.run_sync, lambda: together.wait())
        tasks.cancel_scope.cancel()


# -- a paused consumer -----------------------------------------------------------------------------


async def test_one_consumer_pauses_and_the_other_goes_on(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """L4, L1: the paused one costs nothing but its marks, and catches up."""
    resource: Any = pytest.importorskip("resource", reason="no module resource")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    async with (
        limpet.watch_dir(tmp_path / "a", backend=kernel_backend) as paused,
        limpet.watch_dir(tmp_path / "b", backend=kernel_backend) as busy,
    ):
        start = paused.entries()
        got: list[str] = []

        async def take() -> None:
            async for event in busy:
                got.append(describe(event))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await settle()
            for number in range(3000):
                (tmp_path / "a" / str(number)).touch()
                (tmp_path / "a" / str(number)).unlink()
                (tmp_path / "a" / "same").write_text(str(number))
            (tmp_path / "b" / "f").touch()
            await until(lambda: got)

            def work() -> tuple[int, int]:
                return busy.stats().scans, paused.stats().scans

            with anyio.fail_after(PATIENCE):  # a busy loop never comes to rest
                while True:
                    before, switches = work(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
                    await anyio.sleep(0.3)
                    idle = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - switches < 30
                    if work() == before and idle:
                        break
            assert paused.stats().scans == 0
            tasks.cancel_scope.cancel()
        await paused.fence()
        assert check_stream(pop_all(paused), start).entries == listing(tmp_path / "a")


async def test_renames_do_not_pile_up_for_a_paused_consumer(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """L4: memory is bounded by the tree, not by the traffic; renames to and fro are traffic."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, two = str(tmp_path / "a" / "one"), str(tmp_path / "a" / "two")
    Path(one).touch()
    async with (
        limpet.watch_dir(tmp_path / "a", backend=kernel_backend) as paused,
        limpet.watch_dir(tmp_path / "b", backend=kernel_backend) as busy,
    ):
        start = paused.entries()
        core = paused._core
        assert core is not None
        for _ in range(60):
            for _ in range(2000):
                os.replace(one, two)
                os.replace(two, one)
            await busy.fence()
        assert len(core.hints.moves) <= HINT_LIMIT
        await paused.fence()
        assert check_stream(pop_all(paused), start).entries == listing(tmp_path / "a")


# -- the synchronous twin --------------------------------------------------------------------------


@pytest.fixture
def fresh() -> Iterator[None]:
    held = PendingFile()
    yield
    gc.collect()
    assert not held.left()


@pytest.mark.usefixtures("fresh")
def test_sync_break(tmp_path: Path, kernel_backend: Any) -> None:
    """SyncWatch: a loop that was left by break frees everything."""
    for _ in range(20):
        (tmp_path / "x").touch()
        for event in limpet.watch_dir(tmp_path, backend=kernel_backend, existing=True).sync():
            assert event.seq == 1
            break


@pytest.mark.usefixtures("fresh")
def test_sync_close_ends_the_loop(tmp_path: Path, kernel_backend: Any) -> None:
    """SyncWatch: "ends with the loop's end or ``close``": after it the loop is over."""
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    watch = limpet.watch_dir(tmp_path, backend=kernel_backend, existing=True).sync()
    got = []
    try:
        for event in watch:
            got.append(describe(event))
            assert len(got) == 1, "it started again"
            watch.close()
            watch.close()
    finally:
        watch.close()
    assert len(got) == 1


@pytest.mark.usefixtures("fresh")
def test_sync_batches_end_with_close(tmp_path: Path, kernel_backend: Any) -> None:
    """SyncWatch: the same for batches."""
    (tmp_path / "a").touch()
    watch = limpet.watch_dir(tmp_path, backend=kernel_backend, existing=True).sync()
    for batch in watch.batches():
        assert batch
        watch.close()


@pytest.mark.usefixtures("fresh")
def test_sync_is_interrupted(tmp_path: Path, kernel_backend: Any) -> None:
    """SyncWatch: KeyboardInterrupt comes out of a wait, loses nothing, and close frees all."""

    class Interrupt(KeyboardInterrupt):
        pass

    def interrupt(*args: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
            for number in range(5):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(Interrupt):
                    watch.next(PATIENCE)
                (tmp_path / str(number)).touch()
                assert [describe(event) for event in watch.fence()] == [f"FileCreated {number}"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_sync_is_interrupted_in_a_scan(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L1: a scan that Ctrl-C broke off takes no change with it."""
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        start = watch.entries()
        plain, armed = FileSystemCalls.records_in, [False]

        def records_in(disk: FileSystemCalls, path: str, *args: Any, **options: Any) -> Any:
            if armed[0] and "f" in args[1]:
                armed[0] = False
                raise KeyboardInterrupt
            return plain(disk, path, *args, **options)

        monkeypatch.setattr(FileSystemCalls, "records_in", records_in)
        (tmp_path / "e").touch()
        (tmp_path / "f").touch()
        (tmp_path / "g").touch()
        armed[0] = True
        with pytest.raises(KeyboardInterrupt):
            watch.fence()
        events = watch.fence()
        assert check_stream(events, start).entries == listing(tmp_path)


def test_sync_with_many_open_descriptors(tmp_path: Path, kernel_backend: Any) -> None:
    """W90: a program with more than 1,024 descriptors can wait too (select(2) cannot)."""
    resource: Any = pytest.importorskip("resource", reason="no module resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1300:
        pytest.skip("the limit of open files is too low to try")
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
            (tmp_path / "f").touch()
            event = watch.next(PATIENCE)
            assert event is not None
            assert describe(event) == "FileCreated f"
            assert watch.next(0.01) is None
    finally:
        for fd in held:
            os.close(fd)


def test_sync_program_ends_with_its_watch_open(tmp_path: Path, backend: Any) -> None:
    """W84: a program may end with a watch still running."""
    script = textwrap.dedent("""
        import sys, limpet
        watch = limpet.watch_dir(sys.argv[2], backend=sys.argv[1], existing=True).sync()
        print(next(iter(watch)).seq)
    """)
    (tmp_path / "f").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, backend, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_the_hub_is_closed_twice(tmp_path: Path) -> None:
    """Stopping may be asked for twice, down to the hub."""
    router = HintRouter()
    core = Watcher(tmp_path, limpet.watch_dir(tmp_path).options, "dir", router)
    core.start()
    core.close()
    core.close()
    router.close()


@pytest.mark.parametrize("settle", [0.0, 0.05])
async def test_a_scan_whose_task_was_cancelled_wakes_who_waits_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settle: float
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    examine = DirWatcher.examine

    def slow(self: DirWatcher, hints: PendingHints, *, force: bool = False) -> None:
        begun.set()
        may_go_on.wait(PATIENCE)
        examine(self, hints, force=force)

    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").touch()
    (tmp_path / "in").mkdir()
    async with limpet.watch_dir(tmp_path / "in", settle=settle) as watch:
        core = watch._core
        assert core is not None
        monkeypatch.setattr(DirWatcher, "examine", slow)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.__anext__)
            tree.rename(tmp_path / "in" / "tree")
            await until(begun.is_set)
            tasks.cancel_scope.cancel()
        found: list[str] = []

        async def take() -> None:
            while len(found) < 2:
                event = await anext(watch)
                assert isinstance(event, limpet.EntryEvent)
                found.append(event.path.name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await until(lambda: core.hints.awaited)
            may_go_on.set()
            await until(lambda: len(found) == 2)
    assert found == ["tree", "a"]
