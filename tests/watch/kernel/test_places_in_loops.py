"""A watch of several places under asyncio and trio: add, remove and stop while a task waits."""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import limpet
from limpet.testing import check_stream, listing
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
            await until(lambda: "a/2" in paths(events, base))
            if sys.platform == "linux":  # elsewhere each place has a source of its own
                assert isinstance(events[-1], limpet.FileRenamed)
            await watch.remove(base / "c")
            (base / "c" / "3").write_text("")
            (base / "a" / "4").write_text("")
            await until(lambda: "a/4" in paths(events, base))
            watch.stop()
        assert "c/3" not in paths(events, base)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))


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


PLACES = ("a", "b", "c", "a/n")


def storm(base: Path, number: int, rng: random.Random) -> None:
    """Create, rename, delete and replace in and between the places, and the places themselves."""

    def path() -> Path:
        found = base / rng.choice(PLACES)
        for _ in range(rng.randint(1, 3)):
            found /= rng.choice("wxyz")
        return found

    def write() -> None:
        made = path()
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("x")

    def replace_place() -> None:
        place = base / rng.choice("abc")
        shutil.rmtree(place)
        place.mkdir()

    def move_place() -> None:
        (base / rng.choice("abc")).rename(base / rng.choice("abc") / "w" / "x")

    steps: list[Callable[[], object]] = [
        *[write] * 5, *[lambda: path().rename(path())] * 8,
        *[lambda: path().mkdir(parents=True)] * 2, *[lambda: path().unlink()] * 2,
        lambda: shutil.rmtree(path()), replace_place, move_place,
    ]  # fmt: skip
    for _ in range(number):
        with contextlib.suppress(OSError):
            rng.choice(steps)()


def on_disk(base: Path) -> dict[Path, Any]:
    """Return what a watch of the places and of the file ``a/w`` must show."""
    found: dict[Path, Any] = {}
    for place in PLACES:
        found.update(listing(base / place))
    inner, file = base / "a" / "n", base / "a" / "w"
    found = {
        path: kind
        for path, kind in found.items()
        if not path.is_relative_to(file) and (inner.is_dir() or not path.is_relative_to(inner))
    }
    return {**found, file: "file"} if file.is_file() else found


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_in_and_between_places(base: Path, backend: Any, seed: int) -> None:
    """L1 and L2 while it goes on: also where an outer place is examined before the inner one."""
    if sys.platform == "win32" and backend == "watchfiles":
        pytest.skip("under Wine its handle keeps a folder that was deleted under its name")
    places: list[limpet.Dir | limpet.File] = [limpet.Dir(base / one) for one in PLACES]
    places.append(limpet.File(base / "a" / "w"))
    events: list[limpet.Event] = []

    async def take(watch: limpet.MultiWatch) -> None:
        async for batch in watch.batches():
            events.extend(batch)

    options: dict[str, Any] = {"backend": backend, "poll_interval": 0.02, "default_ignores": False}
    async with limpet.watch(*places, **options) as watch, anyio.create_task_group() as tasks:
        start = watch.entries()
        tasks.start_soon(take, watch)
        await anyio.to_thread.run_sync(storm, base, 400, random.Random(seed))
        with anyio.fail_after(PATIENCE):
            while check_stream(events, start).entries != on_disk(base):
                await watch.fence()
                await anyio.sleep(0.01)
        assert watch.entries() == on_disk(base)
        tasks.cancel_scope.cancel()
    assert check_stream(events, start).entries == on_disk(base)
