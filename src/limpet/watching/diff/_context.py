"""What the parts of a directory watch share: the index, and how a directory is entered.

To enter a directory is to open it, to verify that it is the one in the index, and to mark it, in
that order; only then is it listed. What happens after the mark leaves a hint; what happened before
is in the listing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.backends import MARK_ALL, MarkError, read_mounts
from limpet.watching.diff._racy_content import RacyContents
from limpet.watching.diff._settling_dirs import SettlingDirs
from limpet.watching.emit._degradation import reason_of
from limpet.watching.index._entry_record import is_young, pack
from limpet.watching.index._filter import Filter
from limpet.watching.index._fs import NOT_THERE
from limpet.watching.index._index import DirNode, Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from limpet.backends import FileSystemTraits, Mark
    from limpet.watching.emit._services import WatchServices
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.index._fs import Handle


class ElsewhereError(Exception):
    """The directory is not where the index has it: it was moved, replaced or deleted."""


class StoppedError(Exception):
    """The watch is being closed: stop at once."""


_BREATH_S: Final = 0.005
"""Seconds between two times that a long scan empties the kernel's queue."""


def _own_names(state: Path | None, location: str) -> frozenset[tuple[str, str]]:
    """Return directory and name of the watch's own state file, if that is below the location."""
    if state is None:
        return frozenset()
    ways = (
        (os.fspath(state), location),
        (os.path.join(os.path.realpath(state.parent), state.name), os.path.realpath(location)),
    )
    # On Windows there is no way from one drive to another, so none is asked for.
    return frozenset(
        (os.path.dirname(os.path.relpath(path, base)), state.name)
        for path, base in ways
        if Path(os.path.abspath(path)).is_relative_to(base)
    )


