"""The synchronous core of a follower: passes over its files, reading, and the checkpoint.

It needs no thread, no event loop and no watch. Its driver calls ``examine`` soon after a change and
now and then without one, ``read`` while there is room for events, and ``save``. Passes go on while
nobody reads, so that a file that is rotated meanwhile is held.

A pass has two phases. The first refreshes the files of a path and only notes in the state which of
them changed. The second handles those changes: each file is kept, recovered from a copy, or lost.
"""

from __future__ import annotations

import errno
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.errors import UsageError
from limpet.following._checkpoint import (
    Checkpoint,
    CheckpointStore,
    SavedFile,
    SavedPath,
)
from limpet.following._checkpoint_parts import CheckpointParts
from limpet.following._checkpoint_restore import restore
from limpet.following._close_files import close_descriptor, close_due, make_descriptor_room
from limpet.following._copytruncate import find_copy
from limpet.following._file_io import FileIO
from limpet.following._follow_events import CheckpointCorrupt, FollowEvent
from limpet.following._follow_stats import FollowStats, stats_of
from limpet.following._followed_file import HOLD_S
from limpet.following._followed_stream import STDIN, FollowedStream
from limpet.following._follower_state import FollowerState
from limpet.following._lost_files import report_missing
from limpet.following._open_files import refresh_all, report_unreadable
from limpet.following._path_discovery import (
    discover,
    discover_named,
    forget,
    patterns_of,
    siblings,
)
from limpet.following._path_resolution import is_unchanged, resolve
from limpet.following._position import Position
from limpet.following._read_scheduler import read
from limpet.following._rotation import examine_delivered, scan, take_all_as_delivered
from limpet.following._truncation import (
    keep_position,
    keeps_position,
    lose,
    recover,
    report_truncated,
    restart,
    undo_restart,
)
from limpet.following._whole_file_mode import WholeFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._follow_options import FollowOptions
    from limpet.following._followed_file import Change, Copy, FollowedFile
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
_AT_ONCE: Final = 256
"""Quiet paths examined at a time, in turn: what is reported meanwhile waits for a millisecond, not
for all of them. A wake-up costs as much as 25 examinations."""
_REDISCOVER_S: Final = 10.0
"""A glob is expanded again at this interval even if no new name is reported."""


