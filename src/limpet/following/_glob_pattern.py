"""Globs as following needs them: what could not be listed is known to be unknown.

``glob.glob`` returns nothing for a directory that it could not read. For a follower "no such file"
and "not known" are different: the first is reported as a gap, the second is tried again.
"""

from __future__ import annotations

import os
import re
from fnmatch import translate
from functools import lru_cache
from glob import has_magic
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import MISSING

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
"""Endings of files that are left alone."""


def fixed_dir(pattern: str) -> str:
    """Return the deepest directory that contains everything that can match."""
    directory = os.path.dirname(pattern)
    while has_magic(directory):
        directory = os.path.dirname(directory)
    return directory


def expand(io: FileIO, pattern: str) -> tuple[list[str], OSError | None]:
    """Return the matching paths, sorted, and why they may not be all.

    Hidden names match only if the pattern has the dot. ``**`` matches any number of directories,
    and does not enter symlinks.

    Args:
        io: Access to the disk.
        pattern: Absolute.
    """
    directory = fixed_dir(pattern)
    rest = os.path.relpath(pattern, directory).split(os.sep)
    found: set[str] = set()
    trouble = _expand(io, directory, rest, found)
    return sorted(found), trouble


def _expand(io: FileIO, directory: str, parts: list[str], found: set[str]) -> OSError | None:
    """Add what matches below a directory; return what could not be listed."""
    part, rest = parts[0], parts[1:]
    trouble: OSError | None = None
    if part == "**" and rest:
        trouble = _expand(io, directory, rest, found)
    elif not has_magic(part) and rest:
        return _expand(io, os.path.join(directory, _literal(part)), rest, found)
    try:
        entries = io.entries(directory)
    except OSError as error:
        return trouble or (None if error.errno in MISSING else error)
    regex = _regex("*" if part == "**" else part)
    for entry in entries:
        if not _matches(regex, part, entry.name):
            continue
        path = os.path.join(directory, entry.name)
        if not rest:
            found.add(path)
        if not entry.is_dir:
            continue
        if part == "**":
            if not os.path.islink(path):
                trouble = _expand(io, path, parts, found) or trouble
        elif rest:
            trouble = _expand(io, path, rest, found) or trouble
    return trouble


def matches(pattern: str, path: str) -> bool:
    """Return whether ``expand`` would find a path that exists."""
    return _match_parts(pattern.split(os.sep), path.split(os.sep))


def _match_parts(pattern: list[str], path: list[str]) -> bool:
    for at, part in enumerate(pattern):
        if part == "**":
            if at == len(pattern) - 1:
                return len(path) > at and not any(one.startswith(".") for one in path[at:])
            return any(
                _match_parts(pattern[at + 1 :], path[end:])
                and not any(one.startswith(".") for one in path[at:end])
                for end in range(at, len(path))
            )
        if len(path) <= at or not _matches(_regex(part), part, path[at]):
            return False
    return len(path) == len(pattern)


@lru_cache(maxsize=256)
def _regex(part: str) -> re.Pattern[str]:
    return re.compile(translate(os.path.normcase(part)))


def _matches(regex: re.Pattern[str], part: str, name: str) -> bool:
    hidden = name.startswith(".") and not _literal(part).startswith(".")
    return not hidden and regex.match(os.path.normcase(name)) is not None


def _literal(part: str) -> str:
    """Return a component without magic as the name that it stands for (see ``glob.escape``)."""
    return re.sub(r"\[([*?[])\]", r"\1", part)
