"""The records that ReadDirectoryChangesW and ReadDirectoryChangesExW put into a buffer.

Layouts: FILE_NOTIFY_INFORMATION and FILE_NOTIFY_EXTENDED_INFORMATION (winnt.h,
learn.microsoft.com). Pure: bytes in, values out, so it runs on every system. A buffer that is not
as the pages say is taken for an overflow, for nobody knows what it should have said.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

ADDED: Final = 1
REMOVED: Final = 2
MODIFIED: Final = 3
OLD_NAME: Final = 4
NEW_NAME: Final = 5
"""FILE_ACTION_ADDED to FILE_ACTION_RENAMED_NEW_NAME."""

_PLAIN: Final = struct.Struct("<III")
"""NextEntryOffset, Action, FileNameLength; then the name."""
_EXTENDED: Final = struct.Struct("<IIq40xI4xqqI")
"""NextEntryOffset, Action, CreationTime; three times and two sizes, which the disk is asked for;
FileAttributes; the reparse tag; FileId, ParentFileId, FileNameLength; then the name."""
_DIRECTORY: Final = 0x10
"""FILE_ATTRIBUTE_DIRECTORY."""


class Record(NamedTuple):
    """One change."""

    action: int
    name: str
    """Relative to the directory that is watched, with backslashes."""
    file_id: int = 0
    """The same before and after a rename; 0 in the plain form."""
    born: int = 0
    """Creation time in the system's own unit; 0 in the plain form."""
    is_dir: bool | None = None
    """Not known in the plain form."""


def parse(data: bytes, *, extended: bool) -> list[Record] | None:
    """Return the records of a buffer in their order, or ``None`` if it is damaged.

    Args:
        data: As much of the buffer as was filled.
        extended: It was filled by ReadDirectoryChangesExW with extended information.
    """
    header = _EXTENDED if extended else _PLAIN
    found: list[Record] = []
    offset = 0
    while True:
        start = offset + header.size
        if start > len(data):
            return None
        file_id, born, attributes = 0, 0, None
        if extended:
            following, action, born, attributes, file_id, _, length = header.unpack_from(
                data, offset
            )
        else:
            following, action, length = header.unpack_from(data, offset)
        end = start + length
        if length % 2 or end > len(data) or not ADDED <= action <= NEW_NAME:
            return None
        name = data[start:end].decode("utf-16-le", "surrogatepass")
        is_dir = None if attributes is None else bool(attributes & _DIRECTORY)
        found.append(Record(action, name, file_id, born, is_dir))
        if not following:
            return found
        # Each step goes forward by a whole record: no buffer makes this loop endless. The next one
        # is aligned by Windows, and not by Wine.
        if following < header.size + length:
            return None
        offset += following
