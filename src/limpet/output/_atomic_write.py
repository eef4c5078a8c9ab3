"""Makes a name hold a content in one step: a temporary file in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final, NamedTuple

from limpet.output._fsync_batch import Syncs
from limpet.output._operations import Durability
from limpet.output._own_write_reporter import Silent, state_of
from limpet.output._refusals import RefusalError
from limpet.output._syscalls import Sys
from limpet.output._temp_files import Staged, stage

__all__ = ["NO_WAY", "Changed", "asked_again", "link_over", "look", "place_new", "put"]

NO_WAY: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
"""What renameat2(2) says where it, or the file system, does not know RENAME_NOREPLACE."""


class Changed(NamedTuple):
    """What an operation did."""

    size: int
    stat: os.stat_result | None
    existed: bool


def look(calls: Sys, folder: int, name: str) -> os.stat_result | None:
    """Stat a name; ``None`` if nothing is there."""
    try:
        return calls.stat_at(folder, name)
    except FileNotFoundError:
        return None


def put(
    calls: Sys,
    folder: int,
    parts: tuple[str, ...],
    data: bytes,
    *,
    new: bool,
    replace_link: bool,
    durability: Durability,
    journal: Silent,
    syncs: Syncs,
) -> Changed:
    """Make the last of ``parts``, in the open ``folder``, hold ``data``.

    A reader finds the old content or the new, whole, at any moment; after a crash of the program,
    too. After one of the system: see ``Durability``.

    Args:
        calls: Where system calls go.
        folder: The folder of the name.
        parts: The whole name.
        data: The whole content.
        new: Refuse a name that is taken, also by what comes there meanwhile.
        replace_link: Take a symlink's place.
        durability: What must survive a crash of the system.
        journal: Hears of it.
        syncs: Sees to the folder.

    Raises:
        RefusalError: Something stands there that is not replaced. Nothing changed.
        OSError: Nothing changed, and no temporary file is left.
    """
    name = parts[-1]
    # A new name is looked at when it turns out to be taken: that is the rare case.
    before = None if new else look(calls, folder, name)
    if before is not None:
        _check(before, new=new, replace_link=replace_link)
    journal.claim(parts)
    keep = before if before is not None and stat.S_ISREG(before.st_mode) else None
    staged = stage(calls, folder, 0o666 if keep is None else 0o600)
    try:
        if journal.told:
            hidden = (*parts[:-1], staged.name)
            journal.claim(hidden)
            journal.note(hidden, None, None)
        staged.write(data)
        if keep is not None:
            _carry_over(calls, folder, name, staged.fd, keep)
        if durability != "none":
            calls.sync(staged.fd)
        written = calls.stat(staged.fd) if journal.told else None
        if new:
            try:
                place_new(calls, folder, staged, folder, name)
            except FileExistsError:
                _check(calls.stat_at(folder, name), new=True, replace_link=False)
                raise
        else:
            calls.rename(folder, staged.name, folder, name)
            staged.placed = True
        after = asked_again(calls, staged.fd)
        if written is not None:
            # Whoever writes into it from now on makes another state; whoever did just now, too.
            if after is not None and content_of(after) == content_of(written):
                journal.note(parts, state_of(before), state_of(after))
            else:
                journal.spoil(parts)
        syncs.folder(folder)
        return Changed(size=len(data), stat=after, existed=before is not None)
    finally:
        staged.close()


def place_new(calls: Sys, folder: int, staged: Staged, to: int, name: str) -> None:
    """Give a temporary file its name if that is free.

    Raises:
        OSError: EEXIST: it is not.
    """
    try:
        calls.rename_new(folder, staged.name, to, name)
        staged.placed = True
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
        # A second name is only given if it is free, everywhere; then the first one goes.
        calls.link(folder, staged.name, to, name)
        with contextlib.suppress(OSError):
            calls.unlink(folder, staged.name)
            staged.placed = True


def link_over(calls: Sys, folder: int, name: str, to: int, new: str) -> None:
    """Rename a file to a free name where the system has no call for it: two names for a moment.

    Raises:
        OSError: It has its old name alone.
    """
    calls.link(folder, name, to, new)
    try:
        calls.unlink(folder, name)
    except OSError:
        with contextlib.suppress(OSError):
            calls.unlink(to, new)
        raise


def asked_again(calls: Sys, fd: int) -> os.stat_result | None:
    """Stat what was written; it is done, so that it cannot be asked is no failure of it."""
    try:
        return calls.stat(fd)
    except OSError:
        return None


def content_of(found: os.stat_result) -> tuple[int, int]:
    """Give what every write changes."""
    return found.st_size, found.st_mtime_ns


def _check(found: os.stat_result, *, new: bool, replace_link: bool) -> None:
    """Refuse what stands there, by what it is.

    Raises:
        RefusalError: It is not replaced.
    """
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        if not replace_link or new:
            raise RefusalError("symlink", "a symlink stands there, and none is followed")
    elif stat.S_ISDIR(mode):
        raise RefusalError("is-folder", "a folder stands there")
    elif not stat.S_ISREG(mode):
        raise RefusalError("not-a-file", "a FIFO, socket or device stands there")
    elif new:
        raise RefusalError("exists", "something stands there already", errno.EEXIST)


def _carry_over(calls: Sys, folder: int, name: str, fd: int, old: os.stat_result) -> None:
    """Give the new file the old one's owner, extended attributes and permission bits.

    The owner where the system lets us, the attributes where they can be read and set: what cannot
    is left, for the content matters more. The set-id bits go, as they do when a file is written
    into (write(2)).

    Raises:
        OSError: The permission bits could not be set.
    """
    mine = calls.stat(fd)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(OSError):
            calls.chown(fd, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        source = calls.open_file(folder, name, os.O_RDONLY)
        try:
            for key, value in calls.attributes(source).items():
                if key == "security.capability":  # goes with the set-id bits
                    continue
                with contextlib.suppress(OSError):
                    calls.set_attribute(fd, key, value)
        finally:
            calls.let_go(source)
    calls.chmod(fd, stat.S_IMODE(old.st_mode) & 0o777)
