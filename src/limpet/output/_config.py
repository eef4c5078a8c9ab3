"""The options of an output."""

from __future__ import annotations

import os
from typing import Any, Final, TypedDict, cast

from limpet._option_fields import OptionInfo, check_names, check_values
from limpet._option_signature import ShownOption
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


OPTIONS: Final = (
    ShownOption("create", False, "Create the folder, and those above it, if it is missing."),
    ShownOption("durability", "none", "What survives a crash of the system: none, file or full."),
    ShownOption("portable", False, "Refuse new names that are not valid on every system."),
    ShownOption("limits", OutputLimits(), "How much may be written."),
    ShownOption("moved", "reopen", "What to do once the folder was moved: reopen, refuse or stay."),
    ShownOption("cross_mounts", False, "Write into what is mounted below the folder."),
    ShownOption("lock_timeout", 10.0, "Seconds an append waits for another process's lock."),
    ShownOption("clean", True, "First remove temporary files of processes that died."),
    ShownOption("way", "auto", "How names are resolved."),
)


def settings_of(given: dict[str, Any]) -> Settings:
    """Return the options with defaults filled in.

    Raises:
        UsageError: An option does not exist, is of another type or out of its range; the message
            names it.
    """
    settings: dict[str, Any] = {one.name: one.default for one in OPTIONS}
    check_names(given, settings)
    settings.update(given)
    check_values(settings, Settings, {"lock_timeout": OptionInfo(help="", unit="SECONDS", least=0)})
    settings["portable"] = settings["portable"] or os.name == "nt"
    return cast("Settings", settings)
