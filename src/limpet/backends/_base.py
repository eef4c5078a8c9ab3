"""What a backend says: hints, as small integers and names, and nothing about what they mean.

A hint is "look at this name in this folder again". It may be late, doubled, merged or missing
detail; the engine compares with the disk and never believes a hint.
"""

from __future__ import annotations

import sys
from typing import Final, Protocol

__all__ = [
    "ATTRIB", "CLOSED", "CREATE", "DELETE", "ENCODE_ERRORS", "ENCODING", "GONE", "ISDIR",
    "MARK_ALL", "MARK_NAMES", "MARK_SELF", "MOVED", "OTHER", "OWN", "SELF_MOVED", "WRITE",
    "Key", "MarkError", "Receiver", "Source",
]  # fmt: skip

WRITE: Final = 1
"""Content was written."""
CLOSED: Final = 2
"""Somebody who had the file open for writing closed it."""
CREATE: Final = 4
DELETE: Final = 8
ATTRIB: Final = 16
MOVED: Final = 32
"""One end of a rename lies here."""
GONE: Final = 64
"""The marked folder itself was deleted or its file system unmounted."""
SELF_MOVED: Final = 128
"""The marked folder itself was renamed."""
OWN: Final = 256
"""The kernel says this process did it."""
OTHER: Final = 512
"""The kernel says another process did it."""

ISDIR: Final = 1024
"""What came, went or moved is a folder."""

ENCODING: Final = sys.getfilesystemencoding()
ENCODE_ERRORS: Final = sys.getfilesystemencodeerrors()
"""What ``os.fsdecode`` uses; names are decoded by the thousand, and it takes twice as long."""

MARK_SELF: Final = 1
"""Tell when the folder itself goes, moves or changes its permissions."""
MARK_NAMES: Final = 2
"""Also tell when a name in it comes or goes."""
MARK_ALL: Final = 4
"""Also tell of writes and attribute changes of its files."""

Key = int | bytes
"""Identifies a marked folder within one source: a watch descriptor, or a file handle."""


class MarkError(Exception):
    """A folder could not be marked; ``limit`` tells whether a limit of the system is used up."""

    def __init__(self, errno: int, *, limit: bool = False) -> None:
        """Keep the system's errno."""
        super().__init__(errno)
        self.errno = errno
        self.limit = limit


class Receiver(Protocol):
    """Takes what a source reads; the hub is one, tests have another."""

    def touched(self, key: Key, names: dict[str, int]) -> None:
        """Something happened to these names in the folder: name -> bits.

        The name ``""`` is the folder itself. The receiver may keep the mapping.
        """

    def moved(self, moves: list[tuple[Key, str, Key, str]]) -> None:
        """Names in marked folders became other names in marked folders, in this order.

        Each is (folder, name, new folder, new name), and told before the names are touched.
        """

    def lost(self) -> None:
        """The kernel's queue overflowed: anything may have happened in any marked folder."""

    def dropped(self, key: Key) -> None:
        """The kernel ended this mark by itself (the folder is gone)."""


class Source(Protocol):
    """A kernel instance that marks folders and tells of them; not thread-safe by itself."""

    name: str

    def fileno(self) -> int:
        """Descriptor that becomes readable when there is something to read."""

    def mark(self, fd: int, what: int, device: int) -> Key:
        """Mark the folder open at ``fd``, which lies on ``device``.

        Marking again widens the mark and gives the same key.

        Raises:
            MarkError: Nothing was marked.
        """

    def unmark(self, key: Key, path: str | None) -> bool:
        """Take the mark away; ``path`` is where the folder was last known to be.

        Returns:
            Whether the kernel holds no mark for the key any more.
        """

    def read(self, receiver: Receiver) -> bool:
        """Hand on all that is waiting, without blocking; tell whether there was anything."""

    def close(self) -> None:
        """Free the instance and every mark."""