class DiffContext:
    """One watched directory: its services, its index, and how a directory of it is entered."""

    def __init__(self, services: WatchServices, can_reach: Callable[[], bool]) -> None:
        """Start with an empty index.

        Args:
            services: What the watch shares.
            can_reach: Return whether the way to the location is open, and report it if not.
        """
        options = services.options
        self.services = services
        self.options = options
        self.disk = services.disk
        self.emit = services.emit
        self.debouncer = services.debouncer
        self.settling = SettlingDirs(options.settle_dir)
        self.own_writes = services.own_writes
        self.degradation = services.degradation
        self.router = services.router
        self.order = services.order
        self.poll = services.poll
        self.can_reach = can_reach
        location = str(services.location)
        self.base = location.rstrip("/") if location != "/" else ""
        self.index = Index()
        self.filter = Filter(
            include=options.include,
            exclude=options.exclude,
            default_ignores=options.default_ignores,
            own=_own_names(options.state, location),
            left_out=services.left_out,
        )
        self.fast = not (
            options.follow_symlinks
            or options.ignore_file
            or options.transient
            or self.debouncer.quiet
        )
        """The fast path may emit events of files: no option needs more."""
        self.unreadable: dict[DirNode, Mark] = {}
        """Directories that cannot be opened -> the mark of their parent that reports on them."""
        self.relist: set[DirNode] = set()
        """Directories that moved while they were scanned: list them again."""
        self.doubted: set[DirNode] = set()
        """Directories whose mark may have ended unnoticed, because hints were lost: mark them again
        before they are listed."""
        self.racy = RacyContents()
        self.young: dict[DirNode, dict[str, int]] = {}
        """Names whose birth time is not proof yet, and no hint will say that they were deleted:
        examine them again once it is one, so that they can be recognised under another name."""
        self.unsure: set[DirNode] = set()
        """Directories that were entered while the source of the whole tree may not have come to
        them yet: list them once more."""
        self.trusts_hints = True
        """No hint was lost, and nothing is scanned because one might have been."""
        self.departed: dict[str, tuple[int, bool]] | None = {} if services.in_group else None
        """Of directories that went since the group took the events: when each was listed, and
        whether times there are exact."""
        self.believes_gone = False
        """What the hints say to be gone is gone: all of them came in after the last examination."""
        self.stopping = False
        self.unplaced: dict[str, int] = {}
        """Hints by path that lead through a directory which is to be examined first."""
        self.reexamine: list[DirNode] = []
        """Directories reached through a symlink whose real path has come into the tree."""
        self._breathed = 0.0
        self._is_deaf = False
        """The source of the whole tree may have left out any directory: all are polled."""
        self._whole: set[int] = set()
        """Devices for which a mark of the whole file system was tried."""
        self._silent: dict[int, bool] = {}
        self._traits: dict[int, FileSystemTraits] = {}

    def breathe(self) -> None:
        """Read what the kernel has waiting, now and then during a long scan.

        Its queue holds 16,384 records, which a busy disk fills in 50 milliseconds.
        """
        now = self.disk.monotonic()
        if now - self._breathed > _BREATH_S:
            self._breathed = now
            self.router.drain()

    def path(self, directory: DirNode) -> str:
        """Return where the index has the directory."""
        return self.path_of(directory.relative())

    def path_of(self, relative: str) -> str:
        """Return the path of a directory, of that below the location."""
        return f"{self.base}/{relative}" if relative else self.base or "/"

    def open(self, directory: DirNode) -> Handle:
        """Open the very directory that is in the index.

        Raises:
            ElsewhereError: It is not there.
            OSError: It cannot be opened.
            StoppedError: The watch is being closed.
        """
        if self.stopping:
            raise StoppedError
        top = directory.parent is None
        try:
            handle = self.disk.open(self.path(directory), follow=top or directory.link != 0)
        except OSError as error:
            if error.errno in NOT_THERE:
                raise ElsewhereError from error
            raise
        try:
            found = self.disk.identity(handle)
            if found != (directory.device, directory.inode):
                if found[0] != directory.device or self.traits(directory).stable_inodes:
                    raise ElsewhereError
                self.change_inode(directory, found[1])
        except BaseException:
            self.disk.close(handle)
            raise
        return handle

    def records(
        self, directory: DirNode, relative: str, names: list[str], now: int
    ) -> list[bytes | None]:
        """Stat names in the very directory that is in the index; ``None`` for one that is gone.

        Args:
            directory: The directory.
            relative: Its path below the location.
            names: The names.
            now: The clock that stamps files, a moment ago.

        Raises:
            ElsewhereError: It is not there.
            OSError: It cannot be opened, or there is no answer for a name.
            StoppedError: The watch is being closed.
        """
        if self.stopping:
            raise StoppedError
        follow = directory.parent is None or directory.link != 0
        identity = directory.device, directory.inode
        path = self.path_of(relative)
        try:
            answer = self.disk.records_in(path, identity, names, now, follow=follow)
        except OSError as error:
            if error.errno in NOT_THERE:
                raise ElsewhereError from error
            raise
        if answer is not None and answer[1] is not None:
            return answer[1]
        handle = self.open(directory)
        try:
            return self.disk.records(handle, names, now)
        finally:
            self.disk.close(handle)

    def traits(self, directory: DirNode) -> FileSystemTraits:
        """Return what may be believed of the file system of a directory."""
        found = self._traits.get(directory.device)
        if found is None:
            found = self._traits[directory.device] = self.disk.traits(self.path(directory))
        return found

    def answer_at_once(self, directories: Iterable[DirNode]) -> bool:
        """Return whether it is known that the file systems of directories keep nobody waiting."""
        known = self._traits
        for directory in directories:
            traits = known.get(directory.device)
            if traits is None or not traits.answers_at_once:
                return False
        return True

    def has_exact_times(self, directory: DirNode) -> bool:
        """Return whether a file that changes after a stat gets another time stamp."""
        return self.disk.exact_times and self.traits(directory).exact_times

    def change_inode(self, directory: DirNode, inode: int) -> None:
        """Take the inode number that a directory has now, where it may get another."""
        self.index.forget(directory)
        directory.inode = inode
        self.index.add(directory)
        if directory.mark is not None:  # it may be another one, which has no mark yet
            self.doubted.add(directory)
            self.relist.add(directory)

    def mark(self, directory: DirNode, handle: Handle) -> None:
        """Mark the directory or, where no source can, add it to those that are polled."""
        polled = self.poll.directories
        limited = bool(polled) and directory.mark is None and directory in polled
        before, directory.mark = directory.mark, None
        self.doubted.discard(directory)
        if self.order and isinstance(handle, int) and not self._is_silent(directory):
            if self.options.filesystem_mark and directory.device not in self._whole:
                self._whole.add(directory.device)
                self.router.mark_filesystem(self.order, handle)
            try:
                directory.mark = self.router.mark(
                    self.order,
                    handle,
                    MARK_ALL,
                    directory,
                    self.services.hints,
                    device=directory.device,
                )
            except MarkError as error:
                self.degradation.not_marked(self.emit, directory, error)
        if before is not None and before != directory.mark:
            self.router.unmark(before, directory, None)
        if directory.mark is not None:
            if limited:
                polled.discard(directory)
                self.degradation.marked(self.emit, directory)
        elif self.services.tree_source is None or self._is_deaf:
            polled.add(directory)

    def mark_several(self, directories: list[DirNode], handles: list[int]) -> int:
        """Mark directories that are new, of one device and beside each other; return how many.

        It stops at the first that ``mark`` has to decide about.
        """
        if not directories or self._is_silent(directories[0]):
            return 0
        hints, device = self.services.hints, directories[0].device
        marks = self.router.mark_several(
            self.order, handles, MARK_ALL, directories, hints, device=device
        )
        for directory, mark in zip(directories, marks, strict=False):
            directory.mark = mark
        return len(marks)

    def watch_tree(self) -> None:
        """Start the source of whole trees, if there is one; poll the tree if it is refused."""
        source = self.services.tree_source
        if source is None:
            return
        try:
            source.watch(self.base)
        except OSError as error:
            if not self._is_deaf:
                self._is_deaf = True
                self.degradation.not_reported(self.emit, error)

    def _is_silent(self, directory: DirNode) -> bool:
        """Return whether the directory's file system does not report every change."""
        if self.options.backend not in {"auto", "poll"}:
            return False
        device = directory.device
        if device not in self._silent:
            self._silent[device] = any(
                mount.needs_polling for mount in read_mounts() if mount.device == device
            )
        return self._silent[device]

    def blind(self, directory: DirNode, error: OSError) -> None:
        """Record that a directory's content cannot be read; the index keeps what it has of it."""
        reason = reason_of(error)
        directory.blind = reason
        if reason == "permission" and self.services.capabilities.walks and not self._is_deaf:
            self._is_deaf = True
            self.poll.directories.update(self.index.known())
        if directory.mark is None and directory not in self.unreadable:
            mark = self.router.subscribe_unreadable(
                self.order, self.path(directory), directory, self.services.hints
            )
            if mark is not None:
                self.unreadable[directory] = mark
        self.degradation.cannot_read(self.emit, directory, reason, error)

    def can_read(self, directory: DirNode) -> None:
        """Record that a directory's content can be read."""
        if directory.blind is not None:
            directory.blind = None
            self.settling.disturb(directory, self.disk.monotonic())
            self.degradation.can_read(self.emit, directory)

    def make_node(
        self, name: str, parent: DirNode | None, facts: StatResult, *, link: int = 0
    ) -> DirNode:
        """Create a directory node and add it to the index by its identity."""
        record = pack(facts, self.disk.now())
        return self.add(DirNode(name, parent, facts.inode, facts.device, record), link)

    def add(self, directory: DirNode, link: int = 0) -> DirNode:
        """Add a new directory node to the index by its identity."""
        directory.link = link
        self.note_young(directory.parent, directory.name, directory.record)
        index = self.index
        if index.by_link_target and not link:
            followed = index.by_link_target.get((directory.device, directory.inode))
            if followed is not None:
                self.reexamine.append(followed)
        index.add(directory)
        return directory

    def record(
        self, directory: DirNode, name: str, facts: StatResult, handle: Handle | None = None
    ) -> bytes:
        """Keep what stat returned of an entry that is not a directory node; return its record."""
        packed = directory.entries[name] = pack(facts, self.disk.now())
        self.note_young(directory, name, packed)
        if directory.mark is None:  # nothing will say that it was written to
            exact = self.has_exact_times(directory)
            path = f"{self.path(directory)}/{name}" if handle is None else name
            self.racy.note((directory, name), packed, handle, path, exact=exact)
        return packed

    def note_young(self, directory: DirNode | None, name: str, record: bytes) -> None:
        """Record a name that must be examined again, because its birth time is not proof yet."""
        if self.services.tree_source is not None and directory is not None and is_young(record):
            self.young.setdefault(directory, {})[name] = 0

    def drop(self, directory: DirNode) -> None:
        """Remove one directory, not what is below it: its mark, its identity, its troubles."""
        if directory.mark is not None:
            self.router.unmark(directory.mark, directory, self.path(directory))
            directory.mark = None
        mark = self.unreadable.pop(directory, None)
        if mark is not None:
            self.router.unmark(mark, directory, None)
        self.poll.directories.discard(directory)
        self.doubted.discard(directory)
        self.unsure.discard(directory)
        self.young.pop(directory, None)
        self.settling.forget(directory)
        self.index.forget(directory)
        self.degradation.forget(directory)

    def examine(
        self, directory: DirNode, handle: Handle, name: str
    ) -> tuple[StatResult | None, int]:
        """Stat an entry; of a symlink that is to be followed, the directory it leads to.

        Returns:
            The result, and the inode of the symlink it was reached through, or 0.
        """
        facts = self.disk.stat_at(handle, name)
        if facts is None or facts.mode & 0o170000 != 0o120000:
            return facts, 0
        if not (self.options.follow_symlinks and self.options.recursive):
            return facts, 0
        try:
            behind = self.disk.stat_at(handle, name, follow=True)
        except OSError:
            return facts, 0
        if behind is None or behind.mode & 0o170000 != 0o040000:
            return facts, 0
        identity = (behind.device, behind.inode)
        followed = self.index.by_link_target.get(identity)
        elsewhere = followed is not None and (followed.parent, followed.name) != (directory, name)
        if self.index.find(*identity) is not None or elsewhere:
            return facts, 0
        return behind, facts.inode
