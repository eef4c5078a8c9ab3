"""Where hints come from: which backend suits a path, and the instances themselves."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.backends._base import (
    ATTRIB,
    CLOSED,
    CREATE,
    DELETE,
    GONE,
    ISDIR,
    MARK_ALL,
    MARK_NAMES,
    MARK_SELF,
    MOVED,
    OTHER,
    OWN,
    SELF_MOVED,
    WRITE,
    Key,
    MarkError,
    Source,
)
from limpet.backends._hint_router import HintRouter, Mark, PendingHints, Subscriber
from limpet.backends._mounts import Mount, find_mount, read_mounts
from limpet.errors import UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from limpet.config import BackendName

__all__ = [
    "ATTRIB",
    "CLOSED",
    "CREATE",
    "DELETE",
    "GONE",
    "ISDIR",
    "MARK_ALL",
    "MARK_NAMES",
    "MARK_SELF",
    "MOVED",
    "OTHER",
    "OWN",
    "SELF_MOVED",
    "WRITE",
    "Choice",
    "HintRouter",
    "Key",
    "Mark",
    "MarkError",
    "Mount",
    "PendingHints",
    "Source",
    "Subscriber",
    "choose",
    "find_mount",
    "make_source",
    "read_mounts",
    "source_order",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which backend serves a path, and why."""

    name: str
    """``fanotify``, ``inotify``, ``watchfiles`` or ``poll``."""
    reason: str
    filesystem: str
    """Type of the file system, such as ``ext4``; empty where the system does not tell."""
    mount_point: str
    network: bool
    """Others can change it without this system being told."""
    degraded: bool = False
    """Nothing better works for want of something that could be had; ``reason`` says what."""


def choose(path: Path, requested: BackendName = "auto") -> Choice:
    """Choose the backend for ``path``, which need not exist.

    Raises:
        UnsupportedError: ``requested`` is not ``auto`` and does not work on this system.
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
        )

    if requested != "auto":
        trouble = _unusable(requested)
        if trouble:
            message = f"backend {requested!r} does not work here: {trouble}; use backend='auto'"
            raise UnsupportedError(message)
        return made(requested, "asked for")
    if silent:
        return made("poll", f"{filesystem} does not tell this system of every change")
    reasons: list[str] = []
    for name in ("fanotify", "inotify") if sys.platform == "linux" else ("watchfiles",):
        trouble = _unusable(name)
        if not trouble:
            return made(name, "; ".join([*reasons, "the best that works here"]))
        reasons.append(f"no {name}: {trouble}")
    return made("poll", "; ".join(reasons), degraded=True)


def source_order(name: str) -> tuple[str, ...]:
    """Give the kernel sources to mark with for a chosen backend, best first."""
    return {"fanotify": ("fanotify", "inotify"), "inotify": ("inotify",)}.get(name, ())


def make_source(name: str) -> Source:
    """Open a kernel instance.

    Raises:
        OSError: It cannot be had here.
    """
    if sys.platform == "linux":
        if name == "fanotify":
            from limpet.backends._fanotify import Fanotify

            return Fanotify()
        from limpet.backends._inotify import Inotify

        return Inotify()
    message = f"no {name} on {sys.platform}"
    raise OSError(message)


def _mount_of(path: str) -> Mount | None:
    if sys.platform != "linux":
        return None
    return find_mount(os.path.realpath(path), read_mounts())


def _unusable(name: str) -> str:
    """Say why a backend cannot be used, or give an empty string."""
    if name == "poll":
        return ""
    if name == "watchfiles":
        there = importlib.util.find_spec("watchfiles") is not None
        return "" if there else "not installed, pip install 'limpet[watchfiles]'"
    if sys.platform != "linux":
        return f"{name} is part of Linux"
    try:
        source = make_source(name)
    except OSError as error:
        return error.strerror or str(error)
    with contextlib.suppress(OSError):
        source.close()
    return ""
