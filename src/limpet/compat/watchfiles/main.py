"""``watch`` and ``awatch``: sets of changes, collected for as long as they keep coming."""

from __future__ import annotations

import inspect
import logging
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from limpet import events as ev
from limpet.compat.watchfiles._changes import Change, ChangeSet, FileChange
from limpet.compat.watchfiles._settings import (
    Limits,
    check,
    ignores_permission,
    is_debugging,
    is_polling,
    make_watch,
    poll_delay,
    spelled_paths,
)
from limpet.compat.watchfiles._taker import AbstractEvent, Taker
from limpet.compat.watchfiles.filters import DefaultFilter

__all__ = ["Change", "FileChange", "awatch", "watch"]

logger = logging.getLogger("watchfiles.main")

Filter = Callable[[Change, str], bool]

_PATIENCE_MS: Final = 5_000
"""How long ``awatch`` waits for changes by default before it says that there are none."""


def watch(
    *paths: Path | str,
    watch_filter: Filter | None = DefaultFilter(),  # noqa: B008 (as watchfiles has it)
    debounce: int = 1_600,
    step: int = 50,
    stop_event: AbstractEvent | None = None,
    rust_timeout: int = 5_000,
    yield_on_timeout: bool = False,
    debug: bool | None = None,
    raise_interrupt: bool = True,
    force_polling: bool | None = None,
    poll_delay_ms: int = 300,
    recursive: bool = True,
    ignore_permission_denied: bool | None = None,
) -> Generator[set[FileChange], None, None]:
    """Yield sets of changes of files and folders, for as long as it is iterated over.

    Args:
        *paths: What to watch; it must exist at the start, and may come and go afterwards.
        watch_filter: Returns whether a change is of interest; ``None`` lets all through.
        debounce: Longest time that changes are collected for one set, milliseconds.
        step: A set ends once nothing came for this many milliseconds.
        stop_event: Ends the iteration once it is set; examined each step.
        rust_timeout: Milliseconds after which a wait without changes ends; 0 is never.
        yield_on_timeout: Yield an empty set then.
        debug: Write every event to standard error; by default as ``WATCHFILES_DEBUG`` says.
        raise_interrupt: Raise KeyboardInterrupt; otherwise it ends the iteration.
        force_polling: Poll; by default as ``WATCHFILES_FORCE_POLLING`` says.
        poll_delay_ms: Time between two polls, or as ``WATCHFILES_POLL_DELAY_MS`` says.
        recursive: Watch the folders below, too.
        ignore_permission_denied: Pass over what may not be read; by default as
            ``WATCHFILES_IGNORE_PERMISSION_DENIED`` says.

    Raises:
        FileNotFoundError: Nothing is at a path at the start.
        PermissionError: Something may not be read.
    """
    polls = is_polling(force_polling)
    spelled = spelled_paths(paths, is_polled=polls)
    debugging, passes = is_debugging(debug), ignores_permission(ignore_permission_denied)
    limits = Limits(debounce, step, rust_timeout)
    made = make_watch(
        spelled,
        force_polling=polls,
        poll_delay_s=poll_delay(poll_delay_ms),
        recursive=recursive,
    )
    try:
        with made.sync() as running:
            taker = Taker(running, limits, stop_event)
            while not taker.is_stopped:
                changes = ChangeSet(spelled)
                for events in taker.take():
                    check(events, ignore_permission_denied=passes, debug=debugging)
                    changes.add(events)
                if taker.is_stopped:
                    return
                if not taker.has_taken:
                    if yield_on_timeout:
                        yield set()
                    continue
                found = _chosen(changes.found, watch_filter)
                if found:
                    yield found
    except KeyboardInterrupt:
        if raise_interrupt:
            raise
        logger.warning("KeyboardInterrupt caught, stopping watch")


def _chosen(changes: set[FileChange], watch_filter: Filter | None) -> set[FileChange]:
    """Return the changes of interest, and log how many there are."""
    found = changes if watch_filter is None else {one for one in changes if watch_filter(*one)}
    if not found:
        logger.debug("all changes filtered out: %s", changes)
        return found
    words = "change" if len(found) == 1 else "changes"
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%d %s detected: %s", len(found), words, found)
    else:
        logger.info("%d %s detected", len(found), words)
    return found


