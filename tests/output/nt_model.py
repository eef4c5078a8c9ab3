"""A model of NTFS for the system calls of Windows: ``NtApi`` on a real directory of Linux.

A symlink stands for a junction or a symlink of NTFS. What is opened is opened in the directory that
the handle is of, so what the model does is what a caller asked for: a caller that follows links,
names streams or passes paths gets out here as it would on NTFS. The answers are those that Windows
was recorded or is documented to give ([MS-FSA] 2.1.5, learn.microsoft.com).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from limpet.output import _nt_api as nt
from limpet.output import _nt_status as status
from limpet.output._nt_api import Kind, Opening
from limpet.output._nt_status import NtError
from limpet.output._syscalls import Syscalls

IS_POSSIBLE: Final = hasattr(os, "O_PATH")
"""Whether this system has what the model is made of."""

LINK, CLOUD, FIFO = 0xA0000003, 0x9000601A, 0x80000024
"""IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_CLOUD_6 and IO_REPARSE_TAG_LX_FIFO (winnt.h)."""
READS: Final = nt.LIST | nt.TRAVERSE | 0x80000000
WRITES: Final = nt.WRITE_DATA | nt.APPEND_DATA | 0x40000000
_ERRNO: Final = {
    errno.ENOENT: status.OBJECT_NAME_NOT_FOUND,
    errno.EEXIST: status.OBJECT_NAME_COLLISION,
    errno.ENOTEMPTY: status.DIRECTORY_NOT_EMPTY,
    errno.ENOTDIR: status.NOT_A_DIRECTORY,
    errno.EACCES: status.ACCESS_DENIED,
    errno.EISDIR: status.FILE_IS_A_DIRECTORY,
    errno.EXDEV: 0xC00000D4,
    errno.ENOSPC: 0xC000007F,
    errno.ENAMETOOLONG: 0xC0000106,
    errno.EROFS: 0xC00000A2,
}
Identity = tuple[int, int]


@contextlib.contextmanager
def answers() -> Iterator[None]:
    """Turn an error of Linux into the answer that Windows gives to the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ERRNO:
            raise
        raise NtError(_ERRNO[error.errno]) from error


@dataclass(slots=True)
class _Open:
    """One opening: what it may do, and what it lets others do."""

    identity: Identity
    access: int
    share: int


