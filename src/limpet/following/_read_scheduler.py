"""Reading: whose turn it is among the files of one path, and what stands before the first line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.following._followed_file import Generation
from limpet.following._line_splitter import Assembler
from limpet.following._open_files import unpark, unreadable

if TYPE_CHECKING:
    from limpet.following._followed_path import Target

__all__ = ["read"]


def read(target: Target, now: float) -> bool:
    """Read one piece of the file whose turn it is; tells whether there was one."""
    for gen in _waiting(target):
        if gen.parked and not unpark(target, gen, now):
            return True
        if gen.trusted or not target.world.must_wait(gen, now):
            return _read(target, gen, now)
        if gen.trusted:
            return True  # it turned out to be the rest of another
    return False


def _read(target: Target, gen: Generation, now: float) -> bool:
    world = target.world
    before = gen.offset
    try:
        if not target.check(gen, now, hinted=False) or not gen.backlog:
            return True
        if not before and _pass_hole(target, gen):
            return True
        blocks = gen.read(world.disk)
    except OSError as error:
        unreadable(target, gen, error, now)
        return False
    gen.progress = now
    if gen.failed is not None:
        gen.failed = None
        target.accessible()
    if blocks is None:
        target.check(gen, now, hinted=True)
        return True
    world.figures.bytes_read += gen.offset - before
    gen.held_since = (gen.held_since or now) if gen.lines.held else None
    if blocks and gen.lines.held:
        gen.held_since = now
    if gen.offset >= gen.size:
        gen.size = max(gen.refresh(world.disk, now).st_size, gen.size)
    world.deliver(gen, blocks)
    if gen.heir is not None and not gen.backlog:
        gen.heir.take_over(gen)
    return True


def _waiting(target: Target) -> list[Generation]:
    """Give the files with something to read, first the one whose turn it is."""
    waiting = [gen for gen in target.held if gen.backlog]
    if target.world.options.order == "strict":
        waiting = [gen for gen in waiting if gen is target.held[0]]
    if len(waiting) < 2:
        return waiting
    first = [gen for gen in waiting if gen.offset < gen.must]
    target.turn += 1
    turn = target.turn % len(waiting)
    return [*first, *(gen for gen in waiting[turn:] + waiting[:turn] if gen not in first)]


def _pass_hole(target: Target, gen: Generation) -> bool:
    """Leave out the NULs that a writer without O_APPEND leaves before its next bytes."""
    world, options = target.world, target.world.options
    if gen.fd is None:
        return False
    hole = min(world.disk.data_from(gen.fd, 0), gen.size)
    wide = isinstance(gen.lines, Assembler) and (options.encoding or "").lower().replace(
        "_", "-"
    ).startswith(("utf-16", "utf-32", "utf16", "utf32"))
    letters = b"\0" in (options.delimiter or b"") or wide
    text = options.mode == "lines" and options.encoding is not None
    if not hole and (letters or not (gen.fresh or text)):
        return False
    end = hole
    while not letters and end < gen.size:
        data = world.disk.pread(gen.fd, min(1 << 16, gen.size - end), end)
        rest = data.lstrip(b"\0")
        end += len(data) - len(rest)
        if rest or not data:
            break
    if not end:
        return False
    gen.place(world.disk, end, encoding=options.encoding, skipping=False)
    world.gap(target.shown, "nul-hole", end, gen.number)
    return True
