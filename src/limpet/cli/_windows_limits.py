r"""What limits a watch on Windows, for ``limpet doctor``: buffers, long paths, files in the cloud.

"Maximum Path Length Limitation" (LongPathsEnabled) and "File Attribute Constants"
(FILE_ATTRIBUTE_RECALL_ON_OPEN, FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS), learn.microsoft.com.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Final

from limpet.cli._kernel_limits import Limit

BUFFER: Final = 256 * 1024
NETWORK_BUFFER: Final = 64 * 1024
"""Bytes of notifications that the system keeps for a watch between two reads, as
``backends/_watched_tree.py`` asks for them; a test holds them equal."""

_ATTRIBUTES_OF_CLOUD_FILES: Final = 0x1000 | 0x40000 | 0x400000
"""FILE_ATTRIBUTE_OFFLINE, RECALL_ON_OPEN, RECALL_ON_DATA_ACCESS of winnt.h."""
_SYNC_ROOTS: Final = ("OneDrive", "OneDriveCommercial", "OneDriveConsumer")
"""Variables in which OneDrive's client leaves the folders that it keeps in step with a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsFacts:
    """What the system says; tests write it out."""

    long_paths: bool | None = None
    """Win32 takes paths beyond 260 characters from programs that can; ``None`` if not known."""
    sync_roots: tuple[str, ...] = ()
    attributes: int = 0
    """The path's file attributes; 0 if nothing is there."""


def ask_windows(path: Path) -> WindowsFacts | None:
    """Return the facts about this system and a path on it; ``None`` elsewhere."""
    if sys.platform != "win32":
        return None
    attributes = 0
    with suppress(OSError):
        attributes = os.lstat(path).st_file_attributes
    return WindowsFacts(
        long_paths=_long_paths(), sync_roots=sync_roots(os.environ), attributes=attributes
    )


def sync_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders that OneDrive keeps in step with a server."""
    return tuple(dict.fromkeys(environ[name] for name in _SYNC_ROOTS if environ.get(name)))


def limits_of(*, network: bool) -> dict[str, Limit]:
    """Return the limits of a watch, by name."""
    value = NETWORK_BUFFER if network else BUFFER
    return {"buffer": Limit(name="buffer", value=value)}


def in_the_cloud(path: str, facts: WindowsFacts) -> str:
    """Return why the content of files may be elsewhere, or nothing."""
    place = PureWindowsPath(path)
    for root in facts.sync_roots:
        if place.is_relative_to(PureWindowsPath(root)):
            return f"it lies in {root}, which OneDrive keeps in step with a server"
    if facts.attributes & _ATTRIBUTES_OF_CLOUD_FILES:
        return "its attributes say that its content is fetched when it is read"
    return ""


def notes(facts: WindowsFacts) -> Iterator[str]:
    """Return what is worth knowing and no problem, in words."""
    if facts.long_paths is not None:
        state = "on" if facts.long_paths else "off"
        yield (
            f"long paths   {state} for programs in general (LongPathsEnabled); limpet takes them "
            "either way"
        )


def _long_paths() -> bool | None:
    if sys.platform == "win32":
        import winreg

        place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        return False  # the value is missing until somebody sets it
    return None
