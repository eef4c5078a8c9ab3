"""The running programs that a command is about: those that were named, or all of this user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from limpet.errors import LimpetError, UsageError
from limpet.status import (
    Record,
    Status,
    default_state_dir,
    fetch_status,
    record_in,
    running,
)

_AT_ONCE: Final = 16
"""Programs that are asked at once: one that hangs does not keep the others from answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A program, and what it has answered."""

    name: str
    address: str
    status: Status | None
    """``None`` if it does not answer."""
    reason: str = ""
    """Why it does not."""


def programs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return name and address of each program; without words, of all of this user.

    Raises:
        UsageError: A word is neither an address nor a bot, an agent or a state folder that has
            ever listened.
    """
    if not words:
        return [(one.name, one.address) for one in running()]
    return [_found(word) for word in words]


def seen(found: Sequence[tuple[str, str]]) -> list[Seen]:
    """Ask programs for their status, all at once; waits some seconds for each at most."""
    if not found:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(found)), thread_name_prefix="limpet ask") as pool:
        return list(pool.map(_ask, found))


def record_of(word: str) -> Record | None:
    """Return the record of a bot's file, or of a state folder; ``None`` without one."""
    if os.path.isdir(word):
        return record_in(word)
    return record_in(default_state_dir(word))


def _found(word: str) -> tuple[str, str]:
    if word.isdigit() or word.startswith(("http://", "unix:")):
        return word, word
    host, _, port = word.rpartition(":")
    if host and port.isdigit() and not os.path.lexists(word):
        return word, word
    named = [one for one in running() if one.name == word]
    if named:
        return named[0].name, named[0].address
    record = record_of(word)
    if record is None:
        message = (
            f"{word!r} is no address, and no bot or state folder of it has ever listened: start it "
            "with --listen, and see 'limpet status' for what runs"
        )
        raise UsageError(message)
    return record.name, record.address


def _ask(found: tuple[str, str]) -> Seen:
    name, address = found
    try:
        status = fetch_status(address)
    except LimpetError as error:
        return Seen(name=name, address=address, status=None, reason=str(error))
    return Seen(name=status.name, address=address, status=status)