def _may_miss_files(followed: FollowedPath, now: float) -> bool:
    return followed.rotated is not None and followed.rotated.may_miss_files(now)


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
        if isinstance(options.begin, Position) and (
            len(self.patterns) > 1 or self.patterns[0].is_glob
        ):
            message = "start: a Position is a place in one file, so give the path of one file"
            raise UsageError(message)
        self.store = (
            None if options.state is None else CheckpointStore(options.state, options.durability)
        )
        self.finishing = options.until == "eof"
        """End once everything that is there now is delivered."""
        self._whole_files: dict[str, WholeFile] = {}
        self._not_quiet: set[str] = set()
        """Paths of ``mode="whole"`` that are examined again once they may be quiet."""
        self._has_globs = any(pattern.is_glob for pattern in self.patterns)
        self._round: list[str] = []
        """Paths that are still to be examined in this round, the next one last."""
        self._round_size = 1
        self._delivered_turn = 0
        self._saved_at = 0.0
        self._discovered_at = 0.0
        self._parts = CheckpointParts(self.state)

    @property
    def paths(self) -> list[FollowedPath]:
        return list(self.state.paths.values())

    # -- start and end -------------------------------------------------------------------------

    def start(self) -> None:
        """Lock and read the checkpoint, open what exists, and go to where to start.

        Raises:
            CheckpointBusyError: Another follower has the state; nothing was started.
            CheckpointCorruptError: No version of it can be read, and ``on_corrupt`` is ``raise``.
            UsageError: The state file is a folder, or a file of another program.
            StateFileError: The state file cannot be read, locked or written.
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
            state.own_names = self.store.names
        for pattern in self.patterns:
            discover(state, pattern)
        if self.options.mode == "whole":
            self._examine_whole_files(state.paths, now)
            state.starting = False
            return
        try:
            self._start_files(loaded, now)
            if self.store is not None:
                self.save()
        except BaseException:
            self.close_files()
            if self.store is not None:
                self.store.close()
            raise

    def _start_files(self, loaded: Checkpoint | None, now: float) -> None:
        state = self.state
        self._open_stdin()
        self._restore(loaded, now)
        for rotated in state.rotated.values():
            if not any(one.is_restored for one in self.paths if one.rotated is rotated):
                take_all_as_delivered(state, rotated)
        for followed in self.paths:
            if state.cancelled:
                message = "the start was cancelled"
                raise InterruptedError(message)
            self._examine(followed, now, hinted=True)
        state.starting = False
        for followed in self.paths:
            followed.is_restored = False

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
                entry = SavedFile(begin, begin.offset, first, None, was_active=True)
                loaded = Checkpoint(begin.generation + 1, time, {first: SavedPath([entry])})
        if loaded is None:
            return
        state.next_number = loaded.next_number
        if begin == "checkpoint" or isinstance(begin, Position):
            for path, followed in state.paths.items():
                # it came while nothing ran: as one that comes while it runs
                followed.found_late = path not in loaded.paths and (
                    followed.pattern != path and followed.pattern in loaded.patterns
                )
            restore(state, loaded, now=now)
        self._parts.keep(loaded)

    def close(self) -> None:
        """Save what is acknowledged, and close every descriptor."""
        try:
            if self.store is not None and self.state.unsaved:
                self.save()
        finally:
            self.close_files()
            if self.store is not None:
                self.store.close()

    def close_copy(self) -> None:
        """Close the descriptors that a forked child has of it; the lock stays the parent's."""
        self.close_files()
        if self.store is not None:
            self.store.close()

    def close_files(self) -> None:
        """Close every descriptor; nothing more is delivered."""
        for file in list(self.state.held):
            close_descriptor(self.state, file)
        self.state.files.clear()
        for stream in self.state.streams.values():
            stream.close()
        self.state.streams.clear()

    # -- passes --------------------------------------------------------------------------------

    def examine(self) -> None:
        """Examine everything."""
        now = self.io.monotonic()
        self.state.counters.passes += 1
        self._round.clear()
        self._discover(now)
        if self.options.mode == "whole":
            self._examine_whole_files(self.state.paths, now)
            return
        for followed in self.paths:
            self._examine(followed, now, hinted=True)
        for rotated in self.state.rotated.values():
            examine_delivered(self.state, rotated, now)
        self._make_room()

    def examine_paths(self, paths: Iterable[str]) -> None:
        """Examine paths that are known to have changed."""
        now = self.io.monotonic()
        state = self.state
        state.counters.passes += 1
        for path in set(paths):
            followed = state.paths.get(path)
            if followed is None and self._has_globs:
                followed = discover_named(state, self.patterns, path)
            if followed is None:
                continue
            if self.options.mode == "whole":
                self._examine_whole_files((path,), now)
            else:
                self._examine(followed, now, hinted=True)
        self._make_room()

    def examine_due(self) -> None:
        """Examine what needs attention, and the next paths of a round over all.

        A round over thousands of paths is made in small parts: see ``due``.
        """
        now = self.io.monotonic()
        state = self.state
        state.counters.passes += 1
        if now - self._discovered_at >= _REDISCOVER_S:
            self._discover(now)
        if not self._round:
            self._begin_round(now)
        part, self._round = self._round[-_AT_ONCE:], self._round[:-_AT_ONCE]
        if self.options.mode == "whole":
            self._examine_whole_files({*part, *self._not_quiet}, now)
            return
        for followed in list(state.busy):
            self._examine(followed, now, hinted=False)
        for path in reversed(part):
            next_one = state.paths.get(path)
            if next_one is not None and next_one not in state.busy:
                self._examine(next_one, now, hinted=False)
        self._make_room()

    def _begin_round(self, now: float) -> None:
        state = self.state
        self._round = list(reversed(state.paths))
        self._round_size = max(1, len(self._round))
        for rotated in state.rotated.values():
            scan(state, rotated, now)
            self._delivered_turn += 1
            examine_delivered(state, rotated, now, turn=self._delivered_turn)

    def _examine(self, followed: FollowedPath, now: float, *, hinted: bool) -> None:
        """Refresh the files of a path and handle their changes; then follow its name.

        A failure is reported and tried again; it affects no other path.
        """
        state = self.state
        if followed.path == STDIN:
            return
        followed.idle = not hinted and is_unchanged(state, followed)
        if followed.idle:
            state.busy.pop(followed, None)
            return
        try:
            self._examine_files(followed, now, hinted=hinted)
        except OSError as error:
            number = error.errno or errno.EIO
            state.report_inaccessible(followed, number, error.strerror or str(error))
        if followed.lost and not state.starting:
            report_missing(state, followed)
        if followed.needs_attention:
            state.busy[followed] = None
        else:
            state.busy.pop(followed, None)

    def _examine_files(self, followed: FollowedPath, now: float, *, hinted: bool) -> None:
        state = self.state
        for file in followed.files:
            change = state.postponed.pop(file, None)
            if change is not None:
                state.changes[file] = change
        refresh_all(state, followed, now, hinted=hinted)
        self._handle_changes(now)
        followed.unstable = True
        for _ in range(_ROUNDS):
            again = resolve(state, followed, now)
            self._handle_changes(now)
            if not again:
                followed.unstable = _may_miss_files(followed, now)
                break
        close_due(state, followed, now)

    def _handle_changes(self, now: float) -> None:
        state = self.state
        while state.changes:
            file = next(iter(state.changes))
            change = state.changes.pop(file)
            state.mark_changed(file.path)
            state.busy[state.path_of(file)] = None
            try:
                self._handle(file, change, now)
            except OSError as error:
                state.postponed[file] = change
                report_unreadable(state, file, error, now)

    def _handle(self, file: FollowedFile, change: Change, now: float) -> None:
        """Keep the position in a changed file, or read it from its beginning.

        In the second case, what was not read of it before is recovered from a copy, or lost.
        """
        state = self.state
        if keeps_position(self.options, change, file.offset):
            keep_position(state, file, change)
            return
        followed = state.path_of(file)
        status = self.io.fstat(file.open_fd)
        new = restart(state, followed, file, status, now)
        try:
            copy = self._find_copy(followed, file, now)
        except OSError:
            if not new.offset and new.continuation is None:
                undo_restart(state, followed, file, new)
                raise
            copy = None
        lost, recovered = change.lost, 0
        if copy is not None:
            recovered = recover(state, file, copy, now)
            lost = max(0, lost - recovered)
        else:
            lose(state, file)
        new.priority_end = 0 if new.is_active else new.size
        report_truncated(state, followed, new, change, lost=lost, recovered=recovered)

    def _find_copy(self, followed: FollowedPath, file: FollowedFile, now: float) -> Copy | None:
        """Return the copy of an emptied file, if there is one.

        Raises:
            OSError: This cannot be found out now, and has not been for long.
        """
        self._hold_copies(followed, now)
        rotated = followed.rotated
        try:
            copy = find_copy(self.state, file, siblings(self.state, followed))
            if copy is None and rotated is not None and rotated.is_unsure:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), rotated.dir)
        except OSError:
            file.note_failure(now)
            if now - (file.failing_since or now) < HOLD_S:
                raise
            return None
        return copy

    def _hold_copies(self, followed: FollowedPath, now: float) -> None:
        """Hold every file that may be a copy of one of this path."""
        scan(self.state, followed.rotated, now, even_if_unchanged=True)
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

    def _examine_whole_files(self, paths: Iterable[str], now: float) -> None:
        for path in list(paths):
            whole = self._whole_files.get(path)
            if whole is None:
                whole = self._whole_files[path] = WholeFile(self.state, path)
            whole.examine(now)
            if whole.due < math.inf:
                self._not_quiet.add(path)
            else:
                self._not_quiet.discard(path)

    def _make_room(self) -> None:
        """Close the files that were used longest ago if too many are open."""
        if len(self.state.held) > self.options.max_open:
            make_descriptor_room(self.state)
            self._handle_changes(self.io.monotonic())

    def due(self, now: float, *, interval: float) -> float:
        """Return when a pass is due without a hint, monotonic seconds.

        ``interval`` is the time between two passes over files that need no attention.
        """
        parts = max(1, (self._round_size + _AT_ONCE - 1) // _AT_ONCE)
        due = now + interval / parts
        flush_partial = self.options.flush_partial
        for path in self._not_quiet:
            due = min(due, self._whole_files[path].due)
        for followed in self.state.busy:
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
        state, now = self.state, self.io.monotonic()
        if self._read_streams():
            return True
        for followed in list(state.busy):
            if followed.backlog and read(state, followed, now):
                self._handle_changes(now)
                if followed in state.busy:  # its next turn comes after that of the others
                    del state.busy[followed]
                if state.paths.get(followed.path) is followed:
                    state.busy[followed] = None
                return True
            if not followed.needs_attention:
                del state.busy[followed]
        for followed in list(state.not_caught_up):
            state.report_caught_up(followed)
        return False

    def _read_streams(self) -> bool:
        """Read one chunk of each stream; return whether there was any."""
        found = False
        for stream in list(self.state.streams.values()):
            blocks = stream.take()
            if blocks is not None:
                found = True
                self.state.deliver(stream, blocks)
                continue
            if stream.has_ended:
                self.state.deliver(stream, stream.splitter.flush())
        return found

    def _open_stdin(self) -> None:
        state, followed = self.state, self.state.paths.get(STDIN)
        if followed is None or followed.stream is not None:
            return
        fd = sys.stdin.fileno() if sys.stdin is not None else 0
        number, splitter = state.take_number(), state.new_splitter()
        followed.stream = FollowedStream(STDIN, fd, number, splitter, state.wake)
        state.streams[followed] = followed.stream

    def fetch(self) -> list[FollowEvent]:
        """Take all events that are queued, in order."""
        return self.state.events.take_all()

    @property
    def at_end(self) -> bool:
        """Return whether a follower that ends by itself has ended, once ``fetch`` is empty."""
        paths = self.state.paths.values()
        streams = self.state.streams.values()
        if (
            streams
            and len(streams) == len(paths)
            and all(one.has_ended and one.is_read for one in streams)
        ):
            return True  # standard input, and nothing else
        if self.options.until == "retired":
            return self.state.next_number > 1 and not any(
                followed.files or followed.exists for followed in paths
            )
        return (
            self.finishing
            and all(one.is_read for one in streams)
            and not any(followed.backlog or followed.is_waiting for followed in self.state.busy)
        )

    def flush(self) -> None:
        """Deliver the lines that have no end yet: nothing more is read."""
        for stream in self.state.streams.values():
            self.state.deliver(stream, stream.splitter.flush())
        for followed in self.paths:
            for file in followed.files:
                if file.partial_since is not None:
                    file.partial_since = None
                    self.state.deliver(file, file.splitter.flush())

    # -- the checkpoint ------------------------------------------------------------------------

    def save_if_due(self) -> bool:
        """Save what is acknowledged, if it is time; return whether it was.

        Raises:
            StateFileError: The previous checkpoint is still saved.
        """
        state = self.state
        self._parts.drop_changed()
        if self.store is None or not state.unsaved or self.options.durability == "none":
            return False
        waited = self.io.monotonic() - self._saved_at
        is_due = waited >= self._save_interval or state.unsaved_bytes >= _SAVE_BYTES
        if is_due:
            self.save()
        return is_due

    @property
    def _save_interval(self) -> float:
        saves = 0 if self.store is None else self.store.saves
        return min(_SAVE_S, _SAVE_FIRST_S * float(1 << min(saves, 10)))

    def save(self) -> None:
        """Save what is acknowledged.

        Raises:
            StateFileError: The previous checkpoint is still saved.
        """
        if self.store is None:
            return
        state = self.state
        state.unsaved, state.unsaved_bytes = False, 0
        self._saved_at = self.io.monotonic()
        try:
            self.store.save(self._parts.encode(self.patterns))
        except BaseException:
            state.unsaved = True
            raise

    def stats(self) -> FollowStats:
        """Return the figures."""
        return stats_of(self.state, 0 if self.store is None else self.store.saves)
