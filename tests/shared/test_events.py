"""Events that work their fields out when asked are the same as those made with all of them."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet import events as ev
from limpet.testing import perform
from limpet.watching.emit._path_cache import PathCache, join_name


@pytest.fixture
def made(tmp_path: Path) -> list[ev.Event]:
    """One event of each kind that a watch makes of files and folders."""
    events: list[ev.Event] = []
    place = tmp_path / "place"
    place.mkdir()
    (place / "there").write_text("1")
    with limpet.watch_dir(place, existing=True, metadata=True).sync() as watch:
        for steps in (
            ["write a 1", "mkdir d"],
            ["append a 2", "chmod 600 a", "chmod 700 d"],
            ["rename a b", "rename d e"],
            ["write c 1"],
            ["rename c b"],
            ["delete b", "delete e"],
            ["rmtree ."],
        ):
            for step in steps:
                perform(step, place)
            events += watch.fence()
    names = {type(event).__name__ for event in events}
    assert names >= {
        "TargetDirCreated", "FileCreated", "DirCreated", "FileUpdated", "DirUpdated",
        "FileRenamed", "DirRenamed", "FileDeleted", "DirDeleted", "TargetDirDeleted",
    }  # fmt: skip
    return events


def plainly(event: ev.Event) -> ev.Event:
    """Make the same event with all its fields given."""
    fields = {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}
    return type(event)(**fields)


def test_the_fields_are_there(made: list[ev.Event], tmp_path: Path) -> None:
    """Every field has a value of its type; a second look gives the very same object."""
    for event in made:
        assert event.location == tmp_path / "place"
        for item in dataclasses.fields(event):
            assert getattr(event, item.name) is getattr(event, item.name)
        if isinstance(event, ev.FileRenamed | ev.DirRenamed):
            assert isinstance(event.source, Path)
        if isinstance(event, ev.FileCreated | ev.FileUpdated | ev.FileRenamed):
            assert event.stat.kind == event.kind == "file"
    assert [event.seq for event in made] == list(range(1, len(made) + 1))


def test_they_equal_those_made_with_all_fields(made: list[ev.Event]) -> None:
    """Equality, hash, repr, pickle, copy and replace know no difference."""
    for event in made:
        other = plainly(copy.copy(event))
        assert event == other
        assert hash(event) == hash(other)
        assert repr(event) == repr(other)
        assert repr(event).startswith(type(event).__name__ + "(location=")
        assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 (our own)
        assert copy.deepcopy(event) == event
        assert dataclasses.replace(event, seq=99).seq == 99
        assert dataclasses.replace(event, seq=99) != event
    assert len(set(made)) == len(made)


def test_a_pickled_event_was_not_looked_at(tmp_path: Path) -> None:
    """An event can be sent away with no field looked at, though its file is gone meanwhile."""
    with limpet.watch_dir(tmp_path).sync() as watch:
        (tmp_path / "f").write_text("12")
        (event,) = watch.fence()
        (tmp_path / "f").unlink()
    copied = pickle.loads(pickle.dumps(event))  # noqa: S301 (our own)
    assert isinstance(copied, ev.FileCreated)
    assert (copied.path, copied.stat.size) == (tmp_path / "f", 2)


def test_they_are_frozen_and_have_no_other_fields(made: list[ev.Event]) -> None:
    """A name that is no field is refused with an ordinary AttributeError, and nothing is set."""
    for event in made:
        with pytest.raises(AttributeError, match=f"{type(event).__name__}.*no attribute 'sise'"):
            _ = event.sise  # type: ignore[attr-defined]
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.seq = 7  # type: ignore[misc]
        with pytest.raises((AttributeError, TypeError)):
            event.other = 7  # type: ignore[attr-defined]
        assert not hasattr(event, "__dict__")
    plain = plainly(made[0])
    with pytest.raises(AttributeError, match="no attribute 'sise'"):
        _ = plain.sise  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["/", "/a", "/a b/c.d", "relative"])
@pytest.mark.parametrize("name", ["f", "f.txt", ".f", "f.", "a b", "-", "\udcff", "n\nn", "~"])
def test_join_name_is_pathlib(folder: str, name: str) -> None:
    """The quick way gives what ``/`` gives."""
    quick, plain = join_name(Path(folder), name), Path(folder) / name
    for look in (str, repr, hash, os.fspath):
        assert look(quick) == look(plain)
    assert (quick.parts, quick.name, quick.suffix, quick.parent) == (
        plain.parts, plain.name, plain.suffix, plain.parent,
    )  # fmt: skip
    assert quick / "x" == plain / "x"


def test_places() -> None:
    """Relative paths are joined with the location, whichever came before."""
    for location in (Path("/"), Path("/a")):
        places = PathCache(location)
        for relative in ("", "f", "d/f", "d/g", "f", "d/e/f", ""):
            assert places.path(relative) == location / relative


QUIET = """
import sys
import limpet
assert limpet.__version__
loaded = {name.partition(".")[0] for name in sys.modules}
unwanted = {"anyio", "asyncio", "typer", "rich", "pathspec", "watchfiles", "hypothesis", "trio"}
assert not loaded & unwanted, loaded & unwanted
assert set(limpet.__all__) <= set(dir(limpet))
assert limpet.events.FileCreated is limpet.FileCreated
with limpet.watch_dir(".").sync():
    pass
loaded = {name.partition(".")[0] for name in sys.modules}
unwanted = {"anyio", "asyncio", "typer", "rich", "pathspec", "watchfiles", "hypothesis", "trio"}
assert not loaded & unwanted, loaded & unwanted
missing = [name for name in limpet.__all__ if not hasattr(limpet, name)]
assert not missing, missing
"""


IN_A_LOOP = """
import asyncio, sys
import limpet

async def ended(task):
    task.cancel()
    await asyncio.wait({task})
    return task

async def watching(ready):
    async with limpet.watch_dir(".") as watch:
        ready.set()
        async for _ in watch:
            raise AssertionError

async def main():
    async with limpet.watch_dir(".") as watch, limpet.watch_dir(".") as other:
        await watch.fence()
        open("f", "w").close()
        assert (await anext(watch)).path.name == (await anext(other)).path.name == "f"
    ready = asyncio.Event()
    task = asyncio.create_task(watching(ready))
    await ready.wait()
    assert (await ended(task)).cancelled()
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert "anyio" not in loaded

asyncio.run(main())
asyncio.run(main(), debug=True)
from limpet.watching._dispatcher_base import RUNNING
assert not RUNNING
"""


def run(code: str, folder: Path) -> str:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_more_than_it_must(tmp_path: Path) -> None:
    """Neither the import nor a synchronous watch loads an event loop or an optional dependency."""
    run(QUIET, tmp_path)


def test_a_watch_on_asyncio_loads_no_anyio(tmp_path: Path) -> None:
    """From its start to its end, by itself and by a cancellation: that takes a fifth of a start."""
    run(IN_A_LOOP, tmp_path)


def test_star_import(tmp_path: Path) -> None:
    """``from limpet import *`` gives every public name."""
    run("from limpet import *\nwatch_dir, FileCreated, LimitError, own_write", tmp_path)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="module 'limpet' has no attribute 'watch_folder'"):
        getattr(limpet, "watch_folder")  # noqa: B009 (the checker knows that there is none)
