"""Directories that are opened and marked several at a time are entered as each by itself."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.backends import HintRouter
from limpet.testing import describe, listing
from limpet.watching.index._fs import FileSystemCalls


def make(top: Path) -> list[Path]:
    """Make plain directories, some with directories in them, and what is none."""
    made = []
    for number in range(40):
        made.append(top / f"d{number}")
        made[-1].mkdir()
        (made[-1] / "file").touch()
        if number % 10 == 3:
            made += [made[-1] / "below", made[-1] / "below" / "deeper"]
            made[-1].mkdir(parents=True)
    (top / "link").symlink_to("d0")
    (top / "file").touch()
    return made


def check(watch: limpet.SyncWatch, top: Path, made: list[Path]) -> None:
    """The index is what is on disk, and a change in each directory is reported."""
    assert watch.entries() == listing(top)
    stats = watch.stats()
    assert stats.polled == 0
    for folder in made:
        (folder / "new").touch()
    wanted = sorted(f"FileCreated {(folder / 'new').relative_to(top)}" for folder in made)
    assert sorted(describe(event) for event in watch.fence()) == wanted


def test_a_tree_of_every_shape(tmp_path: Path, kernel_backend: Any) -> None:
    """More than are taken at once, with others between them."""
    made = make(tmp_path)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        check(watch, tmp_path, made)


def test_their_content_is_there_at_the_start(tmp_path: Path, kernel_backend: Any) -> None:
    """Existing entries are reported once each."""
    make(tmp_path)
    with limpet.watch_dir(tmp_path, backend=kernel_backend, existing=True).sync() as watch:
        paths = [event.path for event in watch.fence() if isinstance(event, limpet.EntryEvent)]
        assert sorted(paths) == sorted(listing(tmp_path))


@pytest.mark.parametrize("few", [0, 1, 5])
def test_those_that_are_not_opened_are_entered_by_themselves(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whatever the reason."""
    made, original = make(tmp_path), FileSystemCalls.open_several

    def open_several(self: Any, handle: int, names: list[str], device: int) -> Any:
        return original(self, handle, names[:few], device)

    monkeypatch.setattr(FileSystemCalls, "open_several", open_several)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        check(watch, tmp_path, made)


@pytest.mark.parametrize("few", [0, 1, 5])
def test_those_that_are_not_marked_are_marked_by_themselves(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """And no descriptor is left open."""
    made, original = make(tmp_path), HintRouter.mark_several

    def mark_several(self: Any, order: Any, fds: list[int], *args: Any, **more: Any) -> Any:
        return original(self, order, fds[:few], *args, **more)

    monkeypatch.setattr(HintRouter, "mark_several", mark_several)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        check(watch, tmp_path, made)
        opened = [Path(os.readlink(f"/proc/self/fd/{fd}")) for fd in watched_fds()]
        assert not [path for path in opened if path.is_relative_to(tmp_path / "d1")]


def watched_fds() -> list[int]:
    """Return the descriptors that are open, without the one that lists them."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{name}"):
            found.append(int(name))
    return found


@pytest.mark.parametrize("when", ["opened", "marked"])
def test_one_is_exchanged_for_another_meanwhile(
    tmp_path: Path, kernel_backend: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The one that was opened is gone or elsewhere; in the end all is known as it is."""
    made, exchanged = make(tmp_path), False

    def exchange() -> None:
        nonlocal exchanged
        if not exchanged:
            exchanged = True
            (tmp_path / "d5").rename(tmp_path / "d0" / "was d5")
            (tmp_path / "d5").mkdir()
            (tmp_path / "d5" / "other").touch()
            (tmp_path / "d6" / "file").unlink()
            (tmp_path / "d6").rmdir()
            (tmp_path / "d7" / "late").mkdir()

    if when == "opened":
        opens = FileSystemCalls.open_several

        def open_several(self: Any, *args: Any) -> Any:
            found = opens(self, *args)
            exchange()
            return found

        monkeypatch.setattr(FileSystemCalls, "open_several", open_several)
    else:
        marks = HintRouter.mark_several

        def mark_several(self: Any, *args: Any, **more: Any) -> Any:
            found = marks(self, *args, **more)
            exchange()
            return found

        monkeypatch.setattr(HintRouter, "mark_several", mark_several)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        watch.fence()
        assert exchanged
        made.remove(tmp_path / "d6")
        made += [tmp_path / "d0" / "was d5", tmp_path / "d7" / "late"]
        check(watch, tmp_path, made)


def test_with_few_descriptors_left(tmp_path: Path, kernel_backend: Any) -> None:
    """What cannot be opened together is opened one by one."""
    made = make(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limpet.watch_dir(tmp_path / "d0", backend=kernel_backend).sync():
        pass  # what a first watch loads is loaded
    lowest = max(watched_fds()) + 12
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            check(watch, tmp_path, made)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
