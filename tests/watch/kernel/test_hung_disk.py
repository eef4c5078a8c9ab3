"""A disk that does not answer holds no event loop: entering and leaving obey cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

import limpet
from limpet.watch import _watcher
from limpet.watch.index._fs import FileSystemCalls
from tests.waiting import until_sync


class Hung(FileSystemCalls):
    """Its calls wait until ``answer`` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.answer.set()

    def read(self, handle: Any) -> dict[str, int]:
        self.answer.wait()
        return super().read(handle)

    def stat_at(self, handle: Any, name: str, *, follow: bool = False) -> Any:
        self.answer.wait()
        return super().stat_at(handle, name, follow=follow)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Hung()
    monkeypatch.setattr(_watcher, "default_disk", lambda: made)
    yield made
    made.answer.set()


def workers() -> int:
    return sum(one.name.startswith("limpet") for one in threading.enumerate())


@pytest.mark.parametrize("runner", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["enter", "wait", "leave"])
def test_a_time_out_is_kept(tmp_path: Path, disk: Hung, runner: str, when: str) -> None:
    """And nothing is left once the disk answers again."""
    before = workers()

    async def main() -> None:
        watch = limpet.watch_dir(tmp_path, backend="poll", poll_interval=0.01)
        if when == "enter":
            disk.answer.clear()
        with anyio.move_on_after(0.1):
            async with watch:
                if when == "leave":
                    disk.answer.clear()
                    with anyio.move_on_after(0.05):
                        await watch.__anext__()
                    return
                disk.answer.clear()
                await watch.__anext__()

    begin = time.monotonic()
    anyio.run(main, backend=runner)
    assert time.monotonic() - begin < 25  # some patience, never for ever
    disk.answer.set()
    until_sync(lambda: workers() <= before)


def test_a_task_that_is_cancelled_by_asyncio_leaves(tmp_path: Path, disk: Hung) -> None:
    before = workers()

    async def main() -> None:
        async def use() -> None:
            async with limpet.watch_dir(tmp_path, backend="poll", poll_interval=0.01) as watch:
                disk.answer.clear()
                await watch.fence()

        task = asyncio.ensure_future(use())
        while disk.answer.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    disk.answer.set()
    until_sync(lambda: workers() <= before)
