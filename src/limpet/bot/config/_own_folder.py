"""The folder of a bot's file as a place of its components: ``my_bot.py`` beside ``bot.yaml``.

It comes last on ``sys.path``, so that it shadows nothing: neither an installed package nor what is
in the folder where the program was started.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def append_folder_of(file: str | os.PathLike[str]) -> str | None:
    """Make the modules in the folder of a file importable; return the folder if it was not yet."""
    folder = os.path.dirname(os.path.realpath(os.fsdecode(file)))
    if any(os.path.realpath(one or os.curdir) == folder for one in sys.path):
        return None
    sys.path.append(folder)
    importlib.invalidate_caches()  # it may have been asked for such a module before
    return folder


@contextmanager
def folder_of(file: str | os.PathLike[str]) -> Iterator[None]:
    """Do the same for a while; then the modules that came from there are forgotten.

    Two bots in two folders may both have a ``my_bot.py``, and be checked by one program.
    """
    folder = append_folder_of(file)
    before = set(sys.modules)
    try:
        yield
    finally:
        if folder is not None:
            sys.path.remove(folder)
            for name in sys.modules.keys() - before:
                home = getattr(sys.modules[name], "__file__", None)
                if home is not None and os.path.realpath(home).startswith(folder + os.sep):
                    del sys.modules[name]
