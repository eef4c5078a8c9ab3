"""Atomic replacement of limpet's own small files: checkpoints, state files, journals.

A reader sees the old content or the new one, never a mixture; after a crash the file has one of
both. What users write goes through ``limpet.output``, which also confines names and keeps modes.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO, Final

from limpet._descriptors import close_reader, sync_to_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_NAME_LENGTH: Final = 60
"""Characters of the file's name that its temporary file repeats: at most 240 of 255 bytes."""


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], *, durable: bool = True, previous: str | None = None
) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of ``path`` when the block ends.

    Only its owner can read it (mode 0600): names of files are in it. A block that raises leaves
    the old content, and no temporary file; so does a file system that stores nothing and says so
    only when the file is closed (close(2), "Dealing with error returns").

    Args:
        path: File to replace or create; its directory must exist.
        durable: On return the content and the name are on disk.
        previous: Name under which the old content stays, where the file system has hard links.

    Raises:
        OSError: The old content is unchanged, unless only the directory could not be synced.
    """
    target = os.fspath(path)
    temporary = _temporary_name(target)
    file = open(temporary, "wb", opener=_create)  # noqa: SIM115 - closed before the rename, below
    try:
        with file:
            yield file
            file.flush()
            if durable:
                sync_to_disk(file.fileno())
        if previous is not None:
            _keep(target, previous)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_dir(os.path.dirname(target) or ".")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Verify that ``replacing`` can make its temporary file beside ``path``.

    Raises:
        OSError: It cannot: the directory is missing, or no file can be created in it.
    """
    temporary = _temporary_name(os.fspath(path))
    close_reader(os.open(temporary, _FLAGS, 0o600))
    os.unlink(temporary)


def _temporary_name(target: str) -> str:
    """Return the name of this process's temporary file for ``target``, which is free."""
    parent, name = os.path.split(target)
    temporary = os.path.join(parent, f".limpet-{name[:_NAME_LENGTH]}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # a leftover of an earlier process with this number
    return temporary


def write_atomic(
    path: str | os.PathLike[str],
    data: bytes,
    *,
    durable: bool = True,
    previous: str | None = None,
) -> None:
    """Replace the content of ``path`` by ``data``; see ``replacing``.

    Raises:
        OSError: The old content is unchanged, unless only the directory could not be synced.
    """
    with replacing(path, durable=durable, previous=previous) as file:
        file.write(data)


def sync_dir(path: str) -> None:
    """Write a directory's names to disk, where the system can (fsync(2), "Notes").

    Raises:
        OSError: It could not be opened. File systems that cannot sync a directory are passed over.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0))
    try:
        with contextlib.suppress(OSError):
            sync_to_disk(fd)
    finally:
        close_reader(fd)


def _create(path: str, _: int) -> int:
    return os.open(path, _FLAGS, 0o600)


def _keep(target: str, previous: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(previous)
    with contextlib.suppress(OSError):  # no file yet, or no hard links here
        os.link(target, previous)
