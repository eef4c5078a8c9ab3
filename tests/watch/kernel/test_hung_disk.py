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
from limpet.watching import _watcher
from limpet.watching.index._fs import FileSystemCalls
from tests.resources import Resources
from tests.waiting import until_sync


class Hung(FileSystemCalls):
    """Its calls wait until ``answer`` is set."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.answer.set()
        self.asked = threading.Event()
        """Set once a call waits."""

    def read(self, handle: Any) -> dict[str, int]:
        self._wait()
        return super().read(handle)

    def stat_at(self, handle: Any, name: str, *, follow: bool = False) -> Any:
        self._wait()
        return super().stat_at(handle, name, follow=follow)

    def _wait(self) -> None:
        if not self.answer.is_set():
            self.asked.set()
            self.answer.wait()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Hung()
    monkeypatch.setattr(_watcher, "default_disk", lambda: made)
    yield made
    made.answer.set()


@pytest.mark.parametrize("runner", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["enter", "wait", "leave"])
def test_a_time_out_is_kept(tmp_path: Path, disk: Hung, runner: str, when: str) -> None:
    """And nothing is left once the disk answers again."""
    before = Resources()

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
    until_sync(lambda: not before.threads_left(), before.text)


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_task_that_is_cancelled_by_asyncio_leaves(tmp_path: Path, disk: Hung, how: str) -> None:
    """Its cancellation is delivered once, in the block: the end of the block is bounded, too."""
    before = Resources()

    async def use() -> None:
        async with limpet.watch_dir(tmp_path, backend="poll", poll_interval=0.01) as watch:
            disk.answer.clear()
            await watch.fence()

    async def cancel() -> None:
        task = asyncio.ensure_future(use())
        while not disk.asked.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def time_out() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await use()

    asyncio.run(cancel() if how == "cancel" else time_out())
    disk.answer.set()
    until_sync(lambda: not before.threads_left(), before.text)
