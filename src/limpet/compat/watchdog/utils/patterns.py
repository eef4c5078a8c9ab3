"""Globs as watchdog 6.x matches them: from the right end of a path.

The globs of 7.x are matched against the whole path, so that ``*.py`` no longer matches an absolute
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath, PureWindowsPath

__all__ = ["filter_paths", "match_any_paths"]


def filter_paths(
    paths: list[str],
    *,
    included_patterns: list[str] | None = None,
    excluded_patterns: list[str] | None = None,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Yield the paths that match one pattern of the first list, and none of the second.

    Args:
        paths: Absolute or relative.
        included_patterns: By default all paths match.
        excluded_patterns: By default none is left out.
        case_sensitive: Upper and lower case differ. By default they do.

    Raises:
        ValueError: A pattern is in both lists.
    """
    wanted = _patterns(included_patterns, ["*"], case_sensitive=case_sensitive)
    unwanted = _patterns(excluded_patterns, [], case_sensitive=case_sensitive)
    common = wanted & unwanted
    if common:
        message = f"conflicting patterns `{common}` included and excluded"
        raise ValueError(message)
    make = PurePosixPath if case_sensitive else PureWindowsPath
    for path in paths:
        pure = make(path)
        if _matches(pure, wanted) and not _matches(pure, unwanted):
            yield path


def match_any_paths(
    paths: list[str],
    *,
    included_patterns: list[str] | None = None,
    excluded_patterns: list[str] | None = None,
    case_sensitive: bool = True,
) -> bool:
    """Return whether ``filter_paths`` finds one."""
    found = filter_paths(
        paths,
        included_patterns=included_patterns,
        excluded_patterns=excluded_patterns,
        case_sensitive=case_sensitive,
    )
    return any(True for _ in found)


def _patterns(
    given: list[str] | None, default: list[str], *, case_sensitive: bool
) -> frozenset[str]:
    chosen = default if given is None else given
    return frozenset(one if case_sensitive else one.lower() for one in chosen)


def _matches(path: PurePosixPath | PureWindowsPath, patterns: Iterable[str]) -> bool:
    return any(path.match(one) for one in patterns)
