"""OVERLAPPED of Windows: what identifies a call that goes on, and where in a file it works."""

from __future__ import annotations

import ctypes


class Overlapped(ctypes.Structure):
    """OVERLAPPED of minwinbase.h."""

    _fields_ = (
        ("internal", ctypes.c_void_p),
        ("internal_high", ctypes.c_void_p),
        ("offset", ctypes.c_uint32),
        ("offset_high", ctypes.c_uint32),
        ("event", ctypes.c_void_p),
    )
