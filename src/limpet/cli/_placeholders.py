"""Placeholders in a command: ``{}`` and its kin, as ``fd`` has them, and how many paths fit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{(?://|/\.|/|\.)?\}")
"""A placeholder, or a doubled brace, which stands for one."""

_BRACES: Final = {"{{": "{", "}}": "}"}

_VALUES: Final[dict[str, Callable[[str], str]]] = {
    "{}": str,
    "{/}": os.path.basename,
    "{//}": lambda path: os.path.dirname(path) or os.curdir,
    "{.}": lambda path: os.path.splitext(path)[0],
    "{/.}": lambda path: os.path.splitext(os.path.basename(path))[0],
}

PLACEHOLDERS: Final = tuple(_VALUES)

MOST_BYTES: Final = 30_000 if os.name == "nt" else 126_976
"""Of the paths in one command. CreateProcessW takes 32,767 characters; elsewhere it is what
``xargs`` takes of itself, 4 KiB below the 128 KiB that Linux permits for one argument (execve(2)).
"""


def has_placeholder(word: str) -> bool:
    """Return whether a word of a command has a placeholder."""
    return any(token not in _BRACES for token in _TOKEN.findall(word))


def expand(argv: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return a command for these paths.

    A word with a placeholder is there once for each path. Without any placeholder the command
    stays as it is, its braces too. A word that a path begins is never an option: ``-rf`` becomes
    ``./-rf``.
    """
    if not any(map(has_placeholder, argv)):
        return list(argv)
    made: list[str] = []
    for word in argv:
        made += [_filled(word, path) for path in (paths if has_placeholder(word) else ("",))]
    return made


def split(argv: Sequence[str], paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield the paths in as few parts as the system takes in one command; none of them is empty.

    Without a placeholder that is one part.
    """
    copies = sum(map(has_placeholder, argv))
    part: list[str] = []
    size = 0
    for path in paths:
        needed = copies * (len(os.fsencode(path)) + max(map(len, argv)) + 1)
        if part and size + needed > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(path)
        size += needed
    if part:
        yield part


def _filled(word: str, path: str) -> str:
    def value(found: re.Match[str]) -> str:
        token = found[0]
        return _BRACES[token] if token in _BRACES else _VALUES[token](path)

    text = _TOKEN.sub(value, word)
    is_option = text.startswith("-") and not word.startswith("-")
    return os.path.join(os.curdir, text) if is_option else text
