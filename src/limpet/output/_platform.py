"""The choice of how this system is spoken to; nothing else asks which one it is."""

from __future__ import annotations

import os
import sys

from limpet.output._syscalls import Syscalls

__all__ = ["default_calls"]


def default_calls() -> Syscalls:
    """Descriptors of folders where there are any, else (Windows) folders held open by path."""
    if os.open in os.supports_dir_fd:
        return Syscalls()
    from limpet.output._syscalls_by_path import PathSyscalls, pin

    return PathSyscalls(pin if sys.platform == "win32" else None)
