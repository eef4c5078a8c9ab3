"""The running programs that a command is about: those that were named, or all of this user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class Place(NamedTuple):
    """Where a program should answer."""

    name: str
    address: str
    instance: str = ""
    """The start that is meant; empty if any program is, that answers at the address."""


def programs(words: Sequence[str]) -> list[Place]:
    """Return the place of each program; without words, of all of this user.

    Raises:
        UsageError: A word is neither an address nor a bot, an agent or a state folder that has
            ever listened.
    """
    if not words:
        return [_place_of(one) for one in running()]
    return [_found(word) for word in words]


def seen(found: Sequence[Place]) -> list[Seen]:
    """Ask programs for their status, all at once; waits some seconds for each at most."""
    if not found:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(found)), thread_name_prefix="limpet ask") as pool:
        return list(pool.map(_ask, found))


def _found(word: str) -> Place:
    if word.isdigit() or word.startswith(("http://", "unix:")):
        return Place(word, word)
    host, _, port = word.rpartition(":")
    if host and port.isdigit() and not os.path.lexists(word):
        return Place(word, word)
    whole = os.path.abspath(word)
    for one in running():
        folder = one.state_dir and os.path.abspath(one.state_dir)
        if word == one.name or whole in {one.file, folder}:
            return _place_of(one)
    record = record_in(word if os.path.isdir(word) else default_state_dir(word))
    if record is None:
        message = (
            f"{word!r} is no address, and no bot or state folder of it has ever listened: start it "
            "with --listen, and see 'limpet status' for what runs"
        )
        raise UsageError(message)
    return _place_of(record)


def _place_of(record: Record) -> Place:
    return Place(record.name, record.address, record.instance)


def _ask(place: Place) -> Seen:
    name, address, instance = place
    try:
        status = fetch_status(address)
    except LimpetError as error:
        return Seen(name=name, address=address, status=None, reason=str(error))
    if instance and status.instance != instance:
        reason = f"{name!r} has ended; {status.name!r} has its address {address} by now"
        return Seen(name=name, address=address, status=None, reason=reason)
    return Seen(name=status.name, address=address, status=status)
