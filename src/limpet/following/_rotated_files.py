"""What is known of the files that ``rotated`` matches: which are delivered, and how far.

A file is known by its inode number. What was read of it stays known until a listing that had every
file does not have it: while numbers are shifted (``.1`` to ``.2``, then the log to ``.1``) a
file can be missed by a listing though it is there, and would come again as a new one.
"""

from __future__ import annotations

import os
import re
from glob import escape, has_magic
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._fingerprint import WINDOW, digest
from limpet.following._glob_pattern import COMPRESSED, expand

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile

_COARSE_S: Final = 0.1
"""A directory that changed this shortly before it was listed may have changed again since without
a later modification time: the clock of a file system may tick in steps of some milliseconds."""
_NUMBER: Final = re.compile(r"\d{1,9}")
_DATE: Final = re.compile(r"\d{4}[-_.]?\d{2}[-_.]?\d{2}")
_MOVING_S: Final = 1.0
"""Unread files wait this long for a listing that had every file, if names change all the time."""
_FORGET_S: Final = 30.0
"""How long a file must be missing from each listing if the directory changes all the time."""


class Delivered(NamedTuple):
    """A file that is delivered up to an offset."""

    inode: int
    inode_generation: int | None
    offset: int
    """-1 is its end, wherever that is: an older version of limpet did not save it."""
    size: int
    mtime_ns: int
    """Size and modification time when it was compared last: -1 if it was not yet."""
    tail: str
    """Digest of the bytes before the offset; empty if nothing was read of it."""
    number: int
    """Its generation number; 0 if it was there before anything was followed."""

    def is_unchanged(self, status: os.stat_result) -> bool:
        return (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)

    def compared(self, status: os.stat_result) -> Delivered:
        return self._replace(size=status.st_size, mtime_ns=status.st_mtime_ns)


