"""The synchronous whole of a follower: looks when told to, reads when asked for, knows what is due.

It needs no thread, no event loop and no watch: who drives it calls ``look`` as often as he likes
(soon after a change, and now and then without), ``read`` as long as he has room for what comes, and
``save``. Looking goes on while nobody reads, so that a file that is put aside meanwhile is held.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._checkpoint import (
    Checkpoint,
    CheckpointStore,
    SavedFile,
    SavedPath,
    corrupt,
    known_of,
)
from limpet.following._checkpoint_restore import resume
from limpet.following._copytruncate import find_copy, must_wait
from limpet.following._file_io import FileIO
from limpet.following._follow_events import CheckpointCorrupt, FollowEvent
from limpet.following._followed_path import FollowedPath
from limpet.following._follower_state import FollowerState
from limpet.following._open_files import rest
from limpet.following._path_discovery import each_path, patterns_of
from limpet.following._position import Position
from limpet.following._read_scheduler import read
from limpet.following._whole_file_mode import WholeFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from limpet.following._copytruncate import Copy
    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import FollowedFile

__all__ = ["FollowEngine", "FollowStats"]

_SAVE_S: Final = 1.0
_SAVE_BYTES: Final = 8 << 20
"""The state is saved after so long, or once so much is committed."""
_SAVE_FIRST_S: Final = 0.05
"""After the start it is saved sooner, and each time twice as late: one that is killed again and
again a moment after its start must get on all the same."""
_DRAINING_S: Final = 0.1
"""Nothing tells of writes to a file that was put aside: it is looked at this often."""
_BETWEEN_RESTS: Final = 64
_REDISCOVER_S: Final = 10.0
"""A glob is expanded anew this often though nothing tells of a new name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStats:
    """How a follower stands, for operators and tests."""

    paths: int
    """Paths followed, those that match a glob included."""
    generations: int
    """Files held, those put aside included."""
    open_files: int
    pinned_bytes: int
    """Bytes of deleted files that are held open."""
    backlog: int
    """Bytes known to be there and not read."""
    bytes_read: int
    lines: int
    """Lines read."""
    looks: int
    gaps: int
    gap_bytes: int
    """Bytes told as gaps."""
    truncations: int
    lost_bytes: int
    """Bytes told as lost by truncation."""
    saves: int
    """Times the state was saved."""
    events_dropped: int
    """Informing events (a file appeared, was rotated) dropped because nobody asked for them."""
    last_error: str


