"""``limpet top``: what runs, on a terminal that is drawn each second."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from limpet._printable import escape
from limpet._surrogates import json_text
from limpet.cli._complaint import complain
from limpet.cli._programs import Seen, programs, seen
from limpet.cli._run_status import NOT_THERE
from limpet.cli._top_table import Row, part_rows, plain, program_row
from limpet.status import status_to_wire


def run(words: Sequence[str], *, as_json: bool, interval: float) -> int:
    """Show what runs until ``q`` is pressed, or once into a pipe.

    Raises:
        UsageError: A word names no program.
    """
    if as_json:
        answers = seen(programs(words))
        wires = [
            {**status_to_wire(one.status), "address": one.address}
            for one in answers
            if one.status is not None
        ]
        print(json.dumps(json.loads(json_text(wires)), indent=2, ensure_ascii=False))
        return 0 if wires else NOT_THERE
    if sys.stdout.isatty() and sys.stdin.isatty() and _has_rich():
        from limpet.cli._top_screen import show

        programs(words)  # a wrong word is reported before the screen is taken
        return show(words, interval)
    return _once(seen(programs(words)))


def _once(answers: Sequence[Seen]) -> int:
    if not answers:
        complain("limpet: nothing runs with --listen for this user")
        return NOT_THERE
    now, rows = time.time(), list[Row]()
    for one in answers:
        rows.append(program_row(one, now))
        if one.status is not None:
            rows += part_rows(one.status, now)
    for line in plain(rows):
        print(line)
    for one in answers:
        if one.status is None:
            complain(f"limpet: {escape(one.reason)}")
    return 0 if any(one.status is not None for one in answers) else NOT_THERE


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None
