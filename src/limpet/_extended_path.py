r"""The form of a path in which Windows takes every name as it is.

Win32 rewrites what it is given: it drops dots and spaces at the end of a name, takes ``CON`` for a
device wherever it is, and refuses more than 260 characters unless the system is set up otherwise.
WSL, Git, Samba and other systems' clients make such names. After ``\\?\`` a path is passed on as it
is ("Naming Files, Paths, and Namespaces", learn.microsoft.com).
"""

from __future__ import annotations

import ntpath
import os

_PREFIX = "\\\\?\\"


def extended(path: str) -> str:
    """Return an absolute path as the system is asked for it; on other systems, the same path."""
    return extended_for_windows(path) if os.name == "nt" else path


def extended_for_windows(path: str) -> str:
    r"""Return an absolute path with ``\\?\`` before it; any other path as it is.

    After the prefix, the system knows neither ``/`` nor ``.`` and ``..``.
    """
    if path.startswith(_PREFIX):
        return path.replace("/", "\\")
    if path.startswith("\\\\.\\") or not ntpath.isabs(path):
        return path
    if "/" in path or "\\." in path:
        path = ntpath.normpath(path)
    if path.startswith("\\\\"):
        return f"{_PREFIX}UNC{path[1:]}"
    return _PREFIX + path if path[1:2] == ":" else path
