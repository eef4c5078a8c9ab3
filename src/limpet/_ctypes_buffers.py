"""Read the fields of a C structure out of a buffer of ``ctypes``."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any


def _reads_arrays() -> bool:
    """Return whether ``struct`` takes a ctypes array; PyPy's wants bytes."""
    try:
        struct.unpack_from("B", ctypes.create_string_buffer(1))
    except TypeError:
        return False
    return True


def unpacker(layout: struct.Struct) -> Callable[[Any], tuple[Any, ...]]:
    """Return what unpacks a structure at the beginning of a ctypes array of characters.

    Where ``struct`` takes the array itself nothing stands between: the call is most of a scan.
    """
    if _reads_arrays():
        return layout.unpack_from
    return lambda buffer: layout.unpack_from(buffer.raw)
