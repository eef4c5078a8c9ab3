"""What is at the location of a directory watch: it appears, vanishes, is replaced or mismatched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._file_stat import kind_of_mode
from limpet.backends import GONE, SELF_MOVED, find_mount, read_mounts
from limpet.watching.diff._compare import Comparison
from limpet.watching.diff._context import ElsewhereError
from limpet.watching.diff._event_order import EventOrderer
from limpet.watching.diff._scan import scan
from limpet.watching.index._entry_record import pack, unpack
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from limpet.backends import Mount
    from limpet.events import Change, GoneReason, Kind
    from limpet.watching.diff._context import DiffContext
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.location._path_marks import PathMarks

_ROUNDS: Final = 6
"""A location that changes faster than this many checks in a row is checked again a moment later."""


class RootLifecycle:
    """The target of one directory watch; keeps the root of the index in step with it."""

    def __init__(self, context: DiffContext, path_marks: PathMarks) -> None:
        self.context = context
        self.path_marks = path_marks
        self.found: Kind | None = None
        """What is there, if it is not a directory."""
        self.bits = 0
        """Hint bits about the root itself."""
        self.missed = False
        """A watch on a network mount found its target gone, once."""
        self.mounted: dict[str, Mount] = {}
        """Mounts at, below or above the location when the table was last read, by their point."""
        self.real = context.base
        """Real path of the location, as the mount table spells it."""

    @property
    def is_blind(self) -> bool:
        """Return whether no hint would come if something else came to the location."""
        path_marks = self.path_marks
        return (
            path_marks.blind
            or path_marks.unstable
            or self.missed
            or bool(self.context.degradation.location)
        )

    def check(self, reason: GoneReason) -> None:
        """Find out what is at the location, and emit the change if it is another.

        On a network mount, a target that is gone is checked twice, some time apart.
        """
        context = self.context
        for _ in range(_ROUNDS):
            resolution = self.path_marks.update()
            if resolution.trouble:
                context.degradation.location_unreachable(context.emit, resolution.trouble)
                return
            context.degradation.location_reachable(context.emit)
            if resolution.facts is not None:
                self.real = resolution.path.rstrip("/")
            root = context.index.root
            facts = resolution.facts
            if root is not None:
                if facts is not None and self._is_same(root, facts):
                    self._compare(root, facts)
                    self.missed = False
                    return
                if context.services.network and not self.missed:
                    self.missed = True  # and check again, after RETRY_S at the latest
                    return
                self.missed = False
                self.lose(reason if facts is None or reason == "unmounted" else "replaced")
            if facts is None:
                self.found = None
                return
            kind = kind_of_mode(facts.mode)
            if kind != "dir":
                if self.found != kind:
                    self.found = kind
                    context.emit.mismatched(kind, "dir")
                return
            self.found = None
            if self._gain(facts):
                return
        self.path_marks.unstable = True

    def _is_same(self, root: DirNode, facts: StatResult) -> bool:
        """Return whether the directory at the location is still the one that is watched."""
        traits = self.context.traits(root)
        if facts.device != root.device or not facts.is_dir:
            return False
        if facts.inode != root.inode:
            if traits.stable_inodes or not root.inode:
                return False
            self.context.change_inode(root, facts.inode)
        born = unpack(root.record).birth
        return not (born and facts.birth and traits.stable_births) or born == facts.birth

    def _compare(self, root: DirNode, facts: StatResult) -> None:
        """Emit changes of the target's own mode and owner, if that is an option."""
        context = self.context
        was = unpack(root.record)
        changes: set[Change] = set()
        if (was.mode ^ facts.mode) & 0o7777:
            changes.add("mode")
        if (was.uid, was.gid) != (facts.uid, facts.gid):
            changes.add("owner")
        if changes:
            previous, root.record = root.record, pack(facts, context.disk.now())
            if context.options.metadata:
                context.emit.updated("", facts, previous, changes)
            if root.blind is not None:
                context.relist.add(root)

    def lose(self, reason: GoneReason) -> None:
        """Emit that the target is gone: all that was in it first, then itself."""
        context = self.context
        root = context.index.root
        if root is None:
            return
        orderer = EventOrderer(context, Comparison(context), {})
        orderer.empty(root)
        context.drop(root)
        context.index.root = None
        context.debouncer.held.clear()
        self.bits = 0
        if context.services.tree_source is not None:
            context.services.tree_source.watch(None)
        context.emit.deleted("", root.record, "dir", reason=reason)

    def _gain(self, facts: StatResult) -> bool:
        """Enter a target that appeared; return whether it was the one that was resolved."""
        context = self.context
        root = context.make_node("", None, facts)
        context.index.root = root
        try:
            handle = context.open(root)
        except ElsewhereError:
            context.index.forget(root)
            context.index.root = None
            return False
        except OSError as error:
            context.emit.created("", facts)
            context.blind(root, error)
            if context.services.capabilities.exact_paths:
                context.watch_tree()  # it tries again by itself, until the directory may be read
            return True
        context.watch_tree()
        stats = (
            not context.emit.muted
            or context.options.sizes
            or context.services.capabilities.kind == "timer"
            or not context.services.capabilities.complete
        )
        try:
            scan(context, root, handle, stats=stats, adopt=False)
        finally:
            context.disk.close(handle)
        if not context.emit.muted:
            context.emit.created("", facts)
            EventOrderer(context, Comparison(context), {}).report_content(root)
            for entry in root.entries.values():
                if isinstance(entry, DirNode):
                    now = context.disk.monotonic()
                    context.settling.add(entry, now, existing=context.emit.existing)
        return True

    def gone_reason(self) -> GoneReason:
        """Return why the target would be gone if it is, from the hints about it."""
        root = self.context.index.root
        if root is None:
            return "deleted"
        holder = find_mount(self.real or "/", list(self.mounted.values()))
        if holder is not None and holder.id not in {mount.id for mount in read_mounts()}:
            return "unmounted"
        if self.bits & GONE:
            return "deleted"
        if self.bits & SELF_MOVED:
            return "moved"
        return "ancestor" if self._parent_is_gone() else "deleted"

    def _parent_is_gone(self) -> bool:
        directory = os.path.dirname(self.context.base) or "/"
        try:
            return self.context.disk.stat_path(directory) is None
        except OSError:
            return False

    @property
    def has_mounts_below(self) -> bool:
        """Return whether something was mounted below the target when this was found out last."""
        return any(point.startswith(self.real + "/") for point in self.mounted)

    def mounts_below(self) -> dict[str, Mount]:
        """Return the mounts at, below or above the location by point, the topmost of a stack."""
        real = self.real
        return {
            mount.point: mount
            for mount in read_mounts()
            if mount.point == real
            or mount.point.startswith(real + "/")
            or real.startswith(mount.point.rstrip("/") + "/")
        }
