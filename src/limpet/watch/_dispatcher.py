"""The dispatcher of the running event loop, of the kind that the loop allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel

from limpet._event_loop import EventLoop

if TYPE_CHECKING:
    from limpet.watch._dispatcher_base import Dispatcher

_current: anyio.lowlevel.RunVar[Dispatcher | None] = anyio.lowlevel.RunVar(
    "limpet_dispatcher", None
)


def acquire() -> Dispatcher:
    """Return the dispatcher of the running event loop, for one more user.

    Raises:
        LimitError: The process is out of file descriptors.
    """
    dispatcher = _current.get()
    if dispatcher is None or dispatcher.users == 0:
        loop = EventLoop()
        if loop.can_listen:
            from limpet.watch._loop_dispatcher import LoopDispatcher

            dispatcher = LoopDispatcher(loop)
        else:
            from limpet.watch._thread_dispatcher import ThreadDispatcher

            dispatcher = ThreadDispatcher(loop)
        _current.set(dispatcher)
    dispatcher.users += 1
    return dispatcher
