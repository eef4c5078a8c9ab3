"""Keeps the marks on the way to a location in step with where the location leads.

Mark, then resolve again, until two resolutions in a row agree: a change in between is either seen
by the second resolution or reported by a mark that was there before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.backends import ATTRIB, GONE, SELF_MOVED, MarkError, Subscriber
from limpet.watching.location._resolve_path import (
    Resolution,
    can_resolve,
    resolve,
    resolve_without_marks,
)

if TYPE_CHECKING:
    from limpet.backends import Mark
    from limpet.watching.emit._services import WatchServices

_ROUNDS: Final = 8
"""A path that changes faster than this many resolutions in a row is resolved again a moment later.
"""


class Waypoint(Subscriber):
    """A marked directory on the way, and the names in it that matter."""

    __slots__ = ("mark", "names", "path", "what")

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: set[str] = set()
        self.what = 0
        self.mark: Mark | None = None


class PathMarks:
    """The marks on the way to one location."""

    def __init__(self, services: WatchServices, *, content: bool, path: str | None = None) -> None:
        """Mark nothing yet.

        Args:
            services: What the watch shares.
            content: The location is a file whose writes matter.
            path: Absolute; ``None`` is the location of the watch.
        """
        self.path = str(services.location) if path is None else path
        self.blind = not services.order or not can_resolve()
        """The way cannot be marked as a whole, so it must be resolved again in intervals."""
        self.unstable = False
        """The way changed while it was resolved: resolve it again soon."""
        self._services = services
        self._disk, self._router = services.disk, services.router
        self._order, self._content = services.order, content
        self._waypoints: dict[tuple[int, int], Waypoint] = {}

    def update(self) -> Resolution:
        """Resolve the location and mark the way to it."""
        if not self._order or not can_resolve():
            return resolve_without_marks(self._disk, self.path)
        before = resolve(self._disk, self.path, content=self._content)
        for _ in range(_ROUNDS):
            self._mark(before)
            now = resolve(self._disk, self.path, content=self._content)
            if (now.steps, now.identity, now.trouble) == (
                before.steps,
                before.identity,
                before.trouble,
            ):
                self.unstable = False
                return now
            before = now
        self.unstable = True
        return before

    def can_reach(self) -> bool:
        """Return whether the way to the location is open, and report it if it is not."""
        trouble = self.update().trouble
        if trouble:
            self._services.degradation.location_unreachable(self._services.emit, trouble)
        return not trouble

    def concerns(self, waypoint: Waypoint, name: str, bits: int) -> bool:
        """Return whether a hint may mean that the location leads elsewhere, or its file changed."""
        if name == "":
            return bool(bits & (GONE | SELF_MOVED | ATTRIB))
        return name in waypoint.names and waypoint.what != 0

    def has(self, waypoint: Waypoint) -> bool:
        """Return whether a directory is marked on this way."""
        return any(one is waypoint for one in self._waypoints.values())

    def _mark(self, resolution: Resolution) -> None:
        wanted: dict[tuple[int, int], Waypoint] = {}
        blind = False
        for step in resolution.steps:
            identity = (step.device, step.inode)
            waypoint = wanted.get(identity) or self._waypoints.get(identity) or Waypoint(step.path)
            if identity not in wanted:
                waypoint.names = set()
                waypoint.path = step.path
            wanted[identity] = waypoint
            waypoint.names.add(step.name)
            alive = waypoint.mark is not None and self._router.is_marked(waypoint.mark)
            if not alive or step.what > waypoint.what:
                blind |= not self._mark_one(waypoint, step.what, identity)
        for identity, waypoint in self._waypoints.items():
            if identity not in wanted and waypoint.mark is not None:
                self._router.unmark(waypoint.mark, waypoint, waypoint.path)
        self._waypoints = wanted
        self.blind = blind

    def _mark_one(self, waypoint: Waypoint, what: int, identity: tuple[int, int]) -> bool:
        try:
            fd = self._disk.open(waypoint.path)
        except OSError:
            return False
        try:
            facts = self._disk.stat(fd)
            if (facts.device, facts.inode) != identity or not isinstance(fd, int):
                return True  # it changed meanwhile: the next round resolves again
            waypoint.mark = self._router.mark(
                self._order, fd, what, waypoint, self._services.hints, device=facts.device
            )
            waypoint.what = max(what, waypoint.what)
        except (MarkError, OSError):
            return False
        finally:
            self._disk.close(fd)
        return True

    def close(self) -> None:
        """Remove every mark."""
        for waypoint in self._waypoints.values():
            if waypoint.mark is not None:
                self._router.unmark(waypoint.mark, waypoint, waypoint.path)
        self._waypoints = {}

    @property
    def marks(self) -> int:
        """Return the number of marked directories on the way."""
        return len(self._waypoints)
