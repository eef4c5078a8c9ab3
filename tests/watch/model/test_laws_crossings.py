"""The laws where something crosses a rename: filters, holds, restarts, odd disks, odd errors.

The operations are those of ``test_laws.py``; what is expected is worked out by plain means.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import limpet
from limpet import SyncWatch
from limpet.testing import check_stream, describe, listing
from limpet.watching import Watcher, make_router
from limpet.watching.index._fs import FileSystemCalls
from tests.conftest import BACKENDS
from tests.watch.model.odd_disks import (
    ALL_ERRORS,
    BirthsChange,
    Faulty,
    InodesChange,
    NoBirths,
    WholeSeconds,
)
from tests.watch.model.test_laws import PLACES, Laws


def shown_of(paths: dict[Path, Any], base: Path, hides: Any) -> dict[Path, Any]:
    """Return the entries that are not left out, nor below one that is."""
    kept: dict[Path, Any] = {}
    for path in sorted(paths):  # parents first
        if path == base or (path.parent in kept and not hides(path, paths[path])):
            kept[path] = paths[path]
    return kept


class Excluded(Laws):
    """Two places of the tree are left out."""

    options = {"exclude": ("/a/b", "/c/**/a")}  # noqa: RUF012

    def expected(self) -> dict[Path, Any]:
        def hides(path: Path, kind: str) -> bool:
            parts = path.relative_to(self.base).parts
            del kind
            return parts == ("a", "b") or (parts[0] == "c" and len(parts) > 1 and parts[-1] == "a")

        return shown_of(listing(self.base), self.base, hides)


class Included(Laws):
    """What is called ``a`` or below it, and all that is below ``b``."""

    options = {"include": ("a", "/b/**")}  # noqa: RUF012

    def expected(self) -> dict[Path, Any]:
        def hides(path: Path, kind: str) -> bool:
            parts = path.relative_to(self.base).parts
            # gitignore: a pattern that matches a folder matches all below it
            below_a = "a" in parts
            below_b = parts[0] == "b" and len(parts) >= 2
            return kind != "dir" and not (below_a or below_b)

        return shown_of(listing(self.base), self.base, hides)


class Ignored(Laws):
    """Ignore files that come, go and move with their folders."""

    options = {"ignore_file": ".ign"}  # noqa: RUF012

    @rule(place=st.one_of(st.just(""), PLACES), names=st.sets(st.sampled_from("abcd"), max_size=2))
    def write_rules(self, place: str, names: set[str]) -> None:
        text = "".join(f"{name}\n" for name in sorted(names))
        self.try_(lambda: (self.at(place) / ".ign").write_text(text))

    @rule(place=st.one_of(st.just(""), PLACES))
    def remove_rules(self, place: str) -> None:
        self.try_((self.at(place) / ".ign").unlink)

    def expected(self) -> dict[Path, Any]:
        def hides(path: Path, kind: str) -> bool:
            above = path.parent
            while above.is_relative_to(self.base):
                rules = above / ".ign"
                if rules.is_file() and path.name in rules.read_text().split():
                    return True
                above = above.parent
            return False

        return shown_of(listing(self.base), self.base, hides)


class IgnoredFromOutside(Ignored):
    """One ignore file for the tree, beside it."""

    def open_watch(self) -> SyncWatch:
        self.options = {"ignore_file": os.fspath(self.home / "rules")}
        return super().open_watch()

    @rule(names=st.sets(st.sampled_from("abcd"), max_size=2), how=st.sampled_from("wrd"))
    def change_rules(self, names: set[str], how: str) -> None:
        rules, text = self.home / "rules", "".join(f"{name}\n" for name in sorted(names))
        if how == "w":
            self.try_(lambda: rules.write_text(text))
        elif how == "d":
            self.try_(rules.unlink)
        else:
            (self.home / "next").write_text(text)
            self.try_(lambda: (self.home / "next").rename(rules))

    def expected(self) -> dict[Path, Any]:
        rules = self.home / "rules"
        names = rules.read_text().split() if rules.exists() else []
        return shown_of(listing(self.base), self.base, lambda path, _: path.name in names)


class Flat(Laws):
    """The direct entries alone."""

    options = {"recursive": False}  # noqa: RUF012

    def expected(self) -> dict[Path, Any]:
        return {
            path: kind
            for path, kind in listing(self.base).items()
            if self.base in {path, path.parent}
        }

    def check_index(self) -> None:
        """Folders are entries like any other."""


class Held(Laws):
    """With ``settle``: the stream can be replayed at any time, and is complete once quiet."""

    options = {"settle": 0.03, "settle_max": 0.06}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.open_files: list[Any] = []

    @rule(place=PLACES)
    def write_and_keep_open(self, place: str) -> None:
        def write() -> None:
            if not self.at(place).is_fifo():
                file = self.at(place).open("w")
                file.write("x")
                file.flush()
                self.open_files.append(file)

        self.try_(write)

    @rule()
    def close_all(self) -> None:
        while self.open_files:
            self.open_files.pop().close()

    @rule()
    def fence(self) -> None:
        assert self.watch is not None
        self.events += self.watch.fence()
        check_stream(self.events, self.start)

    def teardown(self) -> None:
        self.close_all()
        try:
            if self.watch is not None:
                end = time.monotonic() + 20
                while True:
                    self.fence()
                    if not self.watch.stats().held or time.monotonic() > end:
                        break
                    time.sleep(0.01)
                assert check_stream(self.events, self.start).entries == self.expected()
        finally:
            self.events = []
            watch, self.watch = self.watch, None
            if watch is not None:
                watch.close()
            super().teardown()


class Finished(Laws):
    """With ``settle_dir``: the order holds, and in the end no folder waits for its event."""

    options = {"settle_dir": 0.02}  # noqa: RUF012

    @rule()
    def wait(self) -> None:
        """Take what comes by time alone."""
        assert self.watch is not None
        while (event := self.watch.next(0.03)) is not None:
            self.events.append(event)
        check_stream(self.events, self.start)

    def teardown(self) -> None:
        try:
            if self.watch is not None and self.watch._core is not None:
                end = time.monotonic() + 20
                context = self.watch._core._context
                assert context is not None
                self.fence()
                while context.settling:
                    assert time.monotonic() < end
                    self.wait()
                assert check_stream(self.events, self.start).entries == self.expected()
                self.check_each_once()
        finally:
            super().teardown()

    def check_each_once(self) -> None:
        """No folder is reported twice; after a rename it is still the same."""
        seen: set[Path] = set()
        for event in self.events:
            if isinstance(event, limpet.DirCreated | limpet.DirDeleted):
                seen.discard(event.path)
            elif isinstance(event, limpet.DirRenamed):
                moved = {path for path in seen if path.is_relative_to(event.source)}
                seen -= moved
                seen |= {event.path / path.relative_to(event.source) for path in moved}
            elif isinstance(event, limpet.DirSettled):
                assert event.path not in seen, [describe(one) for one in self.events]
                seen.add(event.path)


class Restarted(Laws):
    """With ``state``: the watch ends and starts again, and its events go on where they were."""

    disk: FileSystemCalls | None = None

    def open_watch(self) -> SyncWatch:
        watch = limpet.watch_dir(
            self.base, backend=self.backend, poll_interval=3600, default_ignores=False,
            state=self.home / "state", **self.options,
        ).sync()  # fmt: skip
        return open_over(watch, self.disk)

    @precondition(lambda self: self.watch is not None)
    @rule()
    def stop(self) -> None:
        """Stop; what was found and not handed out is kept too."""
        assert self.watch is not None
        self.watch.close()
        self.watch = None

    @rule()
    def fence(self) -> None:
        if self.watch is None:
            self.watch = self.open_watch()
        self.events += renumbered(self.watch.fence(), self.events)
        mirror = check_stream(self.events, self.start)
        assert mirror.entries == self.expected(), [describe(one) for one in self.events]
        assert self.watch.entries() == mirror.entries


def renumbered(events: list[limpet.Event], before: list[limpet.Event]) -> list[limpet.Event]:
    """Return the events of a later run as if the numbers went on; those of a run begin with 1."""
    import dataclasses

    first = before[-1].seq if before else 0
    latest = before[-1].time if before else 0.0
    return [
        dataclasses.replace(one, seq=first + number, time=max(latest, one.time))
        for number, one in enumerate(events, 1)
    ]


class OtherDevice(FileSystemCalls):
    """A volume that gets another device number at each start."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _moved(self, facts: Any) -> Any:
        return None if facts is None else facts._replace(device=facts.device + self.number)

    def stat(self, handle: Any) -> Any:
        return self._moved(super().stat(handle))

    def directory(self, handle: Any, now: int) -> Any:
        record, _, inode = super().directory(handle, now)
        return record, self.stat(handle).device, inode

    def identity(self, handle: Any) -> Any:
        facts = self.stat(handle)
        return facts.device, facts.inode

    def stat_at(self, handle: Any, name: str, *, follow: bool = False) -> Any:
        return self._moved(super().stat_at(handle, name, follow=follow))

    def stat_path(self, path: str) -> Any:
        return self._moved(super().stat_path(path))


