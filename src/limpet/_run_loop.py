"""Run a coroutine as ``asyncio.run`` does, and end although threads hang and tasks exit.

``asyncio.run`` waits for all threads of ``asyncio.to_thread`` (``loop.shutdown_default_executor``),
and ends at a ``SystemExit`` that any task raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from limpet._process_end import POOL

T = TypeVar("T")

_THREADS: Final = 64
"""Most threads of ``asyncio.to_thread``. By default there are four more than processors: a few that
hang would hold up all the others."""

_TIDY_S: Final = 1.0
"""How long tasks that are left get to end after their cancellation."""

_LOG: Final = logging.getLogger("limpet")


def run_loop(main: Coroutine[Any, Any, T], *, takes_interrupt: bool) -> T:
    """Run a coroutine in a new event loop, and return its result.

    Args:
        main: The coroutine.
        takes_interrupt: Whether its program handles SIGINT itself. Then ``KeyboardInterrupt``, like
            ``SystemExit``, comes from a task that somebody started: it is logged, and the loop goes
            on. Otherwise it cancels the coroutine.

    Raises:
        BaseException: Whatever the coroutine raises.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix=POOL))
    asyncio.set_event_loop(loop)
    try:
        task = loop.create_task(main)
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if task.done():
                    raise
                if isinstance(error, KeyboardInterrupt) and not takes_interrupt:
                    task.cancel()
                else:
                    _LOG.error("a task raised %s, which ends only that task", type(error).__name__)
    finally:
        try:
            _tidy(loop)
        finally:
            asyncio.set_event_loop(None)
            # A signal between the closing of the loop's descriptor and of its handlers would be
            # reported as a failed write to that descriptor.
            with contextlib.suppress(ValueError):  # not the main thread
                signal.set_wakeup_fd(-1)
            loop.close()  # does not wait for the threads of its executor


def _tidy(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, and close async generators, for a moment."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_TIDY_S))
    closing = loop.create_task(loop.shutdown_asyncgens())
    loop.run_until_complete(asyncio.wait({closing}, timeout=_TIDY_S))