class FollowEngine:
    """Everything of a follower but its shell."""

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: FollowOptions,
        *,
        disk: FileIO | None = None,
        remote: Callable[[str], bool] | None = None,
    ) -> None:
        """Know what to follow; the disk is not touched.

        Raises:
            UsageError: A path is none, or a position is given for several.
        """
        self.options = options
        self.world = FollowerState(options, disk or FileIO(), remote=remote)
        self.world.find_copy = self._find_copy
        self.world.must_wait = self._must_wait
        self.disk = self.world.disk
        self.sources = patterns_of(self.world, paths)
        self.wholes: dict[str, WholeFile] = {}
        self.store = (
            None if options.state is None else CheckpointStore(options.state, options.durability)
        )
        self.finishing = options.until == "eof"
        self._old: dict[str, SavedPath] = {}
        """What the state says of paths that are not followed now."""
        self._saved_at = 0.0
        self._discovered_at = 0.0
        self._turn = 0

    # -- start and end -------------------------------------------------------------------------

    def start(self) -> None:
        """Lock and read the state, open what is there, and go to where to begin.

        Raises:
            CheckpointBusyError: Another follower has the state; nothing was started.
            CheckpointCorruptError: No version of it can be read, and ``on_corrupt`` is ``raise``.
            OSError: The state file cannot be read or locked.
        """
        world, now = self.world, self.disk.monotonic()
        self._discovered_at = now
        loaded: Checkpoint | None = None
        if self.store is not None:
            self.store.open()
            try:
                loaded = self._load(self.store)
            except BaseException:
                self.store.close()
                raise
        for source in self.sources:
            source.discover()
        if self.options.mode == "whole":
            self._look_whole(now)
            world.starting = False
            return
        begin = self.options.begin
        targets = {target.path: target for target in each_path(self.sources)}
        if isinstance(begin, Position):
            first = next(iter(targets.values()), None)
            if first is not None:
                entry = SavedFile(begin, begin.offset, first.path, self.disk.time())
                loaded = Checkpoint(begin.generation + 1, self.disk.time())
                loaded.targets[first.path] = SavedPath([entry], active=True)
        if loaded is not None:
            world.next_number = loaded.next_number
            if begin == "checkpoint" or isinstance(begin, Position):
                resume(world, targets, loaded.targets, since=loaded.saved, now=now)
            self._old = {p: one for p, one in loaded.targets.items() if p not in targets}
        for target in targets.values():
            if target.rotations is not None and not target.resumed:
                target.rotations.baseline()
        self._look_all(targets.values(), now, None)
        world.starting = False
        for target in targets.values():
            target.resumed = False
        if self.store is not None:
            try:
                self.save()
            except BaseException:
                self.close()
                raise

    def _load(self, store: CheckpointStore) -> Checkpoint | None:
        loaded, troubles = store.load()
        for why, kept in troubles:
            self.world.tell(
                CheckpointCorrupt(
                    time=self.disk.time(),
                    path=store.path,
                    kept_as=None if kept is None else Path(kept),
                    message=f"{why}; "
                    + ("the one before it is used" if loaded is not None else "nothing is known"),
                )
            )
        if loaded is None and troubles and self.options.on_corrupt == "raise":
            raise corrupt(store.path)
        return loaded

    def close(self) -> None:
        """Save what is committed, and close every descriptor."""
        try:
            if self.store is not None and self.world.changed:
                self.save()
        finally:
            for target in self.targets():
                target.close()
            if self.store is not None:
                self.store.close()

    # -- looking -------------------------------------------------------------------------------

    def targets(self) -> list[FollowedPath]:
        """Give every path that is followed."""
        return list(each_path(self.sources))

    def look(self, hints: Iterable[str] | None = None) -> None:
        """See what became of the files.

        Args:
            hints: Paths that something is known to have happened to; ``None`` is all. The others
                are looked at too, if they are due.
        """
        now = self.disk.monotonic()
        self.world.figures.looks += 1
        told = None if hints is None else set(hints)
        if self.options.mode == "whole":
            self._discover(now, told)
            self._look_whole(now)
            return
        self._discover(now, told)
        self._look_all(self.targets(), now, told)

    def _look_all(self, targets: Iterable[FollowedPath], now: float, told: set[str] | None) -> None:
        for number, target in enumerate(targets, 1):
            target.look(now, hinted=told is None or target.path in told)
            if not number % _BETWEEN_RESTS:
                self._rest()
        self._rest()

    def look_at(self, paths: Iterable[str]) -> None:
        """See what became of some paths only."""
        now = self.disk.monotonic()
        self.world.figures.looks += 1
        wanted = set(paths)
        missing = set(wanted)
        for source in self.sources:
            for path in wanted & source.targets.keys():
                missing.discard(path)
                source.targets[path].look(now, hinted=True)
        names = {os.path.basename(source.pattern) for source in self.sources if source.glob}
        if any(fnmatch(os.path.basename(path), name) for path in missing for name in names):
            self._discover(now, None)
        self._rest()

    def _discover(self, now: float, told: set[str] | None) -> None:
        if told is not None and now - self._discovered_at < _REDISCOVER_S:
            return
        self._discovered_at = now
        for source in self.sources:
            source.forget()
            for target in source.discover():
                if self.options.mode != "whole":
                    target.look(now, hinted=True)

    def _look_whole(self, now: float) -> None:
        for target in self.targets():
            whole = self.wholes.get(target.path)
            if whole is None:
                whole = self.wholes[target.path] = WholeFile(self.world, target.path)
            whole.look(now)

    def _find_copy(self, file: FollowedFile, now: float) -> Copy | None:
        target = file.target
        if target.rotations is not None:
            target.rotations.scan(now, surely=True)
        for source in self.sources:
            if source.targets.get(target.path) is target:
                for new in source.discover():
                    new.look(now)
                return find_copy(file, source.siblings(target))
        return None

    def _must_wait(self, file: FollowedFile, now: float) -> bool:
        for source in self.sources:
            if source.targets.get(file.target.path) is file.target:
                return must_wait(file, source.siblings(file.target), now)
        return False

    def _rest(self) -> None:
        """Close the quietest files if there are too many."""
        world = self.world
        over = sum(file.fd is not None for file in world.held.values()) - self.options.max_open
        if over <= 0:
            return
        quiet = [
            file
            for file in world.held.values()
            if file.is_active and file.fd is not None and not file.backlog and file.is_acked
        ]
        for file in sorted(quiet, key=lambda one: one.quiet_since)[:over]:
            rest(file.target, file)

    def due(self, now: float, *, interval: float) -> float:
        """Say when to look again although nothing tells of a change, monotonic seconds.

        ``interval`` is between two looks at files of which nothing special is known.
        """
        due = now + interval
        options = self.options
        for whole in self.wholes.values():
            due = min(due, whole.due)
        for target in self.targets():
            if target.idle:
                continue
            if target.unstable:
                return min(due, now + 0.001)
            for file in target.held:
                if not file.is_active:
                    due = min(due, now + _DRAINING_S)
                if file.held_since is not None and options.flush_partial is not None:
                    due = min(due, file.held_since + options.flush_partial)
        if self.store is not None and self.world.changed:
            due = min(due, self._saved_at + self._save_pause)
        return due

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> bool:
        """Read one piece of the path whose turn it is; tells whether there was anything.

        A path that has much to read has no more turns than one that has little.
        """
        now = self.disk.monotonic()
        targets = self.targets()
        count = len(targets)
        for step in range(count):
            at = (self._turn + step) % count
            target = targets[at]
            if not target.idle and target.backlog and read(target, now):
                self._turn = at + 1
                return True
        for target in targets:
            if not target.caught_up:
                target.told_caught_up()
        return False

    def fetch(self) -> list[FollowEvent]:
        """Take all that was found and read, in order."""
        out = list(self.world.out)
        self.world.out.clear()
        return out

    @property
    def at_end(self) -> bool:
        """Whether a follower that ends by itself is at its end, once ``fetch`` gives nothing."""
        if self.options.until == "retired":
            targets = self.targets()
            return bool(self.world.next_number > 1) and not any(
                target.held or target.is_there for target in targets
            )
        return self.finishing and not any(target.backlog for target in self.targets())

    # -- state ---------------------------------------------------------------------------------

    def save_if_due(self) -> None:
        """Save what is committed, if it is time."""
        world, now = self.world, self.disk.monotonic()
        if self.store is None or not world.changed or self.options.durability == "none":
            return
        if now - self._saved_at >= self._save_pause or world.acked_bytes >= _SAVE_BYTES:
            self.save()

    @property
    def _save_pause(self) -> float:
        saves = 0 if self.store is None else self.store.saves
        return min(_SAVE_S, _SAVE_FIRST_S * float(1 << min(saves, 10)))

    def save(self) -> None:
        """Save what is committed.

        Raises:
            OSError: What was saved before still is.
        """
        if self.store is None:
            return
        world = self.world
        world.changed, world.acked_bytes = False, 0
        self._saved_at = self.disk.monotonic()
        try:
            self.store.save(self.checkpoint())
        except BaseException:
            world.changed = True
            raise

    def checkpoint(self) -> Checkpoint:
        """Give what is to be kept."""
        now = self.disk.time()
        made = Checkpoint(self.world.next_number, now)
        for path, old in self._old.items():
            old.entries = [one for one in old.entries if now - one.since < 7 * 86400.0]
            if old.entries:
                made.targets[path] = old
        for target in self.targets():
            files = [*target.unacked, *target.held]
            if not files and not target.resumed and target.found:
                continue
            known = {} if target.rotations is None else target.rotations.known
            made.targets[target.path] = SavedPath(
                [
                    SavedFile(file.position(file.acked), file.size, file.name, now, not file.nlink)
                    for file in files
                    if not target.finds_again(file)
                ],
                active=target.active is not None,
                known=known_of(known),
            )
        return made

    def stats(self) -> FollowStats:
        """Give the figures."""
        world, figures = self.world, self.world.figures
        held = list(world.held.values())
        return FollowStats(
            paths=len(self.targets()),
            generations=len(held),
            open_files=sum(file.fd is not None for file in held),
            pinned_bytes=sum(file.size for file in held if file.fd is not None and not file.nlink),
            backlog=sum(file.backlog for file in held),
            bytes_read=figures.bytes_read,
            lines=figures.lines,
            looks=figures.looks,
            gaps=figures.gaps,
            gap_bytes=figures.gap_bytes,
            truncations=figures.truncations,
            lost_bytes=figures.lost_bytes,
            saves=0 if self.store is None else self.store.saves,
            events_dropped=figures.events_dropped,
            last_error=figures.last_error,
        )
