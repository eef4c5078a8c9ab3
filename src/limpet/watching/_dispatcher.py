"""The dispatcher of the running event loop, of the kind that the loop allows."""

from __future__ import annotations

from limpet._event_loop import EventLoop
from limpet.watching._dispatcher_base import RUNNING, Dispatcher


def acquire() -> Dispatcher:
    """Return the dispatcher of the running event loop, for one more user.

    Raises:
        LimitError: The process is out of file descriptors.
        RuntimeError: The loop is that of the process that this one is a fork of.
    """
    loop = EventLoop()
    dispatcher = RUNNING.get(loop.key)
    if dispatcher is None:
        if loop.can_listen:
            from limpet.watching._loop_dispatcher import LoopDispatcher

            dispatcher = LoopDispatcher(loop)
        else:
            from limpet.watching._thread_dispatcher import ThreadDispatcher

            dispatcher = ThreadDispatcher(loop)
        RUNNING[loop.key] = dispatcher
    dispatcher.loop.check(loop.key)  # a fork has neither its threads nor a loop of its own
    dispatcher.users += 1
    return dispatcher
