"""Filters: which changes are of interest, by the path as text."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limpet.compat.watchfiles._changes import Change

__all__ = ["BaseFilter", "DefaultFilter", "PythonFilter"]


class BaseFilter:
    """A filter by directory names, patterns of the last name, and paths.

    A subclass sets the three attributes, or overrides ``__call__``.
    """

    ignore_dirs: Sequence[str] = ()
    """Names of directories: all below them is left out."""
    ignore_entity_patterns: Sequence[str] = ()
    """Regular expressions that are searched for in the last name of the path."""
    ignore_paths: Sequence[str | Path] = ()
    """Beginnings of paths."""

    def __init__(self) -> None:
        self._ignore_dirs = frozenset(self.ignore_dirs)
        self._ignore_entity_regexes = tuple(map(re.compile, self.ignore_entity_patterns))
        self._ignore_paths = tuple(os.fspath(one) for one in self.ignore_paths)

    def __call__(self, change: Change, path: str) -> bool:
        """Return whether a change is of interest.

        Args:
            change: What happened; filters by path do not ask.
            path: Where.
        """
        del change
        names = path.split(os.sep)
        ignored = (
            not self._ignore_dirs.isdisjoint(names)
            or (self._ignore_paths and path.startswith(self._ignore_paths))
            or any(one.search(names[-1]) is not None for one in self._ignore_entity_regexes)
        )
        return not ignored

    def __repr__(self) -> str:
        names = ("ignore_dirs", "ignore_entity_patterns", "ignore_paths")
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({shown})"


class DefaultFilter(BaseFilter):
    """Leaves out what is hardly ever meant: version control, environments, caches, editors."""

    ignore_dirs: Sequence[str] = (
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".tox",
        ".venv",
        ".idea",
        "node_modules",
        ".mypy_cache",
        ".pytest_cache",
        ".hypothesis",
    )
    ignore_entity_patterns: Sequence[str] = (
        r"\.py[cod]$",
        r"\.___jb_...___$",
        r"\.sw.$",
        "~$",
        r"^\.\#",
        r"^\.DS_Store$",
        r"^flycheck_",
    )

    def __init__(
        self,
        *,
        ignore_dirs: Sequence[str] | None = None,
        ignore_entity_patterns: Sequence[str] | None = None,
        ignore_paths: Sequence[str | Path] | None = None,
    ) -> None:
        """Take what is given in place of what the class has."""
        given = {
            "ignore_dirs": ignore_dirs,
            "ignore_entity_patterns": ignore_entity_patterns,
            "ignore_paths": ignore_paths,
        }
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        super().__init__()


class PythonFilter(DefaultFilter):
    """Lets Python's source and extension files through, and what else is asked for."""

    def __init__(
        self,
        *,
        ignore_paths: Sequence[str | Path] | None = None,
        extra_extensions: Sequence[str] = (),
    ) -> None:
        """Add extensions to ``.py``, ``.pyx`` and ``.pyd``."""
        self.extensions = (".py", ".pyx", ".pyd", *extra_extensions)
        super().__init__(ignore_paths=ignore_paths)

    def __call__(self, change: Change, path: str) -> bool:
        """Return whether a change is of interest."""
        return path.endswith(self.extensions) and super().__call__(change, path)
