"""A watch in the wrong event loop, in a forked child, or left open: an error, never silence."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.testing import describe
from tests.resources import Resources
from tests.waiting import until_sync


def test_a_watch_of_another_loop_is_refused(tmp_path: Path) -> None:
    """Also while that loop still runs; it is closed there, or anywhere once that has ended."""
    watch = limpet.watch_dir(tmp_path)
    asyncio.run(watch.__aenter__())

    async def use() -> None:
        for ask in (watch.__anext__, watch.fence, watch.save, watch.batches().__anext__):
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                await ask()
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            watch.entries()

    loop = asyncio.new_event_loop()
    other = limpet.watch_dir(tmp_path)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(other.__aenter__(), loop).result()

        async def use_running() -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                await other.__anext__()
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                await other.aclose()

        asyncio.run(use_running())
        asyncio.run_coroutine_threadsafe(other.aclose(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    with pytest.raises(RuntimeError, match="belongs to another event loop"):
        asyncio.run(use())
    asyncio.run(watch.aclose())
    asyncio.run(watch.aclose())


def test_a_watch_left_open_warns_and_is_freed(tmp_path: Path) -> None:
    before = Resources()

    async def leave_open() -> None:
        watch = limpet.watch_dir(tmp_path)
        await watch.__aenter__()
        (tmp_path / "f").write_text("")
        await watch.__anext__()
        held = [watch]
        del watch
        with pytest.warns(ResourceWarning, match="was not closed"):
            held.clear()

    asyncio.run(leave_open())
    until_sync(before.is_as_before, before.text)


def _in_child(call: Any) -> int:
    """Fork, call, and return the child's exit code; 0 is what the child must end with."""
    pid = os.fork()
    if not pid:
        try:
            os._exit(call())
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("backend", ["fanotify", "inotify", "poll"])
def test_a_forked_child_takes_nothing_from_its_parent(tmp_path: Path, backend: Any) -> None:
    state = tmp_path / "state"
    place = tmp_path / "place"
    (place / "d").mkdir(parents=True)
    options: dict[str, Any] = {"backend": backend, "poll_interval": 0.05, "state": state}
    with limpet.watch_dir(place, **options).sync() as watch:

        def in_child() -> int:
            for use in (watch.next, watch.fence, watch.entries, watch.stats):
                try:
                    use()
                except RuntimeError as error:
                    if "fork" not in str(error):
                        return 1
                else:
                    return 2
            watch.close()
            return 3 if state.exists() else 0

        assert _in_child(in_child) == 0
        (place / "d" / "f").write_text("")
        event = watch.next(timeout=20)
        assert event is not None
        assert describe(event) == "FileCreated d/f"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_of_a_loop_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with limpet.watch_dir(tmp_path) as watch:

            def in_child() -> int:
                try:
                    watch.entries()
                except RuntimeError as error:
                    return 0 if "fork" in str(error) else 1
                return 2

            assert _in_child(in_child) == 0
            (tmp_path / "f").write_text("")
            assert describe(await watch.__anext__()) == "FileCreated f"

    asyncio.run(main())


def test_entries_do_not_wait_for_a_scan(tmp_path: Path) -> None:
    """On the event loop, and while the lock of the watch is held by a scan in a thread."""

    async def main() -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "f").write_text("")
        async with limpet.watch_dir(tmp_path) as watch:
            core = watch._core
            assert core is not None
            whole = watch.entries()
            with core._mutex:
                assert watch.entries() == whole

    asyncio.run(main())
