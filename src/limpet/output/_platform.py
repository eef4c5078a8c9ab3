"""Which system calls are used on this system; nothing else asks which system it is."""

from __future__ import annotations

import sys

from limpet.output._syscalls import Syscalls


def default_calls() -> Syscalls:
    """Return calls by descriptors of directories or, where those are handles (Windows), by them."""
    if sys.platform != "win32":
        return Syscalls()
    from limpet.output._syscalls_by_handle import HandleSyscalls

    return HandleSyscalls()
