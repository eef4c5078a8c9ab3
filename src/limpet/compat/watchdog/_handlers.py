"""Handlers: what is called for an event, and which events one is called for."""

from __future__ import annotations

import logging
import os
import re
from enum import StrEnum
from typing import Literal

from limpet.compat.watchdog._event_types import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileClosedNoWriteEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)
from limpet.compat.watchdog.utils.patterns import match_any_paths


class FileSystemEventHandler:
    """Base of handlers: a subclass overrides the methods it is interested in."""

    def dispatch(self, event: FileSystemEvent) -> None:
        """Call ``on_any_event``, and the method for the type of the event."""
        self.on_any_event(event)
        getattr(self, f"on_{event.event_type}")(event)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Handle an event of any type."""

    def on_moved(self, event: DirMovedEvent | FileMovedEvent) -> None:
        """Handle a rename."""

    def on_created(self, event: DirCreatedEvent | FileCreatedEvent) -> None:
        """Handle what came."""

    def on_deleted(self, event: DirDeletedEvent | FileDeletedEvent) -> None:
        """Handle what went."""

    def on_modified(self, event: DirModifiedEvent | FileModifiedEvent) -> None:
        """Handle other content."""

    def on_attrib(self, event: DirAttribEvent | FileAttribEvent) -> None:
        """Handle another mode or owner."""

    def on_closed(self, event: FileClosedEvent) -> None:
        """Handle a file whose writer has closed it.

        A handler that has this method, or a filter that names the class, costs a second watch.
        """

    def on_closed_no_write(self, event: FileClosedNoWriteEvent) -> None:
        """Not called."""

    def on_opened(self, event: FileOpenedEvent) -> None:
        """Not called."""


class IgnorePolicy(StrEnum):
    """Which renames are left out by what is to be ignored."""

    ANY = "any"
    """Those of which one path is."""
    ALL = "all"
    """Those of which both are."""


class PathMatchingEventHandler(FileSystemEventHandler):
    """Base of handlers that are called for some paths only."""

    def __init__(
        self,
        *,
        ignore_directories: bool = False,
        case_sensitive: bool = False,
        ignore_policy: IgnorePolicy | Literal["any", "all"] = IgnorePolicy.ANY,
    ) -> None:
        super().__init__()
        self._ignore_directories = ignore_directories
        self._case_sensitive = case_sensitive
        self._ignore_policy = IgnorePolicy(ignore_policy)

    @property
    def ignore_directories(self) -> bool:
        """Return whether events of directories are left out."""
        return self._ignore_directories

    @property
    def case_sensitive(self) -> bool:
        """Return whether upper and lower case differ."""
        return self._case_sensitive

    @property
    def ignore_policy(self) -> IgnorePolicy:
        """Return which renames are left out."""
        return self._ignore_policy

    def is_ignored(self, path: str) -> bool:
        """Return whether a path is to be left out."""
        raise NotImplementedError

    def is_included(self, path: str) -> bool:
        """Return whether a path is of interest."""
        raise NotImplementedError

    def dispatch(self, event: FileSystemEvent) -> None:
        """Call the methods for an event whose paths are of interest."""
        if self.ignore_directories and event.is_directory:
            return
        paths = [os.fsdecode(one) for one in (event.dest_path, event.src_path) if one]
        ignored = [self.is_ignored(one) for one in paths]
        if any(ignored) if self.ignore_policy is IgnorePolicy.ANY else all(ignored):
            return
        if any(self.is_included(one) for one in paths):
            super().dispatch(event)


class PatternMatchingEventHandler(PathMatchingEventHandler):
    """A handler for paths that match globs from their right end, as ``PurePath.match`` does.

    ``*.py`` matches absolute paths, too, as it does in watchdog 6.x and no longer in 7.x.
    """

    def __init__(
        self,
        *,
        patterns: list[str] | None = None,
        ignore_patterns: list[str] | None = None,
        ignore_directories: bool = False,
        case_sensitive: bool = False,
        ignore_policy: IgnorePolicy | Literal["any", "all"] = IgnorePolicy.ANY,
    ) -> None:
        super().__init__(
            ignore_directories=ignore_directories,
            case_sensitive=case_sensitive,
            ignore_policy=ignore_policy,
        )
        self._patterns = patterns
        self._ignore_patterns = ignore_patterns
        _check_apart("patterns", patterns, ignore_patterns, case_sensitive=case_sensitive)

    @property
    def patterns(self) -> list[str] | None:
        """Return the globs of paths of interest; ``None`` is all."""
        return self._patterns

    @property
    def ignore_patterns(self) -> list[str] | None:
        """Return the globs of paths that are left out."""
        return self._ignore_patterns

    def is_ignored(self, path: str) -> bool:
        """Return whether a path is to be left out."""
        wanted = self.ignore_patterns
        return bool(wanted) and self._matches(path, wanted)

    def is_included(self, path: str) -> bool:
        """Return whether a path is of interest."""
        return self._matches(path, self.patterns)

    def _matches(self, path: str, patterns: list[str] | None) -> bool:
        return match_any_paths(
            [path], included_patterns=patterns, case_sensitive=self.case_sensitive
        )


class RegexMatchingEventHandler(PathMatchingEventHandler):
    """A handler for paths that match regular expressions from their beginning."""

    def __init__(
        self,
        *,
        regexes: list[str] | None = None,
        ignore_regexes: list[str] | None = None,
        ignore_directories: bool = False,
        case_sensitive: bool = False,
        ignore_policy: IgnorePolicy | Literal["any", "all"] = IgnorePolicy.ANY,
    ) -> None:
        super().__init__(
            ignore_directories=ignore_directories,
            case_sensitive=case_sensitive,
            ignore_policy=ignore_policy,
        )
        wanted = [regexes] if isinstance(regexes, str) else regexes
        if wanted is None:
            wanted = [".*"]
        flags = 0 if case_sensitive else re.IGNORECASE
        self._regexes = [re.compile(one, flags) for one in wanted]
        self._ignore_regexes = [re.compile(one, flags) for one in ignore_regexes or ()]
        _check_apart("regexes", wanted, ignore_regexes, case_sensitive=case_sensitive)

    @property
    def regexes(self) -> list[re.Pattern[str]]:
        """Return the expressions of paths of interest."""
        return self._regexes

    @property
    def ignore_regexes(self) -> list[re.Pattern[str]]:
        """Return the expressions of paths that are left out."""
        return self._ignore_regexes

    def is_ignored(self, path: str) -> bool:
        """Return whether a path is to be left out."""
        return any(one.match(path) for one in self.ignore_regexes)

    def is_included(self, path: str) -> bool:
        """Return whether a path is of interest."""
        return any(one.match(path) for one in self.regexes)


class LoggingEventHandler(FileSystemEventHandler):
    """A handler that logs every event."""

    def __init__(self, *, logger: logging.Logger | None = None) -> None:
        super().__init__()
        self.logger = logger or logging.root

    def on_moved(self, event: DirMovedEvent | FileMovedEvent) -> None:
        """Log a rename."""
        super().on_moved(event)
        kind = _kind(event)
        self.logger.info("Moved %s: from %s to %s", kind, event.src_path, event.dest_path)

    def on_created(self, event: DirCreatedEvent | FileCreatedEvent) -> None:
        """Log what came."""
        super().on_created(event)
        self.logger.info("Created %s: %s", _kind(event), event.src_path)

    def on_deleted(self, event: DirDeletedEvent | FileDeletedEvent) -> None:
        """Log what went."""
        super().on_deleted(event)
        self.logger.info("Deleted %s: %s", _kind(event), event.src_path)

    def on_modified(self, event: DirModifiedEvent | FileModifiedEvent) -> None:
        """Log other content."""
        super().on_modified(event)
        self.logger.info("Modified %s: %s", _kind(event), event.src_path)

    def on_attrib(self, event: DirAttribEvent | FileAttribEvent) -> None:
        """Log another mode or owner."""
        super().on_attrib(event)
        self.logger.info("Attrib %s: %s", _kind(event), event.src_path)


def _kind(event: FileSystemEvent) -> str:
    return "directory" if event.is_directory else "file"


def _check_apart(
    what: str, wanted: list[str] | None, ignored: list[str] | None, *, case_sensitive: bool
) -> None:
    """Raise ``ValueError`` for what is both wanted and ignored."""
    both = [
        {one if case_sensitive else one.lower() for one in given or ()}
        for given in (wanted, ignored)
    ]
    common = both[0] & both[1]
    if common:
        message = f"conflicting {what} `{common}` included and excluded"
        raise ValueError(message)
