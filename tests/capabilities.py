"""What this system lacks: a test that asks for it is skipped, with the name of what is missing.

Where a call of the standard library does not exist, or does nothing, ``skip_what_is_missing`` puts
one in its place that skips the test that calls it. So a test is written once, for a system that has
everything, and says nothing of platforms.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
"""Whether this process may do what the permissions of a file deny; also its user, in POSIX."""


def needs_module(name: str) -> pytest.MarkDecorator:
    """Return the mark of a test that uses a module of the standard library that POSIX alone has."""
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no module {name}")


@cache
def has_symlinks() -> bool:
    """Return whether a symlink can be made here.

    Windows asks for a privilege or the developer mode; Wine 8 makes none and raises nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "link")
        with contextlib.suppress(OSError, NotImplementedError):
            os.symlink("nowhere", link)
        return os.path.islink(link)


@cache
def has_permission_bits() -> bool:
    """Return whether a file keeps the permission bits that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "file")
        Path(file).touch()
        os.chmod(file, 0o640)
        return os.stat(file).st_mode & 0o777 == 0o640


def has_text_as_bytes() -> bool:
    """Return whether text is written as it is: with the line ends it has, in UTF-8."""
    return os.linesep == "\n"


needs_symlinks = pytest.mark.skipif(not has_symlinks(), reason="no symlinks can be made here")
needs_permission_bits = pytest.mark.skipif(
    not has_permission_bits(), reason="no permission bits here"
)
needs_proc = pytest.mark.skipif(
    os.sep != "/" or not os.path.exists("/proc/self"), reason="no /proc"
)
needs_signals = pytest.mark.skipif(not hasattr(os, "getpgid"), reason="no signals of POSIX")
needs_free_names = pytest.mark.skipif(
    os.name == "nt", reason="an open file or directory cannot be renamed or deleted by its name"
)


def skipping(reason: str) -> Callable[..., Any]:
    """Return a call that skips the test."""

    def call(*_: Any, **__: Any) -> Any:
        pytest.skip(reason)

    return call


def skip_what_is_missing() -> None:
    """Put calls that skip in the place of those that this system does not have."""
    if not hasattr(os, "mkfifo"):
        os.mkfifo = skipping("no FIFOs here")
    if not has_symlinks():
        os.symlink = _no_symlink  # type: ignore[assignment]
    if not has_permission_bits():
        chmod = os.chmod

        def only_read_only(path: Any, mode: int, **options: Any) -> None:
            """Windows knows one bit alone, whether a file may be written."""
            if mode not in {0o444, 0o644, 0o666}:
                pytest.skip("no permission bits here")
            chmod(path, mode, **options)

        os.chmod = only_read_only
    if not has_text_as_bytes():
        _write_text_as_bytes()


def _no_symlink(source: Any, path: Any, *_: Any, **__: Any) -> None:
    if os.fspath(path).endswith("current"):  # pytest's own, beside the directories of tests
        raise OSError("no symlinks can be made here")
    pytest.skip("no symlinks can be made here")


def _write_text_as_bytes() -> None:
    """Write and read the tests' own text as it is, in UTF-8; limpet's calls are left alone.

    On Windows text gets other line ends and another encoding; no test is about that.
    """
    opens, path_opens = builtins.open, Path.open

    def plain(mode: str, options: dict[str, Any]) -> dict[str, Any]:
        caller = sys._getframe(2).f_globals.get("__name__", "")
        if "b" in mode or not caller.startswith("tests."):
            return options
        return {"encoding": "utf-8", "newline": "", **options}

    def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return opens(file, mode, *rest, **plain(mode, options))

    def path_open(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return path_opens(self, mode, *rest, **plain(mode, options))

    def write(self: Path, data: str, encoding: str = "utf-8", *_: Any, **__: Any) -> int:
        return self.write_bytes(data.encode(encoding, "surrogateescape"))

    def read(self: Path, encoding: str = "utf-8", errors: str = "strict", **_: Any) -> str:
        return self.read_bytes().decode(encoding, errors)

    replaced: dict[Any, dict[str, Any]] = {
        builtins: {"open": open_},
        Path: {"open": path_open, "write_text": write, "read_text": read},
    }
    for owner, calls in replaced.items():
        for name, call in calls.items():
            setattr(owner, name, call)
