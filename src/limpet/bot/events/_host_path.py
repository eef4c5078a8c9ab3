"""Paths of another host: they print as ``host:path`` and cannot be opened here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, NoReturn


class HostPath:
    """Mixin of the paths of all hosts; each host has a class of its own."""

    __slots__ = ()
    host: ClassVar[str]


@lru_cache(maxsize=256)
def _class_for(host: str, base: type[PurePath]) -> type[PurePath]:
    """Create the class of one host's paths; paths derived from one of them have it, too."""

    class OfHost(HostPath, base):  # type: ignore[valid-type, misc]  # made for each host
        """A path of another host; it cannot be opened here."""

        __slots__ = ()

        def __str__(self) -> str:
            return f"{host}:{super().__str__()}" if self.is_absolute() else super().__str__()

        def is_absolute(self) -> bool:
            # that of Python 3.13 asks os.path, which wants a path that can be opened
            return bool(self.root) and (base is PurePosixPath or bool(self.drive))

        def __fspath__(self) -> NoReturn:
            from limpet.remote import RemotePathError  # this module is loaded without the extra

            message = (
                f"{self} is on another host and cannot be opened here: let the event carry its "
                "content (option content of the watch in that host's agent)"
            )
            raise RemotePathError(message)

        def __reduce__(self) -> tuple[Any, ...]:
            return make_host_path, (host, base is PureWindowsPath, self.parts)

    OfHost.host = host
    return OfHost


def make_host_path(host: str, windows: bool, parts: tuple[str, ...]) -> PurePath:  # noqa: FBT001
    """Return a pure path of a host, from its parts."""
    return _class_for(host, PureWindowsPath if windows else PurePosixPath)(*parts)
