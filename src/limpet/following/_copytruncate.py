"""Distinguish a copy of a followed file from another file that begins like it.

``copytruncate`` copies a log and then empties it. The copy holds what the log held, and perhaps a
few bytes that were written after it was last read. The copy must not be delivered as a new file,
and those bytes must not be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._file_stat import identity_of
from limpet._fingerprint import HEAD, WINDOW, common
from limpet.following._followed_file import Copy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState

_COMPARED: Final = 64 << 20
"""Bytes that are compared one by one; of a longer file only its beginning, its end and samples."""
_SAMPLES: Final = 64
_SAMPLE: Final = 4096


def possible_originals(
    io: FileIO, file: FollowedFile, siblings: Iterable[FollowedPath]
) -> tuple[list[FollowedFile], bool]:
    """Return the files that a new file may be a copy of, and whether they are to be compared.

    It is one file, and nothing is to be compared, while the new file has not changed since.

    Raises:
        OSError: The new file cannot be read.
    """
    suspicion = file.suspicion
    if suspicion is None or file.fd is None:
        return [], False
    original = suspicion.original
    if original is not None and original.fd is not None and suspicion.compared == file.size:
        return [original], False
    first = io.pread(file.fd, min(HEAD, file.size), 0)
    return [
        other
        for followed in siblings
        for other in followed.files
        if other is not file
        and other.fd is not None
        and other.suspicion is None
        and _may_begin_with(other, first)
    ], True


def _may_begin_with(file: FollowedFile, first: bytes) -> bool:
    """Return whether a file may begin with these bytes, by what is known of it."""
    known = min(len(file.head), len(first))
    return file.head[:known] == first[:known]


def must_wait(
    io: FileIO,
    file: FollowedFile,
    originals: Iterable[FollowedFile],
    *,
    compare: bool,
    quiet: bool,
) -> bool:
    """Return whether a new file is a copy of a followed one so far; otherwise trust it.

    A program that copies a log in order to empty it does so at once. Any other copy is a file of
    its own, and is delivered once it was quiet for ``linger``.

    Args:
        io: Access to the disk.
        file: The new file.
        originals: The result of ``possible_originals``, refreshed.
        compare: As in ``possible_originals``.
        quiet: The new file was quiet for ``linger``.

    Raises:
        OSError: One of the files cannot be read.
    """
    suspicion = file.suspicion
    if suspicion is None or file.fd is None:
        return False
    if compare:
        suspicion.original = next(
            (other for other in originals if _agrees(io, file.fd, file.size, other)), None
        )
        suspicion.compared = file.size
    if suspicion.original is not None and not quiet:
        return True
    file.suspicion = None
    return False


def find_copy(
    state: FollowerState, file: FollowedFile, siblings: Iterable[FollowedPath]
) -> Copy | None:
    """Return the file that holds what was read of an emptied file, and its unread rest.

    It is one of which nothing is delivered yet. It is removed from its path: from now on it is
    read as the rest of ``file``.

    Raises:
        OSError: One of them cannot be read.
    """
    for followed in siblings:
        for other in list(followed.files):
            if other is not file and other.suspicion is not None and not other.offset:
                copy = _compare(state, file, followed, other)
                if copy is not None:
                    return copy
    return None


def _compare(
    state: FollowerState, file: FollowedFile, followed: FollowedPath, other: FollowedFile
) -> Copy | None:
    """Take a file as the copy of an emptied one, if it is.

    Raises:
        OSError: It cannot be read.
    """
    io, opened = state.io, None
    if other.fd is None:
        opened, status = state.access.open(other.name)
    else:
        status = io.fstat(other.fd)
    fd = other.open_fd if opened is None else opened
    try:
        held = identity_of(status) == other.identity and holds(io, fd, status.st_size, file)
        if held:
            opened = None
            state.held.pop(other, None)
            return _taken(followed, other, fd, status.st_size)
        suspicion = other.suspicion
        is_part = held is None and suspicion is not None and suspicion.original is file
        if other.fd is not None and is_part:
            size, other.size = other.size, status.st_size
            try:
                other.seek(io, other.size, encoding=file.encoding, skipping=False)
            except OSError:
                other.size = size
                raise
            other.suspicion = None
    finally:
        if opened is not None:
            io.close(opened)
    return None


def _taken(followed: FollowedPath, other: FollowedFile, fd: int, size: int) -> Copy:
    """Remove a copy from its path and return it."""
    followed.files.remove(other)
    other.fd, other.closed_until_turn, other.suspicion = None, False, None
    followed_as = None
    if followed.active is other:
        followed.active, followed.is_alias, followed_as = None, True, followed.path
    return Copy(fd, other.identity, other.inode_generation, other.name, size, followed_as)


def _agrees(io: FileIO, fd: int, size: int, file: FollowedFile) -> bool:
    """Return whether an open file of that size is a copy of the beginning of a followed file."""
    other = file.fd
    if other is None or not size or size > io.fstat(other).st_size:
        return False
    if io.pread(fd, min(HEAD, size), 0) != io.pread(other, min(HEAD, size), 0):
        return False
    last = max(0, size - _SAMPLE)
    if io.pread(fd, size - last, last) != io.pread(other, size - last, last):
        return False
    if size <= _COMPARED:
        return common(fd, other, limit=size, at=0) == size
    step = size // _SAMPLES
    return all(
        io.pread(fd, _SAMPLE, at) == io.pread(other, _SAMPLE, at)
        for at in range(0, size - _SAMPLE, step)
    )


def holds(io: FileIO, fd: int, size: int, file: FollowedFile) -> bool | None:
    """Return whether an open file holds all that was read of an emptied file.

    ``None``: it holds a part of it, and nothing else.
    """
    end, unread = file.unread_tail
    if not file.offset:
        there = io.pread(fd, len(unread), end - len(unread)) if size >= end else b""
        return bool(unread) and there == unread
    head = file.head[:size]
    if io.pread(fd, len(head), 0) != head:
        return False
    if size >= file.offset:
        window = file.window
        return io.pread(fd, len(window), file.offset - len(window)) == window
    if size <= len(file.head):
        return None
    overlap = size - (file.offset - len(file.window))
    if overlap >= WINDOW // 4:
        same = io.pread(fd, overlap, size - overlap) == file.window[:overlap]
        return None if same else False
    return False
