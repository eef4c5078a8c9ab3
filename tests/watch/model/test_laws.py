"""L1 and L2 under random operations on a real tree, on every backend.

After each fence the events so far, replayed, give what a plain walk of the disk gives, and the
watch's own index agrees. The operations are drawn so that names collide: most mistakes of a
watcher live where a name is used again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import limpet
from limpet._file_stat import identity_of
from limpet.testing import check_stream, listing
from limpet.watching.index._entry_record import unpack
from tests.conftest import BACKENDS

if TYPE_CHECKING:
    from limpet import SyncWatch

NAMES = st.sampled_from(["a", "b", "c", "d"])
PLACES = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
MAYBE_ROOT = st.one_of(st.just(""), PLACES)


class Laws(RuleBasedStateMachine):
    """One watched location under random operations."""

    backend: Any = "auto"
    options: dict[str, Any] = {}  # noqa: RUF012 (set by subclasses)

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="limpet-model-"))
        self.base = self.home / "up" / "base"
        self.outside = self.home / "outside"
        self.outside.mkdir()
        self.watch: SyncWatch | None = None
        self.events: list[limpet.Event] = []
        self.start: dict[Path, Any] = {}
        self.count = 0

    def at(self, place: str) -> Path:
        return self.base / place if place else self.base

    def try_(self, *calls: Any) -> None:
        """Do what can be done: many drawn operations do not apply, which is fine."""
        for call in calls:
            with contextlib.suppress(OSError, shutil.Error, pytest.skip.Exception):
                call()

    def open_watch(self) -> SyncWatch:
        """Start the watch; subclasses start another."""
        watch = limpet.watch_dir(
            self.base, backend=self.backend, poll_interval=3600, default_ignores=False,
            **self.options,
        ).sync()  # fmt: skip
        return watch.__enter__()

    def expected(self) -> dict[Path, Any]:
        """Return what the watch must show; subclasses leave out more."""
        return listing(self.base)

    @initialize(places=st.lists(PLACES, max_size=6), made=st.booleans())
    def begin(self, places: list[str], made: bool) -> None:
        if made:
            self.base.mkdir(parents=True)
            for place in places:
                self.make_file(place)
        self.watch = self.open_watch()
        self.start = self.watch.entries()
        assert set(self.start) == set(self.expected())

    @rule(place=PLACES)
    def make_file(self, place: str) -> None:
        self.count += 1
        path = self.at(place)

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_fifo():  # to open one waits for its other end
                path.write_text(f"{self.count}")

        self.try_(write)

    @rule(place=PLACES)
    def append(self, place: str) -> None:
        def write() -> None:
            with self.at(place).open("r+") as file:
                file.seek(0, os.SEEK_END)
                file.write("more")

        if self.at(place).is_file():
            self.try_(write)

    @rule(place=PLACES)
    def make_dirs(self, place: str) -> None:
        self.try_(lambda: self.at(place).mkdir(parents=True))

    @rule(source=PLACES, goal=PLACES)
    def rename(self, source: str, goal: str) -> None:
        self.try_(lambda: self.at(source).rename(self.at(goal)))

    @rule(first=PLACES, second=PLACES)
    def swap(self, first: str, second: str) -> None:
        between = self.home / "between"

        def exchange() -> None:
            self.at(first).rename(between)
            try:
                self.at(second).rename(self.at(first))
            except OSError:
                between.rename(self.at(first))
            else:
                between.rename(self.at(second))

        self.try_(exchange)

    @rule(place=PLACES)
    def save_atomically(self, place: str) -> None:
        self.count += 1
        path = self.at(place)

        def save() -> None:
            temporary = path.with_name("t")
            temporary.write_text(f"saved {self.count}")
            temporary.replace(path)

        self.try_(save)

    @rule(place=PLACES, mode=st.sampled_from([0o700, 0o755]))
    def chmod(self, place: str, mode: int) -> None:
        # A directory without x would be closed to the test itself, unless root runs it.
        self.try_(lambda: self.at(place).chmod(mode))

    @rule(place=PLACES)
    def delete(self, place: str) -> None:
        self.try_(lambda: self.at(place).unlink(), lambda: self.at(place).rmdir())

    @rule(place=PLACES)
    def delete_tree(self, place: str) -> None:
        if self.at(place).is_dir():
            self.try_(lambda: shutil.rmtree(self.at(place)))

    @rule(place=PLACES)
    def delete_and_make_again(self, place: str) -> None:
        path = self.at(place)
        if path.is_dir() and not path.is_symlink():
            self.try_(lambda: shutil.rmtree(path), path.mkdir)
        else:
            self.try_(path.unlink, lambda: path.write_text("again"))

    @rule(place=PLACES, deep=st.lists(PLACES, max_size=3))
    def move_in(self, place: str, deep: list[str]) -> None:
        self.count += 1
        source = self.outside / f"in{self.count}"
        source.mkdir()
        for inner in deep:

            def fill(path: Path = source / inner) -> None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("in")

            self.try_(fill)
        self.try_(lambda: source.rename(self.at(place)))

    @rule(place=PLACES)
    def move_out(self, place: str) -> None:
        self.count += 1
        self.try_(lambda: self.at(place).rename(self.outside / f"out{self.count}"))

    @rule(number=st.integers(1, 200), place=PLACES)
    def move_back(self, number: int, place: str) -> None:
        self.try_(lambda: (self.outside / f"out{number}").rename(self.at(place)))

    @rule(number=st.integers(1, 200), inner=NAMES)
    def change_outside(self, number: int, inner: str) -> None:
        """What was moved out goes on changing: ghosts."""
        path = self.outside / f"out{number}" / inner
        if not path.is_fifo():
            self.try_(lambda: path.write_text("ghost"))

    @rule(place=PLACES, goal=PLACES)
    def symlink(self, place: str, goal: str) -> None:
        self.try_(lambda: self.at(place).symlink_to(self.at(goal)))

    @rule(place=PLACES, goal=PLACES)
    def hard_link(self, place: str, goal: str) -> None:
        self.try_(lambda: os.link(self.at(goal), self.at(place), follow_symlinks=False))

    @rule(place=PLACES)
    def fifo(self, place: str) -> None:
        self.try_(lambda: os.mkfifo(self.at(place)))

    @rule()
    def delete_target(self) -> None:
        if self.base.is_dir():
            self.try_(lambda: shutil.rmtree(self.base))

    @rule()
    def make_target(self) -> None:
        self.try_(lambda: self.base.mkdir(parents=True))

    @rule()
    def move_target(self) -> None:
        self.count += 1
        self.try_(lambda: self.base.rename(self.outside / f"out{self.count}"))

    @rule(number=st.integers(1, 200))
    def move_target_back(self, number: int) -> None:
        self.try_(lambda: (self.outside / f"out{number}").rename(self.base))

    @rule()
    def put_file_at_target(self) -> None:
        if not self.base.exists():
            self.try_(lambda: self.base.write_text("a file"))
        elif self.base.is_file():
            self.try_(self.base.unlink)

    @rule()
    def move_ancestor(self) -> None:
        self.try_(lambda: (self.home / "up").rename(self.home / "elsewhere"))

    @rule()
    def move_ancestor_back(self) -> None:
        self.try_(lambda: (self.home / "elsewhere").rename(self.home / "up"))

    @rule()
    def link_ancestor(self) -> None:
        up = self.home / "up"
        self.try_(lambda: up.symlink_to("elsewhere") if not up.exists() else None)

    @rule()
    def unlink_ancestor(self) -> None:
        up = self.home / "up"
        if up.is_symlink():
            self.try_(up.unlink)

    @precondition(lambda self: self.watch is not None)
    @rule()
    def lose_hints(self) -> None:
        """As an overflow of the kernel's queue does."""
        assert self.watch is not None
        core = self.watch._core
        assert core is not None
        core.router.drain()
        with core.router.lock:
            core.hints.lose("overflow")

    @precondition(lambda self: self.watch is not None)
    @rule()
    def fence(self) -> None:
        assert self.watch is not None
        self.events += self.watch.fence()
        mirror = check_stream(self.events, self.start)
        assert mirror.entries == self.expected(), [limpet.testing.describe(e) for e in self.events]
        assert self.watch.entries() == mirror.entries
        self.check_index()

    def check_index(self) -> None:
        """Every folder of the index is the one on disk, and known by its identity."""
        assert self.watch is not None
        core = self.watch._core
        assert core is not None
        tree = core._context
        assert tree is not None
        assert not tree.index.by_link_target
        if tree.index.root is None:
            assert not tree.index.known()
            return
        folders = list(tree.index.root.walk())
        assert len(tree.index.known()) == len(folders)
        for folder in folders:
            assert (folder.device, folder.inode) == identity_of(Path(tree.path(folder)).stat())
            assert tree.index.find(folder.device, folder.inode) is folder
            if tree.order:
                assert folder.mark is not None
                assert core.router.is_marked(folder.mark)
            for name, entry in folder.entries.items():
                if isinstance(entry, bytes):
                    seen = unpack(entry)
                    there = os.lstat(f"{tree.path(folder)}/{name}")
                    assert (seen.inode, seen.size, seen.mtime) == (
                        there.st_ino, there.st_size, there.st_mtime_ns,
                    )  # fmt: skip

    def teardown(self) -> None:
        try:
            if self.watch is not None:
                self.fence()
        finally:
            if self.watch is not None:
                self.watch.close()
            shutil.rmtree(self.home)


def _case(backend: str) -> Any:
    machine: Any = type(f"Laws_{backend}", (Laws,), {"backend": backend})
    return machine.TestCase


for _backend in BACKENDS:
    globals()[f"TestLaws_{_backend}"] = _case(_backend)
