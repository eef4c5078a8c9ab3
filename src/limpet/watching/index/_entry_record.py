"""What the index keeps of one entry, in a few dozen bytes, and what differs between two of them.

A directory's entries map a name to one of three things:

- ``int``: listed, and nothing more was needed: ``inode << 2 | kind``. No lstat was spent on it.
- ``bytes``: a packed stat result.
- a directory node.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._file_stat import KIND_OF_FORM, kind_of_mode
from limpet.events import FileStat

if TYPE_CHECKING:
    from limpet.events import Change, Kind

RACY_NS: Final = 20_000_000
"""Two changes closer than this may have the same time stamp: the kernel stamps with a coarse clock
that ticks every 1 to 10 ms (CONFIG_HZ), so a record taken so soon after a change proves nothing."""
COARSE_NS: Final = 2_020_000_000
"""The same where a stamp is a whole second: ext2, ext3, ext4 with inodes of 128 bytes, exFAT (two
seconds), sshfs. A kernel's clock gives a whole second by chance once in a hundred million times."""

_KINDS: Final[tuple[Kind, ...]] = ("file", "dir", "symlink", "other")
_DIR_FORM: Final = 4
BRIEF_FILE, BRIEF_DIR, BRIEF_SYMLINK, BRIEF_OTHER = range(4)
"""Low bits of a brief record, ``inode << 2 | kind``: what a listing gives."""

_RECORD: Final = struct.Struct("<QqIIIIHqqIqB")
"""inode, birth, device, nlink, uid, gid, mode, size, mtime in seconds, its nanoseconds, ctime,
flags: in this order, so that parts of two records can be compared as they are (below), which takes
a tenth of unpacking both. Anybody may set any mtime (utimensat(2)), so it has all its 64 bits."""
pack_fields: Final = _RECORD.pack
"""Packs the fields one by one, for callers that have them so.

Raises:
    struct.error: One is beyond its range; ``pack_clamped`` takes it.
"""
_LONG: Final = (1 << 63) - 1
BEARING: Final = slice(0, 34)
"""All that a write to a file leaves unchanged: identity, device, links, owner and mode."""
CONTENT: Final = slice(34, 54)
"""Size and mtime."""
_TIMES: Final = slice(34, 62)
_KIND_AT: Final = 33
_FLAGS_AT: Final = 62
_NO_BIRTH: Final = bytes(8)
_SECOND: Final = 1_000_000_000
_FRESH: Final = 1
"""Flag: taken so soon after the last change that another may have the same stamp."""
_YOUNG: Final = 2
"""Flag: the same of its creation."""
_COARSE: Final = 4
"""Flag: the last change is stamped with a whole second."""


class StatResult(NamedTuple):
    """A stat result with times in nanoseconds; ``birth`` is 0 where the file system has none."""

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
    coarse: bool = False

    @property
    def is_dir(self) -> bool:
        """Return whether it is of a directory."""
        return self.mode & 0o170000 == 0o040000


def pack(facts: StatResult, now: int) -> bytes:
    """Pack what stat returned at ``now`` (nanoseconds of the system's clock) or a little later."""
    mode, nlink, uid, gid, device, inode, size, mtime, ctime, birth = facts[:10]
    flags = flags_of(ctime, birth, now, RACY_NS)
    return pack_clamped(
        inode, birth, device, nlink, uid, gid, mode, size, *divmod(mtime, _SECOND), ctime, flags
    )


def flags_of(ctime: int, birth: int, now: int, racy: int) -> int:
    """Return the flags of a record with these times, taken at ``now`` (nanoseconds).

    ``racy`` is ``RACY_NS``; a test that must not depend on the machine's speed takes a long time.
    """
    coarse = not ctime % _SECOND
    fresh = now - ctime < (COARSE_NS if coarse else racy)
    young = now - birth < (racy if birth % _SECOND else COARSE_NS)
    return fresh | young << 1 | coarse << 2


def pack_clamped(
    inode: int, birth: int, device: int, nlink: int, uid: int, gid: int, mode: int, size: int,
    mtime: int, mtime_ns: int, ctime: int, flags: int,
) -> bytes:  # fmt: skip
    """Pack the fields; what is beyond its range becomes the nearest in it.

    A clock sets birth and ctime, so they are in range up to the year 2262, but for file systems
    that take them from elsewhere (FUSE, NFS).
    """
    return _RECORD.pack(
        inode, max(-_LONG - 1, min(birth, _LONG)), device, nlink, uid, gid, mode, min(size, _LONG),
        max(-_LONG - 1, min(mtime, _LONG)), mtime_ns, max(-_LONG - 1, min(ctime, _LONG)), flags,
    )  # fmt: skip


def unpack(record: bytes) -> StatResult:
    """Return the stat result that was packed."""
    (inode, birth, device, nlink, uid, gid, mode, size, mtime, mtime_ns, ctime,
     flags) = _RECORD.unpack(record)  # fmt: skip
    return StatResult(
        mode, nlink, uid, gid, device, inode, size, mtime * _SECOND + mtime_ns, ctime, birth,
        bool(flags & _FRESH), bool(flags & _YOUNG), bool(flags & _COARSE),
    )  # fmt: skip


