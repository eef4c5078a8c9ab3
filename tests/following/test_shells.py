"""The shells of a follower among event loops, forks and cancellation, and at its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import limpet
from limpet.following import Appended, Gap, WatchDegraded, _follower
from limpet.following._file_io import FileIO
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_thread import FollowThread
from tests.following.driver import append, write
from tests.waiting import PATIENCE, until_sync

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def p(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


def threads() -> int:
    return sum(one.name.startswith("limpet follow") for one in threading.enumerate())


# -- the last line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"flush_partial": 0.0}, {"flush_partial": 60.0}])
def test_the_last_line_without_an_end(p: Path, more: dict[str, Any]) -> None:
    """It comes when reading ends, with ``complete=False``; it is committed as well."""
    write(p, "a\nb")
    with limpet.follow(p, start="beginning", until="eof", **more).sync() as follower:
        batches = [one for one in follower.events() if isinstance(one, Appended)]
    assert [(one.lines, one.complete) for one in batches] == [(["a"], True), (["b"], False)]


def test_the_last_line_after_drain(p: Path, tmp_path: Path) -> None:
    """The next run reads on after it."""
    write(p, "a\nb")
    state = tmp_path / "state"
    with limpet.follow(p, state=state, fallback="beginning").sync() as follower:
        follower.drain()
        assert [line.text for line in follower] == ["a", "b"]
    append(p, "b\nc")
    with limpet.follow(p, state=state, until="eof").sync() as follower:
        assert [line.text for line in follower] == ["b", "c"]


# -- event loops -----------------------------------------------------------------------------------


def test_another_event_loop(p: Path) -> None:
    """It says at once that it cannot be woken there, and may be closed there."""
    write(p, "a\n")
    follower = limpet.follow(p, start="beginning")

    async def first() -> None:
        await follower.__aenter__()
        assert (await anext(follower)).text == "a"

    async def second() -> None:
        for ask in (anext(follower), anext(follower.events()), follower.fence(), follower.save()):
            with pytest.raises(RuntimeError, match="another event loop"):
                await ask
        with pytest.raises(RuntimeError, match="another event loop"):
            await follower.drain()
        await follower.aclose()

    asyncio.run(first())
    asyncio.run(second())
    assert threads() == 0


def test_started_again_in_another_event_loop(p: Path) -> None:
    """Once it is closed it belongs to nobody."""
    write(p, "a\n")
    follower = limpet.follow(p, start="beginning")

    async def use() -> str:
        async with follower:
            return str((await anext(follower)).text)

    assert [asyncio.run(use()) for _ in range(2)] == ["a", "a"]


@pytest.mark.anyio
async def test_anext_loses_nothing_when_it_is_cancelled(p: Path) -> None:
    """A follower is its own iterator, as a watch is."""
    write(p, "")
    async with limpet.follow(p, start="beginning") as follower:
        for number in range(20):
            with anyio.move_on_after(0.001 * (number % 3)):
                await anext(follower)
                pytest.fail("there is nothing yet")
        append(p, "a\nb\n")
        assert [(await anext(follower)).text for _ in range(2)] == ["a", "b"]
        assert aiter(follower) is not follower


# -- cancellation ----------------------------------------------------------------------------------


class Stuck(FileIO):
    """A disk that does not answer until it is let go."""

    go: threading.Event

    def stat(self, path: str) -> os.stat_result:
        self.go.wait(PATIENCE)
        return super().stat(path)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Any:
    go = threading.Event()
    monkeypatch.setattr(Stuck, "go", go, raising=False)
    monkeypatch.setattr("limpet.following._follow_engine.FileIO", Stuck)
    yield go
    go.set()
    until_sync(lambda: threads() == 0, "no thread is left")


@pytest.mark.anyio
async def test_a_start_obeys_cancellation(p: Path, tmp_path: Path, stuck: threading.Event) -> None:
    """Also while the disk does not answer; what was begun is freed, the lock too."""
    write(p, "a\n")
    state = tmp_path / "state"
    follower = limpet.follow(p, state=state, fallback="beginning")
    began = time.monotonic()
    with anyio.move_on_after(0.05) as scope:
        await follower.__aenter__()
    assert scope.cancelled_caught
    assert time.monotonic() - began < PATIENCE / 2
    stuck.set()
    await anyio.to_thread.run_sync(lambda: until_sync(lambda: threads() == 0))
    async with limpet.follow(p, state=state, fallback="beginning") as again:
        assert (await anext(again)).text == "a"


@pytest.mark.anyio
async def test_a_cancelled_block_saves_what_is_committed(p: Path, tmp_path: Path) -> None:
    """The save goes on for a while."""
    write(p, "a\nb\n")
    state = tmp_path / "state"
    with anyio.CancelScope() as scope:
        async with limpet.follow(p, state=state, fallback="beginning", commit="manual") as follower:
            batch = await anext(aiter(follower.batches()))
            batch.commit()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with limpet.follow(p, state=state, until="eof").sync() as script:
        assert list(script) == []


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["follower", "lines", "text", "batches", "events"])
async def test_a_cancelled_question_commits_what_was_returned(
    p: Path, tmp_path: Path, form: str
) -> None:
    """Asking for the next line is enough: no line comes again, and none is left out."""
    write(p, "a\nb\n")
    state = tmp_path / "state"
    follower = limpet.follow(p, state=state, fallback="beginning")
    async with follower:
        forms = {"follower": lambda: follower, "lines": lambda: aiter(follower)}
        questions: Any = forms.get(form) or getattr(follower, form)
        asked = questions()
        for _ in range(1 if form in ("batches", "events") else 2):
            await anext(asked)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(asked)
            pytest.fail("it was not cancelled")
    append(p, "c\n")
    with limpet.follow(p, state=state, until="eof").sync() as script:
        assert [line.text for line in script] == ["c"]


@pytest.mark.anyio
async def test_a_follower_closed_while_a_task_asks_commits_what_was_returned(
    p: Path, tmp_path: Path
) -> None:
    """Wherever the task is in asking: here just before it gets its turn."""
    write(p, "a\nb\n")
    state = tmp_path / "state"
    follower = await limpet.follow(p, state=state, fallback="beginning").aopen()
    texts = follower.text()
    assert [await anext(texts) for _ in range(2)] == ["a", "b"]

    asks = anyio.Event()

    async def ask() -> None:
        asks.set()
        async for text in texts:
            pytest.fail(f"{text} came again")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await asks.wait()
        await follower.aclose()
    with limpet.follow(p, state=state, until="eof").sync() as script:
        assert list(script) == []


# -- forks -----------------------------------------------------------------------------------------

FORKED = textwrap.dedent(
    """
    import os, sys, limpet, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    path, state = sys.argv[1:]
    follower = limpet.follow(path, state=state, fallback="beginning").sync()
    assert follower.next().lines == ["a"]
    child = os.fork()
    if not child:
        try:
            follower.next(timeout=1)
        except RuntimeError as error:
            assert "forked" in str(error), error
            follower.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with open(path, "a") as file:
        file.write("b\\n")
    assert next(follower.batches()).lines == ["b"]
    follower.save()
    follower.close()
    """
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_in_a_forked_child(p: Path, tmp_path: Path) -> None:
    """It says what is wrong; the parent's goes on, and its checkpoint is its own."""
    write(p, "a\n")
    subprocess.run(
        [sys.executable, "-c", FORKED, str(p), str(tmp_path / "state")],
        check=True,
        timeout=PATIENCE,
    )


