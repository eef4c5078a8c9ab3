"""Every exception limpet raises, cut by what the caller can do about it."""

from __future__ import annotations

__all__ = ["LimitError", "LimpetError", "MissingExtraError", "UnsupportedError", "UsageError"]


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


class MissingExtraError(LimpetError, ImportError):
    """An optional part is not installed: the message gives the command that installs it."""

    def __init__(self, message: str, *, code: str = "missing-extra") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


def _rebuild(kind: type[LimpetError], message: str, code: str) -> LimpetError:
    return kind(message, code=code)
