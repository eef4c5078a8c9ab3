"""The names of watchfiles 1.x on limpet: same signatures, defaults and errors.

Where watchfiles goes deaf, this goes on: a watched path that is deleted, made again or replaced, a
folder that is moved in with files in it, a package made at once. The page "Coming from watchfiles"
has what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
from limpet.compat.watchfiles.filters import BaseFilter, DefaultFilter, PythonFilter
from limpet.compat.watchfiles.main import Change, awatch, watch
from limpet.compat.watchfiles.run import arun_process, run_process
from limpet.compat.watchfiles.version import VERSION

__version__ = VERSION
__all__ = [
    "VERSION",
    "BaseFilter",
    "Change",
    "DefaultFilter",
    "PythonFilter",
    "arun_process",
    "awatch",
    "run_process",
    "watch",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        globals(),
        {},
        {
            name: f"limpet.compat.watchfiles.{name}"
            for name in ("cli", "filters", "main", "run", "version")
        },
    )
