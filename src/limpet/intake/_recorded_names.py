"""The names of the jobs that an earlier process left at work or waiting, by their records."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Final

from limpet.intake._job_record import FOLDER, key_of, remove_unwritten

_MOST: Final = 1 << 16


def recorded_names(folder: str, *, recursive: bool) -> list[str]:
    """Return them, in no order, and remove records in which nothing is.

    What is not a record of this inbox is left out.
    """
    home = os.path.join(folder, FOLDER)
    found: list[str] = []
    try:
        files = sorted(os.listdir(home)) if not os.path.islink(home) else []
    except OSError:
        return found
    for file in files:
        name = _name_in(os.path.join(home, file))
        if name and _is_below(name, recursive=recursive):
            found.append(name)
        elif not name and file.endswith(".job"):
            remove_unwritten(os.path.join(home, file))
    return found


def _name_in(path: str) -> str:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                value: Any = json.loads(file.read(_MOST).partition(b"\n")[0])
            name = str(value["name"])
            return name if f"{key_of(name)}.job" == os.path.basename(path) else ""
    return ""


def _is_below(name: str, *, recursive: bool) -> bool:
    """Return whether a name leads nowhere else than into the inbox."""
    parts = name.split("/")
    if any(part in {"", ".", ".."} or "\0" in part or os.sep in part for part in parts):
        return False
    return recursive or len(parts) == 1
