"""What a process is that the kernel has named by its number."""

from __future__ import annotations

import os


def program_of(pid: int) -> str | None:
    """Return the path of the program, as long as the process runs (proc(5), ``/proc/PID/exe``)."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:  # it has ended, or is another user's
        return None
    return program.removesuffix(" (deleted)")
