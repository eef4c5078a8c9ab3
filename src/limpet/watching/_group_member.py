"""One place of a group: its core, and what it knows of what moved in or out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import events as ev
from limpet.backends import WRITE
from limpet.watching.diff._change_detection import changed_besides_its_name, changes_of
from limpet.watching.emit._event_factory import barely_known, parts_of, stat_of
from limpet.watching.index._entry_record import inode_of, same_file, unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from limpet.events import Event, Kind
    from limpet.watching._places import ResolvedPlace
    from limpet.watching._watcher import Watcher
    from limpet.watching.emit._event_factory import Record
    from limpet.watching.index._entry_record import StatResult


class GroupMember:
    """One place of a group, and the synchronous core that watches it."""

    def __init__(self, place: ResolvedPlace, watcher: Watcher) -> None:
        self.place: Final = place
        self.watcher: Final = watcher
        self.depth: Final = len(place.path.parts)
        self.around: list[GroupMember] = []
        """The places that this one is inside of."""

    @property
    def takes_part(self) -> bool:
        """Return whether entries may move in and out: a file that is a place is its own target."""
        return self.watcher.context is not None

    def accepts_from(self, giver: GroupMember) -> bool:
        """Return whether a rename says all that the consumer is to get of what moves in.

        A rename has no content: where content is promised, the consumer must have had it before.
        """
        wanted = self.place.options.content
        return wanted is None or (not wanted.appended and wanted == giver.place.options.content)

    def is_move(self, relative: str, record: Record, facts: StatResult, *, reported: bool) -> bool:
        """Return whether what came elsewhere is what was here, by the evidence.

        Args:
            relative: Where it was, below the location.
            record: Its record.
            facts: The stat result of what came, which has its inode number.
            reported: The kernel has reported this very rename.
        """
        context = self.watcher.context
        if context is None:
            return False
        known = context.index.root
        if isinstance(record, bytes):
            was = unpack(record)
            if was.device != facts.device or (was.mode ^ facts.mode) & 0o170000:
                return False
            if reported:
                return not (was.birth and facts.birth) or was.birth == facts.birth
        elif known is None or known.device != facts.device:
            return False
        elif reported:
            return True
        if known is None:
            return same_file(record, 0, facts)
        traits = context.traits(known)
        seen, _ = self.listed(relative)
        return traits.stable_inodes and same_file(record, seen, facts, births=traits.stable_births)

    def listed(self, relative: str) -> tuple[int, bool]:
        """Return when the directory of an entry that is gone was listed, nanoseconds, 0 for never.

        And whether the kernel gives every change there a time of its own.
        """
        context = self.watcher.context
        if context is None:
            return 0, False
        parent = relative.rpartition("/")[0]
        if context.departed and parent in context.departed:
            return context.departed[parent]
        directory = context.index.at(parent)
        if not isinstance(directory, DirNode):
            return 0, False
        return directory.seen, context.has_exact_times(directory)

    def forget_departed(self) -> None:
        """Forget what was kept of directories that are gone: their events are taken."""
        context = self.watcher.context
        if context is not None and context.departed:
            context.departed.clear()

    def left(self, events: list[Event]) -> Iterator[tuple[int, str, Record]]:
        """Yield inode, relative path and record of the files that are gone from here."""
        for event in events:
            if isinstance(event, ev.FileDeleted) and not isinstance(event, ev.TargetEvent):
                parts = parts_of(event)
                if parts is not None and parts[2] is not None and self.takes_part:
                    yield inode_of(parts[2]), parts[0], parts[2]

    def held_below(self, relative: str) -> dict[str, StatResult]:
        """Return the files in a new folder that are held as created: path below it -> status."""
        context = self.watcher.context
        if context is None or not context.debouncer.held:
            return {}
        prefix = relative + "/" if relative else ""
        found = {}
        for path, entry in self._held():
            if path.startswith(prefix):
                found[path[len(prefix) :]] = unpack(entry)
        return found

    def held_with(self, inodes: set[int]) -> list[tuple[str, StatResult]]:
        """Return the files that are held as created and have one of these inode numbers."""
        return [
            (path, facts)
            for path, entry in self._held()
            if (facts := unpack(entry)).inode in inodes
        ]

    def _held(self) -> Iterator[tuple[str, bytes]]:
        context = self.watcher.context
        if context is None:
            return
        for (directory, name), held in context.debouncer.held.items():
            if held.created and isinstance(directory, DirNode):
                entry = directory.entries.get(name)
                if isinstance(entry, bytes) and context.index.contains(directory):
                    yield directory.relative_of(name), entry

    def release(self, relative: str) -> None:
        """Hold a file no longer: its rename is reported instead."""
        context = self.watcher.context
        head, _, name = relative.rpartition("/")
        directory = context.index.at(head) if context is not None else None
        if context is not None and isinstance(directory, DirNode):
            context.debouncer.take((directory, name))

    def created(self, relative: str, facts: StatResult) -> list[Event]:
        """Return the created event of a file that is held, and hold it no longer."""
        context = self.watcher.context
        if context is None:
            return []
        self.release(relative)
        context.emit.created(relative, facts)
        return context.emit.fetch()

    def path(self, relative: str) -> Path:
        """Return the path of an entry."""
        return self.place.path / relative if relative else self.place.path

    def renamed(
        self,
        giver: GroupMember,
        ends: tuple[Event, Event],
        before: str,
        relative: str,
        facts: StatResult,
        record: Record,
        replaced: Record | None,
    ) -> list[Event]:
        """Return the events of what moved in: renamed, and updated if more has changed."""
        context = self.watcher.context
        if context is None:
            return []
        shown = None
        if replaced is not None:
            shown = stat_of(replaced) or barely_known(replaced, facts.device)
        left, came = ends
        event = context.emit.derived(
            ev.DirRenamed if facts.is_dir else ev.FileRenamed,
            came,
            relative,
            facts,
            record,
            own=getattr(left, "own", False) or getattr(came, "own", False),
            source=giver.path(before),
            replaced=shown,
            who=getattr(came, "who", None) or getattr(left, "who", None),
        )
        return [event, *self.changed(giver, came, before, relative, facts, record, alone=True)]

    def changed(
        self,
        giver: GroupMember,
        like: Event,
        before: str,
        relative: str,
        facts: StatResult,
        record: Record,
        *,
        alone: bool = False,
    ) -> list[Event]:
        """Return the event of what changed of an entry that moved in, besides its name.

        One that moved ``alone``, not with its folder, has a new ctime by that.
        """
        context = self.watcher.context
        if context is None:
            return []
        seen, exact = giver.listed(before)
        metadata = context.options.metadata
        if alone:
            fresh = isinstance(record, bytes) and unpack(record).fresh and not exact
            changes = changed_besides_its_name(
                record, facts, WRITE if fresh else 0, seen=seen, exact=exact, metadata=metadata
            )
        else:
            changes = changes_of(record, facts, 0, seen=seen, exact=exact, metadata=metadata)
        if facts.is_dir:
            changes = changes - {"content"}
        if not changes:
            return []
        kind = ev.DirUpdated if facts.is_dir else ev.FileUpdated
        return [
            context.emit.derived(kind, like, relative, facts, record, changes=frozenset(changes))
        ]

    def deleted(self, like: Event, relative: str, record: Record | None, kind: Kind) -> Event:
        """Return the event of what was gone when its folder moved in."""
        context = self.watcher.context
        assert context is not None  # noqa: S101 (it takes part)
        made = ev.DirDeleted if kind == "dir" else ev.FileDeleted
        return context.emit.derived(made, like, relative, None, record, kind=kind)
