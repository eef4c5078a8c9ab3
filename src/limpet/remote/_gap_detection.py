"""Repeated and missing events, found by the numbers of each session."""

from __future__ import annotations

from dataclasses import replace

from limpet.remote._dedup import DeliveredRanges
from limpet.remote._envelope import RemoteEvent, notice


def admit(delivered: DeliveredRanges, event: RemoteEvent) -> list[RemoteEvent]:
    """Return the events to deliver: none if it is repeated; before it a gap, if any are missing."""
    first, last = span_of(event)
    gap = delivered.gap_before(event.session, first)
    if not delivered.add_range(event.session, first, last):
        return []
    # The missing numbers are not added: an event that was refused and is allowed later still comes.
    return [event] if gap is None else [_gap_event(event, *gap), event]


def span_of(event: RemoteEvent) -> tuple[int, int]:
    """Return the first and last number an event stands for: several if it reports a loss."""
    lost = event.data.get("lost")
    if event.type in {"watch.gap", "watch.overflow"} and isinstance(lost, dict):
        first = int(lost.get("first", event.seq))
        return first, max(event.seq, int(lost.get("last", first)))
    return event.seq, event.seq


def _gap_event(event: RemoteEvent, first: int, last: int) -> RemoteEvent:
    """Return the event that reports the missing ones before ``event``."""
    data = notice(
        "watch.gap",
        watch=event.watch,
        time_us=round(event.time * 1e6),
        lost={"first": first, "last": last, "count": last - first + 1},
    )
    return replace(
        event,
        id=f"{event.session}.gap.{first}",
        seq=0,
        type="watch.gap",
        path=None,
        source=None,
        root=None,
        origin="live",
        data=data,
        object=None,
    )
