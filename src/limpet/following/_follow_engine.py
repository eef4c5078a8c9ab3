"""The synchronous core of a follower: passes over its files, reading, and the checkpoint.

It needs no thread, no event loop and no watch. Its driver calls ``examine`` soon after a change and
now and then without one, ``read`` while there is room for events, and ``save``. Passes go on while
nobody reads, so that a file that is rotated meanwhile is held.

A pass has two phases. The first refreshes the files of a path and only notes in the state which of
them changed. The second handles those changes: each file is kept, recovered from a copy, or lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._checkpoint import (
    MISSING_S,
    Checkpoint,
    CheckpointStore,
    SavedFile,
    SavedPath,
)
from limpet.following._checkpoint_restore import restore
from limpet.following._copytruncate import find_copy
from limpet.following._file_io import FileIO
from limpet.following._follow_events import CheckpointCorrupt, FollowEvent
from limpet.following._follower_state import FollowerState
from limpet.following._open_files import close_due, close_quiet, refresh_all
from limpet.following._path_discovery import discover, forget, patterns_of, siblings
from limpet.following._path_resolution import is_unchanged, resolve
from limpet.following._position import Position
from limpet.following._read_scheduler import read
from limpet.following._rotation import scan, take_as_delivered
from limpet.following._truncation import (
    keep_position,
    keeps_position,
    lose,
    recover,
    report_truncated,
    restart,
)
from limpet.following._whole_file_mode import WholeFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import Change, FollowedFile
    from limpet.following._followed_path import FollowedPath

_SAVE_S: Final = 1.0
_SAVE_BYTES: Final = 8 << 20
"""The checkpoint is saved after this time, or once this much is acknowledged."""
_SAVE_FIRST_S: Final = 0.05
"""The first save after the start comes sooner, and each further one after twice the time: a process
that is killed again and again a moment after its start must still make progress."""
_INACTIVE_S: Final = 0.1
"""Nothing reports writes to a rotated file: it is examined at this interval."""
_ROUNDS: Final = 8
"""A path that changes in more than this many rounds in a row is examined again a moment later."""
_BETWEEN_CLOSES: Final = 64
_REDISCOVER_S: Final = 10.0
"""A glob is expanded again at this interval even if no new name is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStats:
    """Figures of a follower, for operators and tests."""

    paths: int
    """Paths followed, those that match a glob included."""
    generations: int
    """Files being read, rotated ones included."""
    open_files: int
    pinned_bytes: int
    """Bytes of deleted files that are held open."""
    backlog: int
    """Bytes known to be there and not read."""
    bytes_read: int
    lines: int
    """Lines read."""
    passes: int
    """Passes over the files."""
    gaps: int
    gap_bytes: int
    """Bytes reported as gaps."""
    truncations: int
    lost_bytes: int
    """Bytes reported as lost by truncation."""
    saves: int
    """Times the checkpoint was saved."""
    events_dropped: int
    """Informing events (a file appeared, was rotated) that were dropped because nobody consumed
    them."""
    last_error: str


