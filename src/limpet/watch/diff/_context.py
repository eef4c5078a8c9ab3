"""What the parts of a folder watch share: the belief, the disk, and how a folder is entered.

To enter a folder is to open it, make sure that it is the one believed to be there, and mark it, in
that order; only then is it listed. Whatever happens after the mark is told; whatever happened
before is in the listing.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from limpet.backends import MARK_ALL, MarkError, read_mounts
from limpet.watch.index._entry_record import pack
from limpet.watch.index._filter import Filter
from limpet.watch.index._fs import NOT_THERE, OUT_OF_DESCRIPTORS
from limpet.watch.index._index import DirNode, Index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from limpet.backends import HintRouter, Mark, PendingHints
    from limpet.config import WatchOptions
    from limpet.events import DegradedReason
    from limpet.watch.emit._debounce import Debouncer
    from limpet.watch.emit._degradation import Degradation
    from limpet.watch.emit._event_factory import EventFactory
    from limpet.watch.emit._own_writes import OwnWrites
    from limpet.watch.index._entry_record import StatResult
    from limpet.watch.index._fs import FileSystemCalls, Handle

__all__ = ["DiffContext", "ElsewhereError", "StoppedError"]


class ElsewhereError(Exception):
    """The folder does not stand where it is believed to: it was moved, replaced or deleted."""


class StoppedError(Exception):
    """The watch is being closed: leave off at once."""


_BLIND: Final[dict[int, DegradedReason]] = {
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ENAMETOOLONG: "path-too-long",
    errno.EIO: "unreadable",
    **dict.fromkeys(OUT_OF_DESCRIPTORS, "descriptors"),
}


_BREATH_S: Final = 0.005
"""Seconds between two times that a long look empties the kernel's queue."""


