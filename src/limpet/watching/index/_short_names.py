"""The second, short name that a file may have on Windows (``LONGFI~1.TXT``).

A notification may give it in place of the name ("FILE_NOTIFY_INFORMATION", learn.microsoft.com: it
is unspecified which of the two). It is in no listing, so what it stands for is looked for there.
"""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = re.compile(r"(?=[^.]{1,8}(?:\.|\Z))[^.~]+~\d+(?:\.[^.]{1,3})?\Z", re.DOTALL)
"""Up to eight characters that end in ``~`` and a number, and up to three after a dot ("Naming
Files, Paths, and Namespaces", short versus long names)."""


def may_be_short(name: str) -> bool:
    """Return whether a name has the form of a short name; a file may also be called so."""
    return "~" in name and _SHORT.match(name) is not None
