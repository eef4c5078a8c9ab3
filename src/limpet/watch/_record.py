"""What is remembered of one entry, in a few dozen bytes, and what differs between two of them.

A folder's entries map a name to one of three things:

- ``int``: listed but never needed: ``inode << 2 | kind``. No lstat was spent on it.
- ``bytes``: a packed record of what stat said.
- a folder node.
"""

from __future__ import annotations

import stat as stat_module
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet.events import FileStat

if TYPE_CHECKING:
    from limpet.events import Change, Kind

__all__ = [
    "BRIEF_DIR",
    "BRIEF_FILE",
    "BRIEF_OTHER",
    "BRIEF_SYMLINK",
    "RACY_NS",
    "Facts",
    "differences",
    "file_stat",
    "inode_of",
    "kind_of",
    "kind_of_mode",
    "pack",
    "same_file",
    "unpack",
]

RACY_NS: Final = 20_000_000
"""Two changes closer than this may carry one time stamp: the kernel stamps with a coarse clock that
ticks every 1 to 10 ms (CONFIG_HZ), so a record taken that soon after a change proves nothing."""

_KINDS: Final[tuple[Kind, ...]] = ("file", "dir", "symlink", "other")
BRIEF_FILE, BRIEF_DIR, BRIEF_SYMLINK, BRIEF_OTHER = range(4)
"""Low bits of a brief record, ``inode << 2 | kind``: no more than a listing tells."""

_RECORD: Final = struct.Struct("<IIIIIQqqqq")
_FRESH: Final = 1 << 31
"""Flag in the packed mode: taken within ``RACY_NS`` of the last change."""
_YOUNG: Final = 1 << 30
"""Flag in the packed mode: taken within ``RACY_NS`` of its creation."""
_MODE: Final = 0xFFFF


class Facts(NamedTuple):
    """What stat said, with times in nanoseconds; ``birth`` is 0 where the file system has none."""

    mode: int
    nlink: int
    uid: int
    gid: int
    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    birth: int
    fresh: bool = False
    young: bool = False


def kind_of_mode(mode: int) -> Kind:
    """Give the kind for a stat mode."""
    form = stat_module.S_IFMT(mode)
    if form == stat_module.S_IFREG:
        return "file"
    if form == stat_module.S_IFDIR:
        return "dir"
    return "symlink" if form == stat_module.S_IFLNK else "other"


def pack(facts: Facts, now: int) -> bytes:
    """Pack what stat said at ``now`` (nanoseconds of the system's clock)."""
    mode = facts.mode
    if now - facts.ctime < RACY_NS:
        mode |= _FRESH
    if now - facts.birth < RACY_NS:
        mode |= _YOUNG
    return _RECORD.pack(mode, *facts[1:10])


def unpack(record: bytes) -> Facts:
    """Undo ``pack``."""
    mode, nlink, uid, gid, device, inode, size, mtime, ctime, birth = _RECORD.unpack(record)
    return Facts(
        mode & _MODE, nlink, uid, gid, device, inode, size, mtime, ctime, birth,
        bool(mode & _FRESH), bool(mode & _YOUNG),
    )  # fmt: skip


def inode_of(record: int | bytes) -> int:
    """Inode of a record of either form."""
    return record >> 2 if isinstance(record, int) else unpack(record).inode


def kind_of(record: int | bytes) -> Kind:
    """Kind of a record of either form."""
    return _KINDS[record & 3] if isinstance(record, int) else kind_of_mode(unpack(record).mode)


def file_stat(facts: Facts) -> FileStat:
    """Give the public form."""
    return FileStat(
        size=facts.size,
        mtime=facts.mtime / 1e9,
        ctime=facts.ctime / 1e9,
        birthtime=facts.birth / 1e9 if facts.birth else None,
        mode=facts.mode,
        uid=facts.uid,
        gid=facts.gid,
        inode=facts.inode,
        device=facts.device,
        kind=kind_of_mode(facts.mode),
    )


def same_file(old: int | bytes, seen: int, new: Facts) -> bool:
    """Tell, without a hint, whether ``new`` is the file that ``old`` was.

    Inode numbers are reused at once (ext4), so they are no evidence alone. Evidence is an unchanged
    birth time that is older than the record; for an entry that was only listed, a birth before the
    listing at ``seen`` (it had the inode then, and has had it ever since); where there is no birth
    time, an unchanged size and mtime.
    """
    if inode_of(old) != new.inode or kind_of(old) != kind_of_mode(new.mode):
        return False
    if isinstance(old, int):
        return 0 < new.birth < seen
    was = unpack(old)
    if was.birth and new.birth:
        return was.birth == new.birth and not was.young
    return was.size == new.size and was.mtime == new.mtime and not was.fresh


def differences(
    old: int | bytes,
    new: Facts,
    *,
    written: bool,
    touched: bool,
    hinted: bool,
    seen: int,
    exact: bool,
) -> set[Change]:
    """Say what differs for an entry that is still the same file.

    Args:
        old: What was remembered.
        new: What stat says now.
        written: A backend saw a write since ``old`` was taken or shortly before.
        touched: A backend saw an attribute change.
        hinted: A backend that would have seen a write gave the reason to look.
        seen: When the folder was listed, for an ``old`` that is no more than that (nanoseconds).
        exact: The kernel gives every change after a stat a time stamp of its own.
    """
    changes: set[Change] = set()
    if isinstance(old, int):
        if written or new.mtime >= seen or (not hinted and not touched and new.ctime >= seen):
            changes.add("content")
        return changes
    was = unpack(old)
    if (was.mode & 0o7777) != (new.mode & 0o7777):
        changes.add("mode")
    if was.uid != new.uid or was.gid != new.gid:
        changes.add("owner")
    if was.size != new.size or was.mtime != new.mtime:
        changes.add("content")
    elif was.ctime != new.ctime:
        # chmod, chown and link explain a new ctime; nothing else does but a write with the mtime
        # put back, which a hint shows, or which must be assumed where there are no hints.
        explained = bool(changes) or was.nlink != new.nlink
        if written or (not hinted and not explained):
            changes.add("content")
    elif written and was.fresh and not exact:
        changes.add("content")
    return changes
