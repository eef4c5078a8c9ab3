"""Which exceptions are a component's failure, and which end the task that runs it.

A component may raise anything: ``CancelledError`` of an inner task that somebody cancelled,
``SystemExit`` of a library that was made for scripts, ``GeneratorExit``. Only a cancellation of the
running task itself ends that task; all else is a failure of one step of one event.
"""

from __future__ import annotations

import asyncio


def ends_task(error: BaseException) -> bool:
    """Return whether an exception ends the running task, rather than what the task awaited.

    ``Task.cancelling`` counts requests to cancel the task itself (documentation of asyncio,
    "Task Object"); ``CancelledError`` without one comes from inside. ``GeneratorExit`` is thrown
    into a coroutine that is closed with its loop: then no task runs.
    """
    if isinstance(error, Exception):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs
        return True
    if task is None:
        return True
    if isinstance(error, BaseExceptionGroup):
        error = error.subgroup(asyncio.CancelledError) or error
    is_cancellation = isinstance(error, asyncio.CancelledError | BaseExceptionGroup)
    return is_cancellation and task.cancelling() > 0
