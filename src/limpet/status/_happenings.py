"""The last things that happened: what the page streams, and the story of a path."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

What = Literal["event", "done", "skipped", "retry", "failed", "refused", "problem", "line"]
"""``event``: it came. The next four: what a behaviour or a command made of it. ``refused``: an
output. ``problem``: something is wrong from now on. ``line``: a line that a follower read."""

_MOST: Final = 5000
"""How many are kept; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. ``happening_to_wire`` makes it JSON, outside of the hot way."""

    time: float
    what: What
    subject: object
    """The event; or a path, or a text. It is not changed any more, and read later."""
    by: str = ""
    """The behaviour, the watch or the output."""
    detail: str = ""


class Happenings:
    """A ring of the last things, for any threads."""

    def __init__(self, most: int = _MOST) -> None:
        self._ring: deque[tuple[float, What, object, str, str]] = deque(maxlen=most)
        self._lock = threading.Lock()
        self.count = 0
        """All that there were; the number of the newest one."""

    def add(self, what: What, subject: object, by: str = "", detail: str = "") -> None:
        """Keep one; it costs well below a microsecond."""
        with self._lock:
            self.count += 1
            self._ring.append((time.time(), what, subject, by, detail))

    def since(self, number: int, most: int) -> tuple[int, list[Happening]]:
        """Return the newest ones after a number, oldest first, and at most ``most``.

        The first value is how many after that number are not among them: too many, or forgotten.
        """
        with self._lock:
            fresh = max(0, self.count - number)
            taken = min(fresh, most, len(self._ring))
            newest = list(islice(reversed(self._ring), taken))
        found = [Happening(*one) for one in reversed(newest)]
        return fresh - taken, found
