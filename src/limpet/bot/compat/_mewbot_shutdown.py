"""Finishes what a loop that was left behind has not finished, before the process ends.

mewbot's own runner stops its loop without waiting for inputs to clean up: a watch would not have
saved its state, and the threads that serve the loop would keep the process from ending. The loop is
not closed, though, so it can be run once more, when Python waits for threads at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ["finish_at_exit"]

_PATIENCE_S: Final = 5.0

_tasks: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
_is_registered = [False]


def finish_at_exit(task: asyncio.Task[Any]) -> None:
    """Have a task ended in order should its loop stop before it is over."""
    _tasks[task] = task.get_loop()
    task.add_done_callback(lambda over: _tasks.pop(over, None))  # the loop has seen to it
    if not _is_registered[0]:
        _is_registered[0] = True
        # What concurrent.futures uses for its own threads; there is no public name for it.
        register: Callable[[Callable[[], None]], None] | None
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            register(_finish)


def _finish() -> None:
    for task, loop in list(_tasks.items()):
        if loop.is_closed() or loop.is_running():
            continue
        task.cancel()
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(asyncio.wait({task}, timeout=_PATIENCE_S))
            loop.run_until_complete(asyncio.sleep(0))  # what waits for it to be over
    _tasks.clear()
