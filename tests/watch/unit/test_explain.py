"""Why an event would come, or not; who made a change; a folder's rename spread over its files."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet._wire import from_wire, to_wire
from limpet.testing import describe, perform
from tests.waiting import PATIENCE

CODES = ("ignored", "outside", "one-level", "behind-symlink")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/node_modules/x", "a/src/in", "a/data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / ".gitignore").write_text("*.o\nbuild/\n!keep.o\n")
    (tmp_path / "a" / "src" / "f").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("a/src/1.o", "ignored", "'src/1.o' is left out by the ignore file in the location: '*.o'"),
        (
            "a/src/keep.o",
            None,
            "nothing was there at the last examination; it is reported once it comes",
        ),
        ("a/build/x", "ignored", "'build' is left out by the ignore file"),
        ("a/node_modules", "ignored", "exclude: 'node_modules/'"),
        ("a/node_modules/x/y", "ignored", "exclude: 'node_modules/'"),
        ("a/x.part", "ignored", "default_ignores"),
        ("a/new/deep/er", None, "its folder is not there"),
        ("a/src/f", None, "reports changes in the folder 'src' at once"),
        ("a/data/x", None, "it is at or below"),
        ("a", None, "reports changes in the folder '.' at once"),
        ("b/x", "outside", "it is at or below no watched place"),
        ("f", None, "nothing is there now"),
    ],
)
def test_why(tree: Path, path: str, code: str | None, words: str, kernel_backend: Any) -> None:
    places = (tree / "a", limpet.File(tree / "f"), limpet.Dir(tree / "a" / "data"))
    found = limpet.explain(
        tree / path, *places, exclude="node_modules/", ignore_file=".gitignore",
        backend=kernel_backend,
    )  # fmt: skip
    if path == "a/data/x":
        assert found.place == tree / "a" / "data"
        return
    assert found.reported == (code is None)
    assert code in {None, *(one.code for one in found.reasons)}
    assert words in str(found)


def test_why_by_options(tree: Path) -> None:
    polled = limpet.explain(tree / "a" / "src" / "f", tree / "a", backend="poll", poll_interval=7)
    assert [one.code for one in polled.reasons] == ["polled"]
    assert "every 7 s" in str(polled)
    flat = limpet.explain(tree / "a" / "src" / "f", tree / "a", recursive=False)
    assert [one.code for one in flat.reasons] == ["one-level"]
    only = limpet.explain(tree / "a" / "x.txt", tree / "a", include="*.py")
    assert "include: no pattern matches it" in str(only)
    assert limpet.explain(tree / "a" / "x").place == tree / "a"
    with pytest.raises(limpet.UsageError):
        limpet.explain(tree / "a" / "x", tree / "nothing")


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks need a right there")
def test_what_is_behind_a_symlink(tree: Path) -> None:
    (tree / "a" / "link").symlink_to("src")
    found = limpet.explain(tree / "a" / "link" / "f", tree / "a")
    assert [one.code for one in found.reasons] == ["behind-symlink"]


def test_a_running_watch_knows_what_is_held_and_chosen(tree: Path, kernel_backend: Any) -> None:
    with limpet.watch_dir(
        tree / "a", settle=3600, types=limpet.FileEvent, backend=kernel_backend
    ).sync() as watch:
        with (tree / "a" / "held").open("w") as file:
            file.write("1")
            file.flush()
            watch.fence()
            found = watch.explain(tree / "a" / "held")
        assert [one.code for one in found.reasons] == ["held", "marked", "selected"]
        assert "until its writer closes it" in found.reasons[0].text
        assert found.reported


def test_a_place_that_is_not_there(tree: Path) -> None:
    found = limpet.explain(tree / "later" / "x", limpet.Dir(tree / "later"))
    assert found.reported
    assert "the place is not there now" in str(found)


def test_a_rename_is_spread_over_all_in_the_folder(tree: Path, backend: Any) -> None:
    perform("age", tree / "a")
    with limpet.watch_dir(tree / "a", backend=backend, poll_interval=3600).sync() as watch:
        (tree / "a" / "src").rename(tree / "a" / "lib")
        events = [one for event in watch.fence() for one in limpet.spread(event)]
        assert [describe(one) for one in events if "Renamed" in describe(one)] == [
            "DirRenamed src -> lib", "FileRenamed src/f -> lib/f", "DirRenamed src/in -> lib/in",
        ]  # fmt: skip
        assert limpet.spread(limpet.spread(events[0])[1]) == [limpet.spread(events[0])[1]]


@pytest.mark.skipif(sys.platform != "linux", reason="fanotify is Linux's")
def test_who_made_a_change(tree: Path, backend: Any) -> None:
    """The kernel tells it by fanotify to those who may know; elsewhere nobody is named."""
    with limpet.watch(
        tree / "a", limpet.File(tree / "f"), who=True, backend=backend
    ).sync() as watch:
        code = (
            "import os, sys; os.rename('a/src', 'a/lib'); open('a/n', 'w').close(); "
            "open('f', 'w').close(); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tree, stdin=subprocess.PIPE
        ) as other:
            events: list[Any] = []
            while {"n", "f"} - {one.path.name for one in events if hasattr(one, "path")}:
                event = watch.next(PATIENCE)
                assert event is not None
                events.append(event)
            other.stdin.close()  # type: ignore[union-attr]
        (tree / "a" / "own").write_text("")
        events += watch.fence()
    named = {event.path.name: event.who for event in events}
    if backend != "fanotify" or os.geteuid():
        assert set(named.values()) <= {None, limpet.Who(pid=os.getpid(), program=named["own"])}
        return
    program = os.path.realpath(sys.executable)
    for name in ("lib", "n", "f"):
        assert named[name] == limpet.Who(pid=other.pid, program=program), name
    assert named["own"] == limpet.Who(pid=os.getpid(), program=program)


def test_who_is_on_the_wire(tree: Path) -> None:
    with limpet.watch_dir(tree / "a").sync() as watch:
        (tree / "a" / "n").write_text("")
        (event,) = watch.fence()
    assert isinstance(event, limpet.FileCreated)
    assert "who" not in to_wire(event, session="s")
    for program in ("/usr/bin/vi", "/odd/\udcff", None):
        named = dataclasses.replace(event, who=limpet.Who(pid=7, program=program))
        wire = to_wire(named, session="s", exact=True)
        again = from_wire(wire)
        assert isinstance(again, limpet.FileCreated)
        assert again.who == named.who
