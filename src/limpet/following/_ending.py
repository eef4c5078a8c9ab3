"""The end of a file that stands at its path no more: read, quiet, closed; or given up and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.following._events import Retired
from limpet.following._lease import has_writer

if TYPE_CHECKING:
    from limpet.following._generation import Generation
    from limpet.following._target import Target

__all__ = ["close_one", "done_with", "drop", "make_room", "retire", "tend"]


def tend(target: Target, now: float) -> None:
    """Do what is due: close what is done with, give up what nobody asks for."""
    world, options = target.world, target.world.options
    for gen in list(target.held):
        wait = options.flush_partial
        since = gen.held_since
        if wait is not None and since is not None and now - since >= wait:
            world.deliver(gen, gen.lines.flush())
            gen.held_since = None
        if gen.is_active or gen.fd is None:
            continue
        if gen.backlog:
            if not gen.nlink and now - gen.progress >= options.unlinked_timeout:
                drop(target, gen, "unlinked")
        elif _is_over(target, gen, now):
            retire(target, gen)
    make_room(target)
    target.unacked = [gen for gen in target.unacked if not gen.is_acked]


def make_room(target: Target) -> None:
    """Have no more files open than may be: what can be found again is closed until its turn.

    That are those under ``rotated``; of others the oldest is given up.
    """
    most = target.world.options.max_generations
    aside = [gen for gen in target.held if gen.fd is not None and not gen.is_active]
    for gen in reversed(aside[1:]):
        if len(aside) < most:
            return
        if target.rotations is not None and gen.nlink and gen.backlog:
            target.world.disk.close(gen.open_fd)
            gen.fd, gen.parked = None, True
            aside.remove(gen)
    for gen in aside[: max(0, len(aside) - most + 1)]:
        if gen.backlog:
            drop(target, gen, "too-many")
        else:
            retire(target, gen)


def _is_over(target: Target, gen: Generation, now: float) -> bool:
    options = target.world.options
    if gen.heir is not None:
        return False
    if options.retire == "no-writer" and gen.fd is not None:
        written = has_writer(gen.fd)
        if written is not None:
            return not written
    return now - gen.quiet_since >= options.linger


def retire(target: Target, gen: Generation) -> None:
    """Close a file that is read to its end."""
    world = target.world
    world.deliver(gen, gen.lines.flush())
    world.tell(
        Retired(path=target.shown, time=world.disk.time(), generation=gen.number, bytes=gen.offset)
    )
    close_one(target, gen)


def drop(target: Target, gen: Generation, kind: str) -> None:
    """Close a file that is not read to its end."""
    world = target.world
    world.deliver(gen, gen.lines.flush())
    world.gap(target.shown, kind, gen.size - gen.offset, gen.number)  # type: ignore[arg-type]  # one of them
    close_one(target, gen)


def close_one(target: Target, gen: Generation) -> None:
    world = target.world
    target.held.remove(gen)
    if gen is target.active:
        target.active = None
    if world.held.get(gen.identity) is gen:
        del world.held[gen.identity]
    if target.rotations is not None:
        target.rotations.remember(gen)
    if gen.fd is not None:
        world.disk.close(gen.fd)
        gen.fd = None
    done_with(target, gen)


def done_with(target: Target, gen: Generation) -> None:
    target.world.changed = True
    gen.size = gen.offset
    if not gen.is_acked:
        target.unacked.append(gen)
