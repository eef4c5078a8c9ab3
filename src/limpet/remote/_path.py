"""A path on another host: a value that no program can open by accident."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from limpet._wire import path_of
from limpet.errors import UsageError

__all__ = ["Flavour", "MountMap", "RemotePath", "RemotePathError", "flavour_here"]

Flavour = Literal["posix", "windows"]

MountMap: TypeAlias = Mapping[tuple[str, str], str | os.PathLike[str]]
"""(host, folder there) -> the same folder as it is mounted here."""


def flavour_here() -> Flavour:
    """Give the flavour of this system's paths."""
    return "windows" if os.name == "nt" else "posix"


class RemotePathError(UsageError):
    """A path of another host was used like a local one, or is nowhere here: nothing was opened."""

    def __init__(self, message: str, *, code: str = "remote-path") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A path on another host, exact to the byte; ``open`` and ``Path`` refuse it.

    Two are equal if host, flavour and bytes are. ``str`` gives ``host:path``, which is for people.
    """

    host: str
    flavour: Flavour
    raw: bytes
    """Its bytes: ``os.fsencode`` of POSIX, of Windows UTF-8 with lone surrogates let through."""

    @classmethod
    def from_wire(
        cls, host: str, flavour: Flavour, data: Mapping[str, object], key: str
    ) -> RemotePath | None:
        """Read a path of a wire object, exact to the byte; ``None`` if it has none."""
        raw = path_of(data, key)
        return None if raw is None else cls(host, flavour, raw)

    @property
    def pure(self) -> PurePosixPath | PureWindowsPath:
        """The path by the rules of its own system; it touches no disk, and is not this host's."""
        if self.flavour == "windows":
            return PureWindowsPath(self.raw.decode("utf-8", "surrogatepass"))
        return PurePosixPath(self.raw.decode("utf-8", "surrogateescape"))

    @property
    def name(self) -> str:
        """Its last component."""
        return self.pure.name

    @property
    def suffix(self) -> str:
        """The extension of its last component, dot included."""
        return self.pure.suffix

    def __str__(self) -> str:
        """Give ``host:path``, with U+FFFD for what is not text."""
        return f"{self.host}:{self.raw.decode('utf-8', 'replace')}"

    if not TYPE_CHECKING:  # with it, a type checker would take this for an os.PathLike

        def __fspath__(self) -> NoReturn:
            """Refuse to be used like a local path.

            Raises:
                RemotePathError: Always.
            """
            message = (
                f"{self} lies on another host: use .local(on=...) if this is that host, "
                ".map(...) if it is mounted here, or ask for the content with the event"
            )
            raise RemotePathError(message)

    def local(self, *, on: str) -> Path:
        """Give the path for this host, whose name on the hub is ``on``.

        Raises:
            RemotePathError: It is another host's, or of a system with other paths.
        """
        if on != self.host:
            message = f"{self} lies on {self.host!r}, and this is {on!r}"
            raise RemotePathError(message)
        return self._here(self.pure)

    def map(self, mounts: MountMap) -> Path:
        """Give the path where a table says that the folder is mounted here; the longest match wins.

        Raises:
            RemotePathError: The table has no folder that holds it.
        """
        pure = self.pure
        fitting: list[tuple[int, PurePosixPath | PureWindowsPath, str | os.PathLike[str]]] = []
        for (host, folder), here in mounts.items():
            there = type(pure)(folder)
            if host == self.host and pure.is_relative_to(there) and ".." not in pure.parts:
                fitting.append((len(there.parts), pure.relative_to(there), here))
        if not fitting:
            known = ", ".join(f"{host}:{folder}" for host, folder in mounts) or "nothing"
            message = f"{self} is mounted nowhere here; the table knows {known}"
            raise RemotePathError(message)
        _, rest, here = max(fitting, key=_depth)
        return Path(here, *rest.parts)

    def _here(self, pure: PurePosixPath | PureWindowsPath) -> Path:
        if self.flavour != flavour_here():
            message = f"{self} is a path of {self.flavour}, and this system is not"
            raise RemotePathError(message)
        return Path(os.fsdecode(self.raw)) if os.name != "nt" else Path(str(pure))


def _depth(item: tuple[int, object, object]) -> int:
    return item[0]
