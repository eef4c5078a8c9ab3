"""Why an event for a path would come from a watch, or would not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from limpet.watching._explanation import Explanation, Reason
from limpet.watching.index._entry_record import kind_of
from limpet.watching.index._index import DirNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from limpet.backends import Choice
    from limpet.config import WatchOptions
    from limpet.events import Kind
    from limpet.watching._selection import Selection
    from limpet.watching._watch_stats import WatchStats
    from limpet.watching.diff._context import DiffContext


class Explained(Protocol):
    """What is asked of a core."""

    location: Path
    options: WatchOptions
    expects: Kind
    choice: Choice | None

    @property
    def context(self) -> DiffContext | None:
        """Return the index of a folder's watch; ``None`` of a file's."""

    def entries(self) -> dict[Path, Kind]:
        """Return what is in the index."""

    def stats(self) -> WatchStats:
        """Return its figures."""


def explain_by(
    path: Path, watchers: Iterable[Explained], selection: Selection | None, *, is_dir: bool
) -> Explanation:
    """Return what running cores would report of a path; the disk is not touched.

    Args:
        path: Absolute.
        watchers: The places.
        selection: What of their events is handed out.
        is_dir: What is at the path is a folder, for rules that leave out folders alone.
    """
    everywhere = list(watchers)
    around = [one for one in everywhere if _covers(one, path)]
    if not around:
        places = ", ".join(repr(os.fspath(one.location)) for one in everywhere) or "there is none"
        reason = Reason(code="outside", text=f"it is at or below no watched place: {places}")
        return Explanation(path=path, place=None, reasons=(reason,))
    watcher = max(around, key=lambda one: len(one.location.parts))
    reasons = list(_reasons(watcher, path, is_dir=is_dir))
    if selection is not None and (selection.types or selection.only):
        asked = [f"types={', '.join(one.__name__ for one in selection.types)}"] * bool(
            selection.types
        ) + ["only=..."] * bool(selection.only)
        text = f"of its events those that {' and '.join(asked)} choose are handed out"
        reasons.append(Reason(code="selected", text=text))
    return Explanation(path=path, place=watcher.location, reasons=tuple(reasons))


def _covers(watcher: Explained, path: Path) -> bool:
    if watcher.expects == "file":
        return path == watcher.location
    return path.is_relative_to(watcher.location)


def _reasons(watcher: Explained, path: Path, *, is_dir: bool) -> Iterator[Reason]:
    context = watcher.context
    degraded = watcher.choice is not None and watcher.choice.degraded
    if degraded and watcher.choice is not None:
        yield Reason(code="degraded", text=f"everything here is polled: {watcher.choice.reason}")
    if context is None:
        yield from _reasons_of_file(watcher)
        return
    directory = context.index.root
    if directory is None:
        yield Reason(code="absent", text="the place is not there now; it is reported once it comes")
    parts = path.relative_to(watcher.location).parts
    if len(parts) > 1 and not watcher.options.recursive:
        yield Reason(code="one-level", text="recursive=False: only the first level is watched")
        return
    relative = ""
    for number, name in enumerate(parts):
        last = number == len(parts) - 1
        entry = directory.entries.get(name) if directory is not None else None
        folder = isinstance(entry, DirNode) or not last or is_dir
        rule = context.filter.why(relative, name, is_dir=folder)
        if rule is not None:
            shown = f"{relative}/{name}" if relative else name
            yield Reason(code="ignored", text=f"{shown!r} is left out by {rule}")
            return
        if not last and entry is not None and not isinstance(entry, DirNode):
            kind = kind_of(entry)
            if kind == "symlink":
                hint = "" if watcher.options.follow_symlinks else ": see follow_symlinks"
                text = f"{name!r} is a symlink, which is not followed{hint}"
                yield Reason(code="behind-symlink", text=text)
                return
        head, relative = relative, f"{relative}/{name}" if relative else name
        if last:
            yield from _of_entry(context, directory, name)
            rule = context.filter.why(head, name, is_dir=True) if entry is None else None
            if rule is not None:
                text = f"a folder of this name would be left out by {rule}"
                yield Reason(code="absent", text=text)
        directory = entry if isinstance(entry, DirNode) else None if entry is None else directory
    if not parts and context.index.root is not None:
        yield from _of_directory(context, context.index.root)


def _of_entry(context: DiffContext, directory: DirNode | None, name: str) -> Iterator[Reason]:
    if directory is None:
        yield Reason(code="absent", text="its folder is not there, as far as the watch knows")
        return
    entry = directory.entries.get(name)
    if entry is None:
        yield Reason(
            code="absent",
            text="nothing was there at the last examination; it is reported once it comes",
        )
    held = context.debouncer.held.get((directory, name))
    if held is not None:
        due = min(held.last + context.debouncer.quiet, held.first + context.debouncer.limit)
        first = "its writer closes it, or " if context.debouncer.ends_at_close else ""
        yield Reason(
            code="held", text=f"settle: its event waits until {first}{_clock(context, due)}"
        )
    yield from _of_directory(context, entry if isinstance(entry, DirNode) else directory)


def _of_directory(context: DiffContext, directory: DirNode) -> Iterator[Reason]:
    shown = repr(directory.relative() or ".")
    if directory.blind is not None:
        yield Reason(
            code="unreadable", text=f"the folder {shown} cannot be read ({directory.blind})"
        )
    if directory.mark is not None:
        source = directory.mark[0]
        yield Reason(code="marked", text=f"{source} reports changes in the folder {shown} at once")
    elif directory in context.poll.directories:
        interval = context.options.poll_interval
        yield Reason(code="polled", text=f"the folder {shown} is examined every {interval:g} s")
    elif context.services.tree_source is not None:
        name = context.services.tree_source.name
        yield Reason(code="marked", text=f"{name} reports changes in the whole tree")
    else:
        yield Reason(code="not-marked", text=f"nothing reports changes in the folder {shown}")


def _reasons_of_file(watcher: Explained) -> Iterator[Reason]:
    stats = watcher.stats()
    if not watcher.entries():
        yield Reason(code="absent", text="nothing is there now; it is reported once it comes")
    if stats.held:
        yield Reason(code="held", text="settle: its event waits until its writer is done")
    if stats.marks:
        yield Reason(code="marked", text=f"{stats.backend} reports changes of it at once")
    else:
        interval = watcher.options.poll_interval
        yield Reason(code="polled", text=f"it is examined every {interval:g} s")


def _clock(context: DiffContext, due: float) -> str:
    """Return a moment of the monotonic clock as local time."""
    moment = time.time() + due - context.disk.monotonic()
    return time.strftime("%H:%M:%S", time.localtime(moment))