class RestartedElsewhere(Restarted):
    """The same, and the volume has another device number each time; nothing is reported twice."""

    backend = "poll"

    def open_watch(self) -> SyncWatch:
        self.count += 1
        self.disk = OtherDevice(self.count)
        return super().open_watch()


def open_over(watch: SyncWatch, disk: FileSystemCalls | None) -> SyncWatch:
    """Start a watch over another disk."""
    watch._router = make_router()
    watch._core = Watcher(watch.location, watch.options, "dir", watch._router, disk)
    watch._core.start()
    return watch


class OddlyStored(Laws):
    """On a file system that keeps less: the mirror is right all the same."""

    kind: Any = None

    def open_watch(self) -> SyncWatch:
        watch = limpet.watch_dir(
            self.base, backend=self.backend, poll_interval=3600, default_ignores=False
        ).sync()
        self.disk = self.kind()
        return open_over(watch, self.disk)

    @rule()
    def forget_inodes(self) -> None:
        if isinstance(self.disk, InodesChange):
            self.disk.forget()

    def check_index(self) -> None:
        """Its inode numbers are not those of ``os.stat``."""


class Failing(Laws):
    """Every call may fail for a while: nothing ends the watch, and afterwards all is right."""

    def open_watch(self) -> SyncWatch:
        watch = limpet.watch_dir(
            self.base, backend=self.backend, poll_interval=3600, default_ignores=False
        ).sync()
        self.disk = Faulty()
        return open_over(watch, self.disk)

    @rule(
        codes=st.lists(st.sampled_from(ALL_ERRORS), min_size=1, max_size=3),
        seed=st.integers(0, 1 << 30),
    )
    def scan_while_calls_fail(self, codes: list[int], seed: int) -> None:
        assert self.watch is not None
        self.disk.random.seed(seed)
        self.disk.errors = tuple(codes)
        try:
            self.events += self.watch.fence()
        finally:
            self.disk.errors = ()
        check_stream(self.events, self.start)

    @rule()
    def fence(self) -> None:
        assert self.watch is not None
        for _ in range(3):  # what was put off by a failure is examined by the next
            self.events += self.watch.fence()
        mirror = check_stream(self.events, self.start)
        assert mirror.entries == self.expected(), [describe(one) for one in self.events]
        assert self.watch.entries() == mirror.entries


