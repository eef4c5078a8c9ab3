"""Finish the tasks of an abandoned loop in order before the process ends.

mewbot's own runner stops its loop without waiting for inputs to clean up. A watch would not save
its state, and the threads that serve the loop would keep the process alive. But the loop is not
closed, so it can run once more when Python waits for its threads at exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

_TIMEOUT_S: Final = 5.0

_tasks: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
_is_registered = [False]


def finish_at_exit(task: asyncio.Task[Any]) -> None:
    """Cancel and await a task at exit, in case its loop stops before the task is done."""
    _tasks[task] = task.get_loop()
    task.add_done_callback(lambda done: _tasks.pop(done, None))
    if not _is_registered[0]:
        _is_registered[0] = True
        # concurrent.futures uses it for its own threads; there is no public name for it.
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
            loop.run_until_complete(asyncio.wait({task}, timeout=_TIMEOUT_S))
            loop.run_until_complete(asyncio.sleep(0))  # done callbacks
    _tasks.clear()