class DiffContext:
    """One watched folder location."""

    def __init__(
        self,
        location: Path,
        options: WatchOptions,
        *,
        disk: FileSystemCalls,
        router: HintRouter,
        hints: PendingHints,
        emit: EventFactory,
        debouncer: Debouncer,
        own_writes: OwnWrites,
        degradation: Degradation,
        order: tuple[str, ...],
        polling: bool,
        trusted: bool,
    ) -> None:
        """Tie the parts together.

        Args:
            location: Where the tree stands.
            options: What was asked for.
            disk: Where to look.
            router: Where to mark.
            hints: Where the hints go.
            emit: Where events are made.
            debouncer: Holds files back.
            own_writes: Knows own writes.
            degradation: Knows what the watch cannot see.
            order: Kernel sources to mark with, best first; empty marks nothing.
            polling: Folders without a mark are looked at in intervals (else something else tells).
            trusted: Every change before now has left its hint (not so where hints come late).
        """
        self.options = options
        self.disk = disk
        self.router = router
        self.hints = hints
        self.emit = emit
        self.debouncer = debouncer
        self.own_writes = own_writes
        self.degradation = degradation
        self.order = order
        self.polling = polling
        self.trusted = trusted
        self.base = str(location).rstrip("/") if str(location) != "/" else ""
        self.index = Index()
        self.filter = Filter(
            include=options.include,
            exclude=options.exclude,
            default_ignores=options.default_ignores,
        )
        self.plain = not (
            options.follow_symlinks or options.ignore_file or options.transient or debouncer.quiet
        )
        """Files may be told of by the short way (``_plain.py``): nothing asked for needs more."""
        self.polled: set[DirNode] = set()
        self.heard: dict[DirNode, Mark] = {}
        """Folders that cannot be opened -> where their parent's mark speaks of them."""
        self.relist: set[DirNode] = set()
        """Folders that were on the move while they were scanned: list them again."""
        self.doubted: set[DirNode] = set()
        """Folders whose mark may have ended without a word, for hints were lost: mark them again
        before they are listed."""
        self.unsure: set[DirNode] = set()
        """Folders that were entered though the source that watches the whole tree may have come to
        them later: list them once more."""
        self.stopping = False
        self.reexamine: list[DirNode] = []
        """Folders reached through a symlink whose real place has come into the tree."""
        self.watch_whole: Callable[[str | None], None] | None = None
        """Has a source watch the whole tree at a path, before it is listed; ``None`` ends it."""
        self.can_reach: Callable[[], bool] = lambda: True
        """Asks again whether the way to the location is open, and says so if it is not."""
        self.cautious = False
        """The location lies on a mount that may go away for a moment: ask twice before believing
        that it is gone."""
        self._breathed = 0.0
        self._whole: set[int] = set()
        """Devices for which a mark of the whole file system was tried."""
        self._silent: dict[int, bool] = {}

    def breathe(self) -> None:
        """Take what the kernel has waiting into the inbox, now and then in a long look.

        Its queue holds 16,384 records, which a busy disk fills in 50 milliseconds.
        """
        now = self.disk.monotonic()
        if now - self._breathed > _BREATH_S:
            self._breathed = now
            self.router.drain()

    def path(self, directory: DirNode) -> str:
        """Where the folder is believed to stand."""
        relative = directory.relative()
        return f"{self.base}/{relative}" if relative else self.base or "/"

    def open(self, directory: DirNode) -> Handle:
        """Open the very folder that is believed in.

        Raises:
            ElsewhereError: It does not stand there.
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
            if self.disk.identity(handle) != (directory.device, directory.inode):
                raise ElsewhereError
        except BaseException:
            self.disk.close(handle)
            raise
        return handle

    def mark(self, directory: DirNode, handle: Handle) -> None:
        """Have the kernel tell of the folder or, where it will not, have it polled."""
        limited = bool(self.polled) and directory.mark is None and directory in self.polled
        before, directory.mark = directory.mark, None
        self.doubted.discard(directory)
        if self.order and isinstance(handle, int) and not self._is_silent(directory):
            if self.options.filesystem_mark and directory.device not in self._whole:
                self._whole.add(directory.device)
                self.router.mark_filesystem(self.order, handle)
            try:
                directory.mark = self.router.mark(
                    self.order, handle, MARK_ALL, directory, self.hints, device=directory.device
                )
            except MarkError as error:
                self.degradation.not_marked(self.emit, directory, error)
        if before is not None and before != directory.mark:
            self.router.unmark(before, directory, None)
        if directory.mark is not None:
            if limited:
                self.polled.discard(directory)
                self.degradation.marked(self.emit, directory)
        elif self.polling or self.order:
            self.polled.add(directory)

    def _is_silent(self, directory: DirNode) -> bool:
        """Whether the folder lies on a file system that does not tell of every change."""
        if self.options.backend not in {"auto", "poll"}:
            return False
        device = directory.device
        if device not in self._silent:
            self._silent[device] = any(
                mount.needs_polling for mount in read_mounts() if mount.device == device
            )
        return self._silent[device]

    def blind(self, directory: DirNode, error: OSError) -> None:
        """Note that a folder's content cannot be seen; what is believed of it stays."""
        reason = _BLIND.get(error.errno or 0, "unavailable")
        directory.blind = reason
        if directory.mark is None and directory not in self.heard:
            heard = self.router.listen(self.order, self.path(directory), directory, self.hints)
            if heard is not None:
                self.heard[directory] = heard
        self.degradation.cannot_read(self.emit, directory, reason, error)

    def sees(self, directory: DirNode) -> None:
        """Note that a folder's content can be seen."""
        if directory.blind is not None:
            directory.blind = None
            self.degradation.can_read(self.emit, directory)

    def node(
        self, name: str, parent: DirNode | None, facts: StatResult, *, link: int = 0
    ) -> DirNode:
        """Make a folder node and know it by its identity."""
        record = pack(facts, self.disk.now())
        return self.add(DirNode(name, parent, facts.inode, facts.device, record), link)

    def add(self, directory: DirNode, link: int = 0) -> DirNode:
        """Know a new folder node by its identity."""
        directory.link = link
        index = self.index
        if link:
            index.by_link_target[directory.device, directory.inode] = directory
            return directory
        identity = (directory.device, directory.inode)
        if index.by_link_target and (followed := index.by_link_target.get(identity)):
            self.reexamine.append(followed)
        index.by_identity[identity] = directory
        return directory

    def drop(self, directory: DirNode) -> None:
        """Forget one folder (not what is below it): its mark, its identity, its troubles."""
        if directory.mark is not None:
            self.router.unmark(directory.mark, directory, self.path(directory))
            directory.mark = None
        heard = self.heard.pop(directory, None)
        if heard is not None:
            self.router.unmark(heard, directory, None)
        self.polled.discard(directory)
        self.doubted.discard(directory)
        self.unsure.discard(directory)
        self.index.forget(directory)
        self.degradation.forget(directory)

    def examine(
        self, directory: DirNode, handle: Handle, name: str
    ) -> tuple[StatResult | None, int]:
        """Stat an entry; a symlink to a folder that is to be followed gives that folder's facts.

        Returns:
            What stands there, and the inode of the symlink it was reached through, or 0.
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
        if identity in self.index.by_identity or elsewhere:
            return facts, 0
        return behind, facts.inode
