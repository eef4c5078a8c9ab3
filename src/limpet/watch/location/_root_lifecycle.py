"""What stands at the location of a folder watch: gained, lost, replaced, of the wrong kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends import GONE, SELF_MOVED, read_mounts
from limpet.watch.diff._compare import Observer
from limpet.watch.diff._context import ElsewhereError
from limpet.watch.diff._event_order import Arranger
from limpet.watch.diff._scan import scan
from limpet.watch.index._entry_record import kind_of_mode, pack, unpack

if TYPE_CHECKING:
    from limpet.events import Change, GoneReason, Kind
    from limpet.watch.diff._context import Tree
    from limpet.watch.index._entry_record import Facts
    from limpet.watch.index._index import Folder
    from limpet.watch.location._path_marks import Tracker

__all__ = ["Target"]

_ROUNDS: Final = 6
"""A location that changes faster than this many looks in a row is looked at a moment later."""


class Target:
    """The target of one folder watch; keeps the root of the tree in step with it."""

    def __init__(self, tree: Tree, tracker: Tracker) -> None:
        """Nothing is looked at before the first check."""
        self.tree = tree
        self.tracker = tracker
        self.found: Kind | None = None
        """What stands there, if it is no folder."""
        self.bits = 0
        """What hints have said of the root itself."""
        self.missed = False
        """A cautious watch found its target gone, once."""
        self.mounted: dict[str, int] = {}
        """Mounts at, below or above the location when they were last looked at."""
        self.real = tree.base
        """Real path of the location, as the mount table spells it."""
        tree.can_reach = self._can_reach

    @property
    def is_blind(self) -> bool:
        """Whether nothing tells when something else comes to stand there."""
        tracker = self.tracker
        return tracker.blind or tracker.unstable or self.missed or bool(self.tree.troubles.location)

    def _can_reach(self) -> bool:
        """Whether the way to the location is open; if not, that is the trouble, not a folder's."""
        trouble = self.tracker.update().trouble
        if trouble:
            self.tree.troubles.location_unreachable(self.tree.emit, trouble)
        return not trouble

    def check(self, reason: GoneReason) -> None:
        """Find out what stands at the location and, if it is another, tell the change."""
        tree = self.tree
        for _ in range(_ROUNDS):
            resolution = self.tracker.update()
            if resolution.trouble:
                tree.troubles.location_unreachable(tree.emit, resolution.trouble)
                return
            tree.troubles.location_reachable(tree.emit)
            if resolution.facts is not None:
                self.real = resolution.path.rstrip("/")
            root = tree.index.root
            facts = resolution.facts
            if root is not None:
                if resolution.identity == (root.device, root.inode) and self._not_reborn(
                    root, facts
                ):
                    self._compare(root, facts)
                    self.missed = False
                    return
                if tree.cautious and not self.missed:
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
                    tree.emit.mismatched(kind, "dir")
                return
            self.found = None
            if self._gain(facts):
                return
        self.tracker.unstable = True

    @staticmethod
    def _not_reborn(root: Folder, facts: Facts | None) -> bool:
        """Whether the inode number still means the same folder."""
        born = unpack(root.record).birth
        return facts is None or not born or not facts.birth or born == facts.birth

    def _compare(self, root: Folder, facts: Facts | None) -> None:
        """Tell changes of the target's own mode and owner, if asked to."""
        tree = self.tree
        if facts is None:
            return
        was = unpack(root.record)
        changes: set[Change] = set()
        if (was.mode ^ facts.mode) & 0o7777:
            changes.add("mode")
        if (was.uid, was.gid) != (facts.uid, facts.gid):
            changes.add("owner")
        if changes:
            previous, root.record = root.record, pack(facts, tree.disk.now())
            if tree.options.metadata:
                tree.emit.updated("", facts, previous, changes)
            if root.blind is not None:
                tree.relist.add(root)

    def _lose(self, reason: GoneReason) -> None:
        """The target is gone: all it held first, then itself."""
        tree = self.tree
        root = tree.index.root
        if root is None:
            return
        arranger = Arranger(tree, Observer(tree), {})
        arranger.empty(root)
        tree.drop(root)
        tree.index.root = None
        tree.settler.held.clear()
        self.bits = 0
        if tree.watch_whole is not None:
            tree.watch_whole(None)
        tree.emit.deleted("", root.record, "dir", reason=reason)

    def _gain(self, facts: Facts) -> bool:
        """The target came to be; tells whether it could be entered as the one that was resolved."""
        tree = self.tree
        root = tree.node("", None, facts)
        tree.index.root = root
        try:
            handle = tree.open(root)
        except ElsewhereError:
            tree.index.forget(root)
            tree.index.root = None
            return False
        except OSError as error:
            tree.emit.created("", facts)
            tree.blind(root, error)
            return True
        if tree.watch_whole is not None:
            tree.watch_whole(tree.base)
        stats = not tree.emit.muted or tree.options.sizes or tree.polling or not tree.trusted
        try:
            scan(tree, root, handle, stats=stats, adopt=False)
        finally:
            tree.disk.close(handle)
        if not tree.emit.muted:
            tree.emit.created("", facts)
            Arranger(tree, Observer(tree), {}).tell_content(root)
        return True

    def gone_reason(self) -> GoneReason:
        """Say why the target would be gone if it is, from what was seen of it."""
        root = self.tree.index.root
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
        folder = self.tree.base.rpartition("/")[0] or "/"
        try:
            return self.tree.disk.stat_path(folder) is None
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
