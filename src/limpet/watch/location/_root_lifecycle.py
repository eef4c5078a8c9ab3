"""What stands at the location of a folder watch: gained, lost, replaced, of the wrong kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends import GONE, SELF_MOVED, read_mounts
from limpet.watch.diff._compare import Comparison
from limpet.watch.diff._context import ElsewhereError
from limpet.watch.diff._event_order import EventOrderer
from limpet.watch.diff._scan import scan
from limpet.watch.index._entry_record import kind_of_mode, pack, unpack

if TYPE_CHECKING:
    from limpet.events import Change, GoneReason, Kind
    from limpet.watch.diff._context import DiffContext
    from limpet.watch.index._entry_record import StatResult
    from limpet.watch.index._index import DirNode
    from limpet.watch.location._path_marks import PathMarks

__all__ = ["RootLifecycle"]

_ROUNDS: Final = 6
"""A location that changes faster than this many looks in a row is looked at a moment later."""


class RootLifecycle:
    """The target of one folder watch; keeps the root of the tree in step with it."""

    def __init__(self, context: DiffContext, path_marks: PathMarks) -> None:
        """Nothing is looked at before the first check."""
        self.context = context
        self.path_marks = path_marks
        self.found: Kind | None = None
        """What stands there, if it is no folder."""
        self.bits = 0
        """What hints have said of the root itself."""
        self.missed = False
        """A cautious watch found its target gone, once."""
        self.mounted: dict[str, int] = {}
        """Mounts at, below or above the location when they were last looked at."""
        self.real = context.base
        """Real path of the location, as the mount table spells it."""

    @property
    def is_blind(self) -> bool:
        """Whether nothing tells when something else comes to stand there."""
        path_marks = self.path_marks
        return (
            path_marks.blind
            or path_marks.unstable
            or self.missed
            or bool(self.context.degradation.location)
        )

    def check(self, reason: GoneReason) -> None:
        """Find out what stands at the location and, if it is another, tell the change."""
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
                if resolution.identity == (root.device, root.inode) and self._not_reborn(
                    root, facts
                ):
                    self._compare(root, facts)
                    self.missed = False
                    return
                if context.services.network and not self.missed:
                    self.missed = True  # and ask again, after RETRY_S at the latest
                    return
                self.missed = False
                self._lose(reason if facts is None or reason == "unmounted" else "replaced")
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

    @staticmethod
    def _not_reborn(root: DirNode, facts: StatResult | None) -> bool:
        """Whether the inode number still means the same folder."""
        born = unpack(root.record).birth
        return facts is None or not born or not facts.birth or born == facts.birth

    def _compare(self, root: DirNode, facts: StatResult | None) -> None:
        """Tell changes of the target's own mode and owner, if asked to."""
        context = self.context
        if facts is None:
            return
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

    def _lose(self, reason: GoneReason) -> None:
        """The target is gone: all it held first, then itself."""
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
        """The target came to be; tells whether it could be entered as the one that was resolved."""
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
            return True
        if context.services.tree_source is not None:
            context.services.tree_source.watch(context.base)
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
        return True

    def gone_reason(self) -> GoneReason:
        """Say why the target would be gone if it is, from what was seen of it."""
        root = self.context.index.root
        if root is None:
            return "deleted"
        mounted = self.mounts_below()
        gone_mount = any(
            device == root.device and point not in mounted for point, device in self.mounted.items()
        )
        if gone_mount:
            return "unmounted"
        if self.bits & GONE:
            return "deleted"
        if self.bits & SELF_MOVED:
            return "moved"
        return "ancestor" if self._parent_is_gone() else "deleted"

    def _parent_is_gone(self) -> bool:
        directory = self.context.base.rpartition("/")[0] or "/"
        try:
            return self.context.disk.stat_path(directory) is None
        except OSError:
            return False

    def mounts_below(self) -> dict[str, int]:
        """Mount points at, below or above the location -> device, the topmost of a stack."""
        real = self.real
        return {
            mount.point: mount.device
            for mount in read_mounts()
            if mount.point == real
            or mount.point.startswith(real + "/")
            or real.startswith(mount.point.rstrip("/") + "/")
        }
