"""Tools to test programs that consume limpet's events, and limpet itself.

``WatchedFolder`` gives the events of a real folder by a clock that the test moves, and
``assert_events`` compares them; as fixtures of pytest they are there wherever limpet is installed.
``Mirror`` replays events into a listing (law L1), ``check_stream`` holds a stream to the order it
promises (law L2), ``listing`` is a plain walk of the disk to compare with, and ``run_scenario``
runs a written scenario (steps on disk, then the events expected) against any backend.
"""

from __future__ import annotations

from limpet.testing._assert_events import assert_events
from limpet.testing._mirror import Mirror, StreamError, check_stream, describe, listing
from limpet.testing._scenarios import parse_scenario, perform, run_scenario
from limpet.testing._watched_folder import WatchedFolder

__all__ = [
    "Mirror",
    "StreamError",
    "WatchedFolder",
    "assert_events",
    "check_stream",
    "describe",
    "listing",
    "parse_scenario",
    "perform",
    "run_scenario",
]
