"""Why an operation is refused: the system's errors and our own, as codes and messages."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from limpet.output._name_validation import BadNameError
from limpet.output._operations import Operation, shown_name, verb_of
from limpet.output._results import RefusalCode, Refused

_CODES: Final[dict[int, RefusalCode]] = {
    errno.EEXIST: "exists",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not-a-file",
    errno.ENXIO: "not-a-file",
    errno.EISDIR: "is-directory",
    errno.ELOOP: "symlink",
    errno.EXDEV: "mount",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "read-only",
    errno.ENOSPC: "no-space",
    errno.EFBIG: "no-space",
    errno.EBUSY: "busy",
    errno.EAGAIN: "busy",
    errno.ENOTEMPTY: "directory-not-empty",
    errno.ENAMETOOLONG: "bad-name",
    errno.EILSEQ: "bad-name",
}
if hasattr(errno, "EDQUOT"):
    _CODES[errno.EDQUOT] = "no-space"
if hasattr(errno, "ETXTBSY"):
    _CODES[errno.ETXTBSY] = "busy"

_ADVICE: Final[dict[RefusalCode, str]] = {
    "bad-name": "choose another name, or make one with limpet.safe_name",
    "busy": "try again later",
    "closed": "open the output again",
    "content": "see what the stream raised",
    "denied": "check owner, permissions and attributes of the folder and the file",
    "durability": "it is done but may not survive a crash: check the disk",
    "encoding": "choose another encoding, or give bytes",
    "escape": "do not trust the source of this name",
    "exists": "choose another name, or overwrite it",
    "directory-not-empty": "empty it first",
    "hard-link": "its other names may be outside: overwrite it instead, which leaves them alone",
    "internal": "this is a fault in limpet: please report it with the traceback of its cause",
    "io": "check the disk and the limits of this process, then try again",
    "is-directory": "choose another name; delete_dir removes an empty folder",
    "missing": "check the name",
    "mount": "open the output with cross_mounts=True if that is meant",
    "no-space": "make room, then try again",
    "not-a-file": "choose another name, or remove what is there",
    "over-cap": "write less, remove files, or raise the limit",
    "read-only": "mount the file system writable, or use another folder",
    "root-gone": "create the folder again, or open the output with create=True",
    "symlink": "remove the symlink, or name what it points to",
}


class RefusalError(Exception):
    """Ends one operation; ``code`` and ``why`` become its result."""

    def __init__(
        self, code: RefusalCode, why: str, number: int | None = None, *, advice: str = ""
    ) -> None:
        """Keep what the result needs; ``why`` is a clause, ``advice`` replaces the usual one."""
        super().__init__(why)
        self.code: RefusalCode = code
        self.why = why
        self.number = number
        self.advice = advice or _ADVICE[code]


class HeldError(Exception):
    """Puts one operation off: another process, or a packing here, holds a lock that it needs."""


def check_plain(found: os.stat_result, subject: str = "it") -> None:
    """Refuse everything but a regular file, by its type.

    Raises:
        RefusalError: ``symlink``, ``is-directory`` or ``not-a-file``.
    """
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        raise RefusalError("symlink", f"{subject} is a symlink, and none is followed")
    if stat.S_ISDIR(mode):
        raise RefusalError("is-directory", f"{subject} is a directory", errno.EISDIR)
    if not stat.S_ISREG(mode):
        raise RefusalError("not-a-file", f"{subject} is a FIFO, socket or device")


def check_writable(found: os.stat_result) -> None:
    """Refuse a file that nobody may write, even if this process could.

    The owner of the directory may replace any file in it, and root may write any. So what the owner
    of a file protected by its mode is protected by this alone.

    Raises:
        RefusalError: ``denied``.
    """
    if not found.st_mode & 0o222:
        mode = stat.S_IMODE(found.st_mode)
        why = f"the file is write-protected (mode {mode:04o})"
        advice = "make it writable, or overwrite it with replace_read_only=True"
        raise RefusalError("denied", why, errno.EACCES, advice=advice)


def no_locks(error: OSError) -> RefusalError:
    """Return the refusal of a file system, or a sandbox, that has no advisory locks."""
    why = f"no file can be locked here ({error.strerror})"
    advice = "append without lock and rotation, or to a folder on another file system"
    return RefusalError("io", why, error.errno, advice=advice)


def refused(operation: Operation, root: str, error: Exception) -> Refused:
    """Return the result for what ended an operation; errno is read here and nowhere else."""
    number: int | None = None
    code: RefusalCode
    advice = ""
    cause: Exception | None = None
    if isinstance(error, RefusalError):
        code, why, number, advice = error.code, error.why, error.number, error.advice
        if code == "content" and isinstance(error.__cause__, Exception):
            cause = error.__cause__
    elif isinstance(error, BadNameError):
        code, why = error.code, f"the name {error}"
    elif isinstance(error, UnicodeEncodeError):
        code, why = "encoding", f"the text does not fit {error.encoding} ({error.reason})"
    elif isinstance(error, UnicodeError):
        code, why = "encoding", f"the text cannot be encoded ({error})"
    elif isinstance(error, OSError) and error.errno is not None:
        number = error.errno
        code, why = _CODES.get(number, "io"), error.strerror or errno.errorcode.get(number, "?")
    elif isinstance(error, OSError):
        code, why = "io", str(error)
    elif isinstance(error, MemoryError):
        code, why, cause = "io", "the memory of this process is used up", error
    else:
        code, why, cause = "internal", f"{type(error).__name__}: {error}", error
    verb = verb_of(operation).replace("_", " ")
    advice = advice or _ADVICE[code]
    message = f"cannot {verb} {shown_name(operation)!r} in {root!r}: {why}; {advice}"
    return Refused(operation=operation, code=code, message=message, errno=number, cause=cause)
