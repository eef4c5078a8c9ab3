"""Where the location leads now, and what must be marked so that a change of it leaves a hint.

The path is resolved component by component, symlinks included. Each directory on the way is marked
just as far as it can change the answer: its own deletion and move where the next step exists; the
names in it where the next step is a symlink (it may be replaced) or is missing (it may appear).
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._descriptors import close_reader
from limpet.backends import MARK_ALL, MARK_NAMES, MARK_SELF

if TYPE_CHECKING:
    from limpet.watching.index._entry_record import StatResult
    from limpet.watching.index._fs import FileSystemCalls

_MAX_LINKS: Final = 40
"""As the kernel: path_resolution(7), a path with more symlinks fails with ELOOP."""
_PATH_ONLY: Final = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)


class Step(NamedTuple):
    """A directory on the way."""

    path: str
    """Real path: no symlink in it."""
    device: int
    inode: int
    name: str
    """The component that is looked up in it."""
    what: int
    """How far it must be marked (``MARK_SELF``, ``MARK_NAMES`` or ``MARK_ALL``)."""


class Resolution(NamedTuple):
    """What the location leads to right now."""

    steps: tuple[Step, ...]
    facts: StatResult | None
    """Status of the target, symlinks followed; ``None`` if it does not exist."""
    path: str
    """Real path of the target, or of the last directory on the way that exists."""
    trouble: int = 0
    """errno why the way is closed although there may be a target, 0 if it is open."""

    @property
    def identity(self) -> tuple[int, int] | None:
        """(device, inode) of the target."""
        return None if self.facts is None else (self.facts.device, self.facts.inode)


def can_resolve() -> bool:
    """Return whether this system can follow a path step by step without opening what it names."""
    return hasattr(os, "O_PATH")


def resolve_without_marks(disk: FileSystemCalls, path: str) -> Resolution:
    """Stat the target alone, where the way to it cannot be marked anyway."""
    try:
        return Resolution((), disk.stat_path(path), path)
    except OSError as error:
        return Resolution((), None, path, error.errno or errno.EIO)


def resolve(disk: FileSystemCalls, path: str, *, content: bool = False) -> Resolution:
    """Follow the absolute ``path`` from the root.

    Args:
        disk: The system calls.
        path: Absolute.
        content: Also mark the directory of the target for writes (a file watch).
    """
    steps: list[Step] = []
    links = 0
    todo = [part for part in reversed(path.split("/")) if part]
    here = "/"
    facts: StatResult | None = None
    while todo:
        name = todo.pop()
        if name in {".", ".."}:
            here = here if name == "." else os.path.dirname(here)
            facts = None
            continue
        try:
            fd = os.open(here, _PATH_ONLY)
        except OSError as error:
            return Resolution(tuple(steps), None, here, _trouble(error))
        try:
            try:
                directory = disk.stat(fd)
            except OSError as error:
                return Resolution(tuple(steps), None, here, error.errno or errno.EIO)
            try:
                facts = disk.stat_at(fd, name)
                target = None
                if facts is not None and _form(facts) == _LINK:
                    target = os.readlink(name, dir_fd=fd)
            except OSError as error:
                steps.append(Step(here, directory.device, directory.inode, name, MARK_NAMES))
                return Resolution(tuple(steps), None, here, _trouble(error))
        finally:
            close_reader(fd)
        last = target is None and not todo
        if last and content:
            what = MARK_ALL
        elif facts is not None and _form(facts) == _DIR:
            what = MARK_SELF
        else:
            what = MARK_NAMES  # a symlink, nothing, or something that is not a directory
        steps.append(Step(here, directory.device, directory.inode, name, what))
        if facts is None or (target is None and todo and _form(facts) != _DIR):
            return Resolution(tuple(steps), None, here)
        if target is None:
            here = os.path.join(here, name)
            continue
        links += 1
        if links > _MAX_LINKS:
            return Resolution(tuple(steps), None, here)
        here = "/" if target.startswith("/") else here
        todo.extend(part for part in reversed(target.split("/")) if part)
    if facts is None or _form(facts) == _LINK:
        try:
            return Resolution(tuple(steps), disk.stat_path(here), here)
        except OSError as error:
            return Resolution(tuple(steps), None, here, error.errno or errno.EIO)
    return Resolution(tuple(steps), facts, here)


_LINK: Final = 0o120000
_DIR: Final = 0o040000


def _form(facts: StatResult) -> int:
    return facts.mode & 0o170000


def _trouble(error: OSError) -> int:
    return (
        0
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}
        else error.errno or errno.EIO
    )
