"""What may be believed of a file system: its inodes, its birth times, the spelling of its names.

Each was found by trying (ext4, xfs and btrfs keep all of them). Where one does not hold, weaker
evidence is used: an update instead of a replacement, deleted and created instead of a rename.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Final, NamedTuple

from limpet._descriptors import close_reader
from limpet.backends._mounts import find_mount, read_mounts


class FileSystemTraits(NamedTuple):
    """What a watch assumes about the file system of a directory."""

    filesystem: str = ""
    """As the mount table calls it; empty where there is none."""
    stable_inodes: bool = True
    """A file keeps its inode number, and no other gets it while it exists."""
    stable_births: bool = True
    """A file keeps its birth time."""
    exact_times: bool = True
    """From Linux 6.13 on, every change after a stat gets a time stamp of its own."""
    case_sensitive: bool = True
    """A name is found under its own spelling alone."""
    answers_at_once: bool = False
    """The kernel answers for it, without a network or another program: a stat of a name that was
    just changed takes microseconds."""


ORDINARY: Final = FileSystemTraits()

_OWN_INODES: Final = frozenset(
    "fuse.bindfs fuse.fuse-overlayfs fuse.gocryptfs fuse.glusterfs fuse.ceph-fuse".split()
)
"""FUSE file systems that pass on the inode numbers of what is below them. Most others number inodes
as the kernel asks for them, and give others once it has forgotten them (libfuse, ``use_ino``)."""
_RENUMBERED: Final = frozenset(
    "fuse fuseblk vfat msdos exfat vboxsf prl_fs vmhgfs davfs fakeowner".split()
)
"""The same; the kernel's FAT and exFAT number inodes when they are read (``iunique``)."""
_CASELESS: Final = frozenset(
    "vfat msdos exfat ntfs ntfs3 fuseblk cifs smb3 smbfs hfs hfsplus vboxsf drvfs prl_fs".split()
)
"""File systems that find a name under another spelling, as mounted by default."""
_EXACT: Final = frozenset("ext4 xfs btrfs tmpfs".split())
"""File systems with multigrain time stamps (``FS_MGTIME``), since Linux 6.13. ext2 and ext3 have
none, though the code of ext4 serves them."""
_MAY_FOLD: Final = frozenset("ext4 f2fs tmpfs bcachefs".split())
"""File systems on which a directory may be marked so (``chattr +F``)."""

_KERNEL: Final = frozenset(
    "ext2 ext3 ext4 xfs btrfs tmpfs ramfs f2fs bcachefs zfs jfs vfat exfat ntfs3".split()
)
"""File systems that the kernel itself keeps, in memory or on a disk of this machine. Not overlay:
it asks the file systems of its layers, and these may be any."""

_GET_FLAGS: Final = 0x80086601
"""``FS_IOC_GETFLAGS`` of linux/fs.h, where a long has eight bytes."""
_CASEFOLD: Final = 0x40000000
"""``FS_CASEFOLD_FL`` of linux/fs.h."""


def traits_of(path: str) -> FileSystemTraits:
    """Return what may be believed of the file system that holds a directory."""
    if sys.platform == "win32":
        return FileSystemTraits(case_sensitive=False)
    if sys.platform == "darwin":
        return FileSystemTraits(case_sensitive=_is_case_sensitive(path))
    mount = find_mount(os.path.realpath(path), read_mounts())
    if mount is None:
        return FileSystemTraits(exact_times=False)
    kind = mount.filesystem
    unstable = kind in _RENUMBERED or (kind.startswith("fuse.") and kind not in _OWN_INODES)
    return FileSystemTraits(
        filesystem=kind,
        stable_inodes=not unstable,
        exact_times=kind in _EXACT,
        # A file of a lower layer is copied up by its first change, and born anew by that.
        stable_births=kind not in {"overlay", "fuse.fuse-overlayfs"},
        answers_at_once=kind in _KERNEL,
        case_sensitive=not (kind in _CASELESS or (kind in _MAY_FOLD and _folds_case(path))),
    )


def _is_case_sensitive(path: str) -> bool:
    if sys.platform == "win32":
        return False
    try:
        return os.pathconf(path, 11) != 0  # _PC_CASE_SENSITIVE of macOS' unistd.h
    except (OSError, ValueError):
        return False


def _folds_case(path: str) -> bool:
    if sys.platform != "linux" or struct.calcsize("l") != 8:
        return False
    import fcntl

    word = bytearray(8)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _GET_FLAGS, word)
        finally:
            close_reader(fd)
    except OSError:
        return False
    return bool(int.from_bytes(word[:4], "little") & _CASEFOLD)
