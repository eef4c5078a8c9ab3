"""How inputs put deliveries into a queue: limpet's own, or that of mewbot's own runner.

mewbot 0.0.3 acknowledges nothing. It takes one event, awaits all its behaviours, and takes the
next. So an event that left the queue is processed once a later one left it, or once a task waits at
the empty queue, and once the outputs that limpet's actions have requested for it are done.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakValueDictionary

from mewbot.core import InputEvent, InputQueue, OutputEvent

from limpet.bot._delivery import Delivery
from limpet.bot._restart import run_again
from limpet.bot.compat._mewbot_shutdown import finish_at_exit
from limpet.bot.io._event_queue import EventQueue
from limpet.errors import LimpetError

_LOG = logging.getLogger("limpet.bot.input")


class DeliverySink:
    """The way into the queue of limpet's own runner, which restarts inputs and acknowledges."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue

    async def supervise(self, run: Callable[[], Awaitable[None]], label: str) -> None:
        """Await ``run``; what it raises goes to the runner's supervisor."""
        del label
        await run()

    async def put(self, delivery: Delivery) -> None:
        """Add a delivery to the queue, waiting for room."""
        await self._queue.put(delivery)

    def collect(self) -> None:
        """Do nothing: the runner has acknowledged whatever is processed."""


class MewbotSink(DeliverySink):
    """The way into the queue of mewbot's own runner."""

    def __init__(self, queue: InputQueue, bound: Callable[[], int]) -> None:
        """Put into this queue, and wait while it holds ``bound()`` events: it has no own bound."""
        self._mewbot_queue: Any = queue
        self._bound = bound
        self._pending: deque[_InFlight] = deque()
        """Deliveries that were put and are not acknowledged, oldest first."""

    async def supervise(self, run: Callable[[], Awaitable[None]], label: str) -> None:
        """Await ``run``, again after each exception: one would end the bot."""
        task = asyncio.current_task()
        if task is not None:
            finish_at_exit(task)

        def report(error: BaseException, delay: float) -> None:
            known = isinstance(error, LimpetError | OSError)
            message = "the input of %s failed and restarts in %.1f s: %s"
            _LOG.error(message, label, delay, error, exc_info=None if known else error)

        await run_again(run, report)

    async def put(self, delivery: Delivery) -> None:
        """Add the event to the queue, once that is short enough."""
        queue = self._mewbot_queue
        while queue.qsize() >= self._bound():  # noqa: ASYNC110 - this queue has no bound
            await asyncio.sleep(0.02)
        queue.put_nowait(delivery.event)
        self._pending.append(_InFlight(delivery))

    def collect(self) -> None:
        """Acknowledge what was processed; what is uncertain stays, and may be delivered again."""
        queued = {id(event) for event in self._mewbot_queue._queue}  # noqa: SLF001 - see above
        idle = any(not getter.done() for getter in self._mewbot_queue._getters)  # noqa: SLF001
        taken: list[_InFlight] = []
        while self._pending and id(self._pending[0].delivery.event) not in queued:
            taken.append(self._pending.popleft())
        if taken and not idle:
            self._pending.appendleft(taken.pop())
        for one in taken:
            if one.outputs:
                self._pending.appendleft(one)
            else:
                one.delivery.acknowledge()


class _InFlight:
    """A delivery in mewbot's hands, and the outputs requested for it that are not done."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.outputs: dict[int, OutputEvent] = {}
        _by_event[id(delivery.event)] = self


# Ids stay valid: an _InFlight holds its event and its outputs for as long as it is listed here.
_by_event: WeakValueDictionary[int, _InFlight] = WeakValueDictionary()
_by_output: WeakValueDictionary[int, _InFlight] = WeakValueDictionary()


def sink_for(queue: InputQueue, bound: Callable[[], int]) -> DeliverySink:
    """Return the way into a queue, by the runner that the queue belongs to."""
    return DeliverySink(queue) if isinstance(queue, EventQueue) else MewbotSink(queue, bound)


def output_requested(event: InputEvent, output: OutputEvent) -> None:
    """Note that an event is not processed before this output is done."""
    one = _by_event.get(id(event))
    if one is not None:
        one.outputs[id(output)] = output
        _by_output[id(output)] = one


def output_done(output: OutputEvent) -> None:
    """Note that an output is done; a second call for the same one changes nothing."""
    one = _by_output.pop(id(output), None)
    if one is not None:
        del one.outputs[id(output)]
