"""Rotated files of a path that were renamed before anybody saw them at the path."""

from __future__ import annotations

import errno
import stat as modes
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet.following._close_files import limit_generations
from limpet.following._file_io import MISSING, SHORTAGE
from limpet.following._follow_events import Inaccessible
from limpet.following._followed_file import CopySuspicion
from limpet.following._lost_files import find_lost, seek_saved
from limpet.following._open_files import hold, let_go, open_named
from limpet.following._path_access import NotRegularError, SymlinkRefusedError
from limpet.following._rotated_files import (
    Delivered,
    age_by_name,
    continues,
    take_as_delivered,
)
from limpet.following._start_position import detected_encoding
from limpet.following._truncation import continue_from, find_deleted

if TYPE_CHECKING:
    import os

    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState
    from limpet.following._rotated_files import RotatedFiles

_ANSWERS: Final = {*MISSING, errno.ELOOP, errno.EINVAL, errno.EISDIR}
"""Errors that say what a name leads to: nothing that is followed."""
_NEWEST: Final = 16
"""Closed rotated files that are examined in every round."""
_TURNS: Final = 30
"""Each of the others is examined in one of this number of rounds."""
_START_ROUNDS: Final = 5
"""Listings of a directory that changes while a follower starts."""


def take_all_as_delivered(state: FollowerState, rotated: RotatedFiles) -> None:
    """Treat rotated files that exist at the start as already delivered.

    Files that a listing missed, because the directory changed or cannot be read, are known by their
    modification time: see ``existed_before``.
    """
    io = state.io
    rotated.existed_before = io.time()
    before: dict[str, int] = {}
    for _ in range(_START_ROUNDS):
        rotated.begin_listing(io)
        names, trouble = rotated.names(io)
        seen: dict[str, int] = {}
        for name in names:
            if name in state.paths:
                continue
            try:
                seen[name] = _take_one_as_delivered(state, rotated, name)
            except OSError as error:
                trouble = trouble or (None if _is_answer(error) else error)
        settled = rotated.end_listing(io, trouble)
        # what two listings have alike was so between them, whenever the directory changed
        if settled or (trouble is None and seen == before):
            rotated.existed_before = None
            return
        before = seen


def _take_one_as_delivered(state: FollowerState, rotated: RotatedFiles, name: str) -> int:
    """Treat one file as delivered; return its inode number.

    Raises:
        OSError: It cannot be opened or read.
    """
    status = state.access.stat(name)
    known = rotated.known.get(status.st_ino)
    if known is None or not known.is_unchanged(status):
        fd, status = state.access.open(name)
        try:
            rotated.remember(take_as_delivered(state.io, fd, status))
        finally:
            state.io.close(fd)
    return status.st_ino


def scan(
    state: FollowerState,
    rotated: RotatedFiles | None,
    now: float,
    *,
    even_if_unchanged: bool = False,
) -> bool:
    """Hold every file that is new under ``rotated``; return whether there was one.

    New files come before the file at the path, in the order in which they were last written.
    """
    io = state.io
    if rotated is None or not (even_if_unchanged or rotated.is_due(io)):
        return False
    rotated.begin_listing(io)
    found: list[tuple[int, str]] = []
    dated: list[tuple[int, str]] = []
    listed: dict[str, int] = {}
    renamed: dict[FollowedFile, str] = {}
    refused: dict[str, int] = {}
    names, trouble = rotated.names(io)
    for name in names:
        if name in state.paths:
            continue
        try:
            status = state.access.stat(name)
        except OSError as error:
            _refuse(state, rotated, name, error, refused)
            trouble = trouble or (None if _is_answer(error) else error)
            continue
        if not modes.S_ISREG(status.st_mode):
            continue
        listed[name] = status.st_ino
        dated.append((status.st_mtime_ns, name))
        file = _held_file(state, status, name)
        if file is not None and file.is_active:
            renamed[file] = name
        if file is None and not _is_unchanged(rotated, status):
            found.append((status.st_mtime_ns, name))
    rotated.delivered_names = [name for _, name in sorted(dated)]
    seen = set(listed.values())
    inserted = False
    for _, name in sorted(found):
        try:
            inserted |= _take(state, rotated, name, now, seen, renamed)
        except OSError as error:
            _refuse(state, rotated, name, error, refused)
    rotated.refused = refused
    if any(number in MISSING or number in SHORTAGE for number in refused.values()):
        trouble = trouble or OSError("a file has another name by now")
    unsure = trouble is not None or any(number not in _ANSWERS for number in refused.values())
    rotated.unsure_since = (rotated.unsure_since or now) if unsure else None
    settled = rotated.end_listing(io, trouble)
    if settled:
        rotated.existed_before = None
    if rotated.compare_listing(listed, now, settled=settled):
        for followed in state.busy:
            if followed.rotated is rotated:
                _order_again(followed)
    rotated.forget_missing(seen, now)
    return inserted