# -- the synchronous twin --------------------------------------------------------------------------


def test_a_script_commits_and_waits_for_the_save(p: Path, tmp_path: Path) -> None:
    """As ``Follower.commit`` and ``save``."""
    write(p, "a\nb\n")
    state = tmp_path / "state"
    with limpet.follow(p, state=state, fallback="beginning", commit="manual").sync() as follower:
        batch = next(follower.batches())
        saves = follower.stats().saves
        follower.commit(batch)
        assert follower.stats().saves == saves + 1
        follower.save()


def test_left_open_in_a_script(p: Path) -> None:
    """It is freed with the object, and says so."""
    write(p, "a\n")
    held = [limpet.follow(p, start="beginning").sync()]
    assert held[0].next() is not None
    with pytest.warns(ResourceWarning, match="unclosed <SyncFollower"):
        held.clear()
    until_sync(lambda: threads() == 0)


# -- what is reported once -------------------------------------------------------------------------


def test_one_trouble_with_the_state_is_reported_once(p: Path, tmp_path: Path) -> None:
    """However often the save is tried; again only after one that worked."""
    folder = tmp_path / "folder"
    folder.mkdir()
    write(p, "0\n")
    seen: list[WatchDegraded] = []

    def take(follower: Any, line: str) -> None:
        append(p, f"{line}\n")
        while True:
            event = follower.next(timeout=PATIENCE)
            seen.extend([event] if isinstance(event, WatchDegraded) else [])
            if isinstance(event, Appended):
                event.commit()
                if line in event.lines:
                    return

    with limpet.follow(p, state=folder / "state", commit="manual").sync() as follower:
        take(follower, "first")
        follower.save()
        os.rename(folder, tmp_path / "away")
        for number in range(30):
            take(follower, str(number + 1))
        end = time.monotonic() + PATIENCE
        while not seen and time.monotonic() < end:  # a save is due once a second
            take(follower, f"x{time.monotonic()}")
        for number in range(30):
            take(follower, f"again {number}")
        assert len(seen) == 1
        os.rename(tmp_path / "away", folder)
        follower.save()


def test_events_that_nobody_takes_are_bounded_in_the_thread(p: Path) -> None:
    """What is passed on ahead of the consumer is bounded; the rest is added up where it waits."""
    thread = FollowThread(FollowEngine([p], limpet.FollowOptions()))
    for number in range(5000):
        thread.engine.state.report_gap_at(p, "unlinked", 1, number)
        thread._pass_on()
    total = 0
    while (event := thread.pop()) is not None:
        assert isinstance(event, Gap)
        total += event.bytes
    taken = total
    thread._pass_on()
    while (event := thread.pop()) is not None:
        assert isinstance(event, Gap)
        total += event.bytes
    assert taken <= 256
    assert total == 5000


def test_leaving_is_bounded_though_the_disk_hangs(p: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio's own cancel() is delivered once, in the block: saving waits some time from there."""
    answer = threading.Event()
    close = FollowThread.close

    def hang(thread: FollowThread) -> None:
        answer.wait()
        close(thread)

    monkeypatch.setattr(FollowThread, "close", hang)
    monkeypatch.setattr(_follower, "_PATIENCE_S", 0.1)

    async def main() -> None:
        began = asyncio.Event()

        async def use() -> None:
            async with limpet.follow(p):
                began.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(use())
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    answer.set()
    until_sync(lambda: threads() == 0)
