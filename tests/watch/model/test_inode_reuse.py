"""L1 and L2 where a folder's inode number is given away again within one tick of the clock.

ext4 gives the number of a removed folder to the next one at once, and the birth time may be the
same too. Every short sequence of making, removing and renaming is run, with scans and lost hints in
between; in the end each folder that is left must still be watched.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.testing import check_stream, listing

STEPS = ("make a", "remove a", "a to b", "b to a", "scan", "overflow")
LENGTH = 4


class Nobody:
    """Receives hints that are to be lost."""

    def touched(self, *args: Any) -> None: ...
    def moved(self, *args: Any) -> None: ...
    def dropped(self, *args: Any) -> None: ...
    def caused(self, *args: Any) -> None: ...
    def lost(self) -> None: ...


def overflow(watch: limpet.SyncWatch) -> None:
    """Lose what the kernel has waiting, the ends of marks too, as a full queue does."""
    core = watch._core
    assert core is not None
    for source in core.router.sources.values():
        source.read(Nobody())
    core.router.lost()


def do(root: Path, step: str, watch: limpet.SyncWatch) -> list[limpet.Event]:
    with contextlib.suppress(OSError):
        match step.split():
            case ["scan"]:
                return list(iter(lambda: watch.next(timeout=0), None))
            case ["overflow"]:
                overflow(watch)
            case ["make", name]:
                (root / name).mkdir()
            case ["remove", name]:
                shutil.rmtree(root / name)
            case [name, "to", other]:
                os.rename(root / name, root / other)
    return []


@pytest.mark.parametrize("first", STEPS[:-2])
def test_reborn_folders_are_still_watched(tmp_path: Path, kernel_backend: Any, first: str) -> None:
    """L1, L2: a folder that has another's number is reported as another, and watched."""
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        for rest in itertools.product(STEPS, repeat=LENGTH - 1):
            (tmp_path / "a").mkdir()
            watch.fence()
            start, seq = watch.entries(), watch.stats().events + 1
            events: list[limpet.Event] = []
            for step in (first, *rest):
                events += do(tmp_path, step, watch)
            events += watch.fence()
            for name in os.listdir(tmp_path):
                (tmp_path / name / "inside").mkdir()
            events += watch.fence()
            steps = ", ".join((first, *rest))
            assert check_stream(events, start, first_seq=seq).entries == listing(tmp_path), steps
            for name in os.listdir(tmp_path):
                shutil.rmtree(tmp_path / name)
            watch.fence()


def test_a_reborn_folder_is_watched_after_lost_hints(tmp_path: Path, kernel_backend: Any) -> None:
    """L1: the mark of a folder may end among the hints that were lost."""
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        events = watch.fence()
        for _ in range(100):
            (tmp_path / "a").mkdir()
            events += watch.fence()
            (tmp_path / "a").rmdir()
            (tmp_path / "a").mkdir()
            overflow(watch)
            events += watch.fence()
            (tmp_path / "a/inside").mkdir()
            events += watch.fence()
            assert check_stream(events, {tmp_path: "dir"}).entries == listing(tmp_path)
            shutil.rmtree(tmp_path / "a")
            events += watch.fence()
