"""What is measured: each measurement runs one watcher once and returns its figures."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks._watchers import Watcher
from benchmarks.measures._gather import gather
from benchmarks.measures._latency import latency, load
from benchmarks.measures._place import FOLDERS, PHASES, PROFILES, Bench, Figures, Profile
from benchmarks.measures._size import growth, idle, many, traced, tree
from benchmarks.measures._start import start
from benchmarks.measures._work import complete, flat, paced

__all__ = [
    "FOLDERS", "MEASUREMENTS", "PHASES", "PROFILES", "Bench", "Figures", "Measurement", "Profile",
    "traced",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One of them, and when it is made."""

    run: Callable[[Bench, Watcher], Figures]
    once: bool = False
    """In the first round only: it takes long, and grows or counts rather than competes."""
    limpet_only: bool = False


MEASUREMENTS: dict[str, Measurement] = {
    "tree": Measurement(run=tree),
    "idle": Measurement(run=idle, once=True),
    "growth": Measurement(run=growth, once=True),
    "paced": Measurement(run=paced),
    "flat": Measurement(run=flat),
    "complete": Measurement(run=complete, once=True, limpet_only=True),
    "latency": Measurement(run=latency),
    "load": Measurement(run=load),
    "gather": Measurement(run=gather, once=True, limpet_only=True),
    "many": Measurement(run=many, once=True, limpet_only=True),
    "start": Measurement(run=start),
}
