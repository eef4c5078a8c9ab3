"""Which backend suits a path on this system, and the sources themselves.

Only this module asks which system this is; everything else asks a source's ``Capabilities``.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

from limpet import _daemon_threads
from limpet.backends._base import Capabilities, MarkSource, TreeReceiver, TreeSource
from limpet.backends._mounts import Mount, find_mount, read_mounts
from limpet.backends._poll import POLL
from limpet.config import BackendName
from limpet.errors import LimitError, UnsupportedError

_BEST_FIRST: Final = (
    ("fanotify", "inotify")
    if sys.platform == "linux"
    else ("windows", "watchfiles")
    if sys.platform == "win32"
    else ("watchfiles",)
)
"""What ``auto`` tries on this system before it polls."""


class Choice(NamedTuple):
    """Which backend serves a path, and why."""

    name: str
    """``fanotify``, ``inotify``, ``windows``, ``watchfiles`` or ``poll``."""
    reason: str
    filesystem: str
    """Type of the file system, such as ``ext4``; empty where the system does not report it."""
    mount_point: str
    network: bool
    """Others can change it without a notification on this system."""
    virtual: bool = False
    """The kernel makes its files (``proc``), and does not notify of their changes."""
    degraded: bool = False
    """Nothing better works because something is missing that could be had; ``reason`` says what."""


def choose(path: Path, requested: BackendName = "auto") -> Choice:
    """Return the backend for ``path``, which need not exist.

    Raises:
        UnsupportedError: ``requested`` is not ``auto`` and does not work on this system.
        LimitError: Nobody can tell, for the process is out of file descriptors.
    """
    mount = _mount_of(os.fspath(path))
    filesystem = mount.filesystem if mount else ""
    silent = mount is not None and mount.needs_polling

    def made(name: str, reason: str, *, degraded: bool = False) -> Choice:
        return Choice(
            degraded=degraded,
            name=name,
            reason=reason,
            filesystem=filesystem,
            mount_point=mount.point if mount else "",
            network=silent,
            virtual=mount is not None and mount.is_virtual,
        )

    if requested != "auto":
        trouble = _unusable(requested)
        if trouble and not _has_descriptors():
            message = (
                f"cannot start a watch: {trouble}; raise the limit of open files (ulimit -n) or "
                "close some"
            )
            raise LimitError(message)
        if trouble:
            message = f"backend {requested!r} does not work here: {trouble}; use backend='auto'"
            raise UnsupportedError(message)
        return made(requested, "requested")
    if silent:
        if mount is not None and mount.is_virtual:
            return made(
                "poll", f"the kernel makes the files of {filesystem}, and reports no change"
            )
        return made("poll", f"{filesystem} does not report every change to this system")
    reasons: list[str] = []
    for name in _BEST_FIRST:
        trouble = _unusable(name)
        if not trouble:
            return made(name, "; ".join([*reasons, "the best that works here"]))
        reasons.append(f"no {name}: {trouble}")
    return made("poll", "; ".join(reasons), degraded=True)


def capabilities_of(name: str) -> Capabilities:
    """Return what the backend of this name can do."""
    if sys.platform == "linux":
        if name == "fanotify":
            from limpet.backends._fanotify import FANOTIFY

            return FANOTIFY
        if name == "inotify":
            from limpet.backends._inotify import INOTIFY

            return INOTIFY
    if name == "windows":
        from limpet.backends._windows import WINDOWS

        return WINDOWS
    if name == "watchfiles":
        from limpet.backends._watchfiles import WATCHFILES

        return WATCHFILES
    return POLL


def mark_order(name: str) -> tuple[str, ...]:
    """Return the sources that mark directories for a chosen backend, best first."""
    return {"fanotify": ("fanotify", "inotify"), "inotify": ("inotify",)}.get(name, ())


def make_source(name: str) -> MarkSource:
    """Open a source that marks directories.

    Raises:
        OSError: This system has none, or refuses one.
    """
    if sys.platform == "linux":
        if name == "fanotify":
            from limpet.backends._fanotify import Fanotify

            return Fanotify()
        from limpet.backends._inotify import Inotify

        return Inotify()
    message = f"no {name} on {sys.platform}"
    raise OSError(message)


def make_tree_source(
    name: str, receiver: TreeReceiver, *, recursive: bool = True
) -> TreeSource | None:
    """Return the source that reports whole trees, or ``None`` if the backend is not one.

    Where the source can, it reports what is directly in the directory alone unless ``recursive``.
    """
    if name == "windows":
        from limpet.backends._windows import WindowsSource

        return WindowsSource(receiver, recursive=recursive)
    if name == "watchfiles":
        from limpet.backends._watchfiles import WatchfilesSource

        return WatchfilesSource(receiver)
    return None


def _mount_of(path: str) -> Mount | None:
    if sys.platform == "win32":
        from limpet.backends._drives import WindowsDrives, mount_of

        return mount_of(path, WindowsDrives())
    if sys.platform != "linux":
        return None
    return find_mount(os.path.realpath(path), read_mounts())


def _has_descriptors() -> bool:
    """Return whether the process can open one more file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in {errno.EMFILE, errno.ENFILE}
    return True


def _unusable(name: str) -> str:
    """Return why a backend cannot be used, or an empty string."""
    if name == "poll":
        return ""
    if name == "watchfiles":
        if importlib.util.find_spec("watchfiles") is None:
            return "not installed, pip install 'limpet[watchfiles]'"
        return "" if _daemon_threads.are_allowed() else "not loaded in a sub-interpreter"
    if name == "windows":
        if sys.platform != "win32":
            return "windows is part of Windows"
        return "" if _daemon_threads.are_allowed() else "no threads in a sub-interpreter"
    if sys.platform != "linux":
        return f"{name} is part of Linux"
    try:
        source = make_source(name)
    except OSError as error:
        return error.strerror or str(error)
    with contextlib.suppress(OSError):
        source.close()
    return ""
