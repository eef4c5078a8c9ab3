"""A watch of several places under asyncio and trio: add, remove and stop while a task waits."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest

import limpet
from tests.waiting import PATIENCE, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def paths(events: list[limpet.Event], base: Path) -> list[str]:
    return [
        event.path.relative_to(base).as_posix()
        for event in events
        if isinstance(event, limpet.EntryEvent)
    ]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    return tmp_path


async def test_a_waiting_task_gets_the_events_of_all_places(base: Path) -> None:
    events: list[limpet.Event] = []

    async def take(watch: limpet.MultiWatch) -> None:
        async for event in watch:
            events.append(event)

    with anyio.fail_after(PATIENCE):
        async with (
            limpet.watch(base / "a", base / "b") as watch,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(take, watch)
            (base / "b" / "1").write_text("")
            await until(lambda: paths(events, base) == ["b/1"])
            await watch.add(base / "c")
            (base / "c" / "2").write_text("")
            await until(lambda: paths(events, base) == ["b/1", "c/2"])
            (base / "c" / "2").rename(base / "a" / "2")
            await until(lambda: paths(events, base) == ["b/1", "c/2", "a/2"])
            assert isinstance(events[-1], limpet.FileRenamed)
            await watch.remove(base / "c")
            (base / "c" / "3").write_text("")
            (base / "a" / "4").write_text("")
            await until(lambda: paths(events, base)[3:] == ["a/4"])
            watch.stop()
        assert [event.seq for event in events] == [1, 2, 3, 4]


async def test_stop_from_a_thread_ends_every_iteration(base: Path) -> None:
    for make in (limpet.watch, limpet.watch_dir):
        ended: list[str] = []

        async def take(watch: limpet.Watch | limpet.MultiWatch, ended: list[str] = ended) -> None:
            async for _ in watch:
                pass
            ended.append("events")

        async def take_batches(
            watch: limpet.Watch | limpet.MultiWatch, ended: list[str] = ended
        ) -> None:
            async for _ in watch.batches():
                pass
            ended.append("batches")

        with anyio.fail_after(PATIENCE):
            async with make(base / "a") as watch, anyio.create_task_group() as tasks:
                tasks.start_soon(take, watch)
                tasks.start_soon(take_batches, watch)
                threading.Timer(0.05, watch.stop).start()
        assert sorted(ended) == ["batches", "events"]
        watch.stop()  # it does not run: nothing happens


async def test_what_is_ready_is_handed_out_after_stop(base: Path) -> None:
    async with limpet.watch(base / "a") as watch:
        (base / "a" / "1").write_text("")
        await watch.fence()
        watch.stop()
        assert paths([event async for event in watch], base) == ["a/1"]


async def test_a_failed_place_starts_nothing(base: Path) -> None:
    watch = limpet.watch(base / "a", limpet.Dir(base / "no", must_exist=True))
    with pytest.raises(limpet.UsageError, match="must_exist"):
        async with watch:
            pass
    await watch.remove(base / "no")
    async with watch:
        (base / "a" / "1").write_text("")
        assert paths([await anext(watch)], base) == ["a/1"]


async def test_one_place_that_fails_does_not_stop_the_others(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limpet.watch(base / "a", base / "b") as watch:
        core = watch._core
        assert core is not None
        bad = core._members[0].watcher

        def fail(**_: object) -> None:
            message = "the disk is broken"
            raise RuntimeError(message)

        monkeypatch.setattr(bad, "examine_in_group", fail)
        (base / "b" / "1").write_text("")
        with pytest.raises(RuntimeError, match="broken"):
            await watch.fence()
        assert paths([await anext(watch)], base) == ["b/1"]