def inode_of(record: int | bytes) -> int:
    """Return the inode of a record of either form."""
    return record >> 2 if isinstance(record, int) else int.from_bytes(record[:8], "little")


def links_of(record: bytes) -> int:
    """Return the number of links of a packed record."""
    return int.from_bytes(record[20:24], "little")


def kind_of(record: int | bytes) -> Kind:
    """Return the kind of a record of either form."""
    return _KINDS[record & 3] if isinstance(record, int) else KIND_OF_FORM[record[_KIND_AT] >> 4]


def is_dir(record: bytes) -> bool:
    """Return whether a packed record is of a directory."""
    return record[_KIND_AT] >> 4 == _DIR_FORM


def is_recent(record: bytes) -> bool:
    """Return whether the entry was changed or created a moment before; few are."""
    return record[_FLAGS_AT] & (_FRESH | _YOUNG) != 0


def is_young(record: bytes) -> bool:
    """Return whether its birth time is not proof yet: the inode may be reused within the tick."""
    return bool(record[_FLAGS_AT] & _YOUNG)


def is_racy(record: int | bytes, *, exact: bool) -> bool:
    """Return whether a regular file may change without a difference that stat shows."""
    return (
        isinstance(record, bytes)
        and record[_FLAGS_AT] & _FRESH != 0
        and (record[_FLAGS_AT] & _COARSE != 0 or not exact)
        and kind_of(record) == "file"
    )


def only_written(old: bytes, new: bytes, *, deleted: bool, exact: bool) -> bool | None:
    """Decide the common cases without unpacking: written to, unchanged, or neither (``None``).

    Args:
        old: The record in the index.
        new: The stat result now.
        deleted: A hint says that the name was deleted meanwhile.
        exact: The kernel gives every change after a stat a time stamp of its own.
    """
    if old[BEARING] != new[BEARING] or old[8:16] == _NO_BIRTH:
        return None
    if deleted and old[_FLAGS_AT] & _YOUNG:
        return None
    if old[CONTENT] != new[CONTENT]:
        return True
    exact = exact and not old[_FLAGS_AT] & _COARSE
    return False if exact and old[_TIMES] == new[_TIMES] else None


def only_renamed(old: int | bytes, new: bytes, *, written: bool, exact: bool) -> bool:
    """Return whether it is plain that nothing but the name of a file changed.

    Args:
        old: The record under the old name.
        new: The stat result under the new one.
        written: A hint says that it was written to.
        exact: The kernel gives every change after a stat a time stamp of its own.
    """
    return (
        isinstance(old, bytes)
        and (exact or not written)
        and old[BEARING] == new[BEARING]
        and old[CONTENT] == new[CONTENT]
    )


def public_stat(facts: StatResult) -> FileStat:
    """Return the public form."""
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


def same_file(old: int | bytes, seen: int, new: StatResult, *, births: bool = True) -> bool:
    """Return, without a hint, whether ``new`` is the file that ``old`` was.

    Inode numbers are reused at once (ext4), so alone they prove nothing. Evidence is an unchanged
    birth time that is older than the record; for an entry that was only listed, a birth before the
    listing at ``seen`` (it had the inode then, and has had it ever since); where there is no birth
    time, or ``births`` are not evidence, an unchanged size and mtime.
    """
    if inode_of(old) != new.inode or kind_of(old) != kind_of_mode(new.mode):
        return False
    if isinstance(old, int):
        return births and 0 < new.birth < seen
    was = unpack(old)
    if was.birth and new.birth and births:
        return was.birth == new.birth and not was.young
    return was.size == new.size and was.mtime == new.mtime and not was.fresh


def differences(
    old: int | bytes,
    new: StatResult,
    *,
    written: bool,
    touched: bool,
    hinted: bool,
    seen: int,
    exact: bool,
) -> set[Change]:
    """Return what differs for an entry that is still the same file.

    Args:
        old: The record in the index.
        new: The stat result now.
        written: A backend saw a write since ``old`` was taken or shortly before.
        touched: A backend saw an attribute change, or the end of writing through a mapping.
        hinted: A backend that would have seen a write watches it, and has lost no hint.
        seen: When the directory was listed, for an ``old`` from a listing (nanoseconds).
        exact: The kernel gives every change after a stat a time stamp of its own.
    """
    changes: set[Change] = set()
    if isinstance(old, int):
        # Without a hint of it, what is dated after the listing was so before: a file written within
        # the same tick of the clock, or dated in the future.
        late = new.mtime >= seen
        if written or (late and touched) or (not hinted and (late or new.ctime >= seen)):
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
        # chmod, chown and link explain a new ctime. Otherwise it was a write that set the mtime
        # back: a hint shows it, or it must be assumed where there are no hints.
        explained = bool(changes) or was.nlink != new.nlink
        if written or (not hinted and not explained):
            changes.add("content")
    elif written and was.fresh and (was.coarse or not exact):
        changes.add("content")
    return changes
