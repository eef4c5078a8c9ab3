"""``limpet status``: asks what runs, writes it, and says by its exit code how it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from limpet._printable import escape
from limpet._surrogates import json_text
from limpet.cli._color import painter
from limpet.cli._complaint import complain
from limpet.cli._programs import Seen, programs, seen
from limpet.cli._status_text import story
from limpet.status import status_to_wire

_CODES: Final[dict[str, int]] = {"ok": 0, "degraded": 1, "failing": 3}
"""Another word is of a newer limpet: something is not as it should be."""
NOT_THERE: Final = 4


def run(words: Sequence[str], *, as_json: bool, quiet: bool) -> int:
    """Write the status of each program, and return the worst exit code.

    Raises:
        UsageError: A word names no program.
    """
    found = programs(words)
    if not found:
        if not quiet:
            complain("limpet: nothing runs with --listen for this user")
        return NOT_THERE
    answers = seen(found)
    if not quiet:
        _write(answers, as_json=as_json)
    return max(code_of(one) for one in answers)


def code_of(one: Seen) -> int:
    """Return the exit code of one program."""
    return NOT_THERE if one.status is None else _CODES.get(one.status.health, 1)


def _write(answers: Sequence[Seen], *, as_json: bool) -> None:
    paint = painter(sys.stdout)
    for at, one in enumerate(answers):
        if one.status is None:
            complain(f"limpet: {escape(one.reason)}")
        elif as_json:
            print(json_text({**status_to_wire(one.status), "address": one.address}))
        else:
            if at:
                print()
            for line in story(one.status):
                print(paint(line))
            print(paint([("  address   ", "dim"), (escape(one.address), "")]))
