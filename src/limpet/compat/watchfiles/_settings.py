"""What watchfiles' arguments and environment variables ask for, as a watch of limpet."""

from __future__ import annotations

import errno
import operator
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from limpet import events as ev
from limpet.watching import Dir, File, MultiWatch, watch

_OFF: Final = frozenset(("false", "disable", "disabled"))


def is_polling(asked: bool | None) -> bool:  # noqa: FBT001 (as the arguments are)
    """Return whether to poll: by the argument, else by ``WATCHFILES_FORCE_POLLING``.

    Where neither says so, limpet itself polls what gives no notifications.
    """
    if asked is None:
        value = os.environ.get("WATCHFILES_FORCE_POLLING", "")
        return bool(value) and value.lower() not in _OFF
    return asked


def poll_delay(given: int) -> float:
    """Return the seconds between two polls: by ``WATCHFILES_POLL_DELAY_MS``, else as given."""
    value = os.environ.get("WATCHFILES_POLL_DELAY_MS", "")
    asked = int(value) if value.isdecimal() else given
    return max(milliseconds("poll_delay_ms", asked), 0.001)


def ignores_permission(asked: bool | None) -> bool:  # noqa: FBT001
    """Return whether what may not be read is passed over."""
    return bool(os.environ.get("WATCHFILES_IGNORE_PERMISSION_DENIED")) if asked is None else asked


def is_debugging(asked: bool | None) -> bool:  # noqa: FBT001
    """Return whether every event is written to standard error."""
    return bool(os.environ.get("WATCHFILES_DEBUG")) if asked is None else asked


def milliseconds(name: str, value: object) -> float:
    """Return seconds of a whole number of milliseconds.

    Raises:
        TypeError: It is not a whole number; watchfiles raises the same.
        OverflowError: It is negative; likewise.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what fails is reported
    except TypeError as error:
        message = f"{name}: {error}"
        raise TypeError(message) from None
    if number < 0:
        message = f"{name}: can't convert negative int to unsigned: {number}"
        raise OverflowError(message)
    return number / 1000


class Limits:
    """The times of one call, in seconds."""

    def __init__(self, debounce: object, step: object, timeout: object) -> None:
        self.debounce = milliseconds("debounce", debounce)
        self.step = max(milliseconds("step", step), 0.001)
        self.timeout = milliseconds("rust_timeout", timeout)


def spelled_paths(paths: tuple[Path | str, ...], *, is_polled: bool = False) -> dict[Path, str]:
    """Return place -> how it is spelled in changes: absolute, and otherwise as it was given.

    Raises:
        FileNotFoundError: Nothing is there; the message begins as that of watchfiles does, which
            differs where it polls.
    """
    spelled: dict[Path, str] = {}
    for given in paths:
        text = os.path.join(os.getcwd(), str(given))
        if not os.path.exists(text):
            if is_polled:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            message = f"No path was found. about [{text!r}]"
            raise FileNotFoundError(message)
        spelled.setdefault(Path(os.path.abspath(text)), text.rstrip(os.sep) or os.sep)
    return spelled


def make_watch(
    spelled: Mapping[Path, str], *, force_polling: bool, poll_delay_s: float, recursive: bool
) -> MultiWatch:
    """Return the watch of these places; a folder inside another one is a part of it."""
    wanted: list[Dir | File] = []
    folders = [path for path in spelled if path.is_dir()]
    for path in spelled:
        around = [one for one in folders if one != path and path.is_relative_to(one)]
        if around and (recursive or path.parent in around) and path not in folders:
            continue
        if around and recursive:
            continue
        wanted.append(Dir(path) if path in folders else File(path))
    options: dict[str, Any] = {
        "backend": "poll" if force_polling else "auto",
        "poll_interval": poll_delay_s,
        "recursive": recursive,
        "metadata": True,
        "follow_symlinks": True,
        "default_ignores": False,
        "own": "keep",
    }
    return watch(*wanted, **options)


def check(events: list[ev.Event], *, ignore_permission_denied: bool, debug: bool) -> None:
    """Report events where that is asked for, and what may not be read.

    Raises:
        PermissionError: Something may not be read, and that is not to be passed over.
    """
    for event in events:
        if debug:
            print(event, file=sys.stderr)  # noqa: T201 (what the argument asks for)
        if (
            isinstance(event, ev.Degraded)
            and event.reason == "permission"
            and not ignore_permission_denied
        ):
            message = f"{event.message} about [{os.fspath(event.path)!r}]"
            raise PermissionError(message)
