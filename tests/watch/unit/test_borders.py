"""Where a filter, a hold or a flat watch meets a rename or a replacement."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.errors import UsageError
from limpet.testing import check_stream, describe, listing


def shown(events: list[limpet.Event]) -> list[str]:
    return [describe(event) for event in events]


def watched(path: Path, backend: Any = "auto", **options: Any) -> limpet.SyncWatch:
    return limpet.watch_dir(path, backend=backend, **{"poll_interval": 3600, **options}).sync()


BORDERS: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, str], set[str]]] = {
    "exclude, out of it": (
        {"exclude": "/a/no"}, {"a/no": "", "a/yes": "", "a/d/f": ""}, ("a", "b"), set(),
    ),
    "exclude, into it": (
        {"exclude": "/a/no"}, {"b/no": "", "b/yes": "", "b/d/f": ""}, ("b", "a"), {"a/no"},
    ),
    "exclude, a folder below": (
        {"exclude": "/a/no/"}, {"b/no/d/f": "", "b/yes": ""}, ("b", "a"),
        {"a/no", "a/no/d", "a/no/d/f"},
    ),
    "include, into it": (
        {"include": "src/**/*.py"}, {"x/d/f.py": "", "src/k.py": ""}, ("x/d", "src/d"), set(),
    ),
    "include, out of it": (
        {"include": "src/**/*.py"}, {"x/k": "", "src/d/f.py": ""}, ("src/d", "x/d"),
        {"x/k", "x/d/f.py"},
    ),
    "ignore file, out of its reach": (
        {"ignore_file": ".ign"}, {"a/.ign": "*.log\n", "a/d/x.log": ""}, ("a/d", "d"), set(),
    ),
    "ignore file, into its reach": (
        {"ignore_file": ".ign"}, {"a/.ign": "*.log\n", "d/x.log": ""}, ("d", "a/d"), {"a/d/x.log"},
    ),
    "ignore file, with it": (
        {"ignore_file": ".ign"}, {"a/.ign": "*.log\n", "a/d/x.log": ""}, ("a", "b"), {"b/d/x.log"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BORDERS)
def test_a_folder_renamed_across_the_border_of_a_filter(
    tmp_path: Path, backend: Any, case: str
) -> None:
    """What comes to be shown is created, what is left out now is deleted (L1)."""
    options, before, (source, target), hidden = BORDERS[case]
    for name, text in before.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with watched(tmp_path, backend, **options) as watch:
        start = watch.entries()
        (tmp_path / source).replace(tmp_path / target)
        mirror = check_stream(watch.fence(), start)
        seen = {p for p in listing(tmp_path) if p.relative_to(tmp_path).as_posix() not in hidden}
        assert mirror.paths() == seen
        assert set(watch.entries()) == seen


@pytest.mark.parametrize("where", ["outside", "inside", "link"])
def test_an_ignore_file_given_by_its_path(tmp_path: Path, backend: Any, where: str) -> None:
    """It is read again when it is written, replaced, removed or made again, and said first."""
    place = tmp_path / "place"
    place.mkdir()
    rules = (place if where == "inside" else tmp_path) / "rules"
    rules.write_text("*.log\n")
    named = tmp_path / "link" if where == "link" else rules
    if where == "link":
        named.symlink_to(rules)
    (place / "x.log").write_text("")
    (place / "y.txt").write_text("")
    with watched(place, backend, ignore_file=str(named)) as watch:

        def after(change: Any) -> list[str]:
            change()
            found = shown(watch.fence())
            if backend == "watchfiles" and "Rescanned (ignore-file)" not in found:
                found += shown(watch.fence())
            assert "Rescanned (ignore-file)" in found
            at = found.index("Rescanned (ignore-file)")
            assert all("rules" in one for one in found[:at])
            return sorted(one for one in found[at + 1 :] if "rules" not in one)

        assert after(lambda: rules.write_text("*.txt\n")) == [
            "FileCreated x.log", "FileDeleted y.txt",
        ]  # fmt: skip
        assert after(rules.unlink) == ["FileCreated y.txt"]
        other = tmp_path / "other"
        other.write_text("*.log\n")
        assert after(lambda: other.replace(rules)) == ["FileDeleted x.log"]


@pytest.mark.parametrize(
    "content", [b"!\n*.log\n", b"[z-a]\n*.log\r\n", b"\xef\xbb\xbf*.log\n", b"\xff\n*.log\n\\\n"]
)
def test_a_bad_line_in_an_ignore_file_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".ign").write_bytes(content)
    (tmp_path / "x.log").write_text("")
    with watched(tmp_path, ignore_file=".ign") as watch:
        assert tmp_path / "x.log" not in watch.entries()
        (tmp_path / ".ign").write_bytes(b"!\n" + content + b"# more\n")
        (tmp_path / "y").write_text("")
        assert "FileCreated y" in shown(watch.fence())


@pytest.mark.parametrize("what", ["folder", "fifo"])
def test_an_ignore_file_that_is_no_file_leaks_nothing(tmp_path: Path, what: str) -> None:
    (tmp_path / ".ign").mkdir() if what == "folder" else os.mkfifo(tmp_path / ".ign")
    with watched(tmp_path, "poll", ignore_file=".ign") as watch:
        for _ in range(3):
            watch.fence()
        held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert os.fspath(tmp_path / ".ign") not in held


@pytest.mark.parametrize("how", ["symlink", "fifo", "rename", "folder"])
def test_a_held_new_file_that_is_replaced(tmp_path: Path, backend: Any, how: str) -> None:
    """Nothing is updated that was not created (L2)."""
    place, held = tmp_path / "place", tmp_path / "place" / "f"
    place.mkdir()
    with watched(place, backend, settle=30) as watch:
        with held.open("w") as file:
            file.write("x")
            file.flush()
            assert [one for one in shown(watch.fence()) if " f" in one] == []
            if how == "rename":
                (tmp_path / "l").symlink_to("nowhere")
                (tmp_path / "l").replace(held)
            else:
                held.unlink()
                if how == "symlink":
                    held.symlink_to("x")
                elif how == "fifo":
                    os.mkfifo(held)
                else:
                    held.mkdir()
            events = watch.fence()
            wanted = "DirCreated f" if how == "folder" else "FileCreated f"
            assert shown(events) == [wanted]
        assert shown(watch.fence()) == []


@pytest.mark.parametrize("how", ["unlink", "rename"])
def test_a_flat_watch_and_a_folder_that_becomes_a_file(
    tmp_path: Path, backend: Any, how: str
) -> None:
    """S10: another kind is deleted and created, whether or not its content is watched."""
    place = tmp_path / "place"
    (place / "x").mkdir(parents=True)
    (place / "f").write_text("1")
    with watched(place, backend, recursive=False) as watch:
        (place / "x").rmdir()
        (place / "x").write_text("2") if how == "unlink" else (place / "f").replace(place / "x")
        found = shown(watch.fence())
        assert "DirDeleted x" in found
        assert not any("{identity" in one or "replaced" in one for one in found)
        assert set(watch.entries()) == set(listing(place))


def test_a_file_written_just_before_the_start_is_only_renamed(tmp_path: Path, backend: Any) -> None:
    for number in range(10):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "a").write_text("1")
        with watched(place, backend) as watch:
            (place / "a").replace(place / "b")
            found = shown(watch.fence())
        assert "FileUpdated b {content}" not in found


def test_a_file_dated_in_the_future_is_only_renamed(tmp_path: Path, backend: Any) -> None:
    later = time.time() + 1e6
    (tmp_path / "a").write_text("1")
    os.utime(tmp_path / "a", (later, later))
    with watched(tmp_path, backend) as watch:
        (tmp_path / "a").replace(tmp_path / "b")
        assert "FileUpdated b {content}" not in shown(watch.fence())


def test_settle_until_quiet_counts_a_close_as_nothing(tmp_path: Path, backend: Any) -> None:
    """P5: a file that is opened, written and closed several times is one event on every backend."""
    with limpet.watch_dir(
        tmp_path, backend=backend, settle=0.4, settle_until="quiet", poll_interval=0.02
    ).sync() as watch:
        for number in range(4):
            with (tmp_path / "f").open("a") as file:
                file.write("x")
            end = time.monotonic() + 0.05
            while (left := end - time.monotonic()) > 0:
                assert watch.next(timeout=left) is None, number
        event = watch.next(timeout=20)
        assert event is not None
        assert describe(event) == "FileCreated f"
        assert isinstance(event, limpet.FileCreated)
        assert event.stat.size == 4


@pytest.mark.parametrize("kind", ["dir", "file"])
def test_must_exist(tmp_path: Path, kind: str) -> None:
    """A missing location, or one of the other kind, is an error at the start and leaves nothing."""
    make: Any = limpet.watch_dir if kind == "dir" else limpet.watch_file
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("")
    other = "file" if kind == "dir" else "dir"
    for missing in ("nothing", other):
        with (
            pytest.raises(UsageError, match="must_exist"),
            make(tmp_path / missing, must_exist=True).sync(),
        ):
            pass
    with make(tmp_path / kind, must_exist=True).sync() as watch:
        assert watch.fence() == []
