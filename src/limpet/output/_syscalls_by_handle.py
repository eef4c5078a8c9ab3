r"""The same system calls on Windows, by names relative to the handle of an open directory.

Each component is opened in the one before and never through a link: OBJ_DONT_REPARSE and
FILE_OPEN_REPARSE_POINT are both asked for, and what was opened is examined, so nothing rests on a
system that knows the former (it is refused before Windows 10 1703, and then left out). A junction
that takes the place of a component at any moment is refused, or comes too late: there is no window.

- The directory that is written into shares no deletion, so it stays where it is until that is
  done; NTFS renames none above it meanwhile. The root, which stays open, does share it: it may be
  moved or removed, as on other systems.
- What OneDrive and its like keep elsewhere is not a link: it is used as the file that it shows.
- A name with ``:`` would lead to a stream, one with ``\`` or ``..`` elsewhere: all are refused.
- A short name (``LONGNA~1.TXT``) that the directory does not list is refused: it leads to a file
  that the name does not show. Short names without ``~`` are given by administrators alone.

Everything here runs on every system, and is tested on Linux with a model of NTFS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from limpet._extended_path import extended
from limpet._shared_open import access_of
from limpet.output._nt_api import (
    CREATE,
    DELETE,
    DIRECTORY_FILE,
    DISPOSE_DELETE,
    DISPOSE_POSIX,
    DONT_REPARSE,
    LIST,
    OPEN,
    OPEN_IF,
    OPEN_REPARSE_POINT,
    READ_ATTRIBUTES,
    RENAME_POSIX,
    RENAME_REPLACE,
    SHARE_ALL,
    SHARE_READ_WRITE,
    SYNCHRONIZE,
    TRAVERSE,
    Opening,
)
from limpet.output._nt_status import BUSY, HELD, INVALID_PARAMETER, UNKNOWN, NtError, os_error
from limpet.output._syscalls import Syscalls

if TYPE_CHECKING:
    from limpet.output._nt_api import NtApi

_T = TypeVar("_T")

_HOLD: Final = TRAVERSE | READ_ATTRIBUTES | SYNCHRONIZE
"""A directory that may be passed but not listed can still be written into."""
_EXAMINE: Final = READ_ATTRIBUTES | SYNCHRONIZE
"""Conflicts with nobody's sharing."""
_DIRECTORY: Final = DIRECTORY_FILE | OPEN_REPARSE_POINT
_PAUSES: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
"""Seconds between the tries: most programs, and virus scanners, let go within milliseconds."""


