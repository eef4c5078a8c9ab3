"""A snapshot in Prometheus' text format."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from operator import add
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from limpet._surrogates import writable
from limpet.status import Histogram, Status

if TYPE_CHECKING:
    from prometheus_client import Metric

_LOG: Final = logging.getLogger("limpet.web")


class _Row(NamedTuple):
    field: str
    name: str
    text: str


_WATCH: Final = (
    _Row("entries", "limpet_watch_entries", "Entries in the index of a watch."),
    _Row("marks", "limpet_watch_marks", "Directories that a watch has marked in the kernel."),
    _Row("polled", "limpet_watch_polled", "Directories that a watch scans in intervals."),
    _Row("held", "limpet_watch_held_files", "Files that debounce holds back."),
    _Row("scans", "limpet_watch_scans_total", "Examinations of a watch."),
    _Row("rescans", "limpet_watch_rescans_total", "Full scans of a watch after the first."),
    _Row("events", "limpet_watch_events_total", "Events that a watch has emitted."),
    _Row("last_event", "limpet_watch_last_event_time_seconds",
         "When a watch emitted its last event, in Unix seconds."),
)  # fmt: skip
_FOLLOW: Final = (
    _Row("files", "limpet_follow_files", "Files being read, rotated ones included."),
    _Row("lag_bytes", "limpet_follow_lag_bytes", "Bytes that are there and were not read yet."),
    _Row("lag_s", "limpet_follow_lag_seconds", "For how long something has been unread."),
    _Row("lines", "limpet_follow_lines_total", "Lines read."),
    _Row("bytes_read", "limpet_follow_read_bytes_total", "Bytes read."),
    _Row("gaps", "limpet_follow_gaps_total", "Times that something was lost before it was read."),
    _Row("gap_bytes", "limpet_follow_gap_bytes_total", "Bytes lost in gaps, as far as known."),
    _Row("truncations", "limpet_follow_truncations_total", "Times a file was cut off."),
    _Row("lost_bytes", "limpet_follow_lost_bytes_total", "Bytes lost when a file was cut off."),
    _Row("last_line", "limpet_follow_last_line_time_seconds",
         "When the last line was read, in Unix seconds."),
)  # fmt: skip
_OUTPUT: Final = (
    _Row("bytes_written", "limpet_output_written_bytes_total", "Bytes that an output has written."),
    _Row("last_operation", "limpet_output_last_operation_time_seconds",
         "When an output was used last, in Unix seconds."),
)  # fmt: skip
_BEHAVIOUR: Final = (
    _Row("queue_depth", "limpet_behaviour_queue_depth", "Events in the queue of a behaviour."),
    _Row("active", "limpet_behaviour_active", "Events that a behaviour is processing."),
    _Row("done", "limpet_behaviour_done_total", "Times its actions ran to their end."),
    _Row("skipped", "limpet_behaviour_skipped_total",
         "Times no trigger matched, or a condition did not pass."),
    _Row("retried", "limpet_behaviour_retries_total", "Tries of its steps beyond the first."),
    _Row("failed", "limpet_behaviour_failed_total", "Events it gave up into dead letters."),
    _Row("slowest_s", "limpet_behaviour_slowest_seconds", "The longest that one event has taken."),
    _Row("oldest_s", "limpet_behaviour_oldest_seconds",
         "For how long the oldest event waits or is being processed."),
)  # fmt: skip
_INBOX: Final = (
    _Row("waiting", "limpet_inbox_waiting", "Jobs that wait in an inbox."),
    _Row("active", "limpet_inbox_active", "Jobs being processed."),
    _Row("retrying", "limpet_inbox_retrying", "Jobs that wait for another try."),
    _Row("done", "limpet_inbox_done_total", "Jobs done."),
    _Row("retried", "limpet_inbox_retries_total", "Tries of jobs beyond the first."),
    _Row("failed", "limpet_inbox_failed_total", "Jobs given up."),
    _Row("oldest_s", "limpet_inbox_oldest_seconds", "For how long the oldest job has waited."),
    _Row("last_done", "limpet_inbox_last_done_time_seconds",
         "When the last job was done, in Unix seconds."),
)  # fmt: skip
_SPOOL: Final = (
    _Row("waiting", "limpet_spool_waiting", "Events that wait on disk for the hub."),
    _Row("waiting_bytes", "limpet_spool_waiting_bytes", "What these events take on disk."),
    _Row("kept", "limpet_spool_kept", "Events that the hub has, kept for a while all the same."),
    _Row("collapsed", "limpet_spool_collapsed_total", "Events given up because it was full."),
    _Row("sent", "limpet_spool_sent_total", "Events that the hub has taken."),
)
_HUB: Final = (
    _Row("lag", "limpet_hub_lag", "Events on one side of the hub and not yet on the other."),
    _Row("lag_s", "limpet_hub_lag_seconds", "For how long the oldest of these has waited."),
    _Row("clock_offset_s", "limpet_hub_clock_offset_seconds",
         "What is to be added to the clock here for that of the hub."),
)  # fmt: skip
_AGENT: Final = (
    _Row("waiting", "limpet_agent_waiting", "Events that an agent has and the hub has not."),
    _Row("last_seen", "limpet_agent_last_seen_time_seconds",
         "When an agent has last reported, in Unix seconds."),
    _Row("commands_done", "limpet_agent_commands_done_total", "Commands an agent has carried out."),
    _Row("commands_refused", "limpet_agent_commands_refused_total",
         "Commands an agent has refused."),
)  # fmt: skip
_JOURNAL: Final = (
    _Row("replayed", "limpet_journal_replayed_total", "Events taken from it at the start."),
    _Row("stored", "limpet_journal_stored_total", "Events that a stop has stored."),
    _Row("lost", "limpet_journal_lost_total", "Events neither processed nor stored."),
)
_PROGRAM: Final = (
    _Row("started", "limpet_start_time_seconds", "When the program started, in Unix seconds."),
    _Row("events", "limpet_events_total", "Events of all that the program watches and follows."),
    _Row("last_event", "limpet_last_event_time_seconds",
         "When the last event came, in Unix seconds."),
    _Row("queued", "limpet_queued", "Events that wait before they are given to anything."),
)  # fmt: skip

COUNTERS: Final = {
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
"""Counter of ``Status.counters`` -> its help text; others are described by their name."""


_AWAY: Final = frozenset({"stopped", "silent"})
"""States of an agent that does not run, or has not reported for some time."""


def metrics_of(status: Status) -> bytes:
    """Return the metrics of a snapshot, then those of the program itself.

    The latter are in prometheus_client's default registry: the process, the interpreter, and what
    the program has registered there. Where a collector of those fails, they are left out.
    """
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Snapshot(Collector):
        """The snapshot, as a collector."""

        def collect(self) -> Iterable[Metric]:
            """Return its metrics, one of each name: what a program counts may be called as one."""
            return {one.name: one for one in reversed([*_families(status)])}.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot())
    text = generate_latest(registry)
    try:
        return text + generate_latest(REGISTRY)
    except Exception:  # noqa: BLE001 - of a collector that is not ours
        _LOG.warning("the program's own metrics cannot be collected", exc_info=True)
        return text


def _families(status: Status) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    info = GaugeMetricFamily(
        "limpet_info", "1, with what runs.", labels=["program", "name", "host", "version"]
    )
    names = (status.program, status.name, status.host, status.limpet)
    info.add_metric([writable(one) for one in names], 1)
    yield info
    yield from _table(_PROGRAM, "", [("", status)])
    yield _one_of("limpet_health", "status", ("ok", "degraded", "failing"), status.health,
                  "1 for the current health, else 0.")  # fmt: skip
    yield _one_of("limpet_state", "state", ("starting", "running", "reloading", "draining",
                  "stopped"), status.state, "1 for the current state, else 0.")  # fmt: skip
    problems = GaugeMetricFamily("limpet_problems", "Problems that there are now.")
    problems.add_metric([], len(status.problems))
    yield problems
    yield from _table(_WATCH, "watch", [(one.name, one) for one in status.watches])
    yield from _sums("limpet_watch_degraded_paths", "watch", "Paths seen late or not at all.",
                     [(one.name, len(one.degraded)) for one in status.watches])  # fmt: skip
    yield from _sums("limpet_watch_up", "watch", "1 while something is watched, else 0.",
                     [(one.name, int(bool(one.backend) and not one.failure))
                      for one in status.watches])  # fmt: skip
    yield from _table(_FOLLOW, "follow", [(one.name, one) for one in status.follows])
    yield from _table(_OUTPUT, "output", [(one.name, one) for one in status.outputs])
    yield from _by_kind("limpet_output_operations_total", "kind",
                        "Operations of an output that succeeded.",
                        [(one.name, one.operations) for one in status.outputs])  # fmt: skip
    yield from _by_kind("limpet_output_refusals_total", "code",
                        "Operations of an output that were refused or failed.",
                        [(one.name, one.refusals) for one in status.outputs])  # fmt: skip
    yield from _table(_BEHAVIOUR, "behaviour", [(one.name, one) for one in status.behaviours])
    yield from _table(_INBOX, "inbox", [(one.place, one) for one in status.inboxes])
    if (dead := status.dead_letters) is not None:
        yield from _sums("limpet_dead_letters", "", "Dead letters that there are.",
                         [("", dead.waiting)])  # fmt: skip
        text = "Dead letters that this run has written."
        yield _counter("limpet_dead_letters_written_total", text, "", {"": dead.written})
    if status.journal is not None:
        yield from _table(_JOURNAL, "", [("", status.journal)])
    if status.spool is not None:
        yield from _table(_SPOOL, "", [("", status.spool)])
    if (hub := status.hub) is not None:
        yield from _table(_HUB, "", [("", hub)])
        yield from _sums("limpet_hub_up", "", "1 while the hub is connected, else 0.",
                         [("", int(hub.state == "connected"))])  # fmt: skip
    yield from _table(_AGENT, "agent", [(one.host, one) for one in status.agents])
    up = [(one.host, float(one.state not in _AWAY)) for one in status.agents]
    yield from _sums("limpet_agent_up", "agent", "1 while an agent runs, else 0.", up)
    for name, text, found in (
        (
            "limpet_event_delivered_age_seconds",
            "Age of events when delivered.",
            status.age_delivered,
        ),
        ("limpet_event_done_age_seconds", "Age of events when processed.", status.age_done),
    ):
        if found is not None:
            family = HistogramMetricFamily(name, text)
            family.add_metric([], _buckets(found), found.total)
            yield family
    part = {"run": "bot", "python": "program"}.get(status.program, status.program)
    for key, value in sorted(status.counters.items()):
        plain = re.sub(r"[^a-z0-9_]", "_", key.lower())
        text = COUNTERS.get(key, f"How often the program has counted: {writable(key)}.")
        yield _counter(f"limpet_{part}_{plain}_total", text, "", {"": value})


def _table(rows: Iterable[_Row], label: str, parts: list[tuple[str, Any]]) -> Iterator[Metric]:
    """Emit a metric for each row; a moment that never was is left out."""
    for row in rows:
        found = [
            (name, float(value))
            for name, one in parts
            if (value := getattr(one, row.field)) is not None
        ]
        yield from _sums(row.name, label, row.text, found)


def _sums(name: str, label: str, text: str, found: list[tuple[str, float]]) -> Iterator[Metric]:
    """Emit one metric; parts that share a name are added up, but for moments."""
    from prometheus_client.core import GaugeMetricFamily

    values: dict[str, float] = {}
    join: Callable[[float, float], float] = max if name.endswith("_time_seconds") else add
    for key, value in found:
        key = writable(key)  # noqa: PLW2901 - from here on it is text
        values[key] = join(values[key], value) if key in values else value
    if not values:
        return
    if name.endswith("_total"):
        yield _counter(name, text, label, values)
        return
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    yield family


def _counter(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _by_kind(
    name: str, label: str, text: str, found: list[tuple[str, dict[str, int]]]
) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    sums: dict[tuple[str, str], int] = {}
    for output, counts in found:
        for kind, count in counts.items():
            key = writable(output), writable(kind)
            sums[key] = sums.get(key, 0) + count
    if sums:
        family = CounterMetricFamily(name.removesuffix("_total"), text, labels=["output", label])
        for (output, kind), count in sums.items():
            family.add_metric([output, kind], count)
        yield family


def _one_of(name: str, label: str, known: tuple[str, ...], now: str, text: str) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=[label])
    for one in known:
        family.add_metric([one], int(one == now))
    return family


def _buckets(found: Histogram) -> list[tuple[str, float]]:
    """Return the upper bounds with what is accumulated up to each."""
    counted, buckets = 0, []
    for bound, count in zip((*found.bounds, float("inf")), found.counts, strict=True):
        counted += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(counted)))
    return buckets
