"""One followed path: the file it leads to, and earlier files that are still read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os

    from limpet.following._checkpoint import SavedFile
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_stream import FollowedStream
    from limpet.following._rotated_files import RotatedFiles


class FollowedPath:
    """A path and the files that were found there, oldest first."""

    def __init__(
        self,
        path: str,
        *,
        pattern: str | None = None,
        found_late: bool = False,
        rotated: RotatedFiles | None = None,
    ) -> None:
        """Store the path; nothing is opened.

        Args:
            path: Absolute.
            pattern: What the caller asked for: a glob that matches the path; by default the path.
            found_late: The path came to match the glob after the start.
            rotated: The files that the option of that name matches for this path.
        """
        self.path: Final = path
        self.pattern: Final = pattern or path
        self.event_path: Final = Path(path)
        """The path as events report it."""
        self.found_late = found_late
        """It came to match after the start of this run, or after the checkpoint was saved."""
        self.files: list[FollowedFile] = []
        """Files that are being read, in reading order; mostly open."""
        self.active: FollowedFile | None = None
        """The file that the path leads to."""
        self.stream: FollowedStream | None = None
        """What the path leads to, if that is a FIFO or standard input."""
        self.unacknowledged: list[FollowedFile] = []
        """Files that are read to their end and closed, but not acknowledged to their end."""
        self.lost: list[SavedFile] = []
        """Files that are acknowledged in part and were not found again; they may come back."""
        self.is_alias = False
        """Its file is already read under another path."""
        self.is_restored = False
        """The checkpoint has it, and the start is not finished."""
        self.at_start: os.stat_result | None = None
        """Status of the file at the start, while it could not be opened."""
        self.exists = False
        self.caught_up = False
        """``CaughtUp`` was reported."""
        self.unstable = False
        """It changed faster than it could be examined."""
        self.idle = False
        """Nothing happened since the last pass, and there is nothing to read."""
        self.is_waiting = False
        """Its file cannot be opened: as many files are open as may be."""
        self.rotated: Final = rotated
        self.error_number = 0
        """Last errno of it; 0 while it is accessible."""
        self.errors_reported: set[int] = set()
        """Each errno that was reported as ``Inaccessible`` since it was accessible."""
        self.turn = 0
        """Counts reads, so that files whose order does not matter take turns."""
        self.saved_json: str | None = None
        """What the checkpoint has of it; ``None`` after a change."""

    @property
    def backlog(self) -> int:
        """Bytes known to be in its files and not read."""
        return sum(file.backlog for file in self.files)

    @property
    def needs_attention(self) -> bool:
        """Return whether it must be examined again soon, though nothing reports a change."""
        files = self.files
        if self.unstable or self.is_waiting or self.unacknowledged:
            return True
        if len(files) != 1:
            return bool(files)
        file = files[0]
        return (
            not file.is_active
            or file.partial_since is not None
            or file.failed_at is not None
            or file.shrunk_since is not None
            or bool(file.backlog)
        )

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