def examine_delivered(
    state: FollowerState, rotated: RotatedFiles, now: float, *, turn: int | None = None
) -> None:
    """Examine rotated files that are closed: a process may still write to one.

    The modification time of their directory does not say so. The youngest are examined each time,
    of the others a part each turn; without ``turn`` all are examined.
    """
    names = rotated.delivered_names
    if turn is not None and len(names) > _NEWEST:
        newest = names[-_NEWEST:]
        others = names[:-_NEWEST][turn % _TURNS :: _TURNS]
        names = [*newest, *others]
    for name in names:
        if name in state.paths:
            continue
        try:
            status = state.access.stat(name)
            if (
                modes.S_ISREG(status.st_mode)
                and _held_file(state, status, name) is None
                and not _is_unchanged(rotated, status)
            ):
                _take(state, rotated, name, now, set(rotated.known), {})
        except OSError:
            rotated.list_again()


def _is_answer(error: OSError) -> bool:
    """Return whether a name leads to no file of ours; if not, it is not known where it leads."""
    return error.errno in MISSING or isinstance(error, NotRegularError | SymlinkRefusedError)


def _refuse(
    state: FollowerState,
    rotated: RotatedFiles,
    name: str,
    error: OSError,
    refused: dict[str, int],
) -> None:
    """Note that a name cannot be opened, and report it once, unless it is only gone."""
    number = error.errno or 0
    refused[name] = number
    if number not in MISSING and number not in SHORTAGE and rotated.refused.get(name) != number:
        state.emit(
            Inaccessible(
                path=Path(name),
                time=state.io.time(),
                errno=number,
                message=error.strerror or str(error),
            )
        )


def _held_file(state: FollowerState, status: os.stat_result, name: str) -> FollowedFile | None:
    """Return the file if it is being read; learn its present name."""
    file = state.files.get(identity_of(status))
    if file is not None and not file.is_active:
        file.name = name
    return file


def _is_unchanged(rotated: RotatedFiles, status: os.stat_result) -> bool:
    known = rotated.known.get(status.st_ino)
    return known is not None and known.is_unchanged(status)


def _take(
    state: FollowerState,
    rotated: RotatedFiles,
    name: str,
    now: float,
    seen: set[int],
    renamed: dict[FollowedFile, str],
) -> bool:
    """Open a file and hold it, if there is something in it that is not delivered.

    Args:
        state: The follower's state.
        rotated: The pattern that matches the name.
        name: Path of the file.
        now: Monotonic seconds.
        seen: Inode numbers that the listing has.
        renamed: Files that were at their path when it was examined -> rotated name by now.

    Raises:
        OSError: It cannot be opened or read; nothing is changed.
    """
    io = state.io
    fd, status = open_named(state, name)
    try:
        if _held_file(state, status, name) is not None or _is_unchanged(rotated, status):
            io.close(fd)
            return False
        followed = owner_of(state, rotated, name)
        known = _known(state, rotated, fd, status, seen)
        if known is not None and known.offset >= status.st_size:
            rotated.remember(known)
            io.close(fd)
            return False
    except BaseException:
        io.close(fd)
        raise
    file = _hold_unseen(state, followed, fd, status, name, known, now)
    _place(state, followed, file, renamed)
    state.busy[followed] = None
    limit_generations(state, followed)
    return True


