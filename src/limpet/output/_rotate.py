"""Rotates a file: renames it to the next free number, and removes the oldest rotated files.

Rotated files are recorded in a manifest beside the file: name, inode, size and time of change. Only
what the manifest lists and still is as recorded is packed or removed: a file that another process
put under such a name, or changed, is never touched. The manifest is written before each step, so a
crash between two steps leaves what the next rotation can finish. What takes long, packing, is done
later and elsewhere (``_pack``).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from limpet.output._atomic_write import birth_or_none, stat_or_none
from limpet.output._limits import Rotation
from limpet.output._manifest_file import Manifest, locked
from limpet.output._own_write_reporter import NoReport, state_of
from limpet.output._place import rename_to_free
from limpet.output._quota import Quota
from limpet.output._refusals import RefusalError
from limpet.output._resolve import RootHandle
from limpet.output._rotation_manifest import RotatedFile, beyond, number_of
from limpet.output._syscalls import Syscalls
from limpet.output._write_context import WriteContext

_TRIES: Final = 1000
"""Numbers that other files may have taken before the rotation is refused."""


def is_due(rotation: Rotation, found: os.stat_result, adds: int, now: float) -> bool:
    """Return whether a file must be rotated before ``adds`` bytes are added to it.

    A clock that was set back makes no new day: only a later day does.
    """
    if found.st_size == 0:
        return False
    if rotation.max_bytes is not None and found.st_size + adds > rotation.max_bytes:
        return True
    return rotation.daily and _day(now) > _day(found.st_mtime)


def _day(moment: float) -> int:
    return int(moment // 86_400)


def rotate(
    context: WriteContext,
    root: RootHandle,
    dir_fd: int,
    parts: tuple[str, ...],
    found: os.stat_result,
    rotation: Rotation,
) -> None:
    """Rename the file to its next number, then remove earlier ones.

    Its lock must be held, so that no other process rotates it too. What fails after the rename is
    left for the next rotation: the record that waits is more important.

    Raises:
        HeldError: Another process changes which rotated files there are, just now.
        RefusalError: There is no free number, or there would be more files than the limits allow.
        OSError: It could not be renamed.
    """
    calls = context.calls
    with locked(calls, context.report, dir_fd, parts) as manifest:
        rotated = Rotated(calls, context.report, context.quota, dir_fd, parts)
        names = {name for name, _, _ in calls.list(dir_fd)}
        taken = names.union(row.name for row in manifest.rows)
        number = max((number_of(parts[-1], name) for name in taken), default=0) + 1
        # What was removed or moved away by hand counts for no bound any more.
        rows = manifest.rows = [row for row in manifest.rows if row.name in names]
        new = _row(parts[-1], number, found, calls.now())
        leaving = beyond([*rows, new], rotation, new.since, by_bytes=not rotation.compress)
        gone = sum(row is new or rotated.is_there(row) for row in leaving)
        was_new = manifest.is_new
        context.check_files(root, 1 + was_new - gone)
        rotated.rename(manifest, number, found)
        if was_new:
            context.quota.add(0, 1)
        context.fsyncs.dir(dir_fd)
        rotated.retire(manifest, rotation, by_bytes=not rotation.compress)
        with contextlib.suppress(OSError):
            manifest.save()
    if rotation.compress:
        context.rotated[parts] = rotation


def _row(base: str, number: int, found: os.stat_result, now: float) -> RotatedFile:
    return RotatedFile(
        name=f"{base}.{number}",
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        since=now,
    )


def is_unchanged(row: RotatedFile, found: os.stat_result | None) -> bool:
    """Return whether a file is the one that was rotated, as it was; write-protected, it is kept."""
    return (
        found is not None
        and bool(found.st_mode & 0o222)
        and row.matches(found.st_ino, found.st_size, found.st_mtime_ns)
    )


class Rotated:
    """The rotated files of one log on disk; its manifest is held by the caller."""

    def __init__(
        self,
        calls: Syscalls,
        report: NoReport,
        quota: Quota,
        dir_fd: int,
        parts: tuple[str, ...],
    ) -> None:
        self._calls = calls
        self._report = report
        self._quota = quota
        self._dir_fd = dir_fd
        self._parts = parts
        self._name = parts[-1]

    def where(self, name: str) -> tuple[str, ...]:
        """Return the whole name of a file beside the log."""
        return (*self._parts[:-1], name)

    def begin(self, name: str) -> None:
        """Announce a change of a file beside the log."""
        self._report.begin(self.where(name))

    def placed(self, name: str) -> os.stat_result:
        """Return the status of a file that was just placed, and report it.

        Raises:
            OSError: It cannot be read.
        """
        birth_or_none(self._calls, self._dir_fd, name, fresh=self._report.is_active)
        found = self._calls.stat_at(self._dir_fd, name)
        self._report.moved(self.where(name), state_of(found))
        return found

    def is_there(self, row: RotatedFile) -> bool:
        """Return whether a rotated file is on disk, unchanged."""
        return is_unchanged(row, stat_or_none(self._calls, self._dir_fd, row.name))

    def rename(self, manifest: Manifest, number: int, found: os.stat_result) -> None:
        """Rename the log to the first free number from ``number`` on, and list it.

        ``number`` is above all that are in use, of any origin: the highest is the newest.

        Raises:
            RefusalError: No number is free.
            OSError: The log has its old name.
        """
        for turn in range(_TRIES):
            row = _row(self._name, number + turn, found, self._calls.now())
            manifest.rows.append(row)
            manifest.save()
            self._report.begin(self.where(row.name))
            try:
                rename_to_free(self._calls, self._dir_fd, self._name, self._dir_fd, row.name)
            except FileExistsError:
                manifest.rows.pop()
                continue
            self._report.wrote(self._parts, state_of(found), None)
            with contextlib.suppress(OSError):
                there = self.placed(row.name)
                if there.st_size == found.st_size and there.st_ino != found.st_ino:
                    # Its file system makes inode numbers from names (rclone).
                    manifest.rows[-1] = _row(self._name, number + turn, there, row.since)
            return
        why = f"the next {_TRIES} numbers for rotated files of {self._name!r} are taken"
        raise RefusalError("exists", why)

    def retire(self, manifest: Manifest, rotation: Rotation, *, by_bytes: bool) -> None:
        """Remove the oldest until all bounds hold; one that was changed is no longer ours.

        One that cannot be removed stays listed, and is tried again at the next rotation.
        """
        for row in beyond(manifest.rows, rotation, self._calls.now(), by_bytes=by_bytes):
            with contextlib.suppress(OSError):
                self.remove(row)
                manifest.rows.remove(row)

    def remove(self, row: RotatedFile) -> None:
        """Remove a rotated file, if it is unchanged.

        Raises:
            OSError: It stays.
        """
        found = stat_or_none(self._calls, self._dir_fd, row.name)
        if found is not None and is_unchanged(row, found):
            self._report.begin(self.where(row.name))
            with contextlib.suppress(FileNotFoundError):
                self._calls.unlink(self._dir_fd, row.name)
            self._report.wrote(self.where(row.name), state_of(found), None)
            self._quota.add(-found.st_size, -1)
