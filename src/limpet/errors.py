"""Every exception limpet raises, cut by what the caller can do about it."""

from __future__ import annotations

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
    "UnsupportedError",
    "UsageError",
]


class LimpetError(Exception):
    """Root of the tree: catching it catches whatever limpet itself raises.

    ``code`` is stable across releases and names a heading in ``docs/troubleshooting.md``.
    """

    code: str

    def __init__(self, message: str, *, code: str = "limpet") -> None:
        """Keep the message as it is shown and the code as it is looked up."""
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling with the keyword argument."""
        return (_rebuild, (type(self), str(self), self.code))


class UsageError(LimpetError, ValueError):
    """The call is wrong (an empty path, a negative time): fix it. Nothing was started."""

    def __init__(self, message: str, *, code: str = "usage") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class UnsupportedError(LimpetError):
    """What was asked for by name does not work here: choose another. Nothing was started."""

    def __init__(self, message: str, *, code: str = "unsupported") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class LimitError(LimpetError, OSError):
    """A limit of the system is used up: raise it (the message says which and to what)."""

    def __init__(self, message: str, *, code: str = "limit") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class CheckpointBusyError(LimpetError):
    """Another follower uses the state file: give each its own. Nothing was started."""

    def __init__(self, message: str, *, code: str = "state-busy") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class CheckpointCorruptError(LimpetError):
    """No version of the state file can be read: remove it to begin anew. Nothing was started."""

    def __init__(self, message: str, *, code: str = "state-corrupt") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class MissingExtraError(LimpetError, ImportError):
    """An optional part is not installed: the message gives the command that installs it."""

    def __init__(self, message: str, *, code: str = "missing-extra") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


class OutputError(LimpetError):
    """Root of what a write into an output folder can be refused for; catches all of them.

    ``name`` is the name that was given, ``operation`` what was tried (``create``, ``append``, ...),
    ``errno`` the system's word where there is one. Unless a class says otherwise nothing changed
    on disk and no temporary file was left.
    """

    name: str
    operation: str
    errno: int | None

    def __init__(
        self,
        message: str,
        *,
        code: str = "output",
        name: str = "",
        operation: str = "",
        errno: int | None = None,
    ) -> None:
        """Keep the message as it is shown and the facts as they are asked for."""
        super().__init__(message, code=code)
        self.name = name
        self.operation = operation
        self.errno = errno

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling with the facts."""
        facts = (self.name, self.operation, self.errno)
        return (_rebuild_output, (type(self), str(self), self.code, *facts))


class NameRefusedError(OutputError, ValueError):
    """The name is none that an output takes: choose another, or make one with ``safe_name``."""

    def __init__(self, message: str, *, code: str = "bad-name", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class EscapeError(OutputError, PermissionError):
    """The name leads out of the root, or through a symlink or mount: distrust whoever gave it."""

    def __init__(self, message: str, *, code: str = "escape", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class ExistsError(OutputError, FileExistsError):
    """The name is taken: choose another, or ask for it to be replaced."""

    def __init__(self, message: str, *, code: str = "exists", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class MissingError(OutputError, FileNotFoundError):
    """What is to be deleted, moved or appended to is not there."""

    def __init__(self, message: str, *, code: str = "missing", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class NotAFileError(OutputError, OSError):
    """Something else than a plain file of this folder's own stands at the name."""

    def __init__(self, message: str, *, code: str = "not-a-file", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class DeniedError(OutputError, PermissionError):
    """The system does not let this user do it, or nobody (a read-only file system)."""

    def __init__(self, message: str, *, code: str = "denied", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class NoSpaceError(OutputError, OSError):
    """The disk or a quota is full: make room and try again."""

    def __init__(self, message: str, *, code: str = "no-space", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class CapError(OutputError):
    """A limit that the program itself has set would be passed."""

    def __init__(self, message: str, *, code: str = "over-cap", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class BusyError(OutputError, OSError):
    """Somebody else holds the file, or too much is waiting: try again later."""

    def __init__(self, message: str, *, code: str = "busy", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class RootGoneError(OutputError, FileNotFoundError):
    """The root folder itself is not there, or another stands in its place."""

    def __init__(self, message: str, *, code: str = "root-gone", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class ContentError(OutputError, ValueError):
    """The text cannot be written in the encoding that was asked for; nothing was written."""

    def __init__(self, message: str, *, code: str = "encoding", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class DurabilityError(OutputError, OSError):
    """It is done and can be read, but may not survive a crash: check the disk."""

    def __init__(self, message: str, *, code: str = "durability", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


class OutputFailedError(OutputError, OSError):
    """The system failed at it (an I/O error, no descriptors left); the message says how."""

    def __init__(self, message: str, *, code: str = "io", **facts: object) -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code, **facts)  # type: ignore[arg-type]  # passed on as is


def _rebuild_output(
    kind: type[OutputError], message: str, code: str, name: str, operation: str, errno: int | None
) -> OutputError:
    return kind(message, code=code, name=name, operation=operation, errno=errno)


def _rebuild(kind: type[LimpetError], message: str, code: str) -> LimpetError:
    return kind(message, code=code)