class RotatedFiles:
    """The files that one pattern matches, shared by all paths that have this pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern: Final = pattern
        """Absolute."""
        self.dir: Final = os.path.dirname(pattern)
        self.known: dict[int, Delivered] = {}
        """By inode number."""
        self.existed_before: float | None = None
        """Files that were last changed before this (unix seconds) existed at the start, which could
        not list them all; ``None`` once a whole listing has been made."""
        self.is_complete = False
        """The last listing had all files."""
        self.refused: dict[str, int] = {}
        """Names that could not be opened -> errno, which is reported."""
        self.delivered_names: list[str] = []
        """Names that the last listing had, by modification time."""
        self.saved_json: str | None = None
        """What the checkpoint has of it; ``None`` after a change."""
        self.unsure_since: float | None = None
        """Since when a file that a listing has could not be examined, monotonic seconds."""
        self.moving_since: float | None = None
        """Since when no two listings in a row were the same, monotonic seconds: a file may be there
        that none of them had; ``None`` once all are known."""
        self._listed_names: dict[str, int] | None = None
        """Names of the last listing -> inode number."""
        self._by_stamp: dict[tuple[int, int], Delivered] | None = None
        self._missed: dict[int, float] = {}
        """Inode number -> since when no listing had it, monotonic seconds."""
        self._listed: tuple[int, float] | None = None
        """Modification time (ns) of the directory when it was listed, and when that was."""

    def names(self, io: FileIO) -> tuple[list[str], OSError | None]:
        """Return the paths that match, without compressed files, and why they may not be all."""
        names, trouble = expand(io, self.pattern)
        return [name for name in names if not name.endswith(COMPRESSED)], trouble

    @property
    def is_unsure(self) -> bool:
        return self.unsure_since is not None

    # -- when to list --------------------------------------------------------------------------

    def is_due(self, io: FileIO) -> bool:
        """Return whether the directory may have other names than when it was listed."""
        if self._listed is None or self.refused or has_magic(self.dir):
            return True
        if self.moving_since is not None:
            return True
        changed = self._changed_at(io)
        return changed is None or changed != self._listed[0] or not self._is_settled(*self._listed)

    def begin_listing(self, io: FileIO) -> None:
        changed = self._changed_at(io)
        self._listed = None if changed is None else (changed, io.time())

    def end_listing(self, io: FileIO, trouble: OSError | None) -> bool:
        """Note the end of a listing; return whether nothing can have changed meanwhile."""
        self.is_complete = trouble is None
        if trouble is not None:
            self._listed = None
            return False
        if has_magic(self.dir):
            return False
        listed = self._listed
        return (
            listed is not None and self._changed_at(io) == listed[0] and self._is_settled(*listed)
        )

    def compare_listing(self, names: dict[str, int], now: float, *, settled: bool) -> bool:
        """Return whether a listing is the first that had every file, by the one before.

        A listing that is made while names are shifted (``.1`` to ``.2``, then the log to ``.1``)
        may miss a file, and have a younger one. What two listings in a row have alike was so
        between them, so they miss nothing. Two without any name may be of a directory that is away
        for a moment, and say nothing of files that are known.

        Args:
            names: Names of the listing -> inode number.
            now: Monotonic seconds.
            settled: Nothing has changed while it was made.
        """
        is_same = self.is_complete and names == self._listed_names
        is_whole = settled or (is_same and bool(names or not self.known))
        self._listed_names = names
        moved, self.moving_since = self.moving_since, None if is_whole else self.moving_since or now
        return is_whole and moved is not None

    def list_again(self) -> None:
        self._listed = None

    def _changed_at(self, io: FileIO) -> int | None:
        try:
            return io.stat(self.dir).st_mtime_ns
        except OSError:
            return None

    def may_miss_files(self, now: float) -> bool:
        """Return whether an older file may be there that is not known yet; not for ever."""
        since = self.moving_since
        return since is not None and now - since < _MOVING_S

    @staticmethod
    def _is_settled(changed: int, listed_at: float) -> bool:
        return abs(listed_at - changed / 1e9) > _COARSE_S

    # -- what is known -------------------------------------------------------------------------

    def remember(self, delivered: Delivered) -> None:
        if self.known.get(delivered.inode) != delivered:
            self._by_stamp = None
            self.known[delivered.inode] = delivered
            self.saved_json = None

    def find_renumbered(self, status: os.stat_result, seen: set[int]) -> Delivered | None:
        """Return a delivered file that may be this one, under an inode number of before.

        FUSE file systems may give a file another number; its size and time stay.
        """
        if self._by_stamp is None:
            self._by_stamp = {
                (one.size, one.mtime_ns): one for one in self.known.values() if one.size > 0
            }
        known = self._by_stamp.get((status.st_size, status.st_mtime_ns))
        return None if known is None or known.inode in seen else known

    def remember_file(self, file: FollowedFile, status: os.stat_result) -> None:
        """Note how far a followed file is read; what was written to it since is found later."""
        is_whole = status.st_size == file.size
        self.remember(
            Delivered(
                status.st_ino,
                file.inode_generation,
                file.offset,
                status.st_size if is_whole else -1,
                status.st_mtime_ns,
                digest(file.window[-WINDOW:]) if file.offset else "",
                file.number,
            ),
        )

    def forget_missing(self, seen: set[int], now: float) -> None:
        """Forget files that are gone: that were in none of the listings since all were known.

        Args:
            seen: Inode numbers that the last listing had.
            now: Monotonic seconds.
        """
        for inode in [one for one in self._missed if one in seen]:
            del self._missed[inode]
        if not self.is_complete:
            return
        for inode in [one for one in self.known if one not in seen]:
            since = self._missed.setdefault(inode, now)
            if self.moving_since is None or now - since >= _FORGET_S:
                del self.known[inode], self._missed[inode]
                self.saved_json = None


def age_by_name(name: str) -> tuple[bool, int, str]:
    """Return what sorts names of rotated files from old to young, where times do not tell.

    ``log.2`` is older than ``log.1`` (logrotate, ``RotatingFileHandler``), and ``log-20261128`` is
    older than ``log-20261129``.
    """
    base = os.path.basename(name)
    numbers = _NUMBER.findall(base)
    if not numbers or _DATE.search(base):
        return True, 0, base
    return False, -int(numbers[-1]), base


def rotated_pattern(path: str, pattern: str) -> str:
    """Return the option ``rotated`` for a path: relative to its directory unless absolute."""
    return os.path.join(escape(os.path.dirname(path)), pattern)


def take_as_delivered(io: FileIO, fd: int, status: os.stat_result, *, number: int = 0) -> Delivered:
    """Return an open file as one that is delivered to its present end.

    Raises:
        OSError: It cannot be read.
    """
    size = status.st_size
    window = min(WINDOW, size)
    tail = digest(io.pread(fd, window, size - window)) if size else ""
    generation = io.inode_generation(fd)
    return Delivered(status.st_ino, generation, size, size, status.st_mtime_ns, tail, number)


def continues(
    io: FileIO,
    fd: int,
    status: os.stat_result,
    known: Delivered,
    *,
    renumbered: bool = False,
) -> bool:
    """Return whether an open file is the one that is known, and not another with its inode number.

    Raises:
        OSError: It cannot be read.
    """
    generation = None if renumbered else io.inode_generation(fd)
    if None not in {generation, known.inode_generation}:
        if generation != known.inode_generation:
            return False
    elif known.offset < 0:
        return False
    if not status.st_size:
        return True  # it was emptied: nothing of it is to be delivered
    if status.st_size < known.offset:
        return False
    window = min(WINDOW, max(0, known.offset))
    if not window or not known.tail:
        return True
    return digest(io.pread(fd, window, known.offset - window)) == known.tail
