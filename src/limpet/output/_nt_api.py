"""The few system calls of Windows that take a name relative to an open directory, as a protocol.

Win32 has paths alone; below it, ``NtCreateFile`` opens a name in a directory that is open, as
openat(2) does ("NtCreateFile", "OBJECT_ATTRIBUTES", learn.microsoft.com). Its names are taken as
they are: ``CON`` is a file, and dots and blanks at the end of a name belong to it.

``_nt_native`` makes the calls; tests have a model of NTFS in its place.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import os

LIST: Final = 0x1
"""FILE_LIST_DIRECTORY, which is FILE_READ_DATA of a file."""
WRITE_DATA: Final = 0x2
APPEND_DATA: Final = 0x4
TRAVERSE: Final = 0x20
READ_ATTRIBUTES: Final = 0x80
DELETE: Final = 0x10000
SYNCHRONIZE: Final = 0x100000

SHARE_READ_WRITE: Final = 0x1 | 0x2
SHARE_DELETE: Final = 0x4
SHARE_ALL: Final = SHARE_READ_WRITE | SHARE_DELETE

OPEN: Final = 1
CREATE: Final = 2
OPEN_IF: Final = 3

DIRECTORY_FILE: Final = 0x1
_SYNCHRONOUS: Final = 0x20
"""FILE_SYNCHRONOUS_IO_NONALERT: a call returns when it is done."""
OPEN_REPARSE_POINT: Final = 0x200000
"""FILE_OPEN_REPARSE_POINT: a link itself, not where it leads."""

CASE_INSENSITIVE: Final = 0x40
"""OBJ_CASE_INSENSITIVE, as all of Win32 opens; a directory with names of its own is still that."""
DONT_REPARSE: Final = 0x1000
"""OBJ_DONT_REPARSE: fail at any link on the way; since Windows 10 1703."""

ATTRIBUTE_DIRECTORY: Final = 0x10
ATTRIBUTE_REPARSE_POINT: Final = 0x400
_NAME_SURROGATE: Final = 0x20000000
"""Bit of a reparse tag ("Reparse Point Tags", learn.microsoft.com): the entry stands for another
name, as symlinks, junctions and mounted folders do."""

RENAME_REPLACE: Final = 0x1
RENAME_POSIX: Final = 0x2
"""FILE_RENAME_POSIX_SEMANTICS: replace what others have open and share for deletion."""
DISPOSE_DELETE: Final = 0x1
DISPOSE_POSIX: Final = 0x2
"""FILE_DISPOSITION_POSIX_SEMANTICS: the name is free at once, though others have it open."""

_RENAME_HEAD: Final = struct.Struct("<I4xQI" if sys.maxsize > 1 << 32 else "<III")
"""FILE_RENAME_INFORMATION (ntifs.h): flags (of the older class one byte of it, whether to replace),
the directory, as wide as a pointer, bytes of the name, which follows."""
_RENAME_LEAST: Final = 24
"""Its size with the padding at its end, of 64 bits: less is refused (INFO_LENGTH_MISMATCH)."""
_ENTRY: Final = struct.Struct("<I52xIII")
"""FILE_FULL_DIR_INFORMATION (ntifs.h): where the next one is, or 0; times and sizes; attributes;
bytes of the name; of a reparse point its tag ([MS-FSCC] 2.4.14, EaSize); the name follows."""


class Kind(NamedTuple):
    """What an entry is."""

    attributes: int
    tag: int = 0
    """Tag of a reparse point; 0 otherwise."""

    @property
    def is_link(self) -> bool:
        """Return whether it leads to another name."""
        return self.is_special and bool(self.tag & _NAME_SURROGATE)

    @property
    def is_dir(self) -> bool:
        """Return whether it is a directory and no link."""
        return bool(self.attributes & ATTRIBUTE_DIRECTORY) and not self.is_link

    @property
    def is_special(self) -> bool:
        """Return whether a filter driver has a part in it: links, and what OneDrive keeps."""
        return bool(self.attributes & ATTRIBUTE_REPARSE_POINT)


class Opening(NamedTuple):
    """How a name is opened."""

    access: int
    share: int = SHARE_ALL
    disposition: int = OPEN
    options: int = OPEN_REPARSE_POINT
    attributes: int = CASE_INSENSITIVE | DONT_REPARSE
    flags: int = 0
    """Flags of ``os.open``, for what is then read or written through the descriptor."""

    @property
    def all_options(self) -> int:
        """The options, with the one that every opening has."""
        return self.options | _SYNCHRONOUS


class NtApi(Protocol):
    """The calls. Names are one component; ``NtError`` is raised, or OSError where it says so."""

    def open(self, dir_fd: int, name: str, how: Opening) -> int:
        """Open a name in an open directory, or create it; an empty name is the directory."""
        ...

    def open_path(self, path: str, how: Opening) -> int:
        """Open an absolute path: the root of an output alone."""
        ...

    def stat(self, fd: int) -> os.stat_result:
        """Return the status of what is open; of a link the type of a symlink.

        Raises:
            OSError: As ``os.fstat``.
        """
        ...

    def kind(self, fd: int) -> Kind:
        """Return what it is that is open; costs less than the status."""
        ...

    def listed_name(self, fd: int) -> str:
        """Return the name under which the directory lists what is open.

        Raises:
            OSError: It is not known.
        """
        ...

    def entries(self, fd: int) -> Iterator[tuple[str, Kind]]:
        """Yield the entries of a directory that was opened with LIST."""
        ...

    def rename(self, fd: int, to: int, new: str, flags: int, *, extended: bool) -> None:
        """Rename what is open with DELETE into an open directory.

        Args:
            fd: What is renamed.
            to: The directory.
            new: The new name.
            flags: RENAME_REPLACE, RENAME_POSIX.
            extended: By FileRenameInformationEx, else by FileRenameInformation.
        """
        ...

    def dispose(self, fd: int, flags: int, *, extended: bool) -> None:
        """Delete a file or directory that was opened with the right DELETE.

        Args:
            fd: Its descriptor.
            flags: DISPOSE_DELETE, DISPOSE_POSIX.
            extended: By FileDispositionInformationEx, else by FileDispositionInformation.
        """
        ...


def rename_information(flags: int, to: int, new: str) -> bytes:
    """Return FILE_RENAME_INFORMATION: a name in the directory with the handle ``to``."""
    raw = new.encode("utf-16-le", "surrogatepass")
    return (_RENAME_HEAD.pack(flags, to, len(raw)) + raw).ljust(_RENAME_LEAST, b"\0")


def parse_entries(buffer: bytes) -> list[tuple[str, Kind]]:
    """Return names and kinds of a buffer of FILE_FULL_DIR_INFORMATION, in its order."""
    found = []
    at = 0
    while True:
        following, attributes, size, tag = _ENTRY.unpack_from(buffer, at)
        start = at + _ENTRY.size
        name = buffer[start : start + size].decode("utf-16-le", "surrogatepass")
        if name not in {".", ".."}:
            is_special = attributes & ATTRIBUTE_REPARSE_POINT
            found.append((name, Kind(attributes, tag if is_special else 0)))
        if not following:
            return found
        at += following
