"""Random changes under the source ``windows``, without a fence: its hints alone must suffice.

Each change of a real tree is reported as NTFS reports it, one by one or many in a buffer, plainly
or with file ids, sometimes with an overflow; the watch examines in between, or not. In the end the
index is what is on disk, and the events lead there. Nothing polls, and nothing else is examined.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limpet
from limpet.testing import check_stream, listing
from limpet.watching.diff._context import DiffContext
from limpet.watching.index._entry_record import unpack
from tests.waiting import until_sync
from tests.watch.windows.buffers import (
    ADDED,
    MODIFIED,
    NEW_NAME,
    OLD_NAME,
    REMOVED,
    extended,
    plain,
)
from tests.watch.windows.place import Place

NAMES = st.sampled_from(["a", "b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["write", "mkdir", "delete", "leave", "come"]), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.sampled_from([*["flush", "examine"] * 5, "overflow"])),
)


class Ntfs:
    """Changes a real tree, and says what NTFS says of that."""

    def __init__(self, place: Place, elsewhere: Path, *, has_ids: bool) -> None:
        self.place, self.elsewhere, self.has_ids = place, elsewhere, has_ids
        self.records: list[tuple[int, str, int]] = []
        self.births: dict[int, int] = {}
        self.count = 0

    def say(self, action: int, path: Path, inode: int, *, is_dir: bool) -> None:
        name = str(path.relative_to(self.place.path)).replace("/", "\\")
        self.records.append((action, name + ("\\" if is_dir else ""), inode))

    def say_of_parent(self, path: Path) -> None:
        if path.parent != self.place.path:
            self.say(MODIFIED, path.parent, path.parent.stat().st_ino, is_dir=True)

    def made(self, path: Path) -> None:
        """Say that something new is there."""
        found = path.lstat()
        self.count += 1
        self.births[found.st_ino] = 1000 + self.count
        self.say(ADDED, path, found.st_ino, is_dir=path.is_dir())
        self.say_of_parent(path)

    def write(self, path: Path) -> None:
        self.count += 1
        is_new = not path.exists()
        with path.open("a") as file:
            file.write("x" * self.count)
        if is_new:
            self.made(path)
        self.say(MODIFIED, path, path.stat().st_ino, is_dir=False)

    def mkdir(self, path: Path) -> None:
        path.mkdir()
        self.made(path)

    def delete(self, path: Path) -> None:
        is_dir, inode = path.is_dir(), path.lstat().st_ino
        if is_dir:
            for inner in path.iterdir():
                self.delete(inner)
            path.rmdir()
        else:
            path.unlink()
        self.say(REMOVED, path, inode, is_dir=is_dir)
        self.say_of_parent(path)

    def rename(self, path: Path, to_path: Path) -> None:
        if to_path.is_dir() or (to_path.exists() and path.is_dir()):
            return  # Windows refuses it
        is_dir, inode = path.is_dir(), path.lstat().st_ino
        replaced = to_path.lstat().st_ino if to_path.exists() else None
        if replaced == inode:
            return
        path.replace(to_path)
        if replaced is not None:
            self.say(REMOVED, to_path, replaced, is_dir=False)
        same = path.parent == to_path.parent
        self.say(OLD_NAME if same else REMOVED, path, inode, is_dir=is_dir)
        self.say(NEW_NAME if same else ADDED, to_path, inode, is_dir=is_dir)
        if path.parent.exists():
            self.say_of_parent(path)
        self.say_of_parent(to_path)

    def leave(self, path: Path) -> None:
        """Move something out of the tree; it goes on changing there."""
        self.count += 1
        is_dir, inode = path.is_dir(), path.lstat().st_ino
        outside = self.elsewhere / f"{self.count}"
        path.rename(outside)
        self.say(REMOVED, path, inode, is_dir=is_dir)
        self.say_of_parent(path)
        if is_dir:
            (outside / "b").mkdir(exist_ok=True)
            (outside / "b" / "new").touch()

    def come(self, path: Path) -> None:
        """Move something in that was outside: of what is in it, nothing is said."""
        waiting = sorted(self.elsewhere.iterdir())
        if waiting and not path.exists() and path.parent.is_dir():
            waiting[-1].rename(path)
            self.say(ADDED, path, path.lstat().st_ino, is_dir=path.is_dir())
            self.say_of_parent(path)

    def flush(self) -> None:
        """Say all of it in one buffer."""
        records, self.records = self.records, []
        if not records:
            return
        if self.has_ids:
            data = extended(*records, births=self.births)
        else:
            data = plain(*((action, name.removesuffix("\\")) for action, name, _ in records))
        self.place.api.change(self.place.text, data)


@contextlib.contextmanager
def directories() -> Iterator[tuple[Path, Path]]:
    home = Path(tempfile.mkdtemp(prefix="limpet-hints-")).resolve()
    try:
        for name in ("a/a/a", "b/a"):
            (home / "place" / name).mkdir(parents=True)
            (home / "place" / name / "b").write_text("1")
        (home / "elsewhere").mkdir()
        yield home / "place", home / "elsewhere"
    finally:
        shutil.rmtree(home)


def sizes(watch: limpet.SyncWatch) -> dict[str, int]:
    """The size of each file, as the watch has it."""
    core: Any = watch._core
    root = core._engine.context.index.root
    return {
        directory.relative_of(name): unpack(entry).size
        for directory in root.walk()
        for name, entry in directory.entries.items()
        if isinstance(entry, bytes)
    }


@pytest.mark.parametrize("has_ids", [True, False])
@given(steps=st.lists(STEPS, min_size=20, max_size=60))
def test_hints_suffice(has_ids: bool, steps: list[tuple[str, ...]]) -> None:
    with directories() as (path, elsewhere), pytest.MonkeyPatch.context() as monkeypatch:
        place = Place(path)
        place.api.has_extended = has_ids
        place.install(monkeypatch)
        # What is young is examined once more by a timer, which would find what hints did not name.
        monkeypatch.setattr(DiffContext, "note_young", lambda *_: None)
        disk = Ntfs(place, elsewhere, has_ids=has_ids)
        events: list[limpet.Event] = []
        with place.watch(default_ignores=False) as watch:
            start = watch.entries()

            def examine() -> None:
                while (event := watch.next(timeout=0.003)) is not None:
                    events.append(event)

            for what, *names in steps:
                if what == "examine":
                    examine()
                elif what == "overflow":
                    disk.records.clear()
                    place.api.overflow(place.text)
                elif what == "flush":
                    disk.flush()
                else:
                    with contextlib.suppress(OSError):
                        getattr(disk, what)(*(path / name for name in names))
            disk.flush()

            def agrees() -> bool:
                examine()
                real = {
                    one.relative_to(path).as_posix(): one.stat().st_size
                    for one in path.rglob("*")
                    if one.is_file()
                }
                return watch.entries() == listing(path) and sizes(watch) == real

            until_sync(
                agrees,
                lambda: f"{sorted(watch.entries())} and {sorted(listing(path))}",
                patience=1.5,
            )
            assert check_stream(events, start).paths() == set(listing(path))
        place.verify()
