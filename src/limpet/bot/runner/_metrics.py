"""What a running bot reports of itself: its health, and its figures."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from limpet.bot.io._filesystem_input import FileSystemInput

if TYPE_CHECKING:
    from limpet.bot.runner._runner import Runner

__all__ = ["health_of", "metrics_of"]


def health_of(runner: Runner) -> dict[str, Any]:
    """Say how a bot is: ``ok``, ``degraded`` (it sees less than it should) or ``failing``."""
    inputs = [one for one in runner.supervisor.inputs if isinstance(one, FileSystemInput)]
    troubles = {**runner.supervisor.down}
    troubles |= {one.label: one.trouble for one in inputs if one.trouble is not None}
    degraded = {path: why for one in inputs for path, why in one.troubles.items()}
    good = runner.state in {"running", "reloading"}
    status = "failing" if troubles or not good else "degraded" if degraded else "ok"
    return {
        "status": status,
        "state": runner.state,
        "inputs": {one.label: one.backend or None for one in inputs},
        "troubles": troubles,
        "degraded": degraded,
        "queued": runner.queue.qsize(),
        "dead_letters": runner.keep.buried,
        "last_event_age_s": (
            round(time.time() - runner.stats.last_event, 3) if runner.stats.last_event else None
        ),
    }


def metrics_of(runner: Runner) -> str:
    """Give the figures in Prometheus' text format, version 0.0.4."""
    return "\n".join(_metrics(runner)) + "\n"


def _metrics(runner: Runner) -> Iterator[str]:
    stats = dataclasses.asdict(runner.stats)
    gauges = {
        "started": ("limpet_bot_start_time_seconds", "When the bot started."),
        "last_event": ("limpet_bot_last_event_time_seconds", "When the last event was taken."),
    }
    for name, value in stats.items():
        if name in gauges:
            metric, text = gauges[name]
            yield from _one(metric, "gauge", text, {"": value})
        else:
            text = f"Number of: {name}."
            yield from _one(f"limpet_bot_{name}_total", "counter", text, {"": value})
    yield from _one(
        "limpet_bot_dead_letters_total", "counter", "Dead letters.", {"": runner.keep.buried}
    )
    yield from _one(
        "limpet_bot_queued", "gauge", "Events that wait in the queue.", {"": runner.queue.qsize()}
    )
    waiting = {_label("behaviour", lane.name): len(lane) for lane in runner.lanes}
    yield from _one("limpet_bot_lane_waiting", "gauge", "Events that wait for it.", waiting)
    active = {_label("behaviour", lane.name): len(lane.active) for lane in runner.lanes}
    yield from _one("limpet_bot_lane_active", "gauge", "Events it works on.", active)
    status = health_of(runner)["status"]
    up = {_label("status", one): int(one == status) for one in ("ok", "degraded", "failing")}
    yield from _one("limpet_bot_health", "gauge", "1 for the state it is in.", up)


def _one(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{labels} {value:.17g}"


def _label(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{key}="{escaped}"}}'
