"""``limpet doctor --hub``: examines a hub, and reports what to change."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from typing import Final

from limpet.cli._hub import address_of
from limpet.remote import Subjects
from limpet.remote.admin import Finding, examine

_MARKS: Final = {"good": "ok  ", "warning": "note", "bad": "BAD "}


def run(given: Namespace, *, as_json: bool) -> int:
    """Examine a hub and return the exit code: 1 if something is wrong.

    Raises:
        HubError: It does not answer, or refuses the user.
    """

    async def findings() -> list[Finding]:
        address = address_of(given, given.hub)
        transport = await address.connect(address.user or "doctor")
        try:
            return await examine(transport, Subjects(), given.words)
        finally:
            await transport.close()

    found = asyncio.run(findings())
    for finding in found:
        if as_json:
            print(json.dumps(finding._asdict()))
        else:
            print(_MARKS[finding.grade], finding.text)
            if finding.remedy:
                print("      ->", finding.remedy)
    return int(any(finding.grade == "bad" for finding in found))
