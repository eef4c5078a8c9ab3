"""A thread reaches the loop that waits for it, on asyncio, on trio, and on one inside the other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest
import trio

from limpet._cancellation import _wait_in_asyncio
from limpet._event_loop import EventLoop
from tests.waiting import PATIENCE


async def woken_from_a_thread() -> bool:
    """Wait for what another thread posts."""
    loop = EventLoop()
    end, wait = loop.waiter()
    thread = threading.Thread(target=lambda: loop.post(end))
    thread.start()
    with anyio.fail_after(20):
        await wait
    thread.join()
    return True


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thread_ends_a_wait(backend: str) -> None:
    """trio is loaded in both cases."""
    assert anyio.run(woken_from_a_thread, backend=backend)


def test_a_trio_guest_is_reached_while_asyncio_runs_the_thread() -> None:
    """Both loops run there; the caller's is trio."""

    async def host() -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            woken_from_a_thread,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        return (await done).unwrap()

    assert asyncio.run(host())


def test_a_wait_that_was_cancelled_may_still_be_ended() -> None:
    """The thread does not know of it."""

    async def main() -> None:
        loop = EventLoop()
        end, wait = loop.waiter()
        with anyio.move_on_after(0):
            await wait
        end()

    anyio.run(main)
    anyio.run(main, backend="trio")


def test_on_asyncio_a_closing_waits_despite_cancellation() -> None:
    """For what was begun, or its patience; the last cancellation is returned."""

    async def closing(event: asyncio.Event, patience: float, found: list[object]) -> None:
        found.append(await _wait_in_asyncio(event, patience))
        found.append(event.is_set())

    async def ended(cancelled: int, patience: float, *, is_set: bool) -> list[object]:
        event, found = asyncio.Event(), list[object]()
        task = asyncio.create_task(closing(event, patience, found))
        for number in range(cancelled):
            await asyncio.sleep(0)
            task.cancel(f"{number}")
        await asyncio.sleep(0)
        assert not task.done()
        if is_set:
            event.set()
        await asyncio.wait({task})
        return found

    async def main() -> None:
        assert await ended(0, 0.01, is_set=True) == [None, True]
        for count in (1, 2):
            for is_set in (True, False):
                error, was_set = await ended(count, PATIENCE if is_set else 0.01, is_set=is_set)
                assert isinstance(error, asyncio.CancelledError)
                assert (error.args, was_set) == ((f"{count - 1}",), is_set)

    asyncio.run(main())


def test_a_closing_of_a_cancelled_task_waits_for_its_patience() -> None:
    """asyncio has delivered the cancellation before, and delivers it once."""

    async def main() -> None:
        found: list[object] = []

        async def block() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                found.append(await _wait_in_asyncio(asyncio.Event(), 0.01))

        task = asyncio.create_task(block())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert found == [None]

    asyncio.run(main())


def test_without_a_loop_there_is_none() -> None:
    """It is made in the loop's thread."""
    with pytest.raises(RuntimeError):
        EventLoop()
