"""Decisions of following, without a disk: what changed, what is a copy, whose turn it is."""

from __future__ import annotations

import pytest

from limpet.following import _copytruncate
from limpet.following._copytruncate import find_copy, holds, must_wait, possible_originals
from limpet.following._file_io import FileIO
from limpet.following._follow_events import Appended, Truncated, TruncationKind
from limpet.following._follow_options import FollowOptions
from limpet.following._followed_file import Change, Copy, CopySuspicion, FollowedFile
from limpet.following._follower_state import FollowerState
from limpet.following._open_files import refresh
from limpet.following._read_scheduler import reading_order
from limpet.following._rotated_files import RotatedFiles
from limpet.following._truncation import (
    keep_position,
    keeps_position,
    lose,
    recover,
    restart,
)
from tests.following.memory_io import MemoryIO, follow, make_state

LOG, COPY = "/logs/app.log", "/logs/app.log.1"
LONG = b"".join(b"line %03d\n" % number for number in range(300))
"""2,700 bytes: more than the first and the last bytes that a file remembers."""


# -- what changed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "unread", "after", "change"),
    [
        (b"a\nb\n", b"", b"a\nb\nc\n", None),
        (b"a\nb\n", b"", b"a\n", ("trimmed", 0)),
        (b"a\nb\n", b"", b"c\n", ("truncated", 0)),
        (b"a\nb\n", b"", b"", ("truncated", 0)),
        (b"a\nb\n", b"c\n", b"x\ny\n", ("rewritten", 2)),
        (b"a\nb\n", b"c\n", b"", ("truncated", 2)),
        (b"a\nb\n", b"c\nd\n", b"a\nb\nc\n", ("trimmed", 2)),
        (b"a\nb\n", b"c\n", b"a\nb\nx\ny\n", ("trimmed", 2)),
        (b"", b"c\nd\n", b"c\n", ("truncated", 4)),
        (b"", b"c\n", b"x\ny\n", ("truncated", 2)),
    ],
)
def test_a_change_is_found_and_its_loss_is_counted(
    before: bytes, unread: bytes, after: bytes, change: tuple[TruncationKind, int] | None
) -> None:
    """Read bytes, known unread bytes, and what is in the file now."""
    state, io = make_state()
    io.write(LOG, before)
    file = follow(state, LOG)
    io.write(LOG, before + unread)
    assert refresh(state, file, io.now)
    io.write(LOG, after)
    assert refresh(state, file, io.now) is (change is None)
    found = state.changes.get(file)
    assert (found and (found.kind, found.lost)) == change
    if change is not None:
        assert not refresh(state, file, io.now, hinted=True), "it is noted once, and not read"


def test_a_smaller_size_on_a_network_is_confirmed() -> None:
    """An old size that the server reports for less than a second is no truncation."""
    state, io = make_state()
    state.network_paths = ("/logs",)
    io.write(LOG, b"a\nb\n")
    file = follow(state, LOG)
    io.write(LOG, b"a\n")
    assert refresh(state, file, io.now)
    assert refresh(state, file, io.now + 0.9)
    assert not refresh(state, file, io.now + 1.0)


@pytest.mark.parametrize(
    ("kind", "size", "offset", "options", "keeps"),
    [
        ("truncated", 0, 10, {"on_trim": "keep", "on_rewrite": "keep"}, False),
        ("trimmed", 5, 10, {}, False),
        ("trimmed", 5, 10, {"on_trim": "keep"}, True),
        ("trimmed", 10, 10, {}, True),
        ("trimmed", 10, 0, {}, False),
        ("rewritten", 20, 10, {}, False),
        ("rewritten", 20, 10, {"on_rewrite": "keep"}, True),
        ("rewritten", 20, 10, {"on_trim": "keep"}, False),
    ],
)
def test_when_the_position_is_kept(
    kind: TruncationKind, size: int, offset: int, options: dict[str, object], keeps: bool
) -> None:
    """A file that lost unread bytes alone, or as the options say."""
    change = Change(kind, 0, size)
    assert keeps_position(FollowOptions(**options), change, offset) is keeps  # type: ignore[arg-type]  # a test's table


# -- keep, recover, lose ---------------------------------------------------------------------------


def truncations(state: FollowerState) -> list[Truncated]:
    return [event for event in state.events if isinstance(event, Truncated)]


