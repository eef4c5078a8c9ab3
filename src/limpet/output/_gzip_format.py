"""The gzip format around a deflate stream (RFC 1952), piece by piece. Pure: no file, no descriptor.

The standard library's ``GzipFile`` writes to the file itself, also from its finalizer: after a
write that failed it would write its trailer much later, to whatever has the descriptor then.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

_HEAD: Final = struct.Struct("<4sLBB")
_MAGIC: Final = b"\x1f\x8b\x08\x00"
"""Magic number, method 8 (deflate), no flags: no name, which the file has already."""
_UNKNOWN_SYSTEM: Final = 255
_TAIL: Final = struct.Struct("<LL")
_MAX_32: Final = (1 << 32) - 1


class GzipEncoder:
    """Compresses one stream of bytes."""

    def __init__(self, mtime: float) -> None:
        """Start; ``mtime`` (unix seconds) is kept where 32 bits can hold it."""
        self._packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._size = 0
        stamp = int(mtime)
        self._head = _HEAD.pack(_MAGIC, stamp if 0 <= stamp <= _MAX_32 else 0, 2, _UNKNOWN_SYSTEM)

    def feed(self, data: bytes) -> bytes:
        """Return what is to be written for the next bytes; often nothing."""
        head, self._head = self._head, b""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return head + self._packer.compress(data)

    def end(self) -> bytes:
        """Return what ends the stream."""
        return self.feed(b"") + self._packer.flush() + _TAIL.pack(self._crc, self._size & _MAX_32)
