"""The encoding of a file and the bytes that end its lines, detected once at its beginning."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
"""What an encoding that expects a byte order mark stands for without one."""
_WIDTHS: Final = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}


@dataclass(frozen=True, slots=True)
class Codec:
    """A detected encoding."""

    name: str | None
    """``None`` is bytes."""
    delimiter: bytes
    width: int
    """Bytes of a code unit: a delimiter counts only at a multiple of it."""
    bom: int = 0
    """Bytes of the byte order mark at the beginning of the file."""

    @property
    def newline(self) -> str | None:
        """The delimiter as text, if a decoded block may be split at it."""
        return "\n" if self.name is not None and self.delimiter == _newline(self.name) else None

    def last(self, data: bytes, base: int) -> int:
        """Return where the last line of ``data`` ends (after its delimiter), 0 if none does.

        ``base`` is the offset of ``data`` in the file.
        """
        at = len(data)
        while (at := data.rfind(self.delimiter, 0, at)) >= 0:
            if self.width == 1 or not (base + at) % self.width:
                return at + len(self.delimiter)
            at += len(self.delimiter) - 1
        return 0

    def first(self, data: bytes, base: int, start: int = 0) -> int:
        """Return where the first line from ``start`` ends (after its delimiter), 0 if none does."""
        at = start - 1
        while (at := data.find(self.delimiter, at + 1)) >= 0:
            if self.width == 1 or not (base + at) % self.width:
                return at + len(self.delimiter)
        return 0

    def split(self, data: bytes, base: int) -> list[bytes]:
        """Return the pieces between the delimiters; the last one follows the last delimiter."""
        if self.width == 1:
            return data.split(self.delimiter)
        pieces = []
        at = 0
        while end := self.first(data, base, at):
            pieces.append(data[at : end - len(self.delimiter)])
            at = end
        pieces.append(data[at:])
        return pieces

    def count(self, data: bytes, base: int) -> int:
        """Return the number of delimiters."""
        if self.width == 1:
            return data.count(self.delimiter)
        return len(self.split(data, base)) - 1


def codec_for(encoding: str | None, delimiter: bytes | None = None, *, bom: int = 0) -> Codec:
    """Return the codec of an encoding that needs no detection."""
    if encoding is None:
        return Codec(None, delimiter or b"\n", 1, bom)
    name = codecs.lookup(encoding).name
    name = _UNMARKED.get(name, name)
    return Codec(name, delimiter or _newline(name), _WIDTHS.get(name, 1), bom)


def sniff(data: bytes, encoding: str | None, delimiter: bytes | None) -> Codec | None:
    """Detect the codec from the first bytes of a file; ``None`` if more of them are needed.

    A byte order mark is honoured for the Unicode encodings only: in others its bytes are text.
    """
    plain = codec_for(encoding, delimiter)
    if plain.name is None or not plain.name.startswith("utf-"):
        return plain
    asked = codecs.lookup(encoding or "utf-8").name
    fixed = asked in _WIDTHS  # the byte order is known: only its own mark is one
    marks = [(mark, name) for mark, name in _MARKS if not fixed or name == asked]
    if any(len(data) < len(mark) and mark.startswith(data) for mark, _ in marks):
        return None
    for mark, name in marks:
        if data.startswith(mark):
            return codec_for(name, delimiter, bom=len(mark))
    return plain


def _newline(encoding: str) -> bytes:
    try:
        return "\n".encode(encoding)
    except UnicodeError:
        return b"\n"
