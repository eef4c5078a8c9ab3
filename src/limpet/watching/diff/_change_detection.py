"""Decides whether an entry is the same file, and what changed of it.

From its record, a fresh stat and the hints. Pure. The full path of an examination and the fast one
decide here, so that they agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._file_stat import kind_of_mode
from limpet.backends import ATTRIB, CLOSED, DELETE, MOVED, ORDINARY, OTHER, WRITE
from limpet.watching.index._entry_record import RACY_NS, differences, kind_of, unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from limpet.backends import FileSystemTraits
    from limpet.events import Change
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.index._index import Entry


def is_same(
    directory: DirNode,
    old: Entry,
    facts: StatResult,
    link: int,
    bits: int,
    traits: FileSystemTraits = ORDINARY,
) -> bool:
    """Return whether what is at a name is what was there, and not another of the same name.

    Args:
        directory: The directory it is in.
        old: The record in the index.
        facts: The stat result now.
        link: Inode of the symlink it was reached through, or 0.
        bits: The hints.
        traits: What the inode and the birth time prove.
    """
    numbered = traits.stable_inodes
    if isinstance(old, DirNode):
        if (old.device, old.link) != (facts.device, link):
            return False
        if old.inode != facts.inode and (numbered or not old.inode):
            return False
        if facts.mode & 0o170000 != 0o040000:
            return False
        record: int | bytes = old.record
    else:
        record = old
    if link and not isinstance(old, DirNode):
        return False
    if isinstance(record, int):
        if kind_of(record) != kind_of_mode(facts.mode):
            return False
        if numbered and record >> 2 != facts.inode:
            return False
        born = facts.birth if numbered and traits.stable_births else 0
        if born and not directory.seen <= born <= directory.seen + RACY_NS:
            return born < directory.seen
        return not bits & DELETE
    was = unpack(record)
    if was.mode & 0o170000 != facts.mode & 0o170000:
        return False
    if numbered and was.inode != facts.inode:
        return False
    if was.birth and facts.birth and traits.stable_births and not (was.young and bits & DELETE):
        return was.birth == facts.birth
    return not bits & DELETE


def changes_of(
    record: int | bytes,
    facts: StatResult,
    bits: int,
    *,
    seen: int,
    exact: bool,
    metadata: bool,
    hinted: bool = False,
) -> set[Change]:
    """Return which changes to report of an entry that is still the same.

    Args:
        record: The record in the index.
        facts: The stat result now.
        bits: The hints.
        seen: When its directory was listed.
        exact: The kernel gives every change after a stat a time stamp of its own.
        metadata: Changes of mode and owner are reported.
        hinted: A change would have left a hint, though there is none.
    """
    written = bool(bits & WRITE)
    if isinstance(record, int) and bits & MOVED and not 0 < facts.birth < seen:
        written = True  # another was renamed to it, with its inode number and within the tick
    changes = differences(
        record,
        facts,
        written=written,
        touched=bool(bits & (ATTRIB | CLOSED)),
        hinted=hinted or bool(bits & ~OTHER),
        seen=seen,
        exact=exact,
    )
    if facts.mode & 0o170000 == 0o040000:
        changes.discard("content")  # the content of a directory is reported entry by entry
    return changes if metadata else changes - {"mode", "owner"}


def changed_besides_its_name(
    record: int | bytes, facts: StatResult, bits: int, *, seen: int, exact: bool, metadata: bool
) -> set[Change]:
    """Return which changes to report of a renamed file: its new name explains a new ctime."""
    written = bool(bits & WRITE)
    if written:
        written = (
            facts.mtime >= seen if isinstance(record, int) else unpack(record).ctime == facts.ctime
        )
    changes = differences(
        record,
        facts,
        written=written,
        touched=bool(bits & (ATTRIB | CLOSED)),
        hinted=True,
        seen=seen,
        exact=exact,
    )
    return changes if metadata else changes - {"mode", "owner"}
