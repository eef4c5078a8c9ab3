"""Files of JSON objects, one a line, that one damaged line does not spoil.

A line ends with a line feed and with nothing else: texts contain other characters that Python
counts as ends of lines. A line that is not an object, or not one of ours, is set aside with its
reason, in a separate file; the others are read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from limpet._descriptors import sync_to_disk
from limpet._error_text import error_text, reason_of

_LOG: Final = logging.getLogger("limpet.bot.state")

VERSION: Final = 1
"""Version of the objects; ``v`` has it. One of another version is read by another limpet."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A line that is not one of ours."""

    line: bytes
    reason: str


def read_lines(path: Path) -> tuple[list[tuple[bytes, dict[str, Any]]], list[Damaged]]:
    """Return the objects of a file with their lines, and the damaged lines, both in order.

    A file that does not exist has none.

    Raises:
        OSError: The file exists and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], []
    found: list[tuple[bytes, dict[str, Any]]] = []
    damaged = []
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            wire = json.loads(line)
        except (ValueError, RecursionError) as error:
            damaged.append(Damaged(line, f"it is not JSON: {error_text(error)}"))
            continue
        if isinstance(wire, dict):
            found.append((line, wire))
        else:
            damaged.append(Damaged(line, f"it is not an object but a {type(wire).__name__}"))
    return found, damaged


def append_lines(path: Path, lines: Sequence[str], *, durable: bool = True) -> None:
    """Append lines, behind a torn one if a crash has left one.

    Raises:
        OSError: None was appended, as far as the file system allows to take them back.
    """
    data = b"".join(encoded(line) + b"\n" for line in lines)
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                data = b"\n" + data
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) or 0 :]
            if durable:
                sync_to_disk(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise


def replace_last(path: Path, old: str, new: str) -> bool:
    """Write a longer line over the last one, if that is ``old``; return whether it was.

    One write does it, so that a kill leaves the one or the other.

    Raises:
        OSError: The old one is there, unless the system has crashed in the middle.
    """
    before, after = encoded(old) + b"\n", encoded(new) + b"\n"
    if len(after) < len(before) or not path.exists():
        return False
    with path.open("rb+", buffering=0) as file:
        begin = file.seek(0, os.SEEK_END) - len(before)
        if begin < 0 or file.seek(begin) != begin or file.read(len(before)) != before:
            return False
        file.seek(begin)
        if file.write(after) != len(after):
            file.seek(begin)
            file.write(before)
            file.truncate()
            return False
        sync_to_disk(file.fileno())
    return True


def encoded(line: str) -> bytes:
    """Return JSON text as bytes. A lone surrogate becomes its escape, which JSON has as well."""
    return line.encode("utf-8", "backslashreplace")


def damaged_path(path: Path) -> Path:
    """Return where the damaged lines of a file are kept."""
    return path.with_name(f"{path.stem}.damaged.jsonl")


def set_aside(path: Path, damaged: Sequence[Damaged]) -> bool:
    """Keep damaged lines beside their file with the reasons, and log them; return whether they are.

    If they cannot be kept there, they must stay where they are.
    """
    if not damaged:
        return True
    aside = damaged_path(path)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines = []
    for one in damaged:
        text = one.line.decode("utf-8", "backslashreplace")
        lines.append(json.dumps({"v": VERSION, "at": now, "why": one.reason, "line": text}))
        _LOG.error("a line of %s is set aside: %s; see %s", path, one.reason, aside)
    try:
        append_lines(aside, lines)
    except OSError as error:
        message = "cannot write %s: %s; the lines stay in %s"
        _LOG.error(message, aside, reason_of(error, aside), path)
        return False
    return True
