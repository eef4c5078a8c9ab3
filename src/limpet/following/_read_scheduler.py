"""Reading: whose turn it is among the files of one path, and what stands before the first line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.following._followed_file import FollowedFile
from limpet.following._line_splitter import LineSplitter
from limpet.following._open_files import unpark, unreadable

if TYPE_CHECKING:
    from limpet.following._followed_path import FollowedPath

__all__ = ["read"]


def read(target: FollowedPath, now: float) -> bool:
    """Read one piece of the file whose turn it is; tells whether there was one."""
    for file in _waiting(target):
        if file.parked and not unpark(target, file, now):
            return True
        if file.trusted or not target.world.must_wait(file, now):
            return _read(target, file, now)
        if file.trusted:
            return True  # it turned out to be the rest of another
    return False


def _read(target: FollowedPath, file: FollowedFile, now: float) -> bool:
    world = target.world
    before = file.offset
    try:
        if not target.check(file, now, hinted=False) or not file.backlog:
            return True
        if not before and _pass_hole(target, file):
            return True
        blocks = file.read(world.disk)
    except OSError as error:
        unreadable(target, file, error, now)
        return False
    file.progress = now
    if file.failed is not None:
        file.failed = None
        target.accessible()
    if blocks is None:
        target.check(file, now, hinted=True)
        return True
    world.figures.bytes_read += file.offset - before
    file.held_since = (file.held_since or now) if file.lines.held else None
    if blocks and file.lines.held:
        file.held_since = now
    if file.offset >= file.size:
        file.size = max(file.refresh(world.disk, now).st_size, file.size)
    world.deliver(file, blocks)
    if file.heir is not None and not file.backlog:
        file.heir.take_over(file)
    return True


def _waiting(target: FollowedPath) -> list[FollowedFile]:
    """Give the files with something to read, first the one whose turn it is."""
    waiting = [file for file in target.held if file.backlog]
    if target.world.options.order == "strict":
        waiting = [file for file in waiting if file is target.held[0]]
    if len(waiting) < 2:
        return waiting
    first = [file for file in waiting if file.offset < file.must]
    target.turn += 1
    turn = target.turn % len(waiting)
    return [*first, *(file for file in waiting[turn:] + waiting[:turn] if file not in first)]


def _pass_hole(target: FollowedPath, file: FollowedFile) -> bool:
    """Leave out the NULs that a writer without O_APPEND leaves before its next bytes."""
    world, options = target.world, target.world.options
    if file.fd is None:
        return False
    hole = min(world.disk.data_from(file.fd, 0), file.size)
    wide = isinstance(file.lines, LineSplitter) and (options.encoding or "").lower().replace(
        "_", "-"
    ).startswith(("utf-16", "utf-32", "utf16", "utf32"))
    letters = b"\0" in (options.delimiter or b"") or wide
    text = options.mode == "lines" and options.encoding is not None
    if not hole and (letters or not (file.fresh or text)):
        return False
    end = hole
    while not letters and end < file.size:
        data = world.disk.pread(file.fd, min(1 << 16, file.size - end), end)
        rest = data.lstrip(b"\0")
        end += len(data) - len(rest)
        if rest or not data:
            break
    if not end:
        return False
    file.place(world.disk, end, encoding=options.encoding, skipping=False)
    world.gap(target.shown, "nul-hole", end, file.number)
    return True
