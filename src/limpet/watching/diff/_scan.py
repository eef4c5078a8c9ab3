"""Scans a directory that is new to the watch, and adds all that is in it to the index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from limpet.watching.diff._context import ElsewhereError, StoppedError
from limpet.watching.diff._ignore_files import read_ignore_file
from limpet.watching.index._entry_record import (
    BRIEF_SYMLINK,
    StatResult,
    is_dir,
    is_recent,
    unpack,
)
from limpet.watching.index._filter import SIGNS
from limpet.watching.index._fs import NOT_THERE, OUT_OF_DESCRIPTORS
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.watching.diff._context import DiffContext
    from limpet.watching.index._fs import FileSystemCalls, Handle
    from limpet.watching.index._index import Entry

_SEVERAL: Final = 16
"""Directories that are opened, and then marked, in one call each. The kernel's queue is emptied
between two listings of them, as always."""
_OPEN: Final = 12
"""Directories held open on the way down; few trees are deeper, and few processes have fewer
descriptors left."""


@dataclass(slots=True, eq=False, repr=False)
class Known:
    """A directory found in a new one that the index has elsewhere: it was probably moved here."""

    directory: DirNode
    name: str
    facts: StatResult
    node: DirNode


class _Frame:
    """A directory that was entered, and the directories in it still to be entered."""

    __slots__ = ("directory", "handle", "names", "path")

    def __init__(
        self, directory: DirNode, handle: Handle | None, path: str, names: list[tuple[str, int]]
    ) -> None:
        self.directory = directory
        self.handle = handle
        """Open on it; ``None`` if it was closed again, so that what is in it is opened by path."""
        self.path = path
        self.names = names
        """Directories to enter, the last one first, and the symlink each is reached through, or 0.
        """


def scan(
    context: DiffContext, top: DirNode, handle: Handle, *, stats: bool, adopt: bool
) -> list[Known]:
    """Mark and list ``top`` and all below it.

    A directory is opened by its name in its parent, which is still open, so it is the parent's
    child whatever happens to their paths meanwhile. In very deep trees, where the descriptors would
    run out, it is opened by its path, and then its parent is verified.

    Args:
        context: What the watch shares.
        top: A node that is in no directory's entries yet, or the root.
        handle: Open on it; stays open.
        stats: Stat every file (for events that carry it), instead of keeping what the listing
            gives.
        adopt: Return directories that the index has elsewhere, instead of adding them again.

    Raises:
        StoppedError: The watch is being closed; the index is incomplete.
    """
    return _Scan(context, stats=stats, adopt=adopt).run(top, handle)


class _Scan:
    """One walk."""

    def __init__(self, context: DiffContext, *, stats: bool, adopt: bool) -> None:
        self.context = context
        self.stats = stats
        self.adopt = adopt
        self.known: list[Known] = []
        self.frames: list[_Frame] = []
        self.links: list[tuple[DirNode, str, str]] = []
        self.base = len(context.base) + 1
        self.several = (
            context.disk.does_several()
            and bool(context.order)
            and not (adopt or context.options.follow_symlinks or context.options.filesystem_mark)
        )
        """Directories may be entered together: none of them can be in the index already."""
        self.handle: Handle | None = None
        """Open on the top; closed by the caller."""

    def run(self, top: DirNode, handle: Handle) -> list[Known]:
        context, frames = self.context, self.frames
        self.handle = handle
        self._enter(top, handle, context.path(top))
        try:
            while frames or self.links:
                if context.stopping:
                    raise StoppedError
                context.breathe()
                if not frames:
                    self._follow(*self.links.pop(0))
                elif frames[-1].names:
                    if not (self.several and self._take_in_several(frames[-1])):
                        self._take_in(frames[-1], *frames[-1].names.pop())
                else:
                    self._let_go(frames.pop())
        finally:
            for frame in frames:
                self._let_go(frame)
        return self.known

    def _let_go(self, frame: _Frame) -> None:
        """Close a directory; what is still to be entered in it is opened by its path."""
        if frame.handle is not None and frame.handle != self.handle:
            self.context.disk.close(frame.handle)
        frame.handle = None

    def _take_in(self, frame: _Frame, name: str, link: int) -> None:
        context, disk = self.context, self.context.disk
        parent, path = frame.directory, f"{frame.path.rstrip('/')}/{name}"
        try:
            handle = self._open(frame, name, path, link)
        except OSError as error:
            if error.errno in NOT_THERE:
                # Gone since the listing, or its directory was moved and is elsewhere now.
                context.relist.add(parent)
            else:
                self._take_in_blind(parent, name, error)
            return
        kept = False
        try:
            record, device, inode = disk.directory(handle, disk.now())
            by_name = isinstance(frame.handle, int)
            if not (by_name or link or _is_child(context, handle, parent)):
                context.relist.add(parent)
                return
            if not link and context.traits(parent).stable_inodes:
                node = context.index.find(device, inode)
                if node is not None and _is_below_link(parent):
                    # A followed link leads back into the tree: each directory is reported once.
                    parent.entries[name] = record
                    return
                if node is not None and self.adopt and node.parent is not None:
                    self.known.append(Known(parent, name, unpack(record), node))
                    return
            directory = context.add(DirNode(name, parent, inode, device, record), link)
            parent.entries[name] = directory
            kept = self._enter(directory, handle, path)
        except OSError as error:
            self._take_in_blind(parent, name, error)
        finally:
            if not kept:
                disk.close(handle)

    def _take_in_several(self, frame: _Frame) -> bool:
        """Enter the next directories as ``_take_in`` enters each, but in fewer calls.

        Returns:
            Whether any was entered; the next one is to be taken in by itself if not.
        """
        context, disk, parent = self.context, self.context.disk, frame.directory
        if len(frame.names) < 2 or not isinstance(frame.handle, int) or parent.mark is None:
            return False
        device = parent.device
        names = [name for name, _ in frame.names[: -_SEVERAL - 1 : -1]]
        opened = disk.open_several(frame.handle, names, device)
        handles = [handle for handle, _, _ in opened]
        try:
            nodes = [
                DirNode(name, parent, inode, device, record)
                for name, (_, record, inode) in zip(names, opened, strict=False)
            ]
            marked = context.mark_several(nodes, handles)
            if not marked:
                return False
            del frame.names[-marked:]
            for node in nodes[:marked]:
                parent.entries[node.name] = context.add(node)
            above = frame.path.rstrip("/")
            for node in nodes[:marked]:
                kept = self._list(node, handles[0], f"{above}/{node.name}")
                handle = handles.pop(0)
                if not kept:
                    disk.close(handle)
                context.breathe()
        finally:
            for handle in handles:
                disk.close(handle)
        return True

    def _open(self, frame: _Frame, name: str, path: str, link: int) -> Handle:
        disk = self.context.disk
        if frame.handle is None or link:
            return disk.open(path, follow=link != 0)
        try:
            return disk.open_in(frame.handle, name, path)
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
        for open_frame in self.frames:
            self._let_go(open_frame)
        return disk.open(path)

    def _take_in_blind(self, parent: DirNode, name: str, error: OSError) -> None:
        """Add a directory that cannot be opened: its name is an entry, its content is unknown."""
        context = self.context
        try:
            handle = context.open(parent)
            try:
                facts = context.disk.stat_at(handle, name)
            finally:
                context.disk.close(handle)
        except ElsewhereError:
            context.relist.add(parent)
            return
        except OSError:
            facts = StatResult(0o040000, 0, 0, 0, parent.device, 0, 0, 0, 0, 0)
        if facts is None or facts.mode & 0o170000 != 0o040000:
            return
        directory = context.make_node(name, parent, facts)
        parent.entries[name] = directory
        context.blind(directory, error)

    def _follow(self, directory: DirNode, name: str, path: str) -> None:
        """Follow a symlink if it leads to a directory that is not in the tree yet."""
        context = self.context
        try:
            handle = context.open(directory)
        except ElsewhereError:
            context.relist.add(directory)
            return
        except OSError:
            return
        try:
            facts, link = context.examine(directory, handle, name)
        except OSError as error:  # it stays an entry, as a symlink
            context.degradation.cannot_stat(context.emit, directory, name, error)
            return
        finally:
            context.disk.close(handle)
        if link and facts and (facts.device, facts.inode) not in context.index.by_link_target:
            self.frames.append(_Frame(directory, None, path[: -len(name) - 1], [(name, link)]))

    def _enter(self, directory: DirNode, handle: Handle, path: str) -> bool:
        """Mark and list one open directory; return whether it stays open."""
        self.context.mark(directory, handle)
        return self._list(directory, handle, path)

    def _list(self, directory: DirNode, handle: Handle, path: str) -> bool:
        """List a directory that is marked; return whether it stays open."""
        context, disk, options = self.context, self.context.disk, self.context.options
        capabilities = context.services.capabilities
        if not (capabilities.complete or capabilities.exact_paths):
            context.unsure.add(directory)
        directory.seen = now = disk.now()
        try:
            entries, subdirs, signed = disk.read_sifted(handle, SIGNS)
        except OSError as error:
            context.blind(directory, error)
            return False
        relative = path[self.base :]
        names: list[tuple[str, int]] = []
        if options.ignore_file is not None:
            read_ignore_file(context, relative, path, entries)
        for name in context.filter.hidden(relative, entries, signed=signed):
            del entries[name]
        if options.recursive:
            names = [(name, 0) for name in subdirs if name in entries]
            for name, _ in names:
                del entries[name]
            if options.follow_symlinks:
                self.links.extend(
                    (directory, name, f"{path.rstrip('/')}/{name}")
                    for name, kind in entries.items()
                    if kind & 3 == BRIEF_SYMLINK
                )
        directory.entries = self._statted(handle, entries, now) if self.stats else {**entries}
        if self.stats and directory.mark is None:
            exact = context.has_exact_times(directory)
            for name, found in directory.entries.items():
                if type(found) is bytes and is_recent(found):
                    context.note_young(directory, name, found)
                    context.racy.note((directory, name), found, handle, name, exact=exact)
        if self.stats and options.recursive:
            late = [
                n
                for n, found in directory.entries.items()
                if type(found) is bytes and is_dir(found)
            ]
            for name in late:  # it was listed as something else, and replaced before the stat
                del directory.entries[name]
                names.append((name, 0))
        if not names:
            return False
        kept = len(self.frames) < _OPEN
        self.frames.append(_Frame(directory, handle if kept else None, path, names))
        return kept

    def _statted(self, handle: Handle, entries: dict[str, int], now: int) -> dict[str, Entry]:
        """Stat all that was listed; without an answer an entry is kept as it was listed."""
        disk = self.context.disk
        try:
            records: Iterable[bytes | int | None] = disk.records(handle, entries, now)
        except OSError:
            records = (_stat_one(disk, handle, name, brief, now) for name, brief in entries.items())
        found = zip(entries, records, strict=True)
        return {name: record for name, record in found if record is not None}


def _stat_one(
    disk: FileSystemCalls, handle: Handle, name: str, brief: int, now: int
) -> bytes | int | None:
    try:
        return disk.records(handle, (name,), now)[0]
    except OSError:
        return brief


def _is_child(context: DiffContext, handle: Handle, parent: DirNode) -> bool:
    """Return whether an open directory is in ``parent``, not in another that took its path."""
    above = context.disk.stat_at(handle, "..")
    return above is not None and (above.device, above.inode) == (parent.device, parent.inode)


def _is_below_link(directory: DirNode) -> bool:
    here: DirNode | None = directory
    while here is not None:
        if here.link:
            return True
        here = here.parent
    return False
