"""Replaces the content of a name in one step: a temporary file beside it, then a rename."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final, NamedTuple

from limpet.output._own_write_reporter import state_of
from limpet.output._refusals import RefusalError, check_plain
from limpet.output._syscalls import Syscalls
from limpet.output._temp_files import Staged, stage
from limpet.output._write_context import WriteContext

NO_WAY: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
"""What renameat2(2) returns where it, or the file system, does not know RENAME_NOREPLACE."""


class Change(NamedTuple):
    """What an operation did."""

    size: int
    stat: os.stat_result | None
    existed: bool


def stat_or_none(calls: Syscalls, dir_fd: int, name: str) -> os.stat_result | None:
    """Return the status of a name, or ``None`` if nothing is there."""
    try:
        return calls.stat_at(dir_fd, name)
    except FileNotFoundError:
        return None


def replace_content(
    context: WriteContext,
    dir_fd: int,
    parts: tuple[str, ...],
    data: bytes,
    *,
    new: bool,
    replace_link: bool = False,
) -> Change:
    """Make the last of ``parts``, in the open directory ``dir_fd``, hold ``data``.

    A reader finds the old content or the new, whole, at any moment; also after a crash of the
    program. After a crash of the system: see ``Durability``.

    Args:
        context: What the batch writes with.
        dir_fd: Directory of the name.
        parts: The whole name.
        data: The whole content.
        new: Refuse a name that is taken, also one that is taken meanwhile.
        replace_link: Replace a symlink.

    Raises:
        RefusalError: What is at the name is not to be replaced. Nothing changed.
        OSError: Nothing changed, and no temporary file is left.
    """
    calls, report = context.calls, context.report
    name = parts[-1]
    # Whether a new name is taken is found out by the rename: that is the rare case.
    before = None if new else stat_or_none(calls, dir_fd, name)
    if before is not None:
        _check(before, new=new, replace_link=replace_link)
    report.begin(parts)
    kept = before if before is not None and stat.S_ISREG(before.st_mode) else None
    staged = stage(calls, dir_fd, 0o666 if kept is None else 0o600)
    try:
        if report.is_active:
            hidden = (*parts[:-1], staged.name)
            report.begin(hidden)
            report.wrote(hidden, None, None)
        staged.write(data)
        if kept is not None:
            _carry_over(calls, dir_fd, name, staged.fd, kept)
        if context.durability != "none":
            calls.sync(staged.fd)
        written = calls.stat(staged.fd) if report.is_active else None
        if new:
            try:
                place_new(calls, dir_fd, staged, dir_fd, name)
            except FileExistsError:
                _check(calls.stat_at(dir_fd, name), new=True, replace_link=False)
                raise
        else:
            calls.rename(dir_fd, staged.name, dir_fd, name)
            staged.placed = True
        after = stat_after(calls, staged.fd)
        if written is not None:
            # Another process that writes into it makes another state, now and later.
            if after is not None and content_of(after) == content_of(written):
                report.wrote(parts, state_of(before), state_of(after))
            else:
                report.unsure(parts)
        context.fsyncs.dir(dir_fd)
        return Change(size=len(data), stat=after, existed=before is not None)
    finally:
        staged.close()


def place_new(calls: Syscalls, dir_fd: int, staged: Staged, to: int, name: str) -> None:
    """Rename a temporary file to its final name if that is free.

    Raises:
        OSError: EEXIST: it is taken.
    """
    try:
        calls.rename_new(dir_fd, staged.name, to, name)
        staged.placed = True
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
        # link(2) fails everywhere if the name is taken; then the first name is removed.
        calls.link(dir_fd, staged.name, to, name)
        with contextlib.suppress(OSError):
            calls.unlink(dir_fd, staged.name)
            staged.placed = True


def link_over(calls: Syscalls, dir_fd: int, name: str, to: int, new: str) -> None:
    """Rename a file to a free name where the system has no call for it: two names for a moment.

    Raises:
        OSError: The file has its old name alone.
    """
    calls.link(dir_fd, name, to, new)
    try:
        calls.unlink(dir_fd, name)
    except OSError:
        with contextlib.suppress(OSError):
            calls.unlink(to, new)
        raise


def stat_after(calls: Syscalls, fd: int) -> os.stat_result | None:
    """Return the status of what was written, or ``None``: the write is done in either case."""
    try:
        return calls.stat(fd)
    except OSError:
        return None


def content_of(found: os.stat_result) -> tuple[int, int]:
    """Return what every write changes."""
    return found.st_size, found.st_mtime_ns


def _check(found: os.stat_result, *, new: bool, replace_link: bool) -> None:
    """Refuse to replace what is there, by its type.

    Raises:
        RefusalError: It is not replaced.
    """
    if not (replace_link and not new and stat.S_ISLNK(found.st_mode)):
        check_plain(found)
        if new:
            raise RefusalError("exists", "the name is taken", errno.EEXIST)


def _carry_over(calls: Syscalls, dir_fd: int, name: str, fd: int, old: os.stat_result) -> None:
    """Copy owner, extended attributes and permission bits of the old file to the new one.

    The owner where the system permits it, the attributes where they can be read and set: the rest
    is left, because the content matters more. The set-id bits are dropped, as write(2) does.

    Raises:
        OSError: The permission bits could not be set.
    """
    mine = calls.stat(fd)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(OSError):
            calls.chown(fd, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        source = calls.open_file(dir_fd, name, os.O_RDONLY)
        try:
            for key, value in calls.attributes(source).items():
                if key == "security.capability":  # goes with the set-id bits
                    continue
                with contextlib.suppress(OSError):
                    calls.set_attribute(fd, key, value)
        finally:
            calls.close_quietly(source)
    calls.chmod(fd, stat.S_IMODE(old.st_mode) & 0o777)