async def awatch(
    *paths: Path | str,
    watch_filter: Filter | None = DefaultFilter(),  # noqa: B008
    debounce: int = 1_600,
    step: int = 50,
    stop_event: AbstractEvent | None = None,
    rust_timeout: int | None = None,
    yield_on_timeout: bool = False,
    debug: bool | None = None,
    raise_interrupt: bool | None = None,
    force_polling: bool | None = None,
    poll_delay_ms: int = 300,
    recursive: bool = True,
    ignore_permission_denied: bool | None = None,
) -> AsyncGenerator[set[FileChange], None]:
    """Yield sets of changes, under asyncio or trio; the arguments are those of ``watch``.

    It waits in the event loop, without a thread. ``stop_event`` is one of asyncio, anyio, trio or
    ``threading``. A cancellation ends it, and loses no change that was not yielded.
    """
    if raise_interrupt is not None:
        warnings.warn(
            "raise_interrupt is deprecated: a KeyboardInterrupt cancels the task, and is raised by "
            "asyncio.run or its equivalent",
            DeprecationWarning,
            stacklevel=2,
        )
    polls = is_polling(force_polling)
    spelled = await anyio.to_thread.run_sync(partial(spelled_paths, paths, is_polled=polls))
    debugging, passes = is_debugging(debug), ignores_permission(ignore_permission_denied)
    limits = Limits(debounce, step, _PATIENCE_MS if rust_timeout is None else rust_timeout)
    make = partial(
        make_watch,
        spelled,
        force_polling=polls,
        poll_delay_s=poll_delay(poll_delay_ms),
        recursive=recursive,
    )
    made = await anyio.to_thread.run_sync(make)
    async with made as running:
        batches = running.batches()
        while True:
            changes = ChangeSet(spelled)
            waiting = await _next(batches, limits.timeout or None, stop_event, limits.step)
            if waiting is None:
                if stop_event is not None and stop_event.is_set():
                    return
                if yield_on_timeout:
                    yield set()
                continue
            end = time.monotonic() + limits.debounce
            while waiting is not None:
                check(waiting, ignore_permission_denied=passes, debug=debugging)
                if any(isinstance(one, ev.DirRenamed) for one in waiting):
                    await anyio.to_thread.run_sync(changes.add, waiting)  # it lists the folder
                else:
                    changes.add(waiting)
                left = end - time.monotonic()
                if left <= 0:
                    break
                waiting = await _next(batches, min(left, limits.step), stop_event, limits.step)
            if stop_event is not None and stop_event.is_set():
                return
            found = _chosen(changes.found, watch_filter)
            if found:
                yield found


async def _next(
    batches: AsyncIterator[list[ev.Event]],
    timeout: float | None,
    stop_event: AbstractEvent | None,
    step: float,
) -> list[ev.Event] | None:
    """Return the next events; ``None`` if none come in time, or the end is asked for."""
    if stop_event is not None and stop_event.is_set():
        return None
    found: list[ev.Event] | None = None
    trouble: Exception | None = None
    with anyio.move_on_after(timeout):
        if stop_event is None:
            return await anext(batches)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_when_set, stop_event, step, tasks.cancel_scope)
            try:
                found = await anext(batches)
            except Exception as error:  # noqa: BLE001 (raised below, outside the group)
                trouble = error
            tasks.cancel_scope.cancel()
    if trouble is not None:
        raise trouble
    return found


async def _end_when_set(stop_event: AbstractEvent, step: float, scope: anyio.CancelScope) -> None:
    """Cancel the scope once the event is set, which is one of a loop or of threads."""
    wait = getattr(stop_event, "wait", None)
    if inspect.iscoroutinefunction(wait):
        await wait()
    else:
        while not stop_event.is_set():  # noqa: ASYNC110 (it tells nobody)
            await anyio.sleep(step)
    scope.cancel()
