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
from limpet.watch.index._index import Folder, Index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from limpet.backends import Hub, Inbox, Mark
    from limpet.config import WatchOptions
    from limpet.events import DegradedReason
    from limpet.watch.emit._debounce import Settler
    from limpet.watch.emit._degradation import Troubles
    from limpet.watch.emit._event_factory import Emitter
    from limpet.watch.emit._own_writes import Ledger
    from limpet.watch.index._entry_record import Facts
    from limpet.watch.index._fs import Disk, Handle

__all__ = ["ElsewhereError", "StoppedError", "Tree"]


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


class Tree:
    """One watched folder location."""

    def __init__(
        self,
        location: Path,
        options: WatchOptions,
        *,
        disk: Disk,
        hub: Hub,
        inbox: Inbox,
        emit: Emitter,
        settler: Settler,
        ledger: Ledger,
        troubles: Troubles,
        order: tuple[str, ...],
        polling: bool,
        trusted: bool,
    ) -> None:
        """Tie the parts together.

        Args:
            location: Where the tree stands.
            options: What was asked for.
            disk: Where to look.
            hub: Where to mark.
            inbox: Where the hints go.
            emit: Where events are made.
            settler: Holds files back.
            ledger: Knows own writes.
            troubles: Knows what the watch cannot see.
            order: Kernel sources to mark with, best first; empty marks nothing.
            polling: Folders without a mark are looked at in intervals (else something else tells).
            trusted: Every change before now has left its hint (not so where hints come late).
        """
        self.options = options
        self.disk = disk
        self.hub = hub
        self.inbox = inbox
        self.emit = emit
        self.settler = settler
        self.ledger = ledger
        self.troubles = troubles
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
            options.follow_symlinks or options.ignore_file or options.transient or settler.quiet
        )
        """Files may be told of by the short way (``_plain.py``): nothing asked for needs more."""
        self.polled: set[Folder] = set()
        self.heard: dict[Folder, Mark] = {}
        """Folders that cannot be opened -> where their parent's mark speaks of them."""
        self.relist: set[Folder] = set()
        """Folders that were on the move while they were scanned: list them again."""
        self.doubted: set[Folder] = set()
        """Folders whose mark may have ended without a word, for hints were lost: mark them again
        before they are listed."""
        self.unsure: set[Folder] = set()
        """Folders that were entered though the source that watches the whole tree may have come to
        them later: list them once more."""
        self.stopping = False
        self.relook: list[Folder] = []
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
            self.hub.drain()

    def path(self, folder: Folder) -> str:
        """Where the folder is believed to stand."""
        relative = folder.relative()
        return f"{self.base}/{relative}" if relative else self.base or "/"

    def open(self, folder: Folder) -> Handle:
        """Open the very folder that is believed in.

        Raises:
            ElsewhereError: It does not stand there.
            OSError: It cannot be opened.
            StoppedError: The watch is being closed.
        """
        if self.stopping:
            raise StoppedError
        top = folder.parent is None
        try:
            handle = self.disk.open(self.path(folder), follow=top or folder.link != 0)
        except OSError as error:
            if error.errno in NOT_THERE:
                raise ElsewhereError from error
            raise
        try:
            if self.disk.identity(handle) != (folder.device, folder.inode):
                raise ElsewhereError
        except BaseException:
            self.disk.close(handle)
            raise
        return handle

    def mark(self, folder: Folder, handle: Handle) -> None:
        """Have the kernel tell of the folder or, where it will not, have it polled."""
        limited = bool(self.polled) and folder.mark is None and folder in self.polled
        before, folder.mark = folder.mark, None
        self.doubted.discard(folder)
        if self.order and isinstance(handle, int) and not self._is_silent(folder):
            if self.options.filesystem_mark and folder.device not in self._whole:
                self._whole.add(folder.device)
                self.hub.mark_filesystem(self.order, handle)
            try:
                folder.mark = self.hub.mark(
                    self.order, handle, MARK_ALL, folder, self.inbox, device=folder.device
                )
            except MarkError as error:
                self.troubles.not_marked(self.emit, folder, error)
        if before is not None and before != folder.mark:
            self.hub.unmark(before, folder, None)
        if folder.mark is not None:
            if limited:
                self.polled.discard(folder)
                self.troubles.marked(self.emit, folder)
        elif self.polling or self.order:
            self.polled.add(folder)

    def _is_silent(self, folder: Folder) -> bool:
        """Whether the folder lies on a file system that does not tell of every change."""
        if self.options.backend not in {"auto", "poll"}:
            return False
        device = folder.device
        if device not in self._silent:
            self._silent[device] = any(
                mount.needs_polling for mount in read_mounts() if mount.device == device
            )
        return self._silent[device]

    def blind(self, folder: Folder, error: OSError) -> None:
        """Note that a folder's content cannot be seen; what is believed of it stays."""
        reason = _BLIND.get(error.errno or 0, "unavailable")
        folder.blind = reason
        if folder.mark is None and folder not in self.heard:
            heard = self.hub.listen(self.order, self.path(folder), folder, self.inbox)
            if heard is not None:
                self.heard[folder] = heard
        self.troubles.cannot_read(self.emit, folder, reason, error)

    def sees(self, folder: Folder) -> None:
        """Note that a folder's content can be seen."""
        if folder.blind is not None:
            folder.blind = None
            self.troubles.can_read(self.emit, folder)

    def node(self, name: str, parent: Folder | None, facts: Facts, *, link: int = 0) -> Folder:
        """Make a folder node and know it by its identity."""
        record = pack(facts, self.disk.now())
        return self.add(Folder(name, parent, facts.inode, facts.device, record), link)

    def add(self, folder: Folder, link: int = 0) -> Folder:
        """Know a new folder node by its identity."""
        folder.link = link
        index = self.index
        if link:
            index.by_link_target[folder.device, folder.inode] = folder
            return folder
        identity = (folder.device, folder.inode)
        if index.by_link_target and (followed := index.by_link_target.get(identity)):
            self.relook.append(followed)
        index.by_identity[identity] = folder
        return folder

    def drop(self, folder: Folder) -> None:
        """Forget one folder (not what is below it): its mark, its identity, its troubles."""
        if folder.mark is not None:
            self.hub.unmark(folder.mark, folder, self.path(folder))
            folder.mark = None
        heard = self.heard.pop(folder, None)
        if heard is not None:
            self.hub.unmark(heard, folder, None)
        self.polled.discard(folder)
        self.doubted.discard(folder)
        self.unsure.discard(folder)
        self.index.forget(folder)
        self.troubles.forget(folder)

    def look(self, folder: Folder, handle: Handle, name: str) -> tuple[Facts | None, int]:
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
        elsewhere = followed is not None and (followed.parent, followed.name) != (folder, name)
        if identity in self.index.by_identity or elsewhere:
            return facts, 0
        return behind, facts.inode
