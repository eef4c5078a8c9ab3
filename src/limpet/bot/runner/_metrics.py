"""Health and metrics of a running bot, from a snapshot of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from limpet.bot.runner._snapshot import RunnerSnapshot

_HELP: Final = {
    "events": "Events taken from the queue; each may go to several behaviours.",
    "ignored": "Events that no behaviour is interested in.",
    "done": "Times the actions of a behaviour ran to their end for an event.",
    "skipped": "Times no trigger of a behaviour matched an event, or a condition did not pass.",
    "acted": "Times the actions of a behaviour were begun for an event.",
    "retries": "Tries of steps and outputs beyond the first.",
    "failed": "Times a behaviour gave an event up into a dead letter.",
    "kept": "Events that a stop has stored for the next start, one for each behaviour.",
    "lost": "Events neither processed nor stored, and dead letters that were not written.",
    "loops": "Warnings of events that come so often that they may be a loop between programs.",
    "pauses": "Times a behaviour paused because of its loop_limit.",
    "outputs": "Output events sent.",
    "unwanted": "Output events that no output takes.",
    "restarts": "Restarts of failed inputs.",
    "worker_restarts": "Restarts of workers, and of the dispatcher, that somebody has ended.",
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
        "queued": snapshot.queued + sum(one.depth for one in snapshot.queues),
        "active": sum(one.active for one in snapshot.queues),
        "behaviours": {
            name: {"queued": depth, "active": active}
            for name, (depth, active) in _by_behaviour(snapshot).items()
        },
        "dead_letters": snapshot.dead_letters,
        "lost": snapshot.stats.lost,
        "last_event_age_s": round(time.time() - last, 3) if last else None,
    }


def metrics_of(snapshot: RunnerSnapshot) -> str:
    """Return the metrics in Prometheus' text format, version 0.0.4."""
    return "\n".join(_metrics(snapshot)) + "\n"


def _by_behaviour(snapshot: RunnerSnapshot) -> dict[str, tuple[int, int]]:
    """Return name -> events that wait and that are processed; behaviours may share a name."""
    found: dict[str, tuple[int, int]] = {}
    for one in snapshot.queues:
        depth, active = found.get(one.behaviour, (0, 0))
        found[one.behaviour] = depth + one.depth, active + one.active
    return found


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
    text = "Events waiting for the dispatcher, before they are in the queues of behaviours."
    yield from _metric("limpet_bot_queued", "gauge", text, {"": snapshot.queued})
    text = "Events waiting in this behaviour's queue."
    found = {_label("behaviour", key): one for key, one in _by_behaviour(snapshot).items()}
    depth = {label: waiting for label, (waiting, _) in found.items()}
    yield from _metric("limpet_bot_behaviour_queue_depth", "gauge", text, depth)
    text = "Events being processed by this behaviour."
    active = {label: running for label, (_, running) in found.items()}
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
