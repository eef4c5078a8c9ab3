"""Text that a terminal or a log shows without being driven or broken by it."""

from __future__ import annotations

import os

from limpet._surrogates import writable


def escape(text: str) -> str:
    r"""Return the text in printable characters, without line breaks and terminal control codes.

    Control characters, separators other than a space, and marks without a shape of their own become
    ``\n``, ``\x1b`` or ``\u202e``; a byte that is not UTF-8 becomes ``\xff``. A backslash becomes
    two, where it does not separate directories: no two names are shown alike.
    """
    if text.isprintable() and ("\\" not in text or os.sep == "\\"):
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\\":
        return character if os.sep == "\\" else "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte above 0x7f that could not be decoded
        return f"\\x{code - 0xDC00:02x}"
    if code >= 0x80:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")


def printable(text: str) -> str:
    r"""Return a message with its line feeds and tabs, and all else that is not printable escaped.

    A backslash stays one: names in a message are quoted already. A line feed stays, for messages
    of several lines, and a tab, for the columns of a line that a bot logs. A byte that is not UTF-8
    becomes ``\udcff``, as ``repr`` has it in the others.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" else _visible(one) for one in writable(text)
    )
