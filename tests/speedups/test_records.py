"""Both forms of reading the kernel's records give the same hints, whatever the bytes."""

from __future__ import annotations

import struct
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speedups.forms import both, ordered, outcome
from tests.speedups.kernel_buffers import OWN, buffers

if sys.platform != "linux":
    pytest.skip("made for Linux alone", allow_module_level=True)

from limpet.backends._base import AWAY, CREATE, HERE, MOVED, OTHER
from limpet.backends._base import OWN as BY_US

RANDOMS = st.randoms(use_true_random=False)


@given(RANDOMS)
def test_fanotify(random: Random) -> None:
    """Hints, renames and loss, each in its order."""
    read = buffers(random, "fanotify")
    python, compiled = both("merge_fanotify")
    assert outcome(python, read, OWN) == outcome(compiled, read, OWN)


@given(RANDOMS)
def test_inotify(random: Random) -> None:
    """The same, and the halves of renames that are kept from one read to the next."""
    python, compiled = both("merge_inotify")
    kept: dict[int, Any] = {}
    kept_compiled: dict[int, Any] = {}
    for _ in range(3):
        read = buffers(random, "inotify")
        assert outcome(python, read, kept) == outcome(compiled, read, kept_compiled)
        assert ordered(kept) == ordered(kept_compiled)


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_any_bytes(read: list[bytes]) -> None:
    """No bytes end in an error or in a crash."""
    for name, more in (("merge_fanotify", lambda: OWN), ("merge_inotify", dict[int, Any])):
        python, compiled = both(name)
        assert ordered(python(read, more())) == outcome(compiled, read, more())


def fan(mask: int, info: bytes, *, length: int | None = None, head: int = 24) -> bytes:
    size = 24 + len(info) if length is None else length
    return struct.pack("=IBxHQii", size, 3, head, mask, -1, OWN) + info


def info(name: bytes, *, handle: int = 8, kind: int = 2) -> bytes:
    return struct.pack("=BxH8sIi8s", kind, 28 + len(name), b"fsid", handle, 1, b"handle") + name


GOOD = fan(0x100, info(b"good\0\0\0\0"))
KEY = info(b"")[4:28]
BAD_FAN = {
    "too short for a head": GOOD[:20],
    "length 0": fan(0x100, info(b"a\0\0\0"), length=0),
    "length beyond the buffer": fan(0x100, info(b"a\0\0\0"), length=300),
    "a head beyond the record": fan(0x100, info(b"a\0\0\0"), head=300),
    "a short head": fan(0x100, info(b"a\0\0\0"), head=23),
    "no info": fan(0x100, b""),
    "a short info": fan(0x100, info(b"")[:15]),
    "a handle beyond the record": fan(0x100, info(b"a\0\0\0", handle=200)),
    "no name": fan(0x100, info(b"")),
    "a name without an end": fan(0x100, info(b"abcd")),
    "a second end that is cut": fan(0x10000000, info(b"a\0", kind=10) + info(b"b")[:18] + b"\0"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("what", BAD_FAN)
def test_a_record_of_fanotify_that_cannot_be_is_a_loss(what: str, *, compiled: bool) -> None:
    """What came before it counts, and the next buffer too: the watch examines everything."""
    merge = both("merge_fanotify")[compiled]
    hints, moves, lost = merge([GOOD + BAD_FAN[what] + GOOD, fan(0x100, info(b"next\0"))], OWN)
    assert lost is True
    assert moves == []
    names = {"good": CREATE | BY_US, "next": CREATE | BY_US}
    assert hints == {KEY: names}


def ino(mask: int, name: bytes, *, length: int | None = None, cookie: int = 0) -> bytes:
    return struct.pack("=iIII", 1, mask, cookie, len(name) if length is None else length) + name


BAD_IN = {
    "too short for a head": ino(0x100, b"")[:15],
    "length beyond the buffer": ino(0x100, b"a\0", length=1 << 31),
    "all lengths": ino(0x100, b"a\0", length=(1 << 32) - 1),
    "a name without an end": ino(0x100, b"abcd"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("what", BAD_IN)
def test_a_record_of_inotify_that_cannot_be_is_a_loss(what: str, *, compiled: bool) -> None:
    """As with fanotify."""
    merge = both("merge_inotify")[compiled]
    good = ino(0x100, b"good\0\0")
    hints, moves, ended, lost = merge([good + BAD_IN[what], ino(0x100, b"next\0")], {})
    assert (moves, ended, lost) == ([], [], True)
    assert hints == {1: {"good": CREATE, "next": CREATE}}


@pytest.mark.parametrize("compiled", [False, True])
def test_hints_of_renames_come_first(*, compiled: bool) -> None:
    """The recorded streams depend on that order."""
    merge = both("merge_fanotify")[compiled]
    there = struct.pack("=BxH8sIi8s", 12, 32, b"fsid", 8, 1, b"other") + b"b\0\0\0"
    rename = fan(0x10000000, info(b"a\0\0\0", kind=10) + there)
    hints, moves, lost = merge([fan(0x100, info(b"c\0\0\0")), rename], OWN + 1)
    assert ordered(hints) == ordered(
        {
            KEY: {"a": MOVED | OTHER | AWAY, "c": CREATE | OTHER},
            there[4:28]: {"b": MOVED | OTHER | HERE},
        }
    )
    assert moves == [(KEY, "a", there[4:28], "b")]
    assert lost is False
