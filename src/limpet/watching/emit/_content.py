"""Reads a file's content into its event, at the moment the event is handed out."""

from __future__ import annotations

import dataclasses
import errno
import os
from typing import Final

from limpet._descriptors import close_reader, read_at_most
from limpet._shared_open import open_shared
from limpet.config import ContentOptions
from limpet.events import Event, FileCreated, FileUpdated

_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def with_content(event: Event, options: ContentOptions) -> tuple[Event, int]:
    """Return the event with its file's content, or with the reason why not, and the bytes read.

    Only regular files are read; a FIFO or a device that took the place of the file is not waited
    for.
    """
    if not isinstance(event, FileCreated | FileUpdated):
        return event, 0
    if isinstance(event, FileCreated) and event.transient:
        return dataclasses.replace(event, content_mode=options.mode, content_error="vanished"), 0
    if event.stat.kind != "file":
        return dataclasses.replace(event, content_mode=options.mode, content_error="not_regular"), 0
    data, trouble = _read(os.fspath(event.path), options.max_bytes)
    content: str | bytes | None = data
    if data is not None and options.mode == "r":
        try:
            content = data.decode(options.encoding, options.errors)
        except UnicodeError:
            content, trouble = None, "undecodable"
    changed = dataclasses.replace(
        event, content=content, content_mode=options.mode, content_error=trouble
    )
    return changed, len(data or b"")


def _read(path: str, limit: int) -> tuple[bytes | None, str | None]:
    try:
        fd = open_shared(path, _FLAGS)
    except OSError as error:
        return None, reason_of(error)
    try:
        status = os.fstat(fd)
        if status.st_mode & 0o170000 != 0o100000:
            return None, "not_regular"
        if status.st_size > limit:
            return None, "too_large"
        data = read_at_most(fd, limit + 1)
        return (None, "too_large") if len(data) > limit else (data, None)
    except OSError as error:
        return None, reason_of(error)
    finally:
        close_reader(fd)


def reason_of(error: OSError) -> str:
    """Return the word for why a file could not be read."""
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        return "vanished"
    return "denied" if error.errno in {errno.EACCES, errno.EPERM} else "error"
