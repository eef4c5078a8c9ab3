"""What an agent has reported of itself to the hub, as a status."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from limpet._wire import Json
from limpet.remote._envelope import DECODING_ERRORS
from limpet.remote._subjects import Subjects
from limpet.remote.transport import Transport
from limpet.status import AgentStatus

KEY: Final = "agent"
"""The key of the report in the bucket of its host."""
PRESENCE_S: Final = 10.0
"""Seconds between two reports of an agent's presence."""


def report_of(raw: bytes) -> Json:
    """Return the report of an agent; an empty one if it cannot be understood."""
    try:
        found = json.loads(raw)
    except DECODING_ERRORS:
        return {}
    return found if isinstance(found, dict) else {}


async def agent_status(transport: Transport, subjects: Subjects, host: str) -> AgentStatus:
    """Return what the agent of a host has reported last; ``silent`` if that is some time ago.

    Raises:
        HubError: The hub does not answer, or refuses it.
    """
    stored = await transport.get_stored(subjects.presence(host), KEY)
    if stored is None:
        return AgentStatus(host=host, state="silent")
    report = report_of(stored.data)
    state = _text(report, "state") or "running"
    if report.get("stopped"):
        state = "stopped"
    elif time.time() - stored.time > 3 * PRESENCE_S:
        state = "silent"
    commands = report.get("commands")
    commands = commands if isinstance(commands, dict) else {}
    return AgentStatus(
        host=host,
        state=state,
        since=_number(report, "since") or None,
        last_seen=stored.time,
        waiting=int(_number(report, "waiting")),
        trouble=_text(report, "trouble"),
        commands_done=int(_number(commands, "done")),
        commands_refused=int(_number(commands, "refused")),
    )


def _text(report: Mapping[str, Any], key: str) -> str:
    value = report.get(key)
    return value[:500] if isinstance(value, str) else ""


def _number(report: Mapping[str, Any], key: str) -> float:
    value = report.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
