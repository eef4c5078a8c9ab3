"""Health and metrics of a running bot, from a snapshot of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from limpet.bot.runner._snapshot import RunnerSnapshot

_HELP: Final = {
    "events": "Events taken from the queue, each counted once.",
    "ignored": "Events that no behaviour is interested in.",
    "done": "Times a behaviour finished an event, triggered or not; once for each behaviour.",
    "acted": "Times a behaviour ran its actions for an event.",
    "retries": "Tries of steps and outputs beyond the first.",
    "failed": "Times a behaviour gave an event up, into a dead letter.",
    "loops": "Warnings of events that come so often that they may be a loop between programs.",
    "pauses": "Times a behaviour paused because of its loop_limit.",
    "outputs": "Output events sent.",
    "unwanted": "Output events that no output takes.",
    "restarts": "Restarts of failed inputs.",
    "replayed": "Events taken from the journal at the start.",
    "reloads": "Reloads of the configuration.",
}
"""Counter of ``Stats`` -> its help text."""


def health_of(snapshot: RunnerSnapshot) -> dict[str, Any]:
    """Return the health of a bot: ``ok``, ``degraded`` (it sees too little) or ``failing``."""
    last = snapshot.stats.last_event
    return {
        "status": _status(snapshot),
        "state": snapshot.state,
        "inputs": snapshot.inputs,
        "failures": snapshot.failures,
        "degraded": snapshot.degraded,
        "queued": snapshot.queued,
        "dead_letters": snapshot.dead_letters,
        "last_event_age_s": round(time.time() - last, 3) if last else None,
    }


def metrics_of(snapshot: RunnerSnapshot) -> str:
    """Return the metrics in Prometheus' text format, version 0.0.4."""
    return "\n".join(_metrics(snapshot)) + "\n"


def _status(snapshot: RunnerSnapshot) -> str:
    if snapshot.failures or snapshot.state not in {"running", "reloading"}:
        return "failing"
    return "degraded" if snapshot.degraded else "ok"


def _metrics(snapshot: RunnerSnapshot) -> Iterator[str]:
    stats = dataclasses.asdict(snapshot.stats)
    for name, text in _HELP.items():
        yield from _metric(f"limpet_bot_{name}_total", "counter", text, {"": stats[name]})
    text = "When the bot started, in Unix seconds."
    yield from _metric("limpet_bot_start_time_seconds", "gauge", text, {"": stats["started"]})
    text = "When the last event was taken, in Unix seconds; 0 is never."
    yield from _metric(
        "limpet_bot_last_event_time_seconds", "gauge", text, {"": stats["last_event"]}
    )
    dead = {"": snapshot.dead_letters}
    yield from _metric("limpet_bot_dead_letters_total", "counter", "Dead letters written.", dead)
    text = "Events waiting for the dispatcher."
    yield from _metric("limpet_bot_queued", "gauge", text, {"": snapshot.queued})
    text = "Events waiting in this behaviour's queue."
    depth = {_label("behaviour", one.behaviour): one.depth for one in snapshot.queues}
    yield from _metric("limpet_bot_behaviour_queue_depth", "gauge", text, depth)
    text = "Events being processed by this behaviour."
    active = {_label("behaviour", one.behaviour): one.active for one in snapshot.queues}
    yield from _metric("limpet_bot_behaviour_active", "gauge", text, active)
    status = _status(snapshot)
    up = {_label("status", one): int(one == status) for one in ("ok", "degraded", "failing")}
    yield from _metric("limpet_bot_health", "gauge", "1 for the current status, else 0.", up)


def _metric(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{labels} {value:.17g}"


def _label(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{key}="{escaped}"}}'
