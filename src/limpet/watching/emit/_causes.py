"""Adds to events who made the change, as far as the kernel has named the process.

What is in a folder that was moved in or out as a whole has no record of its own: its events have
the process that moved the folder. What was made in a new folder before that was marked has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from limpet.events import EntryEvent, Who
from limpet.watching.emit._event_factory import parts_of
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from limpet.backends import PendingHints
    from limpet.events import Event

_set_who: Final = cast("Any", EntryEvent).who.__set__  # its slot, which frozen closes


class KnownCauses:
    """Who made the changes of one watch that are not emitted yet."""

    def __init__(self, hints: PendingHints) -> None:
        """Take them from the hints."""
        self._hints = hints
        self._kept: dict[str, tuple[Who, bool]] = {}
        """Relative path -> who changed it last, of files that are held."""

    def add_to(self, events: Iterable[Event], held: Callable[[], set[str]]) -> None:
        """Add to the events of one examination who made each change.

        Args:
            events: In their order.
            held: Return the relative paths of the files whose events come later.
        """
        taken, self._hints.causes = self._hints.causes or {}, {}
        known = self._kept
        for (directory, name), (pid, program, moved) in taken.items():
            known[_relative(directory, name)] = Who(pid=pid, program=program), moved
        if not known:
            return
        for event in events:
            parts = parts_of(event)
            if parts is not None and isinstance(event, EntryEvent):
                found = _cause_of(known, parts[0]) or (parts[3] and _cause_of(known, parts[3]))
                if found:
                    _set_who(event, found)
        waiting = held()
        self._kept = {path: cause for path, cause in known.items() if path in waiting}


def _relative(directory: object, name: str) -> str:
    if not isinstance(directory, DirNode):
        return ""  # on the way to the location: about the target
    return directory.relative_of(name) if name else directory.relative()


def _cause_of(known: dict[str, tuple[Who, bool]], relative: str) -> Who | None:
    cause = known.get(relative)
    if cause is not None:
        return cause[0]
    while relative:
        relative = relative.rpartition("/")[0]
        cause = known.get(relative)
        if cause is not None and cause[1]:
            return cause[0]
    return None
