"""What the console says on Windows: which of it ends the program, and how long the system waits."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from limpet._console import HELD_S, IN_ORDER_S, ConsoleClose, console_close_taken
from limpet._signal_handlers import STOPS, SignalHandlers


class Console:
    """Calls the handler as the system does; notes what it does meanwhile."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.handler = ConsoleClose(lambda: self.done.append("signal"), self.done.append)
        self.handler.users = 1


@pytest.mark.parametrize("event", [2, 5, 6], ids=["close", "log-off", "shutdown"])
def test_an_end_is_a_signal_and_the_system_is_held_off(event: int) -> None:
    """It ends the program once the handler returns, so that comes last; a second signal hurries."""
    console = Console()
    assert console.handler(event)
    assert console.done == ["signal", IN_ORDER_S, "signal", HELD_S - IN_ORDER_S]


@pytest.mark.parametrize("event", [0, 1, 3, 99], ids=["Ctrl-C", "Ctrl-Break", "none", "unknown"])
def test_the_c_runtime_takes_the_others(event: int) -> None:
    """It makes SIGINT and SIGBREAK of them, which return at once."""
    console = Console()
    assert not console.handler(event)
    assert console.done == []


def test_nobody_who_waits_is_no_reason_to_hold_the_system_off() -> None:
    """The handler stays registered when a run has ended; then the system does as it likes."""
    console = Console()
    console.handler.users = 0
    assert not console.handler(2)
    assert console.done == []


def test_it_is_set_and_reset() -> None:
    """Twice, one in the other: nothing of it stays where there is no such thing."""
    with console_close_taken(), console_close_taken():
        pass


@pytest.mark.parametrize("number", STOPS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_wakes_a_loop_that_sleeps(number: int) -> None:
    """Every signal that ends a program here, on the event loop of this system."""
    taken: list[int] = []

    async def main() -> None:
        ended = asyncio.Event()
        handlers.attach()
        handlers.in_loop(raising.start)
        while not taken:
            await asyncio.wait_for(asyncio.shield(ended.wait()), 30)

    def react(number: int) -> None:
        taken.append(number)
        handlers.in_loop(woken)

    def woken() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    import _thread

    raising = threading.Timer(0.05, _thread.interrupt_main, (number,))
    loop = asyncio.new_event_loop()
    try:
        with SignalHandlers(react, takes_ignored=True) as handlers:
            assert number in handlers.taken
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(main())
    finally:
        loop.close()
    assert taken == [number]
