"""From the records of one watched directory to hints and renames; pure.

A rename within a directory is a pair of records, the old name and the new one. Between directories
NTFS reports a removal and an addition; only the extended records have the file id by which the two
are one rename. What finds no other half is a hint like any other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from limpet.backends._base import CREATE, DELETE, ISDIR, MOVED
from limpet.backends._windows_records import ADDED, NEW_NAME, OLD_NAME, REMOVED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.backends._windows_records import Record

_MOST: Final = 1024
"""Departures that may wait for their arrival; most never have one, so the oldest are forgotten."""


class RenamePairs:
    """The halves of renames that one directory has reported, kept from one buffer to the next."""

    def __init__(self) -> None:
        self._departed: OrderedDict[int, Record] = OrderedDict()
        """File id -> the record of the old name, or of the removal."""
        self._old_names: list[str] = []
        """Old names of the plain form without a new name yet, at most two."""

    def forget(self) -> None:
        """Drop every half: records were lost, so the next ones may belong to others."""
        self._departed.clear()
        self._old_names.clear()

    def feed(self, records: Iterable[Record]) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Return what the next records say.

        Returns:
            Name -> hint bits, and the renames in their order: (old name, new name).
        """
        hints: dict[str, int] = {}
        moves: list[tuple[str, str]] = []
        for record in records:
            name = record.name
            before = hints.get(name, 0)
            if record.action == NEW_NAME:
                # The removal of what it replaced comes first; the rename is not a deletion.
                before &= ~DELETE
            hints[name] = before | _bits(record)
            old = self._origin(record)
            if old is not None and old != name:
                moves.append((old, name))
                hints[name] |= MOVED
                hints[old] = hints.get(old, 0) | MOVED
        return hints, moves

    def _origin(self, record: Record) -> str | None:
        """Return the name that the entry had before this record, if it was renamed by it."""
        if record.file_id:
            return self._origin_by_id(record)
        if record.action == OLD_NAME:
            self._old_names = [*self._old_names[-1:], record.name]
        elif record.action == NEW_NAME:
            waiting, self._old_names = self._old_names, []
            if (
                len(waiting) == 1
            ):  # of two that came between each other, nobody knows which is which
                return waiting[0]
        return None

    def _origin_by_id(self, record: Record) -> str | None:
        if record.action in {OLD_NAME, REMOVED}:
            self._departed[record.file_id] = record
            self._departed.move_to_end(record.file_id)
            if len(self._departed) > _MOST:
                self._departed.popitem(last=False)
            return None
        if record.action not in {NEW_NAME, ADDED}:
            return None
        departed = self._departed.pop(record.file_id, None)
        if departed is None:
            return None
        if record.action == NEW_NAME and departed.action == OLD_NAME:
            return departed.name
        # FAT gives the id of what was deleted to the next file; the time of birth tells them apart.
        return departed.name if record.born and record.born == departed.born else None


def _bits(record: Record) -> int:
    """Return the hint bits of one record.

    What was modified has none: times, attributes and content have one action between them, so only
    the disk says which it was. Nor has an addition where its kind is not known.
    """
    if record.action in {OLD_NAME, NEW_NAME}:
        return MOVED
    if record.action == REMOVED:
        return DELETE
    if record.action == ADDED and record.is_dir is not None:
        return CREATE | (ISDIR if record.is_dir else 0)
    return 0
