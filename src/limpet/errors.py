"""The exceptions that limpet raises, one tree, divided by what the caller can do about them."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BusyError",
    "CapError",
    "CheckpointBusyError",
    "CheckpointCorruptError",
    "ContentError",
    "DeniedError",
    "DurabilityError",
    "EscapeError",
    "ExistsError",
    "LimitError",
    "LimpetError",
    "MissingError",
    "MissingExtraError",
    "NameRefusedError",
    "NoSpaceError",
    "NotAFileError",
    "OutputError",
    "OutputFailedError",
    "RootGoneError",
    "StateFileError",
    "UnsupportedError",
    "UsageError",
]


class LimpetError(Exception):
    """Root of the tree: catching it catches everything that limpet itself raises.

    ``code`` is stable across releases and names a heading in ``docs/troubleshooting.md``.
    """

    default_code: ClassVar[str] = "limpet"
    """The ``code`` of an exception that is raised without one."""
    code: str

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.code))


class UsageError(LimpetError, ValueError):
    """The call is wrong (an empty path, a negative time): fix it. Nothing was started."""

    default_code = "usage"


class UnsupportedError(LimpetError):
    """What was named does not work here: choose another. Nothing was started."""

    default_code = "unsupported"


class LimitError(LimpetError, OSError):
    """A limit of the system is used up: raise it (the message says which and to what)."""

    default_code = "limit"


class CheckpointBusyError(LimpetError):
    """Another follower uses the state file: give each its own. Nothing was started."""

    default_code = "state-busy"


class CheckpointCorruptError(LimpetError):
    """No version of the state file can be read: remove it to start again. Nothing was started."""

    default_code = "state-corrupt"


class StateFileError(LimpetError, OSError):
    """The state file of a watch cannot be read or written: the file there, if any, is unchanged."""

    default_code = "state-file"


class MissingExtraError(LimpetError, ImportError):
    """An optional part is not installed: the message gives the command that installs it."""

    default_code = "missing-extra"


class OutputError(LimpetError):
    """Root of the reasons for which an output refuses an operation; catches all of them.

    ``name`` is the name that was given, ``operation`` what was tried (``create``, ``append``, ...),
    ``errno`` that of the system where there is one. Unless a class says otherwise, nothing changed
    on disk and no temporary file was left.
    """

    default_code = "output"
    name: str
    operation: str
    errno: int | None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        name: str = "",
        operation: str = "",
        errno: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.name = name
        self.operation = operation
        self.errno = errno

    def __reduce__(self) -> tuple[object, ...]:
        facts = (self.name, self.operation, self.errno)
        return (_rebuild_output, (type(self), str(self), self.code, *facts))


class NameRefusedError(OutputError, ValueError):
    """An output does not accept the name: choose another, or make one with ``safe_name``."""

    default_code = "bad-name"


class EscapeError(OutputError, PermissionError):
    """The name leads out of the root, or through a symlink or mount: distrust its source."""

    default_code = "escape"


class ExistsError(OutputError, FileExistsError):
    """The name is taken: choose another, or overwrite it."""

    default_code = "exists"


class MissingError(OutputError, FileNotFoundError):
    """What is to be deleted, moved or appended to does not exist."""

    default_code = "missing"


class NotAFileError(OutputError, OSError):
    """The name is that of something else than a regular file of this root's own."""

    default_code = "not-a-file"


class DeniedError(OutputError, PermissionError):
    """The system does not permit it to this user, or to any (a read-only file system)."""

    default_code = "denied"


class NoSpaceError(OutputError, OSError):
    """The disk or a quota is full: make room and try again."""

    default_code = "no-space"


class CapError(OutputError):
    """A limit that the program itself has set would be passed."""

    default_code = "over-cap"


class BusyError(OutputError, OSError):
    """Another process holds the file, or too much is waiting: try again later."""

    default_code = "busy"


class RootGoneError(OutputError, FileNotFoundError):
    """The root directory itself is missing, or another is in its place."""

    default_code = "root-gone"


class ContentError(OutputError, ValueError):
    """The text cannot be written in the requested encoding; nothing was written."""

    default_code = "encoding"


class DurabilityError(OutputError, OSError):
    """It is done and can be read, but may not survive a crash: check the disk."""

    default_code = "durability"


class OutputFailedError(OutputError, OSError):
    """The system failed at it (an I/O error, no descriptors left); the message says how."""

    default_code = "io"


def _rebuild_output(
    kind: type[OutputError], message: str, code: str, name: str, operation: str, errno: int | None
) -> OutputError:
    return kind(message, code=code, name=name, operation=operation, errno=errno)


def _rebuild(kind: type[LimpetError], message: str, code: str) -> LimpetError:
    return kind(message, code=code)
