"""A real directory of this system, and what Windows would say of what happens in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import limpet
from limpet.backends import Choice, TreeSource
from limpet.backends._base import TreeReceiver
from limpet.backends._windows import SharedPort, WindowsSource
from limpet.watching import _watcher
from tests.watch.windows.buffers import extended
from tests.watch.windows.fake_api import FakeApi


class Place:
    """A watched directory, and what Windows would say of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = os.fspath(path)
        self.api = FakeApi(self.text, has_extended=True)
        self.ports = SharedPort(lambda: self.api)

    def source(self, name: str, receiver: TreeReceiver, *, recursive: bool) -> TreeSource | None:
        assert name == "windows"
        return WindowsSource(receiver, self.ports, recursive=recursive)

    def watch(self, **options: object) -> limpet.SyncWatch:
        return limpet.watch_dir(self.path, poll_interval=3600, **options).sync()  # type: ignore[arg-type]

    def say(self, *records: tuple[int, str, int]) -> None:
        self.api.change(self.text, extended(*records))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use the source in every watch."""
        choice = Choice(name="windows", reason="", filesystem="", mount_point="", network=False)
        monkeypatch.setattr(_watcher, "choose", lambda *_: choice)
        monkeypatch.setattr(_watcher, "make_tree_source", self.source)

    def verify(self) -> None:
        """Verify that nothing is left and nothing was done that must not be."""
        assert self.api.mistakes == []
        assert self.api.opened == {}
        assert self.api.ports == 0
