"""Gives a name its content in one step: by a temporary file beside it, then a rename.

A new file is made without a name where that works, and then linked to its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from typing import Final, NamedTuple

from limpet._file_stat import identity_of
from limpet.output._own_write_reporter import state_of
from limpet.output._place import rename_to_free
from limpet.output._refusals import RefusalError, check_plain, check_writable
from limpet.output._syscalls import Syscalls
from limpet.output._temp_files import stage
from limpet.output._write_context import WriteContext

_TRIES: Final = 4
"""How often other processes may take a temporary file for a leftover; see ``_temp_files``."""


class Change(NamedTuple):
    """What an operation did."""

    size: int
    stat: os.stat_result | None
    existed: bool
    birth: float | None = None
    """When the file was made, where ``stat`` does not say."""


class Replacing(NamedTuple):
    """What may be replaced, and how a new file is made."""

    new: bool = False
    """Refuse a name that is taken, also one that is taken meanwhile."""
    link: bool = False
    """Replace a symlink."""
    read_only: bool = False
    """Replace a file that nobody may write."""
    mode: int | None = None
    """Permission bits of a new file; ``None`` is what the umask leaves."""


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
    content: bytes | Iterable[bytes],
    how: Replacing,
) -> Change:
    """Make the last of ``parts``, in the open directory ``dir_fd``, hold ``content``.

    A reader finds the old content or the new, whole, at any moment, even after a crash of the
    program. After a crash of the system: see ``Durability``. The new content is stored, as far as
    the file system says, before it takes the name: a failure of close(2) leaves the old content.

    Args:
        context: What the batch writes with.
        dir_fd: Directory of the name.
        parts: The whole name.
        content: The whole content; a stream is held in memory a piece at a time.
        how: What may be replaced.

    Raises:
        RefusalError: What is at the name is not to be replaced. Nothing changed.
        OSError: Nothing changed, and no temporary file is left.
    """
    if how.new and isinstance(content, bytes) and context.durability == "none":
        created = _create(context, dir_fd, parts, content, how)
        if created is not None:
            return created
    for _ in range(_TRIES):
        change = _replace(context, dir_fd, parts, content, how)
        if change is not None:
            return change
        if not isinstance(content, bytes):
            break  # it was read, and cannot be read again
    raise RefusalError("busy", "another process took its temporary file for a leftover")


def _create(
    context: WriteContext, dir_fd: int, parts: tuple[str, ...], content: bytes, how: Replacing
) -> Change | None:
    """Create a file whole; ``None`` where that needs a temporary name."""
    calls, report, name = context.calls, context.report, parts[-1]
    report.begin(parts)
    try:
        fd = context.unnamed.create(dir_fd, name, content, how.mode)
    except FileExistsError:
        _check(calls.stat_at(dir_fd, name), how)
        raise
    if fd is None:
        return None
    try:
        birth = birth_or_none(calls, fd, "", fresh=report.is_active)
        written = stat_after(calls, fd)
        if report.is_active:
            after, _ = stat_done(context, dir_fd, name)
            if _is_all_by_us(after, written):
                report.wrote(parts, None, state_of(after))
            else:
                report.unsure(parts)
        return Change(len(content), written, False, birth)
    finally:
        calls.close_quietly(fd)


def _is_all_by_us(after: os.stat_result | None, written: os.stat_result | None) -> bool:
    """Return whether what is at the name is what was written, and nothing was added since."""
    if after is None or written is None or not _is_same(after, written):
        return False
    return content_of(after) == content_of(written)


def _replace(
    context: WriteContext,
    dir_fd: int,
    parts: tuple[str, ...],
    content: bytes | Iterable[bytes],
    how: Replacing,
) -> Change | None:
    """Try once; ``None`` if the temporary file is lost to another process's clean-up."""
    calls, report = context.calls, context.report
    name = parts[-1]
    # Whether a new name is taken is found out by the rename: that is the rare case.
    before = None if how.new else stat_or_none(calls, dir_fd, name)
    if before is not None:
        _check(before, how)
    report.begin(parts)
    kept = before if before is not None and stat.S_ISREG(before.st_mode) else None
    staged = stage(calls, dir_fd, 0o666 if kept is None and how.mode is None else 0o600)
    try:
        if report.is_active:
            hidden = (*parts[:-1], staged.name)
            report.begin(hidden)
            report.wrote(hidden, None, None)
        size = staged.write(content)
        if kept is not None:
            _carry_over(calls, dir_fd, name, staged.fd, kept)
        elif how.mode is not None:
            calls.chmod(staged.fd, how.mode)
        if context.durability != "none":
            calls.sync(staged.fd)
        written = calls.stat(staged.fd)
        staged.seal()
        try:
            if how.new:
                rename_to_free(calls, dir_fd, staged.name, dir_fd, name)
            else:
                calls.rename(dir_fd, staged.name, dir_fd, name)
        except FileExistsError:
            _check(calls.stat_at(dir_fd, name), how)
            raise
        except FileNotFoundError:
            if staged.is_lost():
                return None
            raise
        staged.placed = True
        after, birth = stat_done(context, dir_fd, name)
        if after is not None and not _is_same(after, written):
            after = None  # another process replaced it in that moment
        if report.is_active:
            # Another process that writes into it makes another state, now and later.
            if after is not None and content_of(after) == content_of(written):
                report.wrote(parts, state_of(before), state_of(after))
            else:
                report.unsure(parts)
        context.fsyncs.dir(dir_fd)
        return Change(size, after or written, before is not None, birth if after else None)
    finally:
        staged.close()


def stat_done(
    context: WriteContext, dir_fd: int, name: str
) -> tuple[os.stat_result | None, float | None]:
    """Return status and birth time of what was done, or ``None``: it is done in either case.

    A watch compares the status with what it finds later. So while one is there, the file system
    is asked, and not what the kernel keeps of FUSE and network file systems.
    """
    calls = context.calls
    birth = birth_or_none(calls, dir_fd, name, fresh=context.report.is_active)
    try:
        return stat_or_none(calls, dir_fd, name), birth
    except OSError:
        return None, None


def _is_same(after: os.stat_result, written: os.stat_result) -> bool:
    """Return whether the file at the name is the one that was written.

    Some file systems make inode numbers from names (rclone), so that a rename gives another.
    """
    if identity_of(after) == identity_of(written):
        return True
    return content_of(after) == content_of(written)


def birth_or_none(calls: Syscalls, fd: int, name: str, *, fresh: bool = False) -> float | None:
    """Return when a file was made, where that can be found out; see ``Syscalls.birth``."""
    try:
        return calls.birth(fd, name, fresh=fresh)
    except OSError:
        return None


def stat_after(calls: Syscalls, fd: int) -> os.stat_result | None:
    """Return the status of what was written, or ``None``: the write is done in either case."""
    try:
        return calls.stat(fd)
    except OSError:
        return None


def content_of(found: os.stat_result) -> tuple[int, int]:
    """Return what every write changes."""
    return found.st_size, found.st_mtime_ns


def _check(found: os.stat_result, how: Replacing) -> None:
    """Refuse to replace what is there, by its type and mode.

    Raises:
        RefusalError: It is not replaced.
    """
    if how.link and not how.new and stat.S_ISLNK(found.st_mode):
        return
    check_plain(found)
    if how.new:
        raise RefusalError("exists", "the name is taken", errno.EEXIST)
    if not how.read_only:
        check_writable(found)


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
