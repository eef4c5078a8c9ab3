"""What a backend is: a source of hints, in one of three kinds, and what it declares about itself.

A hint means "examine this name again". It may be late, doubled, merged or missing detail; the watch
compares with the disk and never believes a hint. To add a backend:

1. Implement one of the three protocols below in a module of this package:
   ``MarkSource``: the kernel reports directories that were marked one by one (fanotify, inotify);
   ``TreeSource``: the system reports everything below one directory (ReadDirectoryChangesW,
   FSEvents, watchfiles);
   ``TimerSource``: nothing is reported, directories are examined in intervals (polling).
2. Declare its ``Capabilities`` there. What it can do is read from this value, not from its name.
3. Add its name to ``_select.py``: where it is chosen (``_BEST_FIRST``), what it can do
   (``capabilities_of``), how it is opened (``make_source`` or ``make_tree_source``), why it may be
   missing (``_unusable``); and to ``BackendName`` in ``limpet/config.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

WRITE: Final = 1
"""Content was written."""
CLOSED: Final = 2
"""A program that had the file open for writing closed it."""
CREATE: Final = 4
DELETE: Final = 8
ATTRIB: Final = 16
MOVED: Final = 32
"""The name is one end of a rename."""
GONE: Final = 64
"""The marked directory itself was deleted, or its file system unmounted."""
SELF_MOVED: Final = 128
"""The marked directory itself was renamed."""
OWN: Final = 256
"""The kernel says that this process made the change."""
OTHER: Final = 512
"""The kernel says that another process made the change."""

ISDIR: Final = 1024
"""The entry that was created, deleted or moved is a directory."""
AWAY: Final = 2048
"""With ``MOVED``: the name was the old one of a rename."""
HERE: Final = 4096
"""With ``MOVED``: the name was the new one of a rename."""

ENCODING: Final = sys.getfilesystemencoding()
ENCODE_ERRORS: Final = sys.getfilesystemencodeerrors()
"""What ``os.fsdecode`` uses; names are decoded by the thousand, and it takes twice as long."""

MARK_SELF: Final = 1
"""Report when the directory itself is deleted, moved or changes its permissions."""
MARK_NAMES: Final = 2
"""Also report when a name in it is created or deleted."""
MARK_ALL: Final = 4
"""Also report writes to its files and changes of their attributes."""

MARK_FILE: Final = 8
"""What is marked is a file: report writes to it and changes of its attributes."""

Key: TypeAlias = int | bytes
"""Identifies a marked directory within one source: a watch descriptor, or a file handle."""


class Capabilities(NamedTuple):
    """What a source can do; the watch asks this value, never which source it has.

    Like other small values that each start loads it is a named tuple: a frozen dataclass takes half
    a millisecond to make, and a named tuple an eighth of that.
    """

    kind: Literal["marks", "tree", "timer"]
    """Which of the three protocols it implements."""
    complete: bool = True
    """Every change before now has left its hint. Where hints come late or are dropped, a fence
    examines everything."""
    exact_paths: bool = False
    """A hint by path is about that name alone: what is in a directory has hints of its own, from
    the moment at which the directory is there."""
    whole_filesystem: bool = False
    """``mark_filesystem`` may succeed: one mark reports every directory of a file system."""
    walks: bool = False
    """A source of whole trees that marks each directory itself, and gives up its walk at one that
    it may not read: then it is deaf to others, too."""
    reports_unreadable: bool = False
    """``identify`` returns the key under which the mark of a parent reports a directory that may
    not be opened."""


class MarkError(Exception):
    """A directory could not be marked; ``limit`` says whether a limit of the system is used up."""

    def __init__(self, errno: int, *, limit: bool = False) -> None:
        super().__init__(errno)
        self.errno = errno
        self.limit = limit


class Source(Protocol):
    """What all sources of hints share."""

    name: str
    """As the option ``backend`` spells it."""
    capabilities: Capabilities

    def close(self) -> None:
        """Free what it holds; it sends no hint afterwards."""


class MarkReceiver(Protocol):
    """Receives what a ``MarkSource`` reads; the router is one, tests have another."""

    def touched(self, key: Key, names: dict[str, int]) -> None:
        """Receive hints about names in a marked directory: name -> bits.

        The name ``""`` is the directory itself. The receiver may keep the mapping.
        """

    def moved(self, moves: list[tuple[Key, str, Key, str]]) -> None:
        """Receive renames between marked directories, in the order in which they happened.

        Each is (directory, name, new directory, new name); they come before ``touched`` for the
        same names.
        """

    def lost(self) -> None:
        """Receive an overflow: anything may have happened in any marked directory."""

    def caused(self, causes: dict[tuple[Key, str], tuple[int, bool]]) -> None:
        """Receive who caused what comes next: (directory, name) -> process, whether by a rename.

        Only from a source that is asked for it.
        """

    def dropped(self, key: Key) -> None:
        """Receive the end of a mark: the kernel removed it because its directory is gone."""


class MarkSource(Source, Protocol):
    """A kernel instance that marks directories and reports on them; not thread-safe by itself."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is something to read."""

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Mark the directory open at ``fd``, which is on ``device``.

        Marking again widens the mark and returns the same key.

        Raises:
            MarkError: Nothing was marked.
        """

    def mark_several(self, fds: list[int], what: int, device: int) -> Sequence[Key]:
        """Mark directories of one device in this order, as ``mark`` does each.

        Returns:
            The keys of those that were marked: it stops at the first that cannot be.
        """

    def unmark(self, key: Key, path: str | None) -> bool:
        """Remove the mark; ``path`` is where the directory was last known to be.

        Returns:
            Whether the kernel holds no mark for the key any more.
        """

    def mark_filesystem(self, fd: int) -> bool:
        """Mark the whole file system that holds ``fd``; return whether that was allowed."""

    def identify(self, path: str) -> Key | None:
        """Return the key of a directory that may not be opened for reading, or ``None``."""

    def read(self, receiver: MarkReceiver) -> bool:
        """Pass on all that is waiting, without blocking; return whether there was anything."""


LostReason: TypeAlias = Literal["overflow", "backend"]
"""Why hints were lost: more came than was read, or the source ended and was started again."""


class TreeReceiver(Protocol):
    """Receives what a ``TreeSource`` reports, on any thread."""

    def touched_paths(self, paths: dict[str, int], moves: Sequence[tuple[str, str]] = ()) -> None:
        """Receive hints by path: absolute, spelled below the path that is watched.

        Args:
            paths: Path -> bits, 0 where the source does not know them. The path that is watched
                itself says that the location may lead elsewhere.
            moves: Renames in the order in which they happened: (path, new path). Both are also in
                ``paths``.
        """

    def lost(self, reason: LostReason = "backend") -> None:
        """Receive that anything may have happened anywhere in the tree."""


class TreeSource(Source, Protocol):
    """A source that reports everything below one directory, from a thread of its own."""

    def watch(self, path: str | None) -> None:
        """Report everything below ``path`` from now on and nothing else; ``None`` stops.

        Raises:
            MissingExtraError: A package that it needs is not installed.
            OSError: The file system reports no changes; nothing is watched.
        """


class TimerSource(Source, Protocol):
    """A source without hints: each of its directories is to be examined once an interval.

    Directories that no other source reports are added to it, whatever backend was chosen.
    """

    directories: set[Hashable]
    """What is to be examined when the interval has passed."""

    def is_due(self, now: float) -> bool:
        """Return whether the interval has passed; ``now`` in monotonic seconds."""

    def schedule(self, now: float, *, needed: bool) -> None:
        """Start the next interval if the last has passed, or stop while it is not needed."""
