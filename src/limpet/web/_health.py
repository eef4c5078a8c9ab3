"""``/health``: what a probe and a person ask first."""

from __future__ import annotations

from typing import Any

from limpet.status import status_to_wire
from limpet.web._feed import Shown


def health_of(shown: Shown) -> dict[str, Any]:
    """Return the health as JSON; ``status`` is ``ok``, ``degraded`` or ``failing``."""
    status = shown.status
    wire = status_to_wire(status)
    dead = status.dead_letters
    behaviours: dict[str, dict[str, int]] = {}
    for one in wire["behaviours"]:  # some may share a name
        found = behaviours.setdefault(one["name"], {"queued": 0, "active": 0})
        found["queued"] += one["queue_depth"]
        found["active"] += one["active"]
    degraded = {one["where"]: one["reason"] for one in wire["problems"] if not one["is_failure"]}
    for watch in wire["watches"]:
        degraded |= watch["degraded"]
    inputs = {one["name"]: one["backend"] or None for one in wire["watches"]}
    for follow in wire["follows"]:
        inputs[follow["name"]] = None if follow["failure"] else "follow"
    last = status.last_event
    return {
        "status": status.health,
        "state": status.state,
        "program": status.program,
        "name": wire["name"],
        "instance": wire["instance"],
        "problems": wire["problems"],
        "inputs": inputs,
        "failures": {one["where"]: one["reason"] for one in wire["problems"] if one["is_failure"]},
        "degraded": degraded,
        "queued": status.queued
        + sum(one.queue_depth for one in status.behaviours)
        + sum(one.waiting for one in status.inboxes),
        "active": sum(one.active for one in status.behaviours)
        + sum(one.active for one in status.inboxes),
        "behaviours": behaviours,
        "dead_letters": dead.waiting if dead else 0,
        "lost": status.journal.lost if status.journal else status.counters.get("lost", 0),
        "last_event_age_s": round(max(0.0, status.time - last), 3) if last else None,
        "stalled_s": shown.stalled_s,
    }
