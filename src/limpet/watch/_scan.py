"""Takes a folder that is new to the watch into the belief, with all that is in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limpet.watch._disk import NOT_THERE
from limpet.watch._record import BRIEF_DIR, BRIEF_SYMLINK, Facts, pack
from limpet.watch._tree import ElsewhereError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Collection

    from limpet.watch._disk import Handle
    from limpet.watch._index import Folder
    from limpet.watch._tree import Tree

__all__ = ["Known", "read_ignore_file", "scan"]


@dataclass(frozen=True, slots=True)
class Known:
    """A folder met in a new one that the belief has elsewhere: it was probably moved here."""

    folder: Folder
    name: str
    facts: Facts
    node: Folder


@dataclass(slots=True)
class _Job:
    """A folder still to be entered."""

    parent: Folder
    name: str
    path: str
    relative: str
    link: int = 0


def scan(tree: Tree, top: Folder, handle: Handle, *, stats: bool, adopt: bool) -> list[Known]:
    """Mark and list ``top`` and all below it.

    Args:
        tree: The watch's tree.
        top: A node that is in no folder's entries yet, or the root.
        handle: Open on it; stays open.
        stats: Stat every file (for events that carry it), instead of noting what the listing tells.
        adopt: Folders that the belief knows elsewhere are given back rather than taken in anew.

    Raises:
        StoppedError: The watch is being closed; the belief is incomplete.
    """
    known: list[Known] = []
    jobs: list[_Job] = []
    links: list[tuple[Folder, str, str]] = []
    _enter(tree, top, handle, tree.path(top), jobs, links, stats=stats)
    while jobs or links:
        if tree.stopping:
            raise StoppedError
        if not jobs:
            folder, name, path = links.pop(0)
            _follow(tree, folder, name, path, jobs)
            continue
        job = jobs.pop()
        _take_in(tree, job, jobs, links, known, stats=stats, adopt=adopt)
    return known


def _take_in(
    tree: Tree,
    job: _Job,
    jobs: list[_Job],
    links: list[tuple[Folder, str, str]],
    known: list[Known],
    *,
    stats: bool,
    adopt: bool,
) -> None:
    disk = tree.disk
    try:
        handle = disk.open(job.path, follow=job.link != 0)
    except OSError as error:
        if error.errno in NOT_THERE:
            # Gone since the listing, or its folder was moved and stands elsewhere now.
            tree.relist.add(job.parent)
        else:
            _take_in_blind(tree, job, error)
        return
    try:
        facts = disk.stat(handle)
        if not job.link and not _is_child(tree, handle, job.parent):
            tree.relist.add(job.parent)
            return
        if job.link == 0:
            node = tree.index.by_identity.get((facts.device, facts.inode))
            if node is not None and _is_below_link(job.parent):
                # A followed link leads back into the tree: each real folder is told once.
                job.parent.entries[job.name] = pack(facts, disk.now())
                return
            if adopt and node is not None and node.parent is not None:
                known.append(Known(job.parent, job.name, facts, node))
                return
        folder = tree.node(job.name, job.parent, facts, link=job.link)
        job.parent.entries[job.name] = folder
        _enter(tree, folder, handle, job.path, jobs, links, stats=stats)
    except OSError as error:
        _take_in_blind(tree, job, error)
    finally:
        disk.close(handle)


def _is_child(tree: Tree, handle: Handle, parent: Folder) -> bool:
    """Whether an open folder lies in ``parent``, not in another that took its path."""
    above = tree.disk.stat_at(handle, "..")
    return above is not None and (above.device, above.inode) == (parent.device, parent.inode)


def _is_below_link(folder: Folder) -> bool:
    here: Folder | None = folder
    while here is not None:
        if here.link:
            return True
        here = here.parent
    return False


def _take_in_blind(tree: Tree, job: _Job, error: OSError) -> None:
    """Take in a folder that cannot be opened: its name is an entry, its content is not seen."""
    try:
        handle = tree.open(job.parent)
        try:
            facts = tree.disk.stat_at(handle, job.name)
        finally:
            tree.disk.close(handle)
    except ElsewhereError:
        tree.relist.add(job.parent)
        return
    except OSError:
        facts = Facts(0o040000, 0, 0, 0, job.parent.device, 0, 0, 0, 0, 0)
    if facts is None or facts.mode & 0o170000 != 0o040000:
        return
    folder = tree.node(job.name, job.parent, facts)
    job.parent.entries[job.name] = folder
    tree.blind(folder, error)


def _follow(tree: Tree, folder: Folder, name: str, path: str, jobs: list[_Job]) -> None:
    """Follow a symlink if it leads to a folder that is not in the tree yet."""
    try:
        handle = tree.open(folder)
    except ElsewhereError:
        tree.relist.add(folder)
        return
    except OSError:
        return
    try:
        facts, link = tree.look(folder, handle, name)
    finally:
        tree.disk.close(handle)
    if link and facts and (facts.device, facts.inode) not in tree.index.by_link_target:
        jobs.append(_Job(folder, name, path, path[len(tree.base) + 1 :], link))


def _enter(
    tree: Tree,
    folder: Folder,
    handle: Handle,
    path: str,
    jobs: list[_Job],
    links: list[tuple[Folder, str, str]],
    *,
    stats: bool,
) -> None:
    """Mark and list one folder that is open."""
    disk, options, entries = tree.disk, tree.options, folder.entries
    tree.mark(folder, handle)
    relative = path[len(tree.base) + 1 :]
    now = folder.seen = disk.now()
    try:
        listed = disk.read(handle)
    except OSError as error:
        tree.blind(folder, error)
        return
    if options.ignore_file is not None:
        read_ignore_file(tree, relative, path, [name for name, _ in listed])
    prefix = path if path.endswith("/") else path + "/"
    below = f"{relative}/" if relative else ""
    follow = options.follow_symlinks and options.recursive
    hides = tree.filter.hides
    for name, record in listed:
        kind = record & 3
        is_dir = kind == BRIEF_DIR
        if hides(relative, name, is_dir=is_dir):
            continue
        if is_dir and options.recursive:
            jobs.append(_Job(folder, name, prefix + name, below + name))
            continue
        if kind == BRIEF_SYMLINK and follow:
            links.append((folder, name, prefix + name))
        if not stats:
            entries[name] = record
            continue
        try:
            facts = disk.stat_at(handle, name)
        except OSError:
            entries[name] = record
            continue
        if facts is not None:
            entries[name] = pack(facts, now)


def read_ignore_file(tree: Tree, relative: str, path: str, names: Collection[str]) -> bool:
    """Take in the ignore file that counts for a folder, if any; tell whether it is news."""
    wanted = tree.options.ignore_file
    if wanted is None:
        return False
    if os.path.isabs(wanted):
        if relative:
            return False
        file = wanted
    else:
        if wanted not in names:
            return tree.filter.set_ignore_file(relative, ())
        file = os.path.join(path, wanted)
    try:
        fd = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(fd, encoding="utf-8", errors="surrogateescape") as text:
            lines = text.read(1 << 20).splitlines()
    except OSError:
        lines = []
    return tree.filter.set_ignore_file(relative, lines)