def _known(
    state: FollowerState,
    rotated: RotatedFiles,
    fd: int,
    status: os.stat_result,
    seen: set[int],
) -> Delivered | None:
    """Return how far a file is delivered; ``None`` if nothing of it is."""
    io = state.io
    known = rotated.known.get(status.st_ino)
    if known is not None and continues(io, fd, status, known):
        if known.offset < 0 or status.st_size < known.offset:
            return take_as_delivered(io, fd, status, number=known.number)
        return known.compared(status)
    if known is None:
        known = rotated.find_renumbered(status, seen)
        if known is not None and continues(io, fd, status, known, renumbered=True):
            return known._replace(
                inode=status.st_ino, inode_generation=io.inode_generation(fd)
            ).compared(status)
    before = rotated.existed_before
    if before is not None and status.st_mtime <= before:
        return take_as_delivered(io, fd, status)
    return None


def owner_of(state: FollowerState, rotated: RotatedFiles, name: str) -> FollowedPath:
    """Return the path to which a rotated file belongs: the one whose name its name begins with.

    Several paths of one directory may have the same pattern.
    """
    for end in range(len(name), len(rotated.dir), -1):
        followed = state.paths.get(name[:end])
        if followed is not None and followed.rotated is rotated:
            return followed
    return next(one for one in state.paths.values() if one.rotated is rotated)


def _hold_unseen(
    state: FollowerState,
    followed: FollowedPath,
    fd: int,
    status: os.stat_result,
    name: str,
    known: Delivered | None,
    now: float,
) -> FollowedFile:
    """Hold an unseen file, at the place up to which a run before has read it.

    Raises:
        OSError: It cannot be read; it is closed.
    """
    file = hold(state, followed, fd, status, name, now)
    try:
        entry = find_lost(state, followed, fd, status)
        if entry is not None:
            seek_saved(state, file, entry)
        elif known is not None:
            encoding = detected_encoding(state, fd)
            file.seek(state.io, known.offset, encoding=encoding, skipping=False)
            file.number = known.number or file.number
        else:
            file.suspicion = CopySuspicion()
            old = find_deleted(state, followed, file)
            if old is not None:
                continue_from(state, old, file)
    except BaseException:
        let_go(state, file)
        raise
    file.priority_end = file.size
    return file


def _place(
    state: FollowerState,
    followed: FollowedPath,
    file: FollowedFile,
    renamed: dict[FollowedFile, str],
) -> None:
    """Put a file that was found under another name before the younger ones that are unread.

    It comes before the file at the path, unless that one is not there any more: then it may have
    been at the path after it.
    """
    files, active = followed.files, followed.active
    at = len(files)
    if active is not None and _is_at_path(state, followed, active):
        at = files.index(active)
    for place, one in enumerate(files[:at]):
        # a listing need not have all names that came meanwhile: this file may be the older one
        name = renamed.get(one, one.name)
        if (one is active or not one.offset) and _is_younger(followed, one, name, file):
            at = place
            break
    files.insert(at, file)


def _is_at_path(state: FollowerState, followed: FollowedPath, file: FollowedFile) -> bool:
    try:
        return identity_of(state.access.stat(followed.path)) == file.identity
    except OSError as error:
        return not _is_answer(error)


def _order_again(followed: FollowedPath) -> None:
    """Order unread files that stand side by side, by a listing that had all of them.

    The listings before it may have had their names from before and after a shift. Their place among
    the files that were opened at the path is known.
    """
    files = followed.files
    for is_guessed, run in groupby(list(enumerate(files)), lambda pair: _is_guessed(pair[1])):
        if is_guessed:
            places, guessed = zip(*run, strict=True)
            files[places[0] : places[-1] + 1] = sorted(guessed, key=_age)


def _is_guessed(file: FollowedFile) -> bool:
    return file.suspicion is not None and not (file.offset or file.is_active)


def _is_younger(followed: FollowedPath, one: FollowedFile, name: str, file: FollowedFile) -> bool:
    """Return whether a file, under its present name, was written after one that was just found.

    Times may be equal: the clock of a file system ticks in steps of up to 16 milliseconds.
    """
    if one.found_mtime_ns != file.found_mtime_ns:
        return one.found_mtime_ns > file.found_mtime_ns
    if name == followed.path:
        return True  # it was opened at the path
    return age_by_name(name) > age_by_name(file.name)


def _age(file: FollowedFile) -> tuple[int, tuple[bool, int, str]]:
    return file.found_mtime_ns, age_by_name(file.name)
