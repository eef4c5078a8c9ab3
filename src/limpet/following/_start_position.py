"""Where to start in a file that exists at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.following._text_codec import Codec, codec_for, sniff

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile
    from limpet.following._follower_state import FollowerState

_PIECE: Final = 1 << 16


def seek_start(
    state: FollowerState, file: FollowedFile, *, came_later: bool = False, size: int | None = None
) -> None:
    """Go to the position in a file that the options ask for.

    Args:
        state: The follower's state.
        file: At its beginning.
        came_later: It came while nothing ran: it is read from its beginning.
        size: What it had at the start, if that is not now.

    Raises:
        OSError: It cannot be read; nothing is changed.
    """
    options, io = state.options, state.io
    where = "beginning" if came_later else options.begin
    size = file.size if size is None else min(size, file.size)
    if where == "checkpoint" or not isinstance(where, str):
        where = options.fallback
    if options.ignore_older is not None:
        age = io.time() - io.fstat(file.open_fd).st_mtime
        if age > options.ignore_older:
            where = "end"
    if where == "beginning" or not size:
        return
    codec = _detected(state, file.open_fd)
    if options.mode == "chunks" and where == "end":
        file.seek(io, size, encoding=None, skipping=False)
        return
    wanted = 0 if where == "end" else options.last
    offset = _start_of_last(io, file.open_fd, size, codec, wanted, options.max_line)
    skipping = offset < 0
    file.seek(io, size if skipping else offset, encoding=codec.name, skipping=skipping)


def detected_encoding(state: FollowerState, fd: int) -> str | None:
    """Return the encoding that the beginning of an open file shows.

    Raises:
        OSError: It cannot be read.
    """
    return _detected(state, fd).name


def _detected(state: FollowerState, fd: int) -> Codec:
    options = state.options
    codec = sniff(state.io.pread(fd, 4, 0), options.encoding, options.delimiter)
    return codec or codec_for(options.encoding, options.delimiter)


def _start_of_last(io: FileIO, fd: int, size: int, codec: Codec, lines: int, max_line: int) -> int:
    """Return the offset of the last ``lines`` whole lines; for 0 the end of the last whole line.

    -1 means that the file ends in a line without an end that is longer than ``max_line``.
    """
    high, more = size, len(codec.delimiter) - 1
    found = 0
    while high > 0:
        low = max(0, high - _PIECE)
        low -= low % codec.width
        data = io.pread(fd, min(size, high + more) - low, low)
        end = len(data)
        while end := codec.last(data[:end], low):
            if low + end <= high + more:
                if found == lines:
                    return low + end
                found += 1
            end -= 1
        high = low
        if not found and size - high > max_line + _PIECE:
            return -1
    return 0
