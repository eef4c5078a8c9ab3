"""Which names an output accepts, and how any text becomes one of them. Pure: no disk, no clock.

A name is relative to the root, its components joined by ``/``. It is accepted as it is or refused,
never altered: decoding, folding or trimming in silence is how ``..%2f`` and ``name.`` lead
somewhere else than they say. Only ``safe_name`` makes names.

Sources: naming-a-file in Microsoft's documentation of Windows files (device names, trailing dots,
streams), path_resolution(7) and the limits of ext4, APFS and NTFS (255 bytes or UTF-16 units).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection
from typing import Final, Literal

from limpet.errors import UsageError

STAGING: Final = ".limpet-"
"""Names with this prefix are limpet's own: temporary files and manifests of rotation."""

_MAX_COMPONENT: Final = 255
_MAX_TOTAL: Final = 1024
_MAX_DEPTH: Final = 32

_ROOTED: Final = re.compile(r"[/\\]|[A-Za-z]:")
"""Absolute on one of the systems: ``/x``, ``\\\\host\\share``, ``C:x`` (relative to a drive)."""
_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,8}"
)
"""Names that break no rule but the portable ones: most names, decided in one step."""
_DEVICE: Final = re.compile(
    r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:[.:].*)?",
    re.IGNORECASE | re.DOTALL,
)
_ALIAS: Final = re.compile(r"[^.]{1,7}~[0-9]{1,6}(?:\.[^.]{0,3})?", re.DOTALL)
"""What Windows may make as a second, short name of another file."""
_UNPORTABLE: Final = re.compile(r'[<>:"|?*]')
_UNSEEN_CATEGORIES: Final = frozenset(("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"))
"""Controls, formats (bidi, zero width), private use, unassigned, surrogates, separators."""
_BLANKS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks without a visible shape."""

_MARK: Final = "~"
_HASH_CHARS: Final = 16
"""80 bits in base 32: two texts with one hash would take 2**40 tries to find."""
_MADE: Final = re.compile(r"~[a-z2-7]{16}(?:\.[A-Za-z0-9]{1,12})?\Z")
"""The end of a name that was made from a text it does not show completely."""
_EXTENSION: Final = re.compile(r"(?<=[^.])\.[A-Za-z0-9]{1,12}\Z")
_LEAST: Final = 40
"""Bytes a made name needs at least: one character, the hash, the longest extension."""


class BadNameError(ValueError):
    """A name is refused; ``code`` says whether it is invalid or leads out of the root."""

    def __init__(self, code: Literal["bad-name", "escape"], why: str) -> None:
        """Keep both; ``why`` follows "the name ..."."""
        super().__init__(why)
        self.code: Literal["bad-name", "escape"] = code


def split(name: str, *, portable: bool, undecodable: bool = False) -> tuple[str, ...]:
    """Return the components of a name, each exactly as it was written.

    Args:
        name: Relative to the root, ``/`` between components on every system.
        portable: Refuse what is a valid name here but not on every system.
        undecodable: Accept names with bytes that are not UTF-8, in the form ``os.fsdecode``
            returns: they exist and may have to be deleted or moved.

    Raises:
        BadNameError: With code ``escape`` if it leads out of the root, else ``bad-name``.
    """
    if not portable and _PLAIN.fullmatch(name):
        return tuple(name.split("/"))
    if not name:
        raise BadNameError("bad-name", "is empty")
    if _ROOTED.match(name):
        raise BadNameError("escape", "is absolute; names are relative to the root")
    if "\\" in name:
        raise BadNameError("escape", "has a backslash, which separates folders on Windows")
    parts = tuple(name.split("/"))
    if ".." in parts:
        raise BadNameError("escape", "has '..' in it")
    if len(parts) > _MAX_DEPTH:
        raise BadNameError("bad-name", f"is {len(parts)} levels deep; {_MAX_DEPTH} is the most")
    total = len(parts) - 1
    for part in parts:
        total += _check(part, portable=portable, undecodable=undecodable)
    if total > _MAX_TOTAL:
        raise BadNameError("bad-name", f"is {total} bytes long; {_MAX_TOTAL} is the most")
    return parts


def _check(part: str, *, portable: bool, undecodable: bool) -> int:
    """Check one component; return its length in bytes."""
    if part in {"", "."}:
        raise BadNameError("bad-name", "has an empty component or '.' in it")
    if part.startswith(STAGING):
        raise BadNameError("bad-name", f"begins with {STAGING!r}, which is limpet's own")
    try:
        raw = part.encode("utf-8", "surrogateescape" if undecodable else "strict")
    except UnicodeEncodeError as error:
        raise BadNameError("bad-name", "has a lone surrogate in it, which is no text") from error
    if len(raw) > _MAX_COMPONENT:
        why = f"has a component of {len(raw)} bytes; {_MAX_COMPONENT} is the most"
        raise BadNameError("bad-name", why)
    if not part.isprintable() and any(unicodedata.category(one) == "Cc" for one in part):
        raise BadNameError("bad-name", "has a control character in it")
    if portable:
        _check_portable(part)
    return len(raw)


def _check_portable(part: str) -> None:
    if _DEVICE.fullmatch(part):
        raise BadNameError("bad-name", "is a device on Windows")
    if _UNPORTABLE.search(part):
        raise BadNameError("bad-name", 'has one of <>:"|?* in it, which Windows does not take')
    if part[-1] in ". ":
        raise BadNameError("bad-name", "ends in a dot or a space, which Windows drops")
    if part[0] in " -~":
        raise BadNameError(
            "bad-name", "begins with a space, '-' or '~', which shells read otherwise"
        )
    if _ALIAS.fullmatch(part):
        raise BadNameError("bad-name", "looks like the short name Windows gives another file")
    if any(_unseen(one) for one in part):
        raise BadNameError("bad-name", "has characters in it that do not show, or have no meaning")
    if not unicodedata.is_normalized("NFC", part):
        raise BadNameError("bad-name", "is not in Unicode's composed form (NFC)")


def _unseen(one: str) -> bool:
    if " " <= one <= "~":
        return False
    category = unicodedata.category(one)
    return category in _UNSEEN_CATEGORIES or one in _BLANKS or category == "Zs"


def safe_name(text: str, *, max_bytes: int = 200, taken: Collection[str] = ()) -> str:
    """Make one portable file name out of any text: a chat title, a user's name, a URL.

    ```python
    await out.create(limpet.safe_name(message.author) + ".txt", message.text)
    ```

    The same text always gives the same name. A text that is such a name already is returned
    unchanged; otherwise what a name cannot contain becomes ``_``, a text that is too long is cut
    between characters, and ``~`` with 16 characters of a hash of the whole text is added before the
    extension. So two texts never give one name, and a text that looks like a made name gets a hash
    of its own. The result is in Unicode's composed form (NFC), passes the portable rules, is no
    hidden file and has no directory in it. Which characters have a meaning depends on this Python's
    version of Unicode.

    Args:
        text: Anything, lone surrogates too.
        max_bytes: Longest result in UTF-8; the default leaves room for an extension of your own.
        taken: Existing names. One that differs from the result in case alone would be the same file
            on some systems: the hash is added then, too.

    Raises:
        UsageError: ``text`` is not text, or ``max_bytes`` is not between 40 and 255.
    """
    if not isinstance(text, str):
        message = f"text must be a text, not {type(text).__name__}"
        raise UsageError(message)
    if not isinstance(max_bytes, int) or not _LEAST <= max_bytes <= _MAX_COMPONENT:
        message = f"max_bytes must be between {_LEAST} and {_MAX_COMPONENT}, got {max_bytes!r}"
        raise UsageError(message)
    plain = _plain(text)
    if plain == text and len(text.encode()) <= max_bytes and not _MADE.search(text):
        folded = _fold(text)
        if text in taken or all(_fold(other) != folded for other in taken):
            return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    found = _EXTENSION.search(plain)
    extension = found.group() if found else ""
    stem = plain.removesuffix(extension)
    tail = _MARK + _base32(digest) + extension
    return _cut(stem, max_bytes - len(tail)) + tail


def _plain(text: str) -> str:
    """Replace what a portable name cannot contain; not yet cut."""
    pieces = [
        "_" if (_unseen(one) and unicodedata.category(one) != "Zs") or one in '/\\<>:"|?*' else one
        for one in unicodedata.normalize("NFC", text)
    ]
    pieces = [" " if unicodedata.category(one) == "Zs" else one for one in pieces]
    plain = re.sub("_{2,}", "_", "".join(pieces)) if "__" not in text else "".join(pieces)
    plain = plain.rstrip(". ")
    if not plain:
        return "_"
    if plain[0] in " .-~" or _DEVICE.fullmatch(plain) or _ALIAS.fullmatch(plain):
        plain = "_" + plain.lstrip(" .-~")
    return unicodedata.normalize("NFC", plain)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _base32(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(alphabet[number >> shift & 31] for shift in range(75, -1, -5))


def _cut(stem: str, room: int) -> str:
    """Cut to this many bytes, not inside a character nor before the marks that belong to it."""
    raw = stem.encode()
    if len(raw) > room:
        stem = raw[:room].decode(errors="ignore")
        rest = raw.decode()[len(stem) :]
        if rest and unicodedata.combining(rest[0]):
            while len(stem) > 1 and unicodedata.combining(stem[-1]):
                stem = stem[:-1]
            stem = stem[:-1] or stem
    return stem.rstrip(". ") or "_"
