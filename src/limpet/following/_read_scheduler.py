"""Reading: whose turn it is among the files of a path, and what comes before the first line."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from limpet.following._copytruncate import must_wait, possible_originals
from limpet.following._file_io import SHORTAGE
from limpet.following._follow_options import FollowOptions
from limpet.following._followed_file import HOLD_S
from limpet.following._line_splitter import LineSplitter
from limpet.following._open_files import open_for_turn, refresh, report_unreadable
from limpet.following._path_discovery import siblings
from limpet.following._path_resolution import take_over

if TYPE_CHECKING:
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState


def read(state: FollowerState, followed: FollowedPath, now: float) -> bool:
    """Read one chunk of the file whose turn it is; return whether anything was done.

    Nothing is read while a change is not handled yet.
    """
    for file in reading_order(followed, strict=state.options.order == "strict"):
        if file in state.postponed or not _is_open(state, followed, file, now):
            if state.changes or file not in followed.files:
                return True
            if _holds_others_back(file, now):
                return False
            continue
        if _may_have_predecessor(followed, file, now):
            if file.offset < file.priority_end:
                return False  # those after it wait with it
            continue
        waits = "no" if file.suspicion is None else _waits(state, followed, file, now)
        if state.changes:
            return True
        if waits == "no" and _read_chunk(state, followed, file, now):
            return True
        is_unknown = waits == "unknown" and file.offset < file.priority_end
        if is_unknown or _holds_others_back(file, now):
            return False
    return False


def _may_have_predecessor(followed: FollowedPath, file: FollowedFile, now: float) -> bool:
    """Return whether a rotated file may come first that is not known, or cannot be examined."""
    rotated = followed.rotated
    if rotated is None or file.offset:
        return False
    if rotated.may_miss_files(now):
        return True
    if file is not followed.active or rotated.unsure_since is None:
        return False
    return now - rotated.unsure_since < HOLD_S


def _is_open(state: FollowerState, followed: FollowedPath, file: FollowedFile, now: float) -> bool:
    """Return whether a file is open, and open it if it was closed until its turn."""
    if not file.closed_until_turn:
        return True
    try:
        return open_for_turn(state, file, now)
    except OSError as error:
        followed.is_waiting = True
        file.note_failure(now)
        if error.errno not in SHORTAGE:
            report_unreadable(state, file, error, now)
        return False


def _holds_others_back(file: FollowedFile, now: float) -> bool:
    """Return whether the files after one that cannot be read wait for it, to keep the order."""
    since = file.failing_since
    return since is not None and now - since < HOLD_S and file.offset < file.priority_end


def reading_order(followed: FollowedPath, *, strict: bool) -> list[FollowedFile]:
    """Return the files that have something to read, the one whose turn it is first.

    Files with bytes before their ``priority_end`` come first, oldest first; the others take turns.
    With ``strict`` only the oldest file of the path is read.
    """
    waiting = [file for file in followed.files if file.backlog]
    if strict:
        waiting = [file for file in waiting if file is followed.files[0]]
    if len(waiting) < 2:
        return waiting
    first = [file for file in waiting if file.offset < file.priority_end]
    followed.turn += 1
    turn = followed.turn % len(waiting)
    return [*first, *(file for file in waiting[turn:] + waiting[:turn] if file not in first)]


def _waits(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, now: float
) -> Literal["no", "copy", "unknown"]:
    """Return whether a file is not read: it may be a copy of another one, as far as that is known.

    While a file that it may be a copy of cannot be read, this is not known; not for ever.
    """
    if not refresh(state, file, now):  # it may have grown since: then it is not quiet
        return "copy"
    try:
        originals, compare = possible_originals(state.io, file, siblings(state, followed))
        unknown = False
        for one in originals:
            if not refresh(state, one, now, hinted=compare):
                since = one.failing_since
                unknown |= since is None or now - since < HOLD_S
        if state.changes or unknown:
            return "unknown"
        quiet = now - file.quiet_since >= state.options.linger
        must = must_wait(state.io, file, originals, compare=compare, quiet=quiet)
        return "copy" if must else "no"
    except OSError as error:
        report_unreadable(state, file, error, now)
        return "copy"


def _read_chunk(
    state: FollowerState, followed: FollowedPath, file: FollowedFile, now: float
) -> bool:
    io, before = state.io, file.offset
    try:
        if not refresh(state, file, now):
            return bool(state.changes)
        if not file.backlog:
            return True
        if not before and _skip_hole(state, file):
            return True
        blocks = file.read(io)
    except OSError as error:
        report_unreadable(state, file, error, now)
        return False
    state.held.pop(file, None)
    state.held[file] = None  # it was used last
    file.read_at = now
    if file.failed_at is not None:
        file.note_success()
        state.report_accessible(followed)
    if blocks is None:
        refresh(state, file, now, hinted=True)
        return True
    state.counters.bytes_read += file.offset - before
    held = file.splitter.held
    file.partial_since = (file.partial_since or now) if held else None
    if blocks and held:
        file.partial_since = now
    if file.offset >= file.size:
        with suppress(OSError):  # the next refresh reports it
            file.size = max(file.refresh_status(io, now).st_size, file.size)
    state.deliver(file, blocks)
    if file.moved_to is not None and not file.backlog:
        if file.moved_to in state.paths:
            take_over(state, file, file.moved_to)
        else:
            file.moved_to = None  # that name is gone again
    return True


def _skip_hole(state: FollowerState, file: FollowedFile) -> bool:
    """Leave out the NULs that a writer without O_APPEND leaves before its next bytes."""
    io, options = state.io, state.options
    if file.fd is None:
        return False
    # a network file system may not know yet what is in its server's memory
    knows = not state.on_network(file.path)
    hole = min(io.data_from(file.fd, 0), file.size) if knows else 0
    may_be_text = _nul_is_text(options) or (
        isinstance(file.splitter, LineSplitter) and _is_wide(options.encoding)
    )
    decodes = options.mode == "lines" and options.encoding is not None
    if not hole and (may_be_text or not (file.was_emptied or decodes)):
        return False
    end = hole
    while not may_be_text and end < file.size:
        data = io.pread(file.fd, min(1 << 16, file.size - end), end)
        rest = data.lstrip(b"\0")
        end += len(data) - len(rest)
        if rest or not data:
            break
    if not end:
        return False
    file.seek(io, end, encoding=options.encoding, skipping=False)
    state.report_gap(file, "nul-hole", end)
    return True


def _nul_is_text(options: FollowOptions) -> bool:
    return b"\0" in (options.delimiter or b"")


def _is_wide(encoding: str | None) -> bool:
    """Return whether an encoding has NUL bytes in ordinary characters."""
    name = (encoding or "").lower().replace("_", "-")
    return name.startswith(("utf-16", "utf-32", "utf16", "utf32"))
