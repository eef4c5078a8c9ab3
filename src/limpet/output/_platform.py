"""Which system calls are used on this system; nothing else asks which system it is."""

from __future__ import annotations

import os
import sys

from limpet.output._syscalls import Syscalls


def default_calls() -> Syscalls:
    """Return calls by descriptors of directories or, where there are none (Windows), by path."""
    if os.open in os.supports_dir_fd:
        return Syscalls()
    from limpet.output._syscalls_by_path import PathSyscalls, pin

    return PathSyscalls(pin if sys.platform == "win32" else None)
