"""The places of a watch of several: folders and files, each with options of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack

from limpet._option_fields import path_of
from limpet._option_signature import options_of, shows_options
from limpet.config import WatchOptions
from limpet.errors import UsageError
from limpet.events import Kind
from limpet.watching._keywords import Options, options_of_place


class _Place:
    """A path, what is expected there, and the options that are its own."""

    __slots__ = ("options", "path")

    expects: Kind

    def __init__(self, path: str | os.PathLike[str], options: dict[str, Any]) -> None:
        self.path: Path = path_of("path", path)
        self.options: Mapping[str, Any] = options
        options_of_place(options, self.expects)

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({os.fspath(self.path)!r}{shown})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Place):
            return NotImplemented
        return (type(self), self.path, self.options) == (type(other), other.path, other.options)

    def __hash__(self) -> int:
        return hash((type(self), self.path))


class Dir(_Place):
    """A folder as a place of ``limpet.watch``; it need not exist."""

    __slots__ = ()
    expects: Kind = "dir"

    @shows_options(Options, options_of(WatchOptions))
    def __init__(self, path: str | os.PathLike[str], **options: Unpack[Options]) -> None:
        """Name a folder.

        Args:
            path: The location.
            **options: ``limpet.WatchOptions`` explains each; they come before those of the watch.

        Raises:
            UsageError: As ``limpet.watch_dir``.
        """
        super().__init__(path, dict(options))


class File(_Place):
    """A file as a place of ``limpet.watch``; it need not exist."""

    __slots__ = ()
    expects: Kind = "file"

    @shows_options(Options, (one for one in options_of(WatchOptions) if one.name != "settle_dir"))
    def __init__(self, path: str | os.PathLike[str], **options: Unpack[Options]) -> None:
        """Name a file.

        Args:
            path: The location.
            **options: ``limpet.WatchOptions`` explains each; they come before those of the watch.

        Raises:
            UsageError: As ``limpet.watch_file``.
        """
        super().__init__(path, dict(options))


Place = Dir | File
PlaceLike = Place | str | os.PathLike[str]


class ResolvedPlace(NamedTuple):
    """A place with all its options."""

    path: Path
    expects: Kind
    options: WatchOptions

    @property
    def shown(self) -> Place:
        """Return the place as it is given, without the options of the watch."""
        return Dir(self.path) if self.expects == "dir" else File(self.path)


_FOR_FOLDERS: Final = frozenset(("settle_dir",))


def place_or_path(value: object) -> Place | Path:
    """Return a place, or the absolute path of one.

    Raises:
        UsageError: It is neither a place nor a path.
    """
    return value if isinstance(value, Dir | File) else path_of("place", value)


def resolve(value: Place | Path, common: Mapping[str, Any]) -> ResolvedPlace:
    """Return the place with its own options and those that all have; may wait for the disk.

    Raises:
        UsageError: Nothing is at a path that does not say what it is to be, or the options are not
            allowed.
    """
    if isinstance(value, Path):
        value = _found_at(value)
    shared = dict(common)
    if value.expects == "file":
        for name in _FOR_FOLDERS:
            shared.pop(name, None)
    options = options_of_place({**shared, **value.options}, value.expects)
    return ResolvedPlace(value.path, value.expects, options)


def _found_at(path: Path) -> Place:
    try:
        status = os.stat(path)
    except OSError as error:
        shown = repr(os.fspath(path))
        message = (
            f"cannot tell whether {shown} is a folder or a file ({error.strerror}): "
            f"give limpet.Dir({shown}) or limpet.File({shown}) for what need not exist"
        )
        raise UsageError(message) from error
    return Dir(path) if status.st_mode & 0o170000 == 0o040000 else File(path)


def inner_places(places: Iterable[ResolvedPlace]) -> dict[Path, frozenset[tuple[str, str]]]:
    """Return which places are inside folders that are places: these leave them out.

    Returns:
        Path of the folder -> directory below it and name of each.
    """
    wanted = list(places)
    folders = {one.path for one in wanted if one.expects == "dir"}
    found: dict[Path, set[tuple[str, str]]] = {}
    for place in wanted:
        for outer in place.path.parents:
            if outer in folders:
                head, name = os.path.split(os.path.relpath(place.path, outer))
                found.setdefault(outer, set()).add((head, name))
    return {outer: frozenset(inner) for outer, inner in found.items()}


def covering(place: ResolvedPlace, others: Iterable[ResolvedPlace]) -> ResolvedPlace | None:
    """Return the folder among the others that the place is inside of."""
    for other in others:
        inside = other.path != place.path and place.path.is_relative_to(other.path)
        if other.expects == "dir" and inside:
            return other
    return None


def check_apart(places: Iterable[ResolvedPlace]) -> None:
    """Raise ``UsageError`` for two places that are the same, or share a state file."""
    paths: set[Path] = set()
    states: set[Path] = set()
    for place in places:
        if place.path in paths:
            message = f"{os.fspath(place.path)!r} is given twice: name each place once"
            raise UsageError(message)
        paths.add(place.path)
        state = place.options.state
        if state is not None:
            if state in states:
                message = (
                    f"state={os.fspath(state)!r} is for one place alone: give each a file of its "
                    "own, by limpet.Dir(path, state=...)"
                )
                raise UsageError(message)
            states.add(state)
