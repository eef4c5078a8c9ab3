"""What the caller asked for: paths, and globs whose matches are found as they come."""

from __future__ import annotations

import os
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from limpet._option_fields import path_of
from limpet.errors import UsageError
from limpet.following._followed_path import FollowedPath
from limpet.following._followed_stream import STDIN
from limpet.following._glob_pattern import COMPRESSED, expand, fixed_dir, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._follower_state import FollowerState


class PathPattern:
    """One path or glob, absolute."""

    def __init__(self, text: str, *, is_glob: bool) -> None:
        self.text = text
        self.is_glob = is_glob

    @property
    def dir(self) -> str:
        """The deepest directory that contains everything that can match."""
        return fixed_dir(self.text) if self.is_glob else os.path.dirname(self.text)

    @property
    def recursive(self) -> bool:
        """Return whether a match may lie in a directory below ``dir``."""
        return os.path.dirname(self.text) != self.dir


def patterns_of(paths: Iterable[str | os.PathLike[str]]) -> list[PathPattern]:
    """Return what was asked for, absolute and without duplicates.

    A text with wildcards is a glob, unless a file has that very name; ``-`` is standard input.

    Raises:
        UsageError: There is no path, or one is empty or contains a NUL.
    """
    patterns: dict[str, PathPattern] = {}
    for path in paths:
        if path == STDIN:
            patterns[STDIN] = PathPattern(STDIN, is_glob=False)
            continue
        absolute = os.fspath(path_of("path", path))
        text = os.fsdecode(path)
        is_glob = not isinstance(path, Path) and has_magic(text) and not os.path.lexists(absolute)
        if absolute not in patterns:
            patterns[absolute] = PathPattern(absolute, is_glob=is_glob)
    if not patterns:
        message = "nothing to follow: give at least one path"
        raise UsageError(message)
    return list(patterns.values())


def discover(state: FollowerState, pattern: PathPattern) -> list[FollowedPath]:
    """Add the paths that match now to the state; return the new ones.

    A path that two patterns match belongs to the first.
    """
    if not pattern.is_glob:
        return [_add(state, pattern, pattern.text)] if pattern.text not in state.paths else []
    names, _ = expand(state.io, pattern.text)  # a directory that cannot be read: later, perhaps
    return [_add(state, pattern, name) for name in names if _may_be_followed(state, name)]


def discover_named(
    state: FollowerState, patterns: Iterable[PathPattern], path: str
) -> FollowedPath | None:
    """Add one path that may be new to the state, if it exists and a glob matches it."""
    if not _may_be_followed(state, path):
        return None
    for pattern in patterns:
        if pattern.is_glob and matches(pattern.text, path):
            return _add(state, pattern, path) if os.path.lexists(path) else None
    return None


def _may_be_followed(state: FollowerState, name: str) -> bool:
    if name in state.paths or name in state.own_names or name.endswith(COMPRESSED):
        return False
    return not os.path.isdir(name)


def _add(state: FollowerState, pattern: PathPattern, name: str) -> FollowedPath:
    followed = state.paths[name] = FollowedPath(
        name,
        pattern=pattern.text,
        found_late=pattern.is_glob and not state.starting,
        rotated=state.rotated_of(name),
    )
    state.not_caught_up[followed] = None
    state.mark_changed(name)
    return followed


def forget(state: FollowerState) -> None:
    """Remove paths of globs that are gone, once all is read and acknowledged."""
    for path, followed in list(state.paths.items()):
        if (
            followed.pattern != path
            and not (followed.exists or followed.files or followed.unacknowledged)
            and not state.starting
            and not os.path.lexists(path)
        ):
            del state.paths[path]
            state.busy.pop(followed, None)
            state.not_caught_up.pop(followed, None)
            state.unsaved = True


def siblings(state: FollowerState, followed: FollowedPath) -> list[FollowedPath]:
    """Return the paths whose files may be copies of this path's files."""
    return [one for one in state.paths.values() if one.pattern == followed.pattern]
