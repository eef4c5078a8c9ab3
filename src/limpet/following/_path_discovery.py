"""What was asked to be followed: one path, or all that match a glob."""

from __future__ import annotations

import os
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from limpet.errors import UsageError
from limpet.following._followed_path import FollowedPath
from limpet.following._rotation import COMPRESSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from limpet.following._follower_state import FollowerState

__all__ = ["PathPattern", "patterns_of"]


class PathPattern:
    """One path or glob and the targets that come of it."""

    def __init__(self, world: FollowerState, pattern: str, *, glob: bool) -> None:
        """Know what was asked for; ``pattern`` is absolute."""
        self.world = world
        self.pattern = pattern
        self.glob = glob
        self.targets: dict[str, FollowedPath] = {}
        """Path -> target, in the order they were found."""
        if not glob:
            self.targets[pattern] = FollowedPath(world, pattern)

    @property
    def folder(self) -> str:
        """The deepest folder that holds all that can match."""
        folder = os.path.dirname(self.pattern)
        while has_magic(folder):
            folder = os.path.dirname(folder)
        return folder

    @property
    def recursive(self) -> bool:
        """Whether what matches may lie in folders below that."""
        return os.path.dirname(self.pattern) != self.folder

    def discover(self) -> list[FollowedPath]:
        """Find what matches now; give the targets that are new."""
        if not self.glob:
            return []
        new = []
        for path in self.world.disk.glob(self.pattern):
            if path in self.targets or path.endswith(COMPRESSED) or os.path.isdir(path):
                continue
            target = FollowedPath(self.world, path, found=not self.world.starting)
            self.targets[path] = target
            new.append(target)
        return new

    def forget(self) -> None:
        """Drop the targets of names that are gone and done with."""
        for path in [
            path
            for path, target in self.targets.items()
            if not (target.is_there or target.held or target.unacked or self.world.starting)
            and not os.path.lexists(path)
        ]:
            if self.glob:
                del self.targets[path]

    def siblings(self, target: FollowedPath) -> list[FollowedPath]:
        """Give the targets among whose files copies of this one's may be."""
        return list(self.targets.values()) if self.glob else [target]


def patterns_of(world: FollowerState, paths: Iterable[str | os.PathLike[str]]) -> list[PathPattern]:
    """Make what was asked for absolute; a text with wildcards is a glob unless it is a file's name.

    Raises:
        UsageError: There is none, or one is empty or has a NUL.
    """
    sources: dict[str, PathPattern] = {}
    for path in paths:
        text = os.fspath(path)
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        if not text or "\0" in text:
            message = f"cannot follow {text!r}: give the path of a file, or a glob"
            raise UsageError(message)
        absolute = os.path.abspath(text)
        glob = not isinstance(path, Path) and has_magic(text) and not os.path.lexists(absolute)
        if absolute not in sources:
            sources[absolute] = PathPattern(world, absolute, glob=glob)
    if not sources:
        message = "nothing to follow: give at least one path"
        raise UsageError(message)
    return list(sources.values())


def each_path(sources: Iterable[PathPattern]) -> Iterator[FollowedPath]:
    """Give every target once."""
    for source in sources:
        yield from list(source.targets.values())
