"""A file that goes on in another, and one whose bytes are not there any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._fingerprint import HEAD, WINDOW
from limpet.following._follow_events import Truncated
from limpet.following._followed_file import Change, FollowedFile, ReadPoint
from limpet.following._open_files import done_with

if TYPE_CHECKING:
    from limpet.following._followed_path import FollowedPath

__all__ = ["go_on_from_any", "restart"]


def go_on_from_any(target: FollowedPath, new: FollowedFile) -> FollowedFile | None:
    """Read ``new`` from where a deleted file of this path is that it holds all of."""
    for old in reversed(target.held):
        if old is not new and old.forward is None and _continues(target, old, new):
            _go_on(target, old, new)
            return old
    return None


def _continues(target: FollowedPath, old: FollowedFile, new: FollowedFile) -> bool:
    """Tell whether ``new`` holds all of ``old``, which is deleted, and perhaps more."""
    disk = target.world.disk
    if old.fd is None or new.fd is None:
        return False
    status = disk.fstat(old.fd)
    end = status.st_size
    if status.st_nlink or not end or end < old.offset or new.size < end:
        return False
    spots = {(0, min(HEAD, end)), *(_before(at) for at in (end, old.offset))}
    return all(disk.pread(old.fd, size, at) == disk.pread(new.fd, size, at) for at, size in spots)


def _go_on(target: FollowedPath, old: FollowedFile, new: FollowedFile) -> None:
    """Read ``new`` from where ``old`` is; what is still written to that one is read too."""
    end = target.world.disk.fstat(old.open_fd).st_size
    new.offset, new.head, new.window = old.offset, old.head, old.window
    new.lines, new.acked, new.held_since = old.lines, old.acked, old.held_since
    old.forward, old.handoff = new, old.offset
    old.lines = target.world.lines()
    old.place(target.world.disk, end, encoding=_encoding_of(new), skipping=False)
    old.size = old.must = end


def restart(target: FollowedPath, file: FollowedFile, change: Change, now: float) -> None:
    world, options = target.world, target.world.options
    kind, lost, size = change
    keep = (kind == "trimmed" and (options.on_trim == "keep" or size >= file.offset > 0)) or (
        kind == "rewritten" and options.on_rewrite == "keep"
    )
    if keep:
        if size < file.offset or kind == "rewritten":
            world.deliver(file, file.lines.flush())
            encoding, acked = _encoding_of(file), file.is_acked
            before = file.acked
            file.place(world.disk, min(size, file.offset), encoding=encoding, skipping=False)
            if not acked:
                file.acked = ReadPoint(min(before.offset, file.offset), file.window, skipping=False)
        world.changed = True
        world.tell(
            Truncated(
                path=target.shown,
                time=world.disk.time(),
                kind=kind,
                generation=file.number,
                lost=lost,
            )
        )
        return
    fd, file.fd = file.open_fd, None
    status = world.disk.fstat(fd)
    del world.held[file.identity]
    fresh = target.make(fd, status, file.name, now)
    fresh.fresh, fresh.is_active, file.is_active = True, file.is_active, False
    if target.active is file:
        target.active = fresh
    target.held.insert(target.held.index(file) + 1, fresh)
    copy = world.find_copy(file, now)
    recovered = 0
    if copy is not None:
        recovered = copy.size - file.offset
        lost = max(0, lost - recovered)
        file.fd, file.identity, file.inode_generation = (
            copy.fd,
            copy.identity,
            copy.inode_generation,
        )
        file.name, file.size, file.must = copy.name, copy.size, copy.size
        file.quiet_since, file.heir = now, copy.heir
        world.held[file.identity] = file
    else:
        world.deliver(file, file.lines.flush())
        target.held.remove(file)
        done_with(target, file)
    fresh.must = fresh.size if not fresh.is_active else 0
    world.tell(
        Truncated(
            path=target.shown,
            time=world.disk.time(),
            kind=kind,
            generation=fresh.number,
            lost=lost,
            recovered=recovered,
        )
    )


def _before(offset: int) -> tuple[int, int]:
    size = min(WINDOW, offset)
    return offset - size, size


def _encoding_of(file: FollowedFile) -> str | None:
    return file.lines.codec.name if file.lines.codec is not None else None
