"""Report whether daemon threads may be started: a sub-interpreter allows none.

limpet's threads wait for disks that may never answer. A thread that is no daemon would keep the
program from ending (documentation of ``threading``, "Thread objects").
"""

from __future__ import annotations

import threading

from limpet.errors import UnsupportedError


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
