"""The system calls that an output uses here, for the fakes that let single ones fail."""

import sys

if sys.platform == "win32":
    from limpet.output._syscalls_by_handle import HandleSyscalls as SystemCalls
else:
    from limpet.output._syscalls import Syscalls as SystemCalls

__all__ = ["SystemCalls"]
