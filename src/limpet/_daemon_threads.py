"""Report whether daemon threads may be started: a sub-interpreter allows none.

limpet's threads wait for disks that may never answer. A thread that is not a daemon would keep the
program from ending (documentation of ``threading``, "Thread objects").
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from limpet.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet._event_loop import EventLoop, LoopEvent


def are_allowed() -> bool:
    """Return whether daemon threads may be started here."""
    try:
        threading.Thread(daemon=True)
    except RuntimeError:
        return False
    return True


def check(what: object, instead: str) -> None:
    """Verify that what is about to be started can have its threads.

    Raises:
        UnsupportedError: A sub-interpreter runs the caller; the message says what to do instead.
            Nothing was started.
    """
    if not are_allowed():
        message = f"cannot start {what!r}: a sub-interpreter allows no daemon threads: {instead}"
        raise UnsupportedError(message)


def run_in_thread(
    work: Callable[[], object], loop: EventLoop, name: str
) -> tuple[threading.Thread, LoopEvent, list[BaseException]]:
    """Do work in a thread of its own; return it, what says that it is done, and what it raised.

    Args:
        work: May wait for a disk that never answers.
        loop: That of the caller.
        name: The thread's name.
    """
    run, done, errors = reported(work, loop)
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread, done, errors


def reported(
    work: Callable[[], object], loop: EventLoop
) -> tuple[Callable[[], None], LoopEvent, list[BaseException]]:
    """Return work for a thread, what says in the loop that it is done, and what it raised."""
    done = loop.event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
            errors.append(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.post(done.set)

    return run, done, errors