class FollowEngine:
    """Everything of a follower except its thread and its shells."""

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: FollowOptions,
        *,
        io: FileIO | None = None,
    ) -> None:
        """Store what to follow; the disk is not touched, except to tell a glob from a name.

        Raises:
            UsageError: There is no path, or one is empty or contains a NUL.
        """
        self.options = options
        self.io = io or FileIO()
        self.state = FollowerState(options, self.io)
        self.patterns = patterns_of(paths)
        self.store = (
            None if options.state is None else CheckpointStore(options.state, options.durability)
        )
        self.finishing = options.until == "eof"
        """End once everything that is there now is delivered."""
        self._whole_files: dict[str, WholeFile] = {}
        self._glob_names = {
            os.path.basename(pattern.text) for pattern in self.patterns if pattern.is_glob
        }
        self._not_followed: dict[str, SavedPath] = {}
        """What the checkpoint has of paths that are not followed now."""
        self._saved_at = 0.0
        self._discovered_at = 0.0
        self._turn = 0

    @property
    def paths(self) -> list[FollowedPath]:
        return list(self.state.paths.values())

    # -- start and end -------------------------------------------------------------------------

    def start(self) -> None:
        """Lock and read the checkpoint, open what exists, and go to where to start.

        Raises:
            CheckpointBusyError: Another follower has the state; nothing was started.
            CheckpointCorruptError: No version of it can be read, and ``on_corrupt`` is ``raise``.
            OSError: The state file cannot be read or locked.
        """
        state, now = self.state, self.io.monotonic()
        self._discovered_at = now
        loaded: Checkpoint | None = None
        if self.store is not None:
            self.store.open()
            try:
                loaded = self._load(self.store)
            except BaseException:
                self.store.close()
                raise
        for pattern in self.patterns:
            discover(state, pattern)
        if self.options.mode == "whole":
            self._examine_whole_files(now)
            state.starting = False
            return
        self._restore(loaded, now)
        for followed in self.paths:
            if followed.rotated is not None and not followed.is_restored:
                take_as_delivered(state, followed.rotated)
        self._examine_all(self.paths, now, None)
        state.starting = False
        for followed in self.paths:
            followed.is_restored = False
        if self.store is not None:
            try:
                self.save()
            except BaseException:
                self.close()
                raise

    def _load(self, store: CheckpointStore) -> Checkpoint | None:
        loaded, troubles = store.load()
        for why, kept in troubles:
            self.state.emit(
                CheckpointCorrupt(
                    time=self.io.time(),
                    path=store.path,
                    kept_as=None if kept is None else Path(kept),
                    message=f"{why}; "
                    + ("the previous one is used" if loaded is not None else "no other is left"),
                )
            )
        if loaded is None and troubles and self.options.on_corrupt == "raise":
            raise store.corrupt_error()
        return loaded

    def _restore(self, loaded: Checkpoint | None, now: float) -> None:
        state, begin = self.state, self.options.begin
        if isinstance(begin, Position):
            first = next(iter(state.paths), None)
            if first is not None:
                time = self.io.time()
                entry = SavedFile(begin, begin.offset, first, time)
                loaded = Checkpoint(
                    begin.generation + 1, time, {first: SavedPath([entry], active=True)}
                )
        if loaded is None:
            return
        state.next_number = loaded.next_number
        if begin == "checkpoint" or isinstance(begin, Position):
            restore(state, loaded.paths, since=loaded.saved, now=now)
        self._not_followed = {
            path: one for path, one in loaded.paths.items() if path not in state.paths
        }

    def close(self) -> None:
        """Save what is acknowledged, and close every descriptor."""
        try:
            if self.store is not None and self.state.unsaved:
                self.save()
        finally:
            self.close_files()
            if self.store is not None:
                self.store.close()

    def close_files(self) -> None:
        """Close every descriptor; nothing more is delivered."""
        for followed in self.paths:
            for file in followed.files:
                if file.fd is not None:
                    self.io.close(file.fd)
                    file.fd = None
        self.state.files.clear()

    # -- passes --------------------------------------------------------------------------------

    def examine(self, hints: Iterable[str] | None = None) -> None:
        """Examine the files.

        Args:
            hints: Paths that are known to have changed; ``None`` is all. The others are examined
                too, at less cost.
        """
        now = self.io.monotonic()
        self.state.counters.passes += 1
        hinted = None if hints is None else set(hints)
        if hinted is None or now - self._discovered_at >= _REDISCOVER_S:
            self._discover(now)
        if self.options.mode == "whole":
            self._examine_whole_files(now)
        else:
            self._examine_all(self.paths, now, hinted)

    def examine_paths(self, paths: Iterable[str]) -> None:
        now = self.io.monotonic()
        self.state.counters.passes += 1
        names: set[str] = set()
        for path in set(paths):
            followed = self.state.paths.get(path)
            if followed is not None:
                self._examine(followed, now, hinted=True)
            else:
                names.add(os.path.basename(path))
        if any(fnmatch(name, glob) for name in names for glob in self._glob_names):
            self._discover(now)
        self._close_quiet()

    def _examine_all(
        self, paths: Iterable[FollowedPath], now: float, hinted: set[str] | None
    ) -> None:
        for number, followed in enumerate(paths, 1):
            self._examine(followed, now, hinted=hinted is None or followed.path in hinted)
            if not number % _BETWEEN_CLOSES:
                self._close_quiet()
        self._close_quiet()

    def _examine(self, followed: FollowedPath, now: float, *, hinted: bool) -> None:
        """Refresh the files of a path and handle their changes; then follow its name."""
        state = self.state
        followed.idle = not hinted and is_unchanged(state, followed)
        if followed.idle:
            return
        refresh_all(state, followed, now, hinted=hinted)
        self._handle_changes(now)
        followed.unstable = True
        for _ in range(_ROUNDS):
            again = resolve(state, followed, now)
            self._handle_changes(now)
            if not again:
                followed.unstable = False
                break
        close_due(state, followed, now)

    def _handle_changes(self, now: float) -> None:
        changes = self.state.changes
        while changes:
            file = next(iter(changes))
            self._handle(file, changes.pop(file), now)

    def _handle(self, file: FollowedFile, change: Change, now: float) -> None:
        """Keep the position in a changed file, or read it from its beginning.

        In the second case, what was not read of it before is recovered from a copy, or lost.
        """
        state = self.state
        if keeps_position(self.options, change, file.offset):
            keep_position(state, file, change)
            return
        followed = state.path_of(file)
        new = restart(state, followed, file, now)
        self._hold_copies(followed, now)
        copy = find_copy(state.io, file, siblings(state, followed))
        lost, recovered = change.lost, 0
        if copy is not None:
            recovered = recover(state, file, copy, now)
            lost = max(0, lost - recovered)
        else:
            lose(state, file)
        new.priority_end = 0 if new.is_active else new.size
        report_truncated(state, followed, new, change, lost=lost, recovered=recovered)

    def _hold_copies(self, followed: FollowedPath, now: float) -> None:
        """Hold every file that may be a copy of one of this path."""
        scan(self.state, followed, now, even_if_unchanged=True)
        for pattern in self.patterns:
            if pattern.text == followed.pattern:
                for new in discover(self.state, pattern):
                    new.unstable = resolve(self.state, new, now)  # the next pass does the rest

    def _discover(self, now: float) -> None:
        self._discovered_at = now
        forget(self.state)
        for pattern in self.patterns:
            for followed in discover(self.state, pattern):
                if self.options.mode != "whole":
                    self._examine(followed, now, hinted=True)

    def _examine_whole_files(self, now: float) -> None:
        for path in self.state.paths:
            whole = self._whole_files.get(path)
            if whole is None:
                whole = self._whole_files[path] = WholeFile(self.state, path)
            whole.examine(now)

    def _close_quiet(self) -> None:
        """Close the files that are quiet for longest if too many are open."""
        files = self.state.files.values()
        over = sum(file.fd is not None for file in files) - self.options.max_open
        if over <= 0:
            return
        quiet = [
            file
            for file in files
            if file.is_active and file.fd is not None and not file.backlog and file.is_acknowledged
        ]
        for file in sorted(quiet, key=lambda one: one.quiet_since)[:over]:
            close_quiet(self.state, file)
        self._handle_changes(self.io.monotonic())

    def due(self, now: float, *, interval: float) -> float:
        """Return when a pass is due without a hint, monotonic seconds.

        ``interval`` is the time between two passes over files that need no attention.
        """
        due = now + interval
        flush_partial = self.options.flush_partial
        for whole in self._whole_files.values():
            due = min(due, whole.due)
        for followed in self.state.paths.values():
            if followed.idle:
                continue
            if followed.unstable:
                return min(due, now + 0.001)
            for file in followed.files:
                if not file.is_active:
                    due = min(due, now + _INACTIVE_S)
                if file.partial_since is not None and flush_partial is not None:
                    due = min(due, file.partial_since + flush_partial)
        if self.store is not None and self.state.unsaved:
            due = min(due, self._saved_at + self._save_interval)
        return due

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> bool:
        """Read one chunk of the path whose turn it is; return whether there was anything.

        A path with much to read gets no more turns than one with little.
        """
        now = self.io.monotonic()
        paths = self.paths
        count = len(paths)
        for step in range(count):
            at = (self._turn + step) % count
            followed = paths[at]
            if not followed.idle and followed.backlog and read(self.state, followed, now):
                self._handle_changes(now)
                self._turn = at + 1
                return True
        for followed in paths:
            if not followed.caught_up:
                self.state.report_caught_up(followed)
        return False

    def fetch(self) -> list[FollowEvent]:
        """Take all events that are queued, in order."""
        events = list(self.state.events)
        self.state.events.clear()
        return events

    @property
    def at_end(self) -> bool:
        """Return whether a follower that ends by itself has ended, once ``fetch`` is empty."""
        paths = self.state.paths.values()
        if self.options.until == "retired":
            return self.state.next_number > 1 and not any(
                followed.files or followed.exists for followed in paths
            )
        return self.finishing and not any(followed.backlog for followed in paths)

    # -- the checkpoint ------------------------------------------------------------------------

    def save_if_due(self) -> None:
        """Save what is acknowledged, if it is time.

        Raises:
            OSError: The previous checkpoint is still saved.
        """
        state = self.state
        if self.store is None or not state.unsaved or self.options.durability == "none":
            return
        waited = self.io.monotonic() - self._saved_at
        if waited >= self._save_interval or state.unsaved_bytes >= _SAVE_BYTES:
            self.save()

    @property
    def _save_interval(self) -> float:
        saves = 0 if self.store is None else self.store.saves
        return min(_SAVE_S, _SAVE_FIRST_S * float(1 << min(saves, 10)))

    def save(self) -> None:
        """Save what is acknowledged.

        Raises:
            OSError: The previous checkpoint is still saved.
        """
        if self.store is None:
            return
        state = self.state
        state.unsaved, state.unsaved_bytes = False, 0
        self._saved_at = self.io.monotonic()
        try:
            self.store.save(self.checkpoint())
        except BaseException:
            state.unsaved = True
            raise

    def checkpoint(self) -> Checkpoint:
        now = self.io.time()
        made = Checkpoint(self.state.next_number, now)
        for path, old in self._not_followed.items():
            old.files = [one for one in old.files if now - one.since < MISSING_S]
            if old.files:
                made.paths[path] = old
        for followed in self.state.paths.values():
            files = [*followed.unacknowledged, *followed.files]
            if not files and not followed.is_restored and followed.found_late:
                continue
            known = {} if followed.rotated is None else followed.rotated.known
            made.paths[followed.path] = SavedPath(
                [
                    SavedFile(
                        file.position(file.acknowledged), file.size, file.name, now, not file.nlink
                    )
                    for file in files
                    if not followed.needs_no_entry(file)
                ],
                active=followed.active is not None,
                known=[
                    (identity[1], inode_generation)
                    for identity, (inode_generation, _) in known.items()
                ],
            )
        return made

    def stats(self) -> FollowStats:
        counters = self.state.counters
        files = list(self.state.files.values())
        return FollowStats(
            paths=len(self.state.paths),
            generations=len(files),
            open_files=sum(file.fd is not None for file in files),
            pinned_bytes=sum(file.size for file in files if file.fd is not None and not file.nlink),
            backlog=sum(file.backlog for file in files),
            bytes_read=counters.bytes_read,
            lines=counters.lines,
            passes=counters.passes,
            gaps=counters.gaps,
            gap_bytes=counters.gap_bytes,
            truncations=counters.truncations,
            lost_bytes=counters.lost_bytes,
            saves=0 if self.store is None else self.store.saves,
            events_dropped=counters.events_dropped,
            last_error=counters.last_error,
        )
