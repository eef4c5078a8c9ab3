"""Contents of files whose time stamps cannot show the next change.

Where stamps are whole seconds (ext2, ext3, exFAT, sshfs) or ticks of the clock, and no source says
that a file was written to, a file rewritten with the same size within the second, or the tick, of
the last examination has the same stat result.
So the content of a file that changed a moment ago is remembered by a digest, and compared at the
next look, until a change would get another stamp.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from limpet._descriptors import close_reader, read_at_most
from limpet._shared_open import open_shared
from limpet.watching.index._entry_record import is_racy

if TYPE_CHECKING:
    from collections.abc import Hashable

    from limpet.watching.index._fs import Handle

_MOST: Final = 4096
"""Files that are remembered; of more, the oldest are forgotten."""
_PART: Final = 4 << 20
"""Bytes of the beginning, and of the end, that are compared."""
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


class RacyContents:
    """The digests of one watch, by any hashable key."""

    def __init__(self) -> None:
        self._digests: OrderedDict[Hashable, bytes] = OrderedDict()

    def note(
        self, ref: Hashable, record: bytes, handle: Handle | None, name: str, *, exact: bool
    ) -> None:
        """Remember a regular file's content if its record cannot show the next change."""
        if is_racy(record, exact=exact):
            self.changed(ref, record, handle, name, exact=exact)

    def changed(
        self, ref: Hashable, record: bytes, handle: Handle | None, name: str, *, exact: bool
    ) -> bool:
        """Return whether the content differs from the one remembered, and remember this one.

        Args:
            ref: The file.
            record: The file's record now, taken before the content is read.
            handle: Open on its directory; ``None`` if ``name`` is a path.
            name: In the directory.
            exact: A change after a stat gets another time stamp.
        """
        before = self._digests.pop(ref, None)
        racy = is_racy(record, exact=exact)
        if before is None and not racy:
            return False
        digest = _digest(handle, name)
        if racy and digest is not None:
            self._digests[ref] = digest
            if len(self._digests) > _MOST:
                self._digests.popitem(last=False)
        return None not in {before, digest} and before != digest


def _digest(handle: Handle | None, name: str) -> bytes | None:
    """Return the digest of beginning and end of a regular file, or ``None`` without an answer."""
    from hashlib import blake2b  # loaded here, and 5 MB of libcrypto with it: few watches need it

    from limpet._fingerprint import OPEN_FLAGS, pread

    try:
        if isinstance(handle, int):
            fd = os.open(name, OPEN_FLAGS | _NOFOLLOW, dir_fd=handle)
        else:
            fd = open_shared(name if handle is None else os.path.join(handle, name), OPEN_FLAGS)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if status.st_mode & 0o170000 != 0o100000:
            return None
        digest = blake2b(read_at_most(fd, _PART), digest_size=16)
        if status.st_size > _PART:
            start = max(_PART, status.st_size - _PART)
            digest.update(pread(fd, status.st_size - start, start))
        return digest.digest()
    except OSError:
        return None
    finally:
        close_reader(fd)
