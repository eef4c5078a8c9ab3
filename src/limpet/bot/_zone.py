"""Time zones of settings, and the one of this system."""

from __future__ import annotations

import os
from functools import cache
from typing import Annotated, Final, TypeAlias
from zoneinfo import ZoneInfo

from limpet._setting_types import MadeBy

_LOCALTIME: Final = "/etc/localtime"
"""The rules of the system's zone (localtime(5)); not there on Windows."""


def _zone(given: str) -> ZoneInfo:
    try:
        return ZoneInfo(given)
    except (OSError, KeyError, ValueError) as error:
        message = f"there is no time zone {given!r}"
        raise ValueError(message) from error


ZoneText: TypeAlias = Annotated[ZoneInfo, MadeBy(_zone, lambda zone: zone.key)]
"""A time zone by its name, such as Europe/London."""


@cache
def system_zone() -> ZoneInfo | None:
    """Return the rules of this system's zone, with its changes for summer; none if unknown."""
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with open(_LOCALTIME, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, KeyError, ValueError):  # a rule such as CET-1CEST, or no such file
        return None
