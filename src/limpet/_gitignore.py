"""Patterns in gitignore syntax, compiled by pathspec."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from limpet.errors import UsageError

if TYPE_CHECKING:
    import pathspec


def check_globs(option: str, globs: Sequence[str]) -> None:
    """Verify that each of an option's globs is a pattern.

    Raises:
        UsageError: One is not, such as ``!`` or ``[z-a]``; the message names the option and the
            glob.
    """
    for glob in globs:
        if _is_pattern(glob):
            try:
                _compile([glob])
            except (ValueError, re.error) as error:
                message = f"{option} must be globs in gitignore syntax, not {glob!r}: {error}"
                raise UsageError(message) from error


def compile_globs(globs: Iterable[str]) -> pathspec.PathSpec[Any] | None:
    """Compile globs that were verified; return ``None`` if none of them is a pattern."""
    kept = [glob for glob in globs if _is_pattern(glob)]
    return _compile(kept) if kept else None


def compile_ignore_file(data: bytes) -> pathspec.PathSpec[Any] | None:
    """Compile the content of an ignore file; return ``None`` if there is no pattern in it.

    Lines end with a newline only, as in git. A line that is not a pattern is left out, as in git
    (``gitignore(5)``): one bad line in a tree must not end the watch of the tree.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    try:
        return compile_globs(lines)
    except (ValueError, re.error):
        return compile_globs(line for line in lines if _is_valid(line))


def _is_pattern(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _is_valid(line: str) -> bool:
    try:
        compile_globs([line])
    except (ValueError, re.error):
        return False
    return True


def _compile(lines: Sequence[str]) -> pathspec.PathSpec[Any]:
    import pathspec  # loaded here: most watches have no patterns, and loading takes long

    # Before 1.0, pathspec calls the same syntax by another name and warns of this one.
    syntax = "gitwildmatch" if pathspec.__version__.startswith("0.") else "gitignore"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of re, about sets within sets
        return pathspec.PathSpec.from_lines(syntax, lines)
