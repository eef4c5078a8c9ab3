"""One followed path: the file it leads to, and earlier files that are still read."""

from __future__ import annotations

import os
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import FileIO, Identity, Stamp

if TYPE_CHECKING:
    from limpet.following._followed_file import FollowedFile

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")

Known = tuple[int | None, Stamp]
"""Inode generation and stamp of a file that is not delivered (again)."""


class RotatedNames:
    """The names that ``rotated`` matches for one path, and which files of those are delivered."""

    def __init__(self, path: str, pattern: str) -> None:
        """Store the pattern.

        Args:
            path: Followed path, absolute.
            pattern: Glob, relative to the path's directory unless absolute.
        """
        directory = os.path.dirname(path)
        self.pattern: Final = os.path.join(escape(directory), pattern)
        self.dir: Final = os.path.dirname(os.path.join(directory, pattern))
        self.known: dict[Identity, Known] = {}
        """Files that existed at the start, or that are delivered."""
        self.listed: tuple[int, float] | None = None
        """Modification time (ns) of the directory when it was listed, and when that was."""
        self._path = path

    def names(self, io: FileIO) -> list[str]:
        """Return the paths that match, without compressed files and the followed path."""
        return [
            name
            for name in io.glob(self.pattern)
            if name != self._path and not name.endswith(COMPRESSED)
        ]


class FollowedPath:
    """A path and the files that were found there, oldest first."""

    def __init__(
        self,
        path: str,
        *,
        pattern: str | None = None,
        found_late: bool = False,
        rotated: str | None = None,
    ) -> None:
        """Store the path; nothing is opened.

        Args:
            path: Absolute.
            pattern: What the caller asked for: a glob that matches the path; by default the path.
            found_late: The path came to match the glob after the start.
            rotated: The option of that name.
        """
        self.path: Final = path
        self.pattern: Final = pattern or path
        self.event_path: Final = Path(path)
        """The path as events report it."""
        self.found_late: Final = found_late
        self.files: list[FollowedFile] = []
        """Files that are being read, in reading order; mostly open."""
        self.active: FollowedFile | None = None
        """The file that the path leads to."""
        self.unacknowledged: list[FollowedFile] = []
        """Files that are read to their end and closed, but not acknowledged to their end."""
        self.is_alias = False
        """Its file is already read under another path."""
        self.is_restored = False
        """The checkpoint has it, and the start is not finished."""
        self.exists = False
        self.caught_up = False
        """``CaughtUp`` was reported."""
        self.unstable = False
        """It changed faster than it could be examined."""
        self.idle = False
        """Nothing happened since the last pass, and there is nothing to read."""
        self.rotated: Final = None if rotated is None else RotatedNames(path, rotated)
        self.error_number = 0
        """errno that was reported as ``Inaccessible``; 0 while it is accessible."""
        self.turn = 0
        """Counts reads, so that files whose order does not matter take turns."""

    @property
    def backlog(self) -> int:
        """Bytes known to be in its files and not read."""
        return sum(file.backlog for file in self.files)

    def needs_no_entry(self, file: FollowedFile) -> bool:
        """Return whether a file may be left out of the checkpoint: unread, and it has a name.

        The next run finds it under ``rotated`` as a file that is not known.
        """
        return (
            self.rotated is not None
            and not (file.is_active or file.acknowledged.offset or file.splitter.skipping)
            and bool(file.nlink)
            and file.continuation is None
        )
