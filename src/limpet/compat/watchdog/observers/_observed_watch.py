"""A scheduled path, as programs hold it."""

from __future__ import annotations

import os
from pathlib import Path

from limpet.compat.watchdog._event_types import FileSystemEvent


class ObservedWatch:
    """A scheduled path; equal to another of the same path and the same arguments."""

    def __init__(
        self,
        path: str | Path,
        *,
        recursive: bool,
        event_filter: list[type[FileSystemEvent]] | None = None,
        follow_symlink: bool = False,
    ) -> None:
        self.raw_path = str(path) if isinstance(path, Path) else path
        self.follow_symlink = follow_symlink
        self.event_filter = None if event_filter is None else frozenset(event_filter)
        self.is_file = os.path.isfile(self.raw_path)
        absolute = os.path.abspath(self.raw_path)
        self.resolved_path = os.path.realpath(absolute) if follow_symlink else absolute
        self.path = os.path.dirname(self.resolved_path) if self.is_file else self.raw_path
        self.is_recursive = recursive and not self.is_file

    @property
    def key(self) -> tuple[str, bool, frozenset[type[FileSystemEvent]] | None, bool]:
        """Return what makes it equal to another."""
        return self.raw_path, self.is_recursive, self.event_filter, self.follow_symlink

    def __eq__(self, watch: object) -> bool:
        return self.key == watch.key if isinstance(watch, ObservedWatch) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        shown = f"path={self.path!r}, is_recursive={self.is_recursive}"
        if self.event_filter is not None:
            shown += f", event_filter={'|'.join(sorted(one.__name__ for one in self.event_filter))}"
        return f"<{type(self).__name__}: {shown}>"
