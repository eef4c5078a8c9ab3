"""Load the modules that a watch loads when it is entered."""

from __future__ import annotations

import importlib.util
import sys


def load_all() -> None:
    """Load every module that an entered watch may need on this system."""
    from limpet._gitignore import compile_globs
    from limpet.backends import capabilities_of
    from limpet.watching import (  # noqa: F401
        _dispatcher,
        _file_watcher,
        _loop_dispatcher,
        _several,
        _state_file,
    )
    from limpet.watching.emit import _causes  # noqa: F401

    compile_globs(["*"])
    first = {"linux": ("fanotify", "inotify"), "win32": ("windows",)}
    for name in first.get(sys.platform, ("watchfiles",)):
        capabilities_of(name)
    if sys.platform in first:
        return
    if importlib.util.find_spec("watchfiles") is not None:
        import watchfiles._rust_notify  # noqa: F401
