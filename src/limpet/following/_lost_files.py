"""Files of the checkpoint that were not found at the start: they may come back, and then go on.

A volume that is mounted late, a directory that cannot be read for a moment, a process that is out
of descriptors: none of them means that a file is gone. Its position is kept until the file comes
back, so that nothing that was committed comes again. A gap is reported once it is certain that the
file is not where it should be.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet._fingerprint import WINDOW

if TYPE_CHECKING:
    from limpet.following._checkpoint import SavedFile
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

_MAX_LOST: Final = 64
"""Files of one path that are remembered though they were not found, at most."""
_MAX_RETIRED: Final = 4
"""Those among them of which nothing is left to report, at most."""


def keep_retired(followed: FollowedPath, entry: SavedFile) -> None:
    """Keep the position of a file that was read to its end: it may come back to its path."""
    entry.reported = True
    reported = [one for one in followed.lost if one.reported and one.position != entry.position]
    drop = set(map(id, reported[: max(0, len(reported) + 1 - _MAX_RETIRED)]))
    followed.lost = [one for one in followed.lost if id(one) not in drop] + [entry]


def remember_lost(
    state: FollowerState, followed: FollowedPath, entry: SavedFile, *, certain: bool
) -> None:
    """Keep the position of a file that was not found.

    Args:
        state: The follower's state.
        followed: Path under which it was read.
        entry: What the checkpoint has of it.
        certain: The file is known to be gone; the gap is reported now.
    """
    if certain:
        _report(state, followed, entry)
    if not entry.gone and (entry.position.offset or not certain):
        followed.lost = [*followed.lost, entry][-_MAX_LOST:]
    state.mark_changed(followed.path)


def report_missing(state: FollowerState, followed: FollowedPath) -> None:
    """Report files that are still missing, now that their path has been examined."""
    if followed.unstable or followed.error_number or followed.is_waiting:
        return
    if followed.rotated is not None and not followed.rotated.is_complete:
        return
    try:
        state.io.stat(os.path.dirname(followed.path))
    except OSError:
        return  # the directory may come back, with the files in it
    for entry in followed.lost:
        if not entry.reported:
            _report(state, followed, entry)
            state.mark_changed(followed.path)


def find_lost(
    state: FollowerState, followed: FollowedPath, fd: int, status: os.stat_result
) -> SavedFile | None:
    """Return what is known of a newly opened file, if it is a lost one.

    Raises:
        OSError: The file cannot be read.
    """
    if not followed.lost:
        return None
    io = state.io
    generation = io.inode_generation(fd)
    for entry in followed.lost:
        position = entry.position
        if is_too_short(entry, status):
            continue
        if position.fits(
            identity_of(status), generation, status.st_size, lambda size, at: io.pread(fd, size, at)
        ):
            return entry
    return None


def is_too_short(entry: SavedFile, status: os.stat_result) -> bool:
    """Return whether too little was read of a file to recognise it under another inode number."""
    position = entry.position
    return entry.reported and status.st_ino != position.inode and position.offset < WINDOW


def seek_saved(state: FollowerState, file: FollowedFile, entry: SavedFile) -> None:
    """Go to where a file of the checkpoint was, under its number.

    Raises:
        OSError: The file cannot be read; nothing is changed.
    """
    position = entry.position
    file.seek(state.io, position.offset, encoding=position.encoding, skipping=position.skipping)
    file.number = position.generation
    followed = state.path_of(file)
    followed.lost = [one for one in followed.lost if one is not entry]
    state.mark_changed(followed.path)
    if file.size < entry.size and not entry.reported:
        state.report_gap(file, "generation-missing", entry.size - file.size)


def _report(state: FollowerState, followed: FollowedPath, entry: SavedFile) -> None:
    entry.reported = True
    missing = max(0, entry.size - entry.position.offset)
    if missing or entry.was_active:
        state.report_gap_at(
            followed.event_path,
            "generation-missing",
            missing,
            entry.position.generation,
            size_known=False,
        )
