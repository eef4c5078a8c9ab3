"""A path on another host: a value that no program can open by accident."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from limpet._wire import path_of
from limpet.errors import UsageError

Flavour = Literal["posix", "windows"]

MountMap: TypeAlias = Mapping[tuple[str, str], str | os.PathLike[str]]
"""(host, directory there) -> the directory where it is mounted here."""


def flavour_here() -> Flavour:
    """Return the flavour of this system's paths."""
    return "windows" if os.name == "nt" else "posix"


class RemotePathError(UsageError):
    """A path of another host was used as a local one, or is not mounted here."""

    default_code = "remote-path"


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A path on another host, exact to the byte; ``open`` and ``Path`` refuse it.

    Two are equal if host, flavour and bytes are. ``str`` returns ``host:path``, for people.
    """

    host: str
    flavour: Flavour
    raw: bytes
    """Its bytes: of ``os.fsencode`` on POSIX, UTF-8 with lone surrogates on Windows."""

    @classmethod
    def from_wire(
        cls, host: str, flavour: Flavour, data: Mapping[str, object], key: str
    ) -> RemotePath | None:
        """Return a path of a wire object, exact to the byte; ``None`` if it has none."""
        raw = path_of(data, key)
        return None if raw is None else cls(host, flavour, raw)

    @property
    def pure(self) -> PurePosixPath | PureWindowsPath:
        """The path by the rules of its own system; it touches no disk."""
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
        return f"{self.host}:{self.raw.decode('utf-8', 'replace')}"

    if not TYPE_CHECKING:  # with it, a type checker would take this for an os.PathLike

        def __fspath__(self) -> NoReturn:
            """Refuse to be used as a local path.

            Raises:
                RemotePathError: Always.
            """
            message = (
                f"{self} is on another host: use .local(on=...) if this is that host, "
                ".map(...) if it is mounted here, or let the event carry the content"
            )
            raise RemotePathError(message)

    def local(self, *, on: str) -> Path:
        """Return the path on this host, whose name on the hub is ``on``.

        Raises:
            RemotePathError: It is on another host, or on a system with other paths.
        """
        if on != self.host:
            message = f"{self} is on {self.host!r}, and this is {on!r}"
            raise RemotePathError(message)
        if self.flavour != flavour_here():
            message = f"{self} is a {self.flavour} path, and this system has others"
            raise RemotePathError(message)
        return Path(os.fsdecode(self.raw)) if os.name != "nt" else Path(str(self.pure))

    def map(self, mounts: MountMap) -> Path:
        """Return the path below the directory where it is mounted here; the longest match wins.

        Raises:
            RemotePathError: The table has no directory that contains it.
        """
        pure = self.pure
        fitting: list[tuple[int, PurePosixPath | PureWindowsPath, str | os.PathLike[str]]] = []
        for (host, directory), here in mounts.items():
            there = type(pure)(directory)
            if host == self.host and pure.is_relative_to(there) and ".." not in pure.parts:
                fitting.append((len(there.parts), pure.relative_to(there), here))
        if not fitting:
            known = ", ".join(f"{host}:{directory}" for host, directory in mounts) or "nothing"
            message = f"{self} is not mounted here; the table has {known}"
            raise RemotePathError(message)
        _, rest, here = max(fitting, key=_depth)
        return Path(here, *rest.parts)


def _depth(item: tuple[int, object, object]) -> int:
    return item[0]
