"""What the state files of watches and followers share: where a bad one goes, and why one fails."""

from __future__ import annotations

import errno
import os

from limpet.errors import StateFileError


def state_error(path: str | os.PathLike[str], error: OSError) -> StateFileError:
    """Return the error for a state file that the system refuses to read or write."""
    name = os.fspath(path)
    folder = os.path.dirname(name)
    advice = "check its owner and permissions, and those of its folder"
    if error.errno in {errno.ENOENT, errno.ENOTDIR} and not os.path.isdir(folder):
        advice = f"create the folder {folder!r}"
    elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
        advice = "make room"
    text = error.strerror or str(error)
    return StateFileError(f"cannot use the state file {name!r}: {text}; {advice}")


def rename_aside(path: str, suffix: str) -> str:
    """Rename a file to the first free one of ``NAME.SUFFIX``, ``NAME.SUFFIX-2``, ...; return it.

    Raises:
        OSError: It could not be renamed.
    """
    kept, number = f"{path}.{suffix}", 1
    while os.path.lexists(kept):
        number += 1
        kept = f"{path}.{suffix}-{number}"
    os.replace(path, kept)
    return kept
