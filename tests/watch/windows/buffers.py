"""Buffers as Windows fills them, written out field by field after Microsoft's structures.

FILE_NOTIFY_INFORMATION and FILE_NOTIFY_EXTENDED_INFORMATION (winnt.h): each record is aligned to
four bytes in the plain form, to eight in the extended one; the last has no next entry.
"""

from __future__ import annotations

from collections.abc import Mapping

ADDED, REMOVED, MODIFIED, OLD_NAME, NEW_NAME = 1, 2, 3, 4, 5
DIRECTORY, ARCHIVE = 0x10, 0x20

BORN = 133_000_000_000_000_000
"""A creation time, in 100 nanoseconds since 1601."""


def word(number: int) -> bytes:
    """A DWORD."""
    return number.to_bytes(4, "little")


def large(number: int) -> bytes:
    """A LARGE_INTEGER."""
    return number.to_bytes(8, "little", signed=True)


def _joined(records: list[bytes], alignment: int) -> bytes:
    """Put the offset of the next record before each one."""
    made = b""
    for number, record in enumerate(records, 1):
        length = 4 + len(record)
        padding = -length % alignment if number < len(records) else 0
        following = length + padding if number < len(records) else 0
        made += word(following) + record + bytes(padding)
    return made


def plain(*records: tuple[int, str]) -> bytes:
    """What ReadDirectoryChangesW gives for these actions and names."""
    names = [(action, name.encode("utf-16-le", "surrogatepass")) for action, name in records]
    return _joined([word(action) + word(len(name)) + name for action, name in names], 4)


def extended(
    *records: tuple[int, str, int], born: int = BORN, births: Mapping[int, int] | None = None
) -> bytes:
    """What ReadDirectoryChangesExW gives for these actions, names and file ids.

    A name that ends in a backslash is that of a directory. ``births`` are creation times by file
    id; ``born`` is that of the others.
    """
    made = []
    for action, name, file_id in records:
        attributes = DIRECTORY if name.endswith("\\") else ARCHIVE
        encoded = name.removesuffix("\\").encode("utf-16-le", "surrogatepass")
        made.append(
            word(action)
            + large((births or {}).get(file_id, born))  # CreationTime
            + large(BORN + 1)  # LastModificationTime
            + large(BORN + 2)  # LastChangeTime
            + large(BORN + 3)  # LastAccessTime
            + large(4096)  # AllocatedLength
            + large(17)  # FileSize
            + word(attributes)
            + word(0)  # ReparsePointTag
            + large(file_id)
            + large(5)  # ParentFileId
            + word(len(encoded))
            + encoded
        )
    return _joined(made, 8)