def test_kept_the_file_is_read_on_from_its_end() -> None:
    """Number and acknowledgement stay; the position is not behind the end."""
    state, io = make_state(on_trim="keep")
    io.write(LOG, b"a\nb\nc\n")
    file = follow(state, LOG)
    io.write(LOG, b"a\n")
    refresh(state, file, io.now)
    keep_position(state, file, state.changes.pop(file))
    assert (file.number, file.offset, file.window, file.acknowledged.offset) == (1, 2, b"a\n", 0)
    assert [(event.kind, event.generation) for event in truncations(state)] == [("trimmed", 1)]
    assert state.path_of(file).files == [file]


def test_lost_the_file_starts_again_under_a_new_number() -> None:
    """The unfinished line is delivered; the old number waits for its acknowledgement."""
    state, io = make_state()
    io.write(LOG, b"a\nhalf")
    file = follow(state, LOG)
    followed, fd = state.path_of(file), file.fd
    io.write(LOG, b"b\n")
    new = restart(state, followed, file, io.fstat(file.open_fd), io.now)
    lose(state, file)
    assert (new.number, new.fd, new.offset, new.is_active) == (2, fd, 0, True)
    assert (file.fd, file.is_active, file.backlog) == (None, False, 0)
    assert followed.active is new
    assert (followed.files, followed.unacknowledged) == ([new], [file])
    assert state.files == {new.identity: new}
    batches = [event for event in state.events if isinstance(event, Appended)]
    assert [(batch.data, batch.complete) for batch in batches] == [(b"a\n", True), (b"half", False)]


def test_recovered_the_rest_is_read_from_the_copy() -> None:
    """The old number continues in the copy, at its position, and comes before the new one."""
    state, io = make_state()
    io.write(LOG, b"a\n")
    file = follow(state, LOG)
    followed = state.path_of(file)
    io.write(COPY, b"a\nb\n")
    fd = io.open(COPY)
    io.write(LOG, b"")
    new = restart(state, followed, file, io.fstat(file.open_fd), io.now)
    copy = Copy(fd, (1, 2), None, COPY, 4, "/logs/other")
    assert recover(state, file, copy, io.now) == 2
    assert (file.number, file.fd, file.name, file.offset, file.backlog) == (1, fd, COPY, 2, 2)
    assert (file.priority_end, file.moved_to) == (4, "/logs/other")
    assert followed.files == [file, new]
    assert state.files == {(1, 2): file, new.identity: new}


# -- copies ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _common_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare descriptors of the memory disk, of which there is one a test."""
    disks: list[MemoryIO] = []
    init = MemoryIO.__init__

    def remember(io: MemoryIO) -> None:
        init(io)
        disks.append(io)

    def common(fd: int, other: int, *, limit: int, at: int) -> int:
        one, two = (disks[-1].pread(each, limit, at) for each in (fd, other))
        return limit if one == two else 0

    monkeypatch.setattr(MemoryIO, "__init__", remember)
    monkeypatch.setattr(_copytruncate, "common", common)


def suspect(state: FollowerState, path: str) -> FollowedFile:
    """Return a new file of the log's path of which nothing is delivered."""
    file = follow(state, LOG, path, read=False)
    file.suspicion = CopySuspicion()
    return file


def waits(state: FollowerState, file: FollowedFile, *, quiet: bool) -> bool:
    originals, compare = possible_originals(state.io, file, state.paths.values())
    return must_wait(state.io, file, originals, compare=compare, quiet=quiet)


@pytest.mark.parametrize(
    ("content", "held_back"),
    [(LONG, True), (LONG[:999], True), (LONG + b"x", False), (b"other\n", False), (b"", False)],
)
def test_a_new_file_that_may_be_a_copy_waits(content: bytes, held_back: bool) -> None:
    """It is one that agrees with the log's beginning; one that does not is trusted at once."""
    state, io = make_state()
    io.write(LOG, LONG)
    follow(state, LOG)
    io.write(COPY, content)
    file = suspect(state, COPY)
    assert waits(state, file, quiet=False) is held_back
    assert (file.suspicion is not None) is held_back


def test_a_copy_that_stays_quiet_is_a_file_of_its_own() -> None:
    """Nobody emptied the log for as long as ``linger``."""
    state, io = make_state()
    io.write(LOG, LONG)
    original = follow(state, LOG)
    io.write(COPY, LONG)
    file = suspect(state, COPY)
    assert waits(state, file, quiet=False)
    assert possible_originals(state.io, file, state.paths.values()) == ([original], False)
    assert not waits(state, file, quiet=True)
    assert file.suspicion is None


