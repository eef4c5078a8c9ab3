"""Where to start in a file that exists at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.following._text_codec import Codec, codec_for, sniff

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile
    from limpet.following._follower_state import FollowerState

_PIECE: Final = 1 << 16


def seek_start(state: FollowerState, file: FollowedFile) -> None:
    """Go to the position in a file that the options ask for."""
    options, io = state.options, state.io
    where = options.begin
    if where == "checkpoint" or not isinstance(where, str):
        where = options.fallback
    if options.ignore_older is not None:
        age = io.time() - io.fstat(file.open_fd).st_mtime
        if age > options.ignore_older:
            where = "end"
    if where == "beginning" or not file.size:
        return
    first = io.pread(file.open_fd, 4, 0)
    codec = sniff(first, options.encoding, options.delimiter)
    codec = codec or codec_for(options.encoding, options.delimiter)
    if options.mode == "chunks" and where == "end":
        file.seek(io, file.size, encoding=None, skipping=False)
        return
    wanted = 0 if where == "end" else options.last
    offset = _start_of_last(io, file.open_fd, file.size, codec, wanted, options.max_line)
    skipping = offset < 0
    file.seek(io, file.size if skipping else offset, encoding=codec.name, skipping=skipping)


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
