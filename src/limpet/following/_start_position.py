"""Where to begin with a file that is there at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet.following._text_codec import Codec, codec_for, sniff

if TYPE_CHECKING:
    from limpet.following._file_io import FileIO
    from limpet.following._followed_file import FollowedFile
    from limpet.following._follower_state import FollowerState

__all__ = ["begin"]

_PIECE: Final = 1 << 16


def begin(file: FollowedFile, world: FollowerState) -> None:
    """Put a file's position where the options say."""
    options, disk = world.options, world.disk
    where = options.begin
    if where == "checkpoint" or not isinstance(where, str):
        where = options.fallback
    if options.ignore_older is not None:
        age = disk.time() - disk.fstat(file.open_fd).st_mtime
        if age > options.ignore_older:
            where = "end"
    if where == "beginning" or not file.size:
        return
    first = disk.pread(file.open_fd, 4, 0)
    codec = sniff(first, options.encoding, options.delimiter)
    codec = codec or codec_for(options.encoding, options.delimiter)
    if options.mode == "chunks" and where == "end":
        file.place(disk, file.size, encoding=None, skipping=False)
        return
    wanted = 0 if where == "end" else options.last
    offset = _after(disk, file.open_fd, file.size, codec, wanted, options.max_line)
    skipping = offset < 0
    file.place(disk, file.size if skipping else offset, encoding=codec.name, skipping=skipping)


def _after(disk: FileIO, fd: int, size: int, codec: Codec, lines: int, most: int) -> int:
    """Give where the last so many whole lines begin; -1 if the last line has no end, and is long.

    For none that is after the end of the last whole line.
    """
    high, more = size, len(codec.delimiter) - 1
    found = 0
    while high > 0:
        low = max(0, high - _PIECE)
        low -= low % codec.width
        data = disk.pread(fd, min(size, high + more) - low, low)
        end = len(data)
        while end := codec.last(data[:end], low):
            if low + end <= high + more:
                if found == lines:
                    return low + end
                found += 1
            end -= 1
        high = low
        if not found and size - high > most + _PIECE:
            return -1
    return 0
