"""Compare events with what a test expects, and show the difference as lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from limpet.errors import UsageError
from limpet.events import Event
from limpet.testing._mirror import describe
from limpet.testing._watched_folder import WatchedFolder
from limpet.watching import SyncMultiWatch, SyncWatch

Source = Iterable[Event] | SyncWatch | SyncMultiWatch | WatchedFolder


def assert_events(
    events: Source, expected: Iterable[str | type[Event]], *, any_order: bool = False
) -> list[Event]:
    """Assert that events are the expected ones, all of them and no other; return them.

    ```python
    assert_events(folder, ["FileCreated a.txt", "FileRenamed a.txt -> b.txt"])
    assert_events(events, [limpet.FileCreated, limpet.FileDeleted])
    ```

    Args:
        events: The events; or a ``WatchedFolder`` that is to settle, or a watch without an event
            loop whose ``fence`` returns them.
        expected: Each as ``describe`` writes it, or its class.
        any_order: Whether they may come in any order; classes go after texts then.

    Raises:
        AssertionError: They differ; its text has a line for each, with ``-`` before what did not
            come and ``+`` before what was not expected.
        UsageError: ``events`` or ``expected`` is something else.
    """
    __tracebackhide__ = True
    came, wanted = _events_of(events), _wanted_of(expected)
    if any_order:
        left = list(came)
        for one in sorted(wanted, key=lambda one: isinstance(one, type)):
            found = next((event for event in left if _is(event, one)), None)
            if found is None:
                break
            left.remove(found)
        else:
            if not left:
                return came
    elif len(came) == len(wanted) and all(map(_is, came, wanted)):
        return came
    raise AssertionError(_difference(came, wanted, any_order=any_order))


def _events_of(events: object) -> list[Event]:
    if isinstance(events, WatchedFolder):
        return events.settle()
    if isinstance(events, SyncWatch | SyncMultiWatch):
        return events.fence()
    if hasattr(events, "fence"):  # it would have to be awaited
        message = f"{events!r} needs its event loop: give the list of the events it has delivered"
        raise UsageError(message)
    found: list[Event] = []
    for one in events if isinstance(events, Iterable) else [events]:
        if not isinstance(one, Event):
            message = f"{one!r:.80} is no event: give a list of them, or a WatchedFolder"
            raise UsageError(message)
        found.append(one)
    return found


def _wanted_of(expected: Iterable[str | type[Event]]) -> list[str | type[Event]]:
    wanted: list[str | type[Event]] = []
    wanted += [expected] if isinstance(expected, str | type) else expected
    for one in wanted:
        if not isinstance(one, str) and not (isinstance(one, type) and issubclass(one, Event)):
            message = f"{one!r:.80} is no expected event: give 'FileCreated a.txt', or its class"
            raise UsageError(message)
    return wanted


def _is(event: Event, wanted: str | type[Event]) -> bool:
    return describe(event) == wanted if isinstance(wanted, str) else isinstance(event, wanted)


def _difference(came: list[Event], wanted: list[str | type[Event]], *, any_order: bool) -> str:
    """Return the two lists as one, a line for each event."""
    lines = [describe(event) for event in came]
    names = [one if isinstance(one, str) else one.__name__ for one in wanted]
    for at, one in enumerate(wanted):  # a class looks like the event that it stands for
        if isinstance(one, type):
            same = (line for line, event in zip(lines, came, strict=True) if isinstance(event, one))
            names[at] = next((line for line in same if line not in names), names[at])
    if any_order:
        names, lines = sorted(names), sorted(lines)
    shown = "\n".join(
        line.rstrip() for line in difflib.ndiff(names, lines) if not line.startswith("?")
    )
    hint = ""
    if not any_order and sorted(names) == sorted(lines):
        hint = " in another order (any_order=True allows it)"
    return (
        f"{len(came)} events came, {len(wanted)} were expected{hint}\n"
        f"(-: did not come, +: was not expected)\n{shown}"
    )
