"""A thread reaches the loop that waits for it, on asyncio, on trio, and on one inside the other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest
import trio

from limpet._event_loop import EventLoop


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


def test_without_a_loop_there_is_none() -> None:
    """It is made in the loop's thread."""
    with pytest.raises(RuntimeError):
        EventLoop()
