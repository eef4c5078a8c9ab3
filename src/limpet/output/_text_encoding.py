"""How text becomes the bytes of a file: byte order marks once, line ends in the width they have.

Pure. ``utf-16``, ``utf-32`` and ``utf-8-sig`` write a byte order mark when they begin a text. A
file is one text, so only its first record has the mark, and later ones go on in its byte order.
"""

from __future__ import annotations

import codecs
import sys
from typing import Final

_MARKS: Final[dict[str, tuple[tuple[bytes, str], ...]]] = {
    "utf-8-sig": (),
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
}
"""Encoding that writes a mark -> marks a file may begin with, and what then encodes the rest."""
_NATIVE: Final = {
    "utf-8-sig": "utf-8",
    "utf-16": f"utf-16-{sys.byteorder[0]}e",
    "utf-32": f"utf-32-{sys.byteorder[0]}e",
}

LONGEST_MARK: Final = 4


def has_mark(encoding: str) -> bool:
    """Return whether an encoding begins a text with a byte order mark."""
    return encoding != "utf-8" and codecs.lookup(encoding).name in _MARKS


def going_on(encoding: str, start: bytes) -> str:
    """Return the encoding of text that is added to a file.

    Args:
        encoding: That of the whole file.
        start: The first ``LONGEST_MARK`` bytes of the file; empty if it is empty.
    """
    if not start or not has_mark(encoding):
        return encoding
    name = codecs.lookup(encoding).name
    found = (plain for mark, plain in _MARKS[name] if start.startswith(mark))
    return next(found, _NATIVE[name])


def line_end(newline: str, encoding: str, start: bytes) -> bytes:
    """Return the bytes of a line end in a file that is not empty; see ``going_on``."""
    return newline.encode(going_on(encoding, start))
