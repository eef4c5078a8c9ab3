"""A job of Windows: a process and all that it starts, ended as one, even when limpet is killed.

POSIX has process groups; on Windows a process does not know its children. A job does, and with
JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE it ends them once its last handle is closed: the system closes
ours however limpet ends, ``taskkill /F`` included ("Job Objects", learn.microsoft.com).

A process is started suspended and put into its job before it runs, so that it has no child outside.
RACE: if limpet is killed between the two, some microseconds, a process that has done nothing stays.
Where limpet runs in a job itself, the two are nested (since Windows 8).
"""

from __future__ import annotations

import ctypes
import logging
import sys
from functools import cache
from typing import Any, Final, Protocol

_LOG: Final = logging.getLogger("limpet")

STATUS: Final = 1
"""Exit code of processes that are ended with their job, as of TerminateProcess in Python."""


class JobApi(Protocol):
    """The system calls; each raises ``OSError``."""

    def create(self) -> int:
        """Create a job that no other process can open; return its handle."""
        ...

    def set_kill_on_close(self, job: int, *, kills: bool) -> None:
        """Set whether the last handle's close ends what is in it."""
        ...

    def open_process(self, pid: int) -> int:
        """Open a process that has just been started."""
        ...

    def assign(self, job: int, process: int) -> None:
        """Put a process into the job; what it starts from now on is in it, too."""
        ...

    def resume(self, process: int) -> None:
        """Let a process run that was started suspended."""
        ...

    def terminate(self, job: int, status: int) -> None:
        """End all that is in the job."""
        ...

    def count(self, job: int) -> int:
        """Return how many processes of it are left."""
        ...

    def close(self, handle: int) -> None:
        """Close a handle."""
        ...


class Job:
    """One started process and all that it starts."""

    def __init__(self, api: JobApi, handle: int) -> None:
        self._api = api
        self._handle: int | None = handle

    @classmethod
    def of_suspended(cls, pid: int, api: JobApi) -> Job | None:
        """Put a process that was started suspended into a job, and let it run.

        Return ``None`` if it runs without one: its children are not ended with it then.

        Raises:
            OSError: It does not run.
        """
        process = api.open_process(pid)
        try:
            job = cls._holding(process, api)
            try:
                api.resume(process)
            except BaseException:
                if job is not None:
                    job.close()
                raise
            return job
        finally:
            api.close(process)

    @classmethod
    def _holding(cls, process: int, api: JobApi) -> Job | None:
        handle = None
        try:
            handle = api.create()
            api.set_kill_on_close(handle, kills=True)
            api.assign(handle, process)
        except OSError as error:
            if handle is not None:
                api.close(handle)
            _LOG.warning("a command runs without a job, so its own children are kept: %s", error)
            return None
        return cls(api, handle)

    @property
    def is_empty(self) -> bool:
        """Return whether all that was in it has ended."""
        try:
            return self._handle is None or self._api.count(self._handle) == 0
        except OSError:
            return False

    def terminate(self) -> None:
        """End all that is in it."""
        if self._handle is not None:
            self._api.terminate(self._handle, STATUS)

    def close(self) -> None:
        """End all that is left in it; may be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._api.close(handle)

    def release(self) -> None:
        """Let what is left go on: what a command that has ended left behind is not ours to end."""
        if self._handle is not None and not self.is_empty:
            try:
                self._api.set_kill_on_close(self._handle, kills=False)
            except OSError as error:
                _LOG.warning("what a command has started is ended with it: %s", error)
        self.close()


class _Basic(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION of winnt.h."""

    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("most_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    )


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION of winnt.h."""

    _fields_ = (
        ("basic", _Basic),
        ("io", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION of winnt.h."""

    _fields_ = (
        ("times", ctypes.c_int64 * 4),
        ("faults", ctypes.c_uint32),
        ("total", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("terminated", ctypes.c_uint32),
    )


_ACCOUNTING, _EXTENDED_LIMITS = 1, 9
"""JobObjectBasicAccountingInformation and JobObjectExtendedLimitInformation."""
_KILL_ON_CLOSE: Final = 0x2000
_RIGHTS: Final = 0x0001 | 0x0100 | 0x0800
"""PROCESS_TERMINATE and PROCESS_SET_QUOTA, which a job asks for, and PROCESS_SUSPEND_RESUME."""


if sys.platform == "win32":

    class NativeJobs:
        """Windows itself."""

        def __init__(self) -> None:
            """Look the functions up."""
            pointer, number, flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
            kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            kernel.CreateJobObjectW.argtypes = [pointer, ctypes.c_wchar_p]
            kernel.CreateJobObjectW.restype = pointer
            kernel.SetInformationJobObject.argtypes = [pointer, flag, pointer, number]
            kernel.QueryInformationJobObject.argtypes = [pointer, flag, pointer, number, pointer]
            kernel.AssignProcessToJobObject.argtypes = [pointer, pointer]
            kernel.TerminateJobObject.argtypes = [pointer, number]
            kernel.OpenProcess.argtypes = [number, flag, number]
            kernel.OpenProcess.restype = pointer
            kernel.CloseHandle.argtypes = [pointer]
            self._kernel = kernel
            # There is no other call that resumes a process by its handle; subprocess closes the
            # handle of its thread.
            self._resume = ctypes.WinDLL("ntdll").NtResumeProcess
            self._resume.argtypes, self._resume.restype = [pointer], number

        @staticmethod
        def _checked(result: int | None) -> int:
            if not result:
                raise ctypes.WinError(ctypes.get_last_error())
            return result

        def create(self) -> int:
            """Create a job without a name, whose handle no child inherits."""
            return self._checked(self._kernel.CreateJobObjectW(None, None))

        def set_kill_on_close(self, job: int, *, kills: bool) -> None:
            """Set its limits: this one, or none."""
            limits = _Limits()
            limits.basic.flags = _KILL_ON_CLOSE if kills else 0
            size = ctypes.sizeof(limits)
            call = self._kernel.SetInformationJobObject
            self._checked(call(job, _EXTENDED_LIMITS, ctypes.byref(limits), size))

        def open_process(self, pid: int) -> int:
            """Open it; its number is not given to another as long as we have not waited for it."""
            return self._checked(self._kernel.OpenProcess(_RIGHTS, 0, pid))

        def assign(self, job: int, process: int) -> None:
            """Put it into the job."""
            self._checked(self._kernel.AssignProcessToJobObject(job, process))

        def resume(self, process: int) -> None:
            """Let it run."""
            status = self._resume(process)
            if status:
                message = f"cannot resume a process: NTSTATUS {status:#010x}"
                raise OSError(message)

        def terminate(self, job: int, status: int) -> None:
            """End all in it."""
            self._checked(self._kernel.TerminateJobObject(job, status))

        def count(self, job: int) -> int:
            """Return ActiveProcesses."""
            found = _Accounting()
            size = ctypes.sizeof(found)
            call = self._kernel.QueryInformationJobObject
            self._checked(call(job, _ACCOUNTING, ctypes.byref(found), size, None))
            return int(found.active)

        def close(self, handle: int) -> None:
            """Close it."""
            self._kernel.CloseHandle(handle)

    @cache
    def native_jobs() -> JobApi | None:
        """Return the calls of this system."""
        return NativeJobs()
else:

    def native_jobs() -> JobApi | None:
        """Return ``None``: this system has process groups."""
        return None
