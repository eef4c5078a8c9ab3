"""Names for what is put away: as it was, or with a number where that is taken.

The inbox of the library and that of bots choose names here. Both rename so that nothing is
replaced, so two processes that choose one name at the same moment do not lose a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

MOST_NAMES: Final = 1000
"""Numbers that are tried behind a name that is taken."""
_LONGEST: Final = 255
"""Bytes of one name (ext4, XFS, APFS; NTFS counts UTF-16 units, which are fewer)."""


def numbered(name: str, number: int) -> str:
    """Return ``a/b.txt``, then ``a/b.1.txt``: the extension stays, so that patterns still match."""
    return _with_mark(name, str(number)) if number else name


def free_names(name: str) -> Iterator[str]:
    """Yield names to try, in order: ``MOST_NAMES`` with numbers, then some that nobody has."""
    for number in range(MOST_NAMES):
        yield numbered(name, number)
    for _ in range(3):
        yield _with_mark(name, os.urandom(8).hex())


def with_end(name: str, end: str) -> str:
    """Return a name with this end, shortened where it would be too long for a file system."""
    raw = os.fsencode(name)
    while len(raw) > _LONGEST - len(end):
        name = name[:-1]
        raw = os.fsencode(name)
    return name + end


def _with_mark(name: str, mark: str) -> str:
    head, slash, last = name.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    if not stem or len(os.fsencode(extension)) > _LONGEST // 2:
        stem, dot, extension = last, "", ""
    return f"{head}{slash}{with_end(stem, f'.{mark}{dot}{extension}')}"