@dataclass(slots=True)
class NtModel:
    """The calls; its fields say which Windows it is."""

    posix: bool = True
    """FileRenameInformationEx and FileDispositionInformationEx are known (NTFS since 1709)."""
    dont_reparse: bool = True
    """OBJ_DONT_REPARSE is known (Windows 10 1703)."""
    short_names: dict[str, str] = field(default_factory=dict)
    """Short name, in capitals -> the name that the directory lists."""
    kept_elsewhere: set[Identity] = field(default_factory=set)
    """What OneDrive has not brought yet."""
    brought: set[Identity] = field(default_factory=set)
    """What was opened as usual, and so was brought."""
    before: Callable[[str], object] = lambda _: None
    """Called with the name of each call before it is made: an attacker's moment."""
    streams: list[str] = field(default_factory=list)
    """Names of streams that were opened."""
    _opens: dict[int, _Open] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _pending: set[Identity] = field(default_factory=set)
    """Deleted, but open: the name stays until the last one is closed."""

    def open(self, dir_fd: int, name: str, how: Opening) -> int:
        """As NtCreateFile with a RootDirectory."""
        self.before("open")
        if how.attributes & nt.DONT_REPARSE and not self.dont_reparse:
            raise NtError(status.INVALID_PARAMETER)
        with answers(), self._lock:
            return self._open(dir_fd, name, how)

    def open_path(self, path: str, how: Opening) -> int:
        """As NtCreateFile with a path."""
        self.before("open_path")
        if how.attributes & nt.DONT_REPARSE and not self.dont_reparse:
            raise NtError(status.INVALID_PARAMETER)
        with answers(), self._lock:
            parent, name = os.path.split(path)
            fd = os.open(parent, os.O_PATH)
            try:
                return self._open(fd, name, how)
            finally:
                os.close(fd)

    def _open(self, dir_fd: int, name: str, how: Opening) -> int:
        self._forget_closed()
        base, colon, stream = name.partition(":")
        if colon:
            self.streams.append(name)
            fd = os.open(f"/proc/self/fd/{dir_fd}/{base}", os.O_RDWR | os.O_CREAT)
            os.close(fd)
            return os.memfd_create(stream)
        *above, last = name.split("\\")
        if above:  # a path: what a careless caller passes is followed
            dir_fd = os.open(f"/proc/self/fd/{dir_fd}/{'/'.join(above)}", os.O_PATH)
        try:
            return self._open_last(dir_fd, last, how)
        finally:
            if above:
                os.close(dir_fd)

    def _open_last(self, dir_fd: int, name: str, how: Opening) -> int:
        name = self._long(dir_fd, name)
        node = self._node(dir_fd, name, how)
        try:
            found = os.fstat(node)
            identity = (found.st_dev, found.st_ino)
            if identity in self._pending:
                raise NtError(status.DELETE_PENDING)
            if self._kind(found).tag == FIFO and not how.options & nt.OPEN_REPARSE_POINT:
                raise NtError(0xC0000279)  # IO_REPARSE_TAG_NOT_HANDLED
            if how.options & nt.DIRECTORY_FILE and stat.S_ISREG(found.st_mode):
                raise NtError(status.NOT_A_DIRECTORY)
            self._check_sharing(identity, how)
            fd = self._for_access(node, found.st_mode, how)
        finally:
            os.close(node)
        if identity in self.kept_elsewhere and not how.options & nt.OPEN_REPARSE_POINT:
            self.brought.add(identity)
        self._opens[fd] = _Open(identity, how.access, how.share)
        return fd

    def _long(self, dir_fd: int, name: str) -> str:
        """Return the name that the directory lists, for a short one."""
        if os.path.lexists(f"/proc/self/fd/{dir_fd}/{name}"):
            return name
        return self.short_names.get(name.upper(), name)

    def _node(self, dir_fd: int, name: str, how: Opening) -> int:
        """Return what is at the name, or what is made there, for nothing but its status."""
        if how.disposition == nt.CREATE and how.options & nt.DIRECTORY_FILE:
            os.mkdir(name, dir_fd=dir_fd)
        elif how.disposition in {nt.CREATE, nt.OPEN_IF}:
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
                os.close(os.open(name, flags, 0o666, dir_fd=dir_fd))
            except FileExistsError:
                if how.disposition == nt.CREATE:
                    raise
        node = os.open(name or ".", os.O_PATH | os.O_NOFOLLOW, dir_fd=dir_fd)
        if not stat.S_ISLNK(os.fstat(node).st_mode) or how.options & nt.OPEN_REPARSE_POINT:
            return node
        os.close(node)
        if how.attributes & nt.DONT_REPARSE:
            raise NtError(status.REPARSE_POINT_ENCOUNTERED)
        return os.open(name, os.O_PATH, dir_fd=dir_fd)

    @staticmethod
    def _for_access(node: int, mode: int, how: Opening) -> int:
        """Open the same file once more, for what is to be done with it."""
        is_plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        if not is_plain or not how.access & (READS | WRITES):
            return os.dup(node)
        if stat.S_ISDIR(mode):
            return os.open(
                f"/proc/self/fd/{node}", os.O_RDONLY if how.access & nt.LIST else os.O_PATH
            )
        access = os.O_RDONLY
        if how.access & WRITES:
            access = os.O_RDWR if how.access & READS else os.O_WRONLY
        if how.flags & os.O_APPEND:
            access |= os.O_APPEND
        return os.open(f"/proc/self/fd/{node}", access | os.O_NONBLOCK)

    # -- what others have open -------------------------------------------------------------------

    def _forget_closed(self) -> None:
        for fd, one in list(self._opens.items()):
            try:
                found = os.fstat(fd)
            except OSError:
                found = None
            if found is None or (found.st_dev, found.st_ino) != one.identity:
                del self._opens[fd]
        self._pending &= {one.identity for one in self._opens.values()}

    def _check_sharing(self, identity: Identity, how: Opening) -> None:
        """Compare with every other opening, both ways (IoCheckShareAccess)."""

        def allows(share: int, access: int) -> bool:
            return (
                (not access & READS or bool(share & 0x1))
                and (not access & WRITES or bool(share & 0x2))
                and (not access & nt.DELETE or bool(share & nt.SHARE_DELETE))
            )

        if not how.access & (READS | WRITES | nt.DELETE):
            return
        for one in self._opens.values():
            counts = one.identity == identity and one.access & (READS | WRITES | nt.DELETE)
            if counts and not (allows(one.share, how.access) and allows(how.share, one.access)):
                raise NtError(status.SHARING_VIOLATION)

    def hold(self, path: str, *, share: int) -> int:
        """Open a file for reading as another program does; the caller closes it."""
        fd = os.open(path, os.O_RDONLY)
        found = os.fstat(fd)
        self._opens[fd] = _Open((found.st_dev, found.st_ino), nt.LIST, share)
        return fd

    # -- what is done by a handle ----------------------------------------------------------------

    def stat(self, fd: int) -> os.stat_result:
        """Return the status: a symlink is one already."""
        self.before("stat")
        return os.fstat(fd)

    def kind(self, fd: int) -> Kind:
        """Return what kind of entry is open."""
        self.before("kind")
        return self._kind(os.fstat(fd))

    def _kind(self, found: os.stat_result) -> Kind:
        """Return the kind that an entry has on NTFS."""
        kept = nt.ATTRIBUTE_REPARSE_POINT if _identity(found) in self.kept_elsewhere else 0
        tag = CLOUD if kept else 0
        if stat.S_ISDIR(found.st_mode):
            return Kind(nt.ATTRIBUTE_DIRECTORY | kept, tag)
        if stat.S_ISREG(found.st_mode):
            return Kind(0x80 | kept, tag)
        return Kind(nt.ATTRIBUTE_REPARSE_POINT, LINK if stat.S_ISLNK(found.st_mode) else FIFO)

    def listed_name(self, fd: int) -> str:
        """Return the name in the directory."""
        self.before("listed_name")
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    def entries(self, fd: int) -> Iterator[tuple[str, Kind]]:
        """Yield names and attributes."""
        self.before("entries")
        with os.scandir(fd) as found:
            for entry in found:
                yield entry.name, self._kind(entry.stat(follow_symlinks=False))

    def rename(self, fd: int, to: int, new: str, flags: int, *, extended: bool) -> None:
        """As NtSetInformationFile with FileRenameInformation, or with ...Ex."""
        self.before("rename")
        self._check_known(fd, extended=extended)
        assert ":" not in new
        with answers(), self._lock, self._parent(fd) as (parent, name):
            new = self._long(to, new)
            try:
                there = os.stat(new, dir_fd=to, follow_symlinks=False)
            except FileNotFoundError:
                there = None
            if there is None or not flags & nt.RENAME_REPLACE:
                if there is None or not os.path.samestat(there, os.fstat(fd)):
                    Syscalls().rename_new(parent, name, to, new)
                return
            if stat.S_ISDIR(there.st_mode):
                raise NtError(status.ACCESS_DENIED)
            self._forget_closed()
            others = [one for one in self._opens.values() if one.identity == _identity(there)]
            if extended:
                others = [one for one in others if not one.share & nt.SHARE_DELETE]
            if others and not os.path.samestat(there, os.fstat(fd)):
                raise NtError(status.ACCESS_DENIED)
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=to)

    def dispose(self, fd: int, flags: int, *, extended: bool) -> None:
        """As NtSetInformationFile with FileDispositionInformation, or with ...Ex."""
        self.before("dispose")
        assert flags & nt.DISPOSE_DELETE
        self._check_known(fd, extended=extended)
        identity = _identity(os.fstat(fd))
        with answers(), self._lock, self._parent(fd) as (parent, name):
            self._forget_closed()
            opens = self._opens.items()
            others = [one for number, one in opens if one.identity == identity and number != fd]
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                os.rmdir(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
        if others and not extended:
            self._pending.add(identity)

    def _check_known(self, fd: int, *, extended: bool) -> None:
        if extended and not self.posix:
            raise NtError(status.NOT_IMPLEMENTED)
        assert self._opens[fd].access & nt.DELETE

    @contextlib.contextmanager
    def _parent(self, fd: int) -> Iterator[tuple[int, str]]:
        """Open the directory in which the open file has its name, wherever that is now."""
        for _ in range(100):
            found = self._find_parent(fd)
            if found is not None:
                parent, name = found
                try:
                    yield parent, name
                finally:
                    os.close(parent)
                return
        raise NtError(0xC0000123)  # FILE_DELETED

    @staticmethod
    def _find_parent(fd: int) -> tuple[int, str] | None:
        path, name = os.path.split(os.readlink(f"/proc/self/fd/{fd}"))
        try:
            parent = os.open(path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return None
        with contextlib.suppress(OSError):
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if os.path.samestat(there, os.fstat(fd)):
                return parent, name
        os.close(parent)
        return None


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
