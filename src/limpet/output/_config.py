"""The options of an output."""

from __future__ import annotations

import os
from typing import Any, TypedDict, cast

from limpet._option_fields import OptionInfo, check_names, check_values
from limpet.output._limits import OutputLimits
from limpet.output._operations import Durability
from limpet.output._root_dir import Moved, ResolverName


class OutputOptions(TypedDict, total=False):
    """The keyword arguments of ``open_output`` and ``Output``."""

    create: bool
    """Create the folder, and those above it, if it is missing, now or later; default False: refused
    with ``root-gone``."""
    durability: Durability
    """What survives a crash of the system: ``none`` (default), ``file`` or ``full``."""
    portable: bool
    """Refuse new names that are not valid on every system; default False, on Windows always True.
    """
    limits: OutputLimits
    """How much may be written; default no limit but 1,024 operations in flight."""
    moved: Moved
    """Once the folder was moved away: ``reopen`` (default) the one at its path then, ``refuse``
    every operation, or ``stay`` in the folder wherever it is."""
    cross_mounts: bool
    """Write into what is mounted below the root; default False: refused with ``mount``."""
    lock_timeout: float
    """Seconds an append waits for another process's lock; default 10."""
    clean: bool
    """When opened, remove the temporary files of processes that died; default True."""
    way: ResolverName
    """How names are resolved; default ``auto``."""


class Settings(TypedDict):
    """All options, with none left out."""

    create: bool
    durability: Durability
    portable: bool
    limits: OutputLimits
    moved: Moved
    cross_mounts: bool
    lock_timeout: float
    clean: bool
    way: ResolverName


def settings_of(given: dict[str, Any]) -> Settings:
    """Return the options with defaults filled in.

    Raises:
        UsageError: An option does not exist, is of another type or out of its range; the message
            names it.
    """
    settings: dict[str, Any] = {
        "create": False,
        "durability": "none",
        "portable": False,
        "limits": OutputLimits(),
        "moved": "reopen",
        "cross_mounts": False,
        "lock_timeout": 10.0,
        "clean": True,
        "way": "auto",
    }
    check_names(given, settings)
    settings.update(given)
    check_values(settings, Settings, {"lock_timeout": OptionInfo(help="", unit="SECONDS", least=0)})
    settings["portable"] = settings["portable"] or os.name == "nt"
    return cast("Settings", settings)