class HandleSyscalls(Syscalls):
    """Directories by handle, each name in the one before."""

    replaces_open_files: ClassVar[bool] = False

    def __init__(self, api: NtApi | None = None) -> None:
        """Take the calls of the system, or a model's."""
        if api is None:
            if sys.platform == "win32":
                from limpet.output._nt_native import NativeNt

                api = NativeNt()
            else:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._api = api
        self._left_out = 0
        """Attributes that this system does not know."""
        self._dirs: set[int] = set()

    # -- how a name is opened --------------------------------------------------------------------

    def _patiently(self, call: Callable[[], _T], name: str, busy: frozenset[int] = HELD) -> _T:
        """Call; where the system says that another one has the file open, try again for a moment.

        Args:
            call: Raises ``NtError`` if it fails.
            name: For the error.
            busy: What the system says then.

        Raises:
            OSError: As the last try.
        """
        for pause in (*_PAUSES, None):
            try:
                return call()
            except NtError as error:
                if error.status not in busy or pause is None:
                    raise os_error(error, name) from None
            self.pause(pause)
        raise AssertionError  # the last try returns or raises

    def _open(self, dir_fd: int, name: str, how: Opening) -> int:
        """Open one component.

        Raises:
            OSError: EILSEQ: the name leads elsewhere than it says.
        """
        _check_name(name)
        fd = self._asked(lambda how: self._api.open(dir_fd, name, how), how, name)
        if how.disposition != CREATE:
            try:
                self._check_listed(fd, name)
            except BaseException:
                self.close_quietly(fd)
                raise
        return fd

    def _asked(self, call: Callable[[Opening], int], how: Opening, name: str) -> int:
        return self._patiently(lambda: self._try(call, how), name)

    def _try(self, call: Callable[[Opening], int], how: Opening) -> int:
        """Open; without OBJ_DONT_REPARSE where the system does not know it."""
        known = how._replace(attributes=how.attributes & ~self._left_out)
        try:
            return call(known)
        except NtError as error:
            if error.status != INVALID_PARAMETER or not known.attributes & DONT_REPARSE:
                raise
        fd = call(known._replace(attributes=known.attributes & ~DONT_REPARSE))
        self._left_out = DONT_REPARSE
        return fd

    def _check_listed(self, fd: int, name: str) -> None:
        if "~" not in name:
            return
        listed = self._api.listed_name(fd)
        if listed.casefold() != name.casefold():
            raise OSError(errno.EILSEQ, f"that is the short name of {listed!r}", name)

    def _used(self, fd: int, name: str, how: Opening, call: Callable[[Opening], int]) -> int:
        """Return a descriptor through which an opened entry may be used, unless it is a link.

        OneDrive and its like keep content elsewhere, and bring it when a file is opened as usual,
        not as the reparse point that it is. So it is opened once more, where OBJ_DONT_REPARSE keeps
        the system from following links; and what is opened must be the same.

        Raises:
            OSError: ELOOP: it is a link, or may be one by now. It is closed.
        """
        other = -1
        try:
            kind = self._patiently(lambda: self._api.kind(fd), name)
            if not kind.is_special:
                fd, found = -1, fd
                return found
            if not kind.is_link and not self._left_out:
                usual = how.options & ~OPEN_REPARSE_POINT
                disposition = how._replace(options=usual, disposition=OPEN)
                other = self._patiently(lambda: call(disposition), name)
                if os.path.samestat(self._api.stat(fd), self._api.stat(other)):
                    other, found = -1, other
                    return found
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        finally:
            for one in (fd, other):
                if one >= 0:
                    self.close_quietly(one)

    # -- directories -----------------------------------------------------------------------------

    def open_root(self, path: str, *, follow: bool) -> int:
        """Open the directory at an absolute path; others may still move or remove it."""
        real = os.path.realpath(path, strict=True) if follow else path
        how = Opening(_HOLD, SHARE_ALL, OPEN, _DIRECTORY)

        def call(how: Opening) -> int:
            return self._api.open_path(real, how)

        fd = self._used(self._asked(call, how, path), path, how, call)
        self._dirs.add(fd)
        return fd

    def open_dir(self, dir_fd: int, name: str) -> int:
        """Open a directory in another; until it is closed nobody can move or remove it."""
        how = Opening(_HOLD, SHARE_READ_WRITE, OPEN, _DIRECTORY)
        fd = self._open(dir_fd, name, how)
        fd = self._used(fd, name, how, lambda how: self._api.open(dir_fd, name, how))
        self._dirs.add(fd)
        return fd

    def open_beneath(self, dir_fd: int, relative: str, *, cross_mounts: bool) -> int:  # noqa: ARG002 - as the base has them
        """Raise ENOSYS: one call for a whole path shows no short name on the way."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def open_again(self, dir_fd: int) -> int:
        """Open a directory once more."""
        return self._reopened(dir_fd, _HOLD)

    def _reopened(self, dir_fd: int, access: int) -> int:
        how = Opening(access, SHARE_ALL, OPEN, DIRECTORY_FILE)
        fd = self._asked(lambda how: self._api.open(dir_fd, "", how), how, "")
        self._dirs.add(fd)
        return fd

    def mount_of(self, fd: int) -> int:  # noqa: ARG002 - as the base has it
        """Return one value for all: a mounted folder is a reparse point, refused as a link."""
        return 1

    def make_dir(self, dir_fd: int, name: str) -> None:
        """Create a directory in another."""
        how = Opening(_EXAMINE, SHARE_ALL, CREATE, _DIRECTORY)
        self.close_quietly(self._open(dir_fd, name, how))

    def make_root(self, path: str) -> None:
        """Create the root and the directories above it."""
        super().make_root(extended(path))

    def remove_dir(self, dir_fd: int, name: str) -> None:
        """Remove an empty directory."""
        self._remove(dir_fd, name, is_dir=True)

    def list(self, dir_fd: int) -> Iterator[tuple[str, bool, bool]]:
        """Yield the entries of a directory; a link counts as neither."""
        fd = self._reopened(dir_fd, LIST | _EXAMINE)
        try:
            for name, kind in self._api.entries(fd):
                yield name, kind.is_dir, not kind.is_dir and not kind.is_link
        except NtError as error:
            raise os_error(error, "") from None
        finally:
            self.close_quietly(fd)

    # -- names -----------------------------------------------------------------------------------

    def stat_path(self, path: str) -> os.stat_result:
        """Return the status of an absolute path, of a last symlink itself."""
        return super().stat_path(extended(path))

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        """Return the status of a name, of a link itself."""
        fd = self._open(dir_fd, name, Opening(_EXAMINE))
        try:
            return self._api.stat(fd)
        finally:
            self.close_quietly(fd)

    def birth(self, fd: int, name: str, *, fresh: bool = False) -> float | None:  # noqa: ARG002
        """Return ``None``: what ``os.stat`` knows is enough."""
        return None

    def unlink(self, dir_fd: int, name: str) -> None:
        """Remove a name that is not a directory; of a junction the junction."""
        self._remove(dir_fd, name, is_dir=False)

    def _remove(self, dir_fd: int, name: str, *, is_dir: bool) -> None:
        fd = self._open(dir_fd, name, Opening(DELETE | _EXAMINE))
        try:
            kind = self._patiently(lambda: self._api.kind(fd), name)
            if kind.is_dir != is_dir:
                number = errno.ENOTDIR if is_dir else errno.EISDIR
                raise OSError(number, os.strerror(number), name)
            self._patiently(lambda: self._dispose(fd), name, BUSY)
        finally:
            self.close_quietly(fd)

    def _dispose(self, fd: int) -> None:
        try:
            self._api.dispose(fd, DISPOSE_DELETE | DISPOSE_POSIX, extended=True)
        except NtError as error:
            if error.status not in UNKNOWN:
                raise
            self._api.dispose(fd, DISPOSE_DELETE, extended=False)

    def rename(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename; replace what has the new name."""
        if "~" in new:
            with contextlib.suppress(FileNotFoundError):
                # Refused if it is another file's short name.
                self.close_quietly(self._open(to, new, Opening(_EXAMINE)))
        self._rename(dir_fd, name, to, new, RENAME_REPLACE)

    def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
        """Rename to a free name (else EEXIST)."""
        self._rename(dir_fd, name, to, new, 0)

    def _rename(self, dir_fd: int, name: str, to: int, new: str, flags: int) -> None:
        _check_name(new)
        fd = self._open(dir_fd, name, Opening(DELETE | _EXAMINE))
        try:
            self._patiently(lambda: self._place(fd, to, new, flags), new, BUSY)
        finally:
            self.close_quietly(fd)

    def _place(self, fd: int, to: int, new: str, flags: int) -> None:
        try:
            self._api.rename(fd, to, new, flags | RENAME_POSIX, extended=True)
        except NtError as error:
            if error.status not in UNKNOWN:
                raise
            self._api.rename(fd, to, new, flags, extended=False)

    def link(self, dir_fd: int, name: str, to: int, new: str) -> None:  # noqa: ARG002
        """Raise EOPNOTSUPP: a rename to a free name is one call here."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    # -- files -----------------------------------------------------------------------------------

    def open_unnamed(self, dir_fd: int, mode: int) -> int:  # noqa: ARG002
        """Raise ENOSYS: a file has a name here."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:  # noqa: ARG002
        """Open a file in a directory; a link at its end is refused (ELOOP), and not followed."""
        disposition = OPEN
        if flags & os.O_CREAT:
            disposition = CREATE if flags & os.O_EXCL else OPEN_IF
        access = access_of(flags) | _EXAMINE
        how = Opening(access, SHARE_ALL, disposition, OPEN_REPARSE_POINT, flags=flags)
        fd = self._open(dir_fd, name, how)
        if disposition == CREATE:
            return fd  # new, so it is nothing else
        fd = self._used(fd, name, how, lambda how: self._api.open(dir_fd, name, how))
        try:
            if self._patiently(lambda: self._api.kind(fd), name).is_dir:
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            if flags & os.O_TRUNC:
                self.truncate(fd, 0)
        except BaseException:
            self.close_quietly(fd)
            raise
        return fd

    def stat(self, fd: int) -> os.stat_result:
        """Return the status of an open file or directory."""
        return self._api.stat(fd)

    def sync(self, fd: int) -> None:
        """Sync a file; a directory has nothing to sync."""
        if fd not in self._dirs:
            super().sync(fd)

    def close(self, fd: int) -> None:
        """Close a file or directory."""
        self._dirs.discard(fd)
        super().close(fd)


def _check_name(name: str) -> None:
    """Refuse what is not a single name in the directory.

    Raises:
        OSError: EILSEQ.
    """
    if not name or name in {".", ".."} or any(one in name for one in ":\\/\0"):
        why = "':', '\\' and '..' lead elsewhere on Windows"
        raise OSError(errno.EILSEQ, why, name)
