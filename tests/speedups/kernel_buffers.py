"""Makes buffers as fanotify and inotify fill them, and damages them as no kernel does."""

from __future__ import annotations

import struct
from random import Random

NAMES = (
    b"a",
    b"b",
    b"a.txt",
    b".",
    b"",
    b"..",
    "ä".encode(),
    b"\xff\xfe",
    b"x" * 255,
    b"new\nline",
)
KEYS = (b"", b"\x01", b"12345678", bytes(range(100, 124)), b"\xff" * 128)
OWN = 4711

FAN_BITS = (0x2, 0x4, 0x8, 0x100, 0x200, 0x400, 0x800, 0x40000000, 0x1, 1 << 40, 1 << 41)
FAN_RENAME, FAN_OVERFLOW = 0x10000000, 0x4000
IN_BITS = (0x2, 0x4, 0x8, 0x100, 0x200, 0x400, 0x800, 0x2000, 0x40000000, 0x1)
IN_FROM, IN_TO, IN_OVERFLOW, IN_IGNORED = 0x40, 0x80, 0x4000, 0x8000


def _some(random: Random, bits: tuple[int, ...]) -> int:
    return sum(bit for bit in bits if random.random() < 0.3)


def _info(random: Random, kind: int) -> bytes:
    handle, name = random.choice(KEYS), random.choice(NAMES) + b"\0"
    name += bytes(-len(name) % 4)
    size = 20 + len(handle) + len(name)
    return (
        struct.pack("=BxH8sIi", kind, size, random.choice(KEYS)[:8], len(handle), 1) + handle + name
    )


def _fanotify_record(random: Random) -> bytes:
    mask, info = _some(random, FAN_BITS), b""
    what = random.random()
    if what < 0.05:
        mask |= FAN_OVERFLOW
    elif what < 0.35:
        mask |= FAN_RENAME
        kinds = random.choice(((10, 12), (10, 12), (10,), (12,), (12, 10)))
        info = b"".join(_info(random, kind) for kind in kinds)
    else:
        info = _info(random, 2)
    pid = random.choice((OWN, OWN + 1, 0, -1))
    return struct.pack("=IBxHQii", 24 + len(info), 3, 24, mask, -1, pid) + info


def _inotify_record(random: Random) -> bytes:
    mask, cookie = _some(random, IN_BITS), 0
    name = random.choice(NAMES)
    what = random.random()
    if what < 0.05:
        mask |= IN_OVERFLOW
    elif what < 0.1:
        mask |= IN_IGNORED
    elif what < 0.5:
        mask |= random.choice((IN_FROM, IN_TO))
        cookie = random.randrange(1, 6)
    if name:
        name += bytes(16 - len(name) % 16)
    return struct.pack("=iIII", random.randrange(-1, 4), mask, cookie, len(name)) + name


def _damaged(random: Random, data: bytes) -> bytes:
    """Return the bytes with some of them changed, cut out or put in."""
    found = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(found) + 1)
        how = random.randrange(4)
        if how == 0:
            del found[at:]
        elif how == 1:
            del found[at : at + random.randrange(1, 30)]
        elif how == 2:
            found[at:at] = random.randbytes(random.randrange(1, 30))
        elif at < len(found):
            found[at] = random.choice((0, 1, 0x7F, 0xFF, random.randrange(256)))
    return bytes(found)


def buffers(random: Random, kind: str) -> list[bytes]:
    """Return what may have been read in one go; a part of it is damaged."""
    record = _fanotify_record if kind == "fanotify" else _inotify_record
    found = []
    for _ in range(random.randrange(1, 4)):
        data = b"".join(record(random) for _ in range(random.randrange(8)))
        found.append(_damaged(random, data) if random.random() < 0.4 else data)
    if random.random() < 0.05:
        found.append(random.randbytes(random.randrange(64)))
    return found