def test_a_copy_that_grew_is_compared_again() -> None:
    """What was added may show that it is none."""
    state, io = make_state()
    io.write(LOG, LONG)
    follow(state, LOG)
    io.write(COPY, LONG)
    file = suspect(state, COPY)
    assert waits(state, file, quiet=False)
    io.write(COPY, LONG + b"more\n")
    refresh(state, file, io.now)
    assert possible_originals(state.io, file, state.paths.values())[1]
    assert not waits(state, file, quiet=False)


@pytest.mark.parametrize(
    ("size", "extra", "found"),
    [
        (len(LONG), b"", True),
        (len(LONG), b"rest\n", True),
        (len(LONG) - 100, b"", None),
        (1000, b"", None),
        (1200, b"", False),
        (1200, b"x" * 2000, False),
    ],
)
def test_whether_a_file_holds_what_was_read(size: int, extra: bytes, found: bool | None) -> None:
    """All of it, a part of it and nothing else, or something else; or it cannot be known."""
    state, io = make_state()
    io.write(LOG, LONG)
    file = follow(state, LOG)
    content = LONG[:size] + extra
    io.write(COPY, content)
    assert holds(io, io.open(COPY), len(content), file) is found


def test_the_copy_is_taken_from_its_path() -> None:
    """Found among the files that nothing is delivered of; its path becomes an alias."""
    state, io = make_state()
    io.write(LOG, LONG)
    file = follow(state, LOG)
    io.write("/logs/else", b"else\n")
    other = suspect(state, "/logs/else")
    io.write(COPY, LONG + b"rest\n")
    copy = follow(state, COPY, read=False)
    copy.suspicion = CopySuspicion()
    fd, siblings = copy.fd, list(state.paths.values())
    found = find_copy(state, file, siblings)
    assert found == Copy(fd or 0, copy.identity, None, COPY, len(LONG) + 5, COPY)
    followed = state.paths[COPY]
    assert (followed.files, followed.active, followed.is_alias) == ([], None, True)
    assert other in state.paths[LOG].files
    assert find_copy(state, file, siblings) is None


def test_a_part_of_the_emptied_file_is_not_delivered_again() -> None:
    """A copy that was broken off holds only what was read: it is skipped to its end."""
    state, io = make_state()
    io.write(LOG, LONG)
    file = follow(state, LOG)
    io.write(COPY, LONG[:999])
    part = suspect(state, COPY)
    assert waits(state, part, quiet=False)
    assert find_copy(state, file, state.paths.values()) is None
    assert (part.offset, part.backlog, part.suspicion) == (999, 0, None)


# -- what is delivered -----------------------------------------------------------------------------


@pytest.mark.parametrize("late", [b"", b"late\n"])
def test_what_was_written_before_a_file_was_closed_is_found(late: bytes) -> None:
    """Between the last refresh and the closing: it is not taken for delivered."""
    state, io = make_state()
    io.write(COPY, LONG)
    file = follow(state, LOG, COPY)
    io.write(COPY, LONG + late)
    rotated = RotatedFiles("/logs/*")
    rotated.remember_file(file, io.stat(COPY))
    (known,) = rotated.known.values()
    assert known.is_unchanged(io.stat(COPY)) is (not late)
    assert known.offset == len(LONG)


# -- whose turn it is ------------------------------------------------------------------------------


def three(state: FollowerState, io: FileIO) -> list[FollowedFile]:
    """Return two rotated files and the active one, each with something to read."""
    assert isinstance(io, MemoryIO)
    files = []
    for name in (f"{LOG}.2", f"{LOG}.1", None):
        io.write(name or LOG, b"x\n")
        files.append(follow(state, LOG, name, read=False))
    return files


def test_files_before_the_active_one_are_read_first() -> None:
    """Up to what was in them when the next one came."""
    state, io = make_state()
    files = three(state, io)
    for file in files[:2]:
        file.priority_end = file.size
    for _ in range(4):
        assert reading_order(state.paths[LOG], strict=False) == files


def test_files_whose_order_does_not_matter_take_turns() -> None:
    """Each is first once in three reads."""
    state, io = make_state()
    files = three(state, io)
    first = [reading_order(state.paths[LOG], strict=False)[0] for _ in range(6)]
    assert [first.count(file) for file in files] == [2, 2, 2]


def test_strict_reads_the_oldest_alone() -> None:
    """Also while it has nothing to read."""
    state, io = make_state()
    files = three(state, io)
    assert reading_order(state.paths[LOG], strict=True) == files[:1]
    files[0].offset = files[0].size
    assert reading_order(state.paths[LOG], strict=True) == []
