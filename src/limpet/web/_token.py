"""The token without which nobody can act: made, or kept in a file of its owner."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

from limpet._atomic_file import replacing
from limpet.errors import UsageError

_FORM: Final = re.compile(r"[A-Za-z0-9_-]{20,200}")
_LONGEST: Final = 1000


def token_of(file: Path | None) -> str:
    """Return the token in a file, which is made where there is none; or a new one.

    Raises:
        UsageError: The file is not a token's, or others than its owner could read it.
        OSError: It can be neither read nor written.
    """
    if file is None:
        return secrets.token_urlsafe(32)
    found = _read(file)
    if not found:
        found = secrets.token_urlsafe(32)
        with replacing(file) as out:  # with mode 0600
            out.write(found.encode() + b"\n")
    return found


def derived(token: str, purpose: str) -> str:
    """Return a secret for a purpose, from which the token cannot be found."""
    return hmac.new(token.encode(), f"limpet {purpose}".encode(), hashlib.sha256).hexdigest()


def is_same(given: str, wanted: str) -> bool:
    """Return whether two secrets are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _read(file: Path) -> str:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return ""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            message = f"cannot take the token of {file}: it is not a file"
            raise UsageError(message)
        if sys.platform != "win32" and found.st_uid not in {os.geteuid(), 0}:
            message = f"cannot take the token of {file}: it belongs to another user"
            raise UsageError(message)
        if sys.platform != "win32" and found.st_mode & 0o077:
            message = f"cannot take the token of {file}: others could read it; chmod 600 it"
            raise UsageError(message)
        text = os.read(descriptor, _LONGEST).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if text and not _FORM.fullmatch(text):
        message = (
            f"cannot take the token of {file}: it must be 20 to 200 letters, digits, - and _; "
            "remove it, and a new one is made"
        )
        raise UsageError(message)
    return text