_SOAK = os.environ.get("LIMPET_PROFILE", "check") not in {"check", "brief"}
_EXAMPLES = settings.default.max_examples if _SOAK else 4  # type: ignore[union-attr]


def _add(base: Any, backends: tuple[str, ...], **more: Any) -> None:
    """Run a machine on some backends, or with ``make soak`` on all of them."""
    for backend in BACKENDS if _SOAK else backends:
        name = f"{base.__name__}_{getattr(more.get('kind'), '__name__', '')}_{backend}"
        machine: Any = type(name, (base,), {"backend": backend, **more})
        machine.TestCase.settings = settings(max_examples=_EXAMPLES, stateful_step_count=30)
        globals()[f"Test{name}"] = machine.TestCase


_add(Excluded, ("fanotify", "poll"))
_add(Included, ("inotify", "poll"))
_add(Ignored, ("fanotify", "poll"))
_add(IgnoredFromOutside, ("inotify", "poll"))
_add(Flat, ("fanotify", "poll"))
_add(Held, ("inotify", "poll"))
_add(Finished, ("fanotify", "poll"))
_add(Restarted, ("inotify", "poll"))
_add(RestartedElsewhere, ("poll",))
_add(Failing, ("inotify", "poll"))
_add(OddlyStored, ("inotify", "poll"), kind=WholeSeconds)
_add(OddlyStored, ("fanotify",), kind=NoBirths)
_add(OddlyStored, ("poll",), kind=BirthsChange)
_add(OddlyStored, ("inotify", "poll"), kind=InodesChange)
