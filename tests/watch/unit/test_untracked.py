"""The index frees its directories itself: the garbage collector does not see them."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

import limpet
from limpet.watching.index import _untracked
from limpet.watching.index._index import DirNode

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="only CPython counts references"
)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Count the directories that are alive. A cycle of them alone would stay for ever."""
    alive: set[int] = set()
    plain = DirNode.__init__

    class Counted(DirNode):
        __slots__ = ()

        def __init__(self, *args: object, **options: object) -> None:
            plain(self, *args, **options)  # type: ignore[arg-type]
            alive.add(id(self))

        def __del__(self) -> None:
            alive.discard(id(self))

    for module in list(sys.modules.values()):
        if getattr(module, "DirNode", None) is DirNode and module.__name__.startswith("limpet."):
            monkeypatch.setattr(module, "DirNode", Counted)
    return alive


def fill(place: Path) -> None:
    for path in ("a/b/c", "d/e", "f"):
        (place / path).mkdir(parents=True)
        (place / path / "x").write_text("1")


def churn(watch: limpet.SyncWatch, place: Path) -> None:
    """Let directories come, go, move and be replaced, in a few ways."""
    fill(place / "new")
    watch.fence()
    shutil.rmtree(place / "new" / "a")
    (place / "new" / "d").rename(place / "moved")
    watch.fence()
    (place / "out").mkdir()
    (place / "moved").rename(place / "out" / "back")
    shutil.rmtree(place / "a")
    (place / "a").mkdir()
    watch.fence()
    away = place.with_name("away")
    (place / "out").rename(away)
    watch.fence()
    away.rename(place / "out")
    watch.fence()


@pytest.mark.parametrize("backend", ["fanotify", "inotify", "poll"])
@pytest.mark.parametrize("how", ["close", "drop", "lose", "again"])
def test_no_directory_stays(tmp_path: Path, backend: str, how: str, nodes: set[int]) -> None:
    """Whether the watch is closed, dropped, or its target goes and comes."""
    if backend != "poll" and sys.platform != "linux":
        pytest.skip("the backend is of Linux")
    place = tmp_path / "place"
    place.mkdir()
    fill(place)
    options = {"backend": backend, "poll_interval": 0.01}
    watch = limpet.watch_dir(place, **options).sync()  # type: ignore[arg-type]
    watch.__enter__()
    assert len(nodes) == 7
    churn(watch, place)
    gc.collect()
    found = sum(1 for _, names, _ in os.walk(place) for _ in names) + 1
    assert len(nodes) == found
    if how == "lose":
        shutil.rmtree(place)
        watch.fence()
        gc.collect()
        assert not nodes
    elif how == "again":
        place.rename(tmp_path / "away")
        watch.fence()
        (tmp_path / "away").rename(place)
        watch.fence()
        gc.collect()
        assert len(nodes) == found
    if how != "drop":
        watch.close()
    del watch
    gc.collect()
    assert not nodes


def test_a_directory_is_not_visited(tmp_path: Path) -> None:
    """In an index it is out of the collector's sight, where the interpreter allows that."""
    if _untracked._untrack is None:
        pytest.skip("this interpreter has no function for it")
    (tmp_path / "d" / "e").mkdir(parents=True)
    with limpet.watch_dir(tmp_path, backend="poll").sync() as watch:
        core = watch._core
        assert core is not None
        assert core._context is not None
        root = core._context.index.root
        assert root is not None
        assert [gc.is_tracked(one) for one in root.walk()] == [False] * 3
