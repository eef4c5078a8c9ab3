"""What the options of a watch promise, on every backend unless one cannot."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import limpet
import limpet.config
import limpet.watching
from limpet._option_fields import info_of
from limpet.testing import check_stream, describe, listing, perform


def shown(events: list[limpet.Event]) -> list[str]:
    return [describe(event) for event in events]


def watched(path: Path, backend: Any = "auto", **options: Any) -> limpet.SyncWatch:
    return limpet.watch_dir(path, backend=backend, **{"poll_interval": 3600, **options}).sync()


def test_existing_delivers_what_is_there(tmp_path: Path, backend: Any) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("1")
    with watched(tmp_path, backend, existing=True) as watch:
        events = watch.fence()
        assert shown(events) == ["TargetDirCreated .", "DirCreated d", "FileCreated d/f"]
        assert all(e.existing and e.origin == "initial" for e in events)  # type: ignore[attr-defined]
        (tmp_path / "g").write_text("1")
        (late,) = watch.fence()
        assert isinstance(late, limpet.FileCreated)
        assert not late.existing
        assert check_stream([*events, late]).entries == listing(tmp_path)


def test_one_level_only(tmp_path: Path, backend: Any) -> None:
    (tmp_path / "d").mkdir()
    with watched(tmp_path, backend, recursive=False) as watch:
        (tmp_path / "d" / "f").write_text("1")
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "f").write_text("1")
        (tmp_path / "f").write_text("1")
        assert sorted(shown(watch.fence())) == ["DirCreated e", "FileCreated f"]
        (tmp_path / "d" / "f").unlink()
        (tmp_path / "d").rmdir()
        assert shown(watch.fence()) == ["DirDeleted d"]


def test_metadata(tmp_path: Path, backend: Any) -> None:
    """I13, W75; also of the target itself."""
    (tmp_path / "f").write_text("1")
    (tmp_path / "d").mkdir()
    with watched(tmp_path, backend, metadata=True) as watch:
        (tmp_path / "f").chmod(0o600)
        (tmp_path / "d").chmod(0o700)
        tmp_path.chmod(0o711)
        events = watch.fence()
        assert sorted(shown(events)) == [
            "DirUpdated d {mode}",
            "FileUpdated f {mode}",
            "TargetDirUpdated . {mode}",
        ]
        if os.geteuid() == 0:
            os.chown(tmp_path / "f", 1, 1)
            (event,) = watch.fence()
            assert describe(event) == "FileUpdated f {owner}"
            assert isinstance(event, limpet.FileUpdated)
            assert event.previous is not None
            assert (event.previous.uid, event.stat.uid) == (os.geteuid(), 1)


def test_an_old_date_is_a_change_with_metadata(tmp_path: Path, backend: Any) -> None:
    """S3 exactly: with ``metadata`` every file is known from the start."""
    (tmp_path / "f").write_text("1")
    with watched(tmp_path, backend, metadata=True) as watch:
        os.utime(tmp_path / "f", (1, 1))
        assert shown(watch.fence()) == ["FileUpdated f {content}"]


def test_transient(tmp_path: Path, kernel_backend: Any) -> None:
    with watched(tmp_path, kernel_backend, transient=True) as watch:
        (tmp_path / "x").write_text("1")
        (tmp_path / "x").unlink()
        (tmp_path / "d").mkdir()
        (tmp_path / "d").rmdir()
        events = watch.fence()
        assert shown(events) == ["FileCreated x", "FileDeleted x", "DirCreated d", "DirDeleted d"]
        assert all(e.transient for e in events if isinstance(e, limpet.FileCreated))


@pytest.mark.parametrize("policy", ["drop", "mark", "keep"])
def test_own_writes(tmp_path: Path, backend: Any, policy: Any) -> None:
    """O5: exact on every backend; somebody else's change right after is not own."""
    with watched(tmp_path, backend, own=policy) as watch:
        with limpet.own_write(tmp_path / "mine", tmp_path / "gone"):
            (tmp_path / "mine").write_text("1")
        (tmp_path / "theirs").write_text("1")
        events = {describe(e): e for e in watch.fence() if isinstance(e, limpet.EntryEvent)}
        mine = events.pop("FileCreated mine", None)
        assert list(events) == ["FileCreated theirs"]
        assert not events["FileCreated theirs"].own
        assert (mine is None) == (policy == "drop")
        assert mine is None or mine.own == (policy == "mark")
        with limpet.own_write(tmp_path / "mine"):
            (tmp_path / "mine").write_text("22")
        with (tmp_path / "mine").open("a") as file:
            file.write("and theirs")
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileUpdated)
        assert not event.own
        with limpet.own_write(tmp_path / "mine"):
            (tmp_path / "mine").unlink()
        assert len(watch.fence()) == (0 if policy == "drop" else 1)
        (tmp_path / "mine").write_text("theirs now")
        assert shown(watch.fence()) == ["FileCreated mine"]
        (tmp_path / "mine").unlink()
        assert shown(watch.fence()) == ["FileDeleted mine"]


def test_an_own_write_under_way_is_not_examined(tmp_path: Path, backend: Any) -> None:
    with watched(tmp_path, backend) as watch:
        with limpet.own_write(tmp_path / "f"):
            (tmp_path / "f").write_text("half")
            (tmp_path / "other").write_text("1")
            assert shown(watch.fence()) == ["FileCreated other"]
            (tmp_path / "f").write_text("whole")
        assert watch.fence() == []
        assert tmp_path / "f" in watch.entries()


def test_own_write_in_a_file_watch(tmp_path: Path, backend: Any) -> None:
    path = tmp_path / "f"
    with limpet.watch_file(path, backend=backend, poll_interval=3600).sync() as watch:
        with limpet.own_write(path):
            path.write_text("1")
            assert watch.fence() == []
        assert watch.fence() == []
        path.write_text("22")
        assert shown(watch.fence()) == ["TargetFileUpdated . {content}"]


def test_globs(tmp_path: Path, backend: Any) -> None:
    (tmp_path / "skip").mkdir()
    with watched(tmp_path, backend, include="*.txt", exclude=["skip/", "no*"]) as watch:
        for name in ("a.txt", "a.log", "no.txt", "skip/b.txt"):
            (tmp_path / name).write_text("1")
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "c.txt").write_text("1")
        assert sorted(shown(watch.fence())) == [
            "DirCreated d", "FileCreated a.txt", "FileCreated d/c.txt",
        ]  # fmt: skip
        (tmp_path / "a.txt").replace(tmp_path / "a.log")
        assert shown(watch.fence()) == ["FileDeleted a.txt"]


def test_ignored_folders_are_not_marked(tmp_path: Path, kernel_backend: Any) -> None:
    """W93."""
    (tmp_path / "node_modules" / "deep").mkdir(parents=True)
    with watched(tmp_path, kernel_backend) as plain:
        marks = plain.stats().marks
    with watched(tmp_path, kernel_backend, exclude="node_modules/") as watch:
        assert watch.stats().marks == marks - 2


def test_default_ignores(tmp_path: Path, backend: Any) -> None:
    """A save by way of a hidden temporary file is one update of the real name."""
    (tmp_path / "f").write_text("1")
    names = ["f.part", ".f.swp", "f~", ".DS_Store", "#f#", ".#f", "~$f", ".goutputstream-X"]
    with watched(tmp_path, backend) as watch:
        for name in names:
            (tmp_path / name).write_text("1")
        assert watch.fence() == []
        (tmp_path / "f.part").write_text("done")
        (tmp_path / "f.part").replace(tmp_path / "f")
        assert shown(watch.fence()) == ["FileUpdated f {content,identity}"]
    with watched(tmp_path, backend, default_ignores=False) as watch:
        (tmp_path / "g.part").write_text("1")
        assert shown(watch.fence()) == ["FileCreated g.part"]


def test_ignore_file_is_read_again_when_it_changes(tmp_path: Path, backend: Any) -> None:
    """W94, nested too."""
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".gitignore").write_text("!keep.log\n/only\n")
    perform("age", tmp_path)
    with watched(tmp_path, backend, ignore_file=".gitignore") as watch:
        for name in ("a.log", "d/b.log", "d/keep.log", "d/only", "only", "a.txt"):
            (tmp_path / name).write_text("1")
        assert sorted(shown(watch.fence())) == [
            "FileCreated a.txt", "FileCreated d/keep.log", "FileCreated only",
        ]  # fmt: skip
        (tmp_path / ".gitignore").write_text("*.txt\n")
        assert sorted(shown(watch.fence())) == [
            "FileCreated a.log", "FileCreated d/b.log", "FileDeleted a.txt",
            "FileUpdated .gitignore {content}", "Rescanned (ignore-file)",
        ]  # fmt: skip
        (tmp_path / "b.txt").write_text("1")
        (tmp_path / "b.log").write_text("1")
        assert shown(watch.fence()) == ["FileCreated b.log"]


def test_follow_symlinks(tmp_path: Path, kernel_backend: Any) -> None:
    """S20, W66, W67: each real folder once, cycles end, a re-pointed link is another folder."""
    place, far, other = tmp_path / "place", tmp_path / "far", tmp_path / "other"
    for folder in (place / "real", far / "in", other):
        folder.mkdir(parents=True)
    (place / "cycle").symlink_to(place)
    (place / "real" / "up").symlink_to("..")
    (place / "twice").symlink_to("real")
    (place / "link").symlink_to(far)
    with watched(place, kernel_backend, follow_symlinks=True) as watch:
        assert {os.fspath(p.relative_to(place)): k for p, k in watch.entries().items()} == {
            ".": "dir", "real": "dir", "real/up": "symlink", "cycle": "symlink",
            "twice": "symlink", "link": "dir", "link/in": "dir",
        }  # fmt: skip
        (far / "in" / "f").write_text("1")
        assert shown(watch.fence()) == ["FileCreated link/in/f"]
        (place / "next").symlink_to(other)
        (other / "x").write_text("1")
        assert shown(watch.fence()) == ["DirCreated next", "FileCreated next/x"]
        (place / "link").unlink()
        (place / "link").symlink_to("nowhere")
        assert shown(watch.fence()) == [
            "FileDeleted link/in/f", "DirDeleted link/in", "DirDeleted link", "FileCreated link",
        ]  # fmt: skip
        (far / "in" / "g").write_text("1")
        assert watch.fence() == []


def test_content(tmp_path: Path, backend: Any) -> None:
    """I7: in the user's mode; what cannot be read says so."""
    options = limpet.ContentOptions(max_bytes=10)
    with watched(tmp_path, backend, content=options) as watch:
        (tmp_path / "text").write_text("häl\r\n")
        (tmp_path / "large").write_text("x" * 11)
        (tmp_path / "binary").write_bytes(b"\xff")
        (tmp_path / "link").symlink_to("text")
        events = {e.path.name: e for e in watch.fence() if isinstance(e, limpet.FileCreated)}
        assert events["text"].content == (tmp_path / "text").read_bytes().decode()
        assert {n: e.content_error for n, e in events.items()} == {
            "text": None, "large": "too_large", "binary": "undecodable", "link": "not_regular",
        }  # fmt: skip
        assert {e.content_mode for e in events.values()} == {"r"}
    with watched(tmp_path, backend, content=limpet.ContentOptions(mode="rb")) as watch:
        (tmp_path / "binary").write_bytes(b"\xfe\xff")
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileUpdated)
        assert event.content == b"\xfe\xff"


def test_appended_content(tmp_path: Path, backend: Any) -> None:
    """What was added since the last event, and where it begins."""
    (tmp_path / "log").write_text("before\n")
    options = limpet.ContentOptions(appended=True, max_bytes=100)

    def step(watch: Any) -> list[tuple[Any, ...]]:
        return [
            (event.path.name, event.content, event.content_offset, event.content_error)
            for event in watch.fence()
            if isinstance(event, limpet.FileCreated | limpet.FileUpdated)
        ]

    def append(name: str, data: bytes) -> None:
        with (tmp_path / name).open("ab") as file:
            file.write(data)

    with watched(tmp_path, backend, content=options) as watch:
        append("log", b"one\n")
        assert step(watch) == [("log", "one\n", 7, None)]
        append("log", "hä".encode()[:2])
        assert step(watch) == [("log", "h", 11, None)]
        append("log", "ä\n".encode()[1:])
        assert step(watch) == [("log", "ä\n", 12, None)]
        os.chmod(tmp_path / "log", 0o600)
        assert step(watch) == []
        (tmp_path / "log").write_text("emptied, and longer than it was\n")
        assert step(watch) == [("log", "emptied, and longer than it was\n", 0, None)]
        append("log", b"x" * 101)
        assert step(watch) == [("log", None, 32, "too_large")]
        append("log", b"!\n")
        assert step(watch) == [("log", "!\n", 133, None)]
        append("log", b"\xff\n")
        assert step(watch) == [("log", None, 135, "undecodable")]
        (tmp_path / "new").write_text("new\n")
        assert step(watch) == [("new", "new\n", 0, None)]
        os.replace(tmp_path / "new", tmp_path / "newer")
        watch.fence()
        append("newer", b"more\n")
        expected = ("newer", "more\n", 4, None)
        assert step(watch) in ([expected], [("newer", "new\nmore\n", 0, None)])
        (tmp_path / "other").write_text("new\nmore\nand more\n")
        watch.fence()
        os.replace(tmp_path / "other", tmp_path / "newer")
        watch.fence()


def test_appended_content_of_a_file(tmp_path: Path, backend: Any) -> None:
    """A file that is replaced by one that holds the same and more is gone on with."""
    path = tmp_path / "log"
    path.write_text("before\n")
    options = limpet.ContentOptions(mode="rb", appended=True)
    with limpet.watch_file(path, backend=backend, content=options).sync() as watch:
        with path.open("a") as file:
            file.write("one\n")
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileUpdated)
        assert (event.content, event.content_offset) == (b"one\n", 7)
        (tmp_path / "other").write_text("before\none\ntwo\n")
        os.replace(tmp_path / "other", path)
        (event,) = watch.fence()
        assert isinstance(event, limpet.FileUpdated)
        assert (event.content, event.content_offset) == (b"two\n", 11)


def test_settle_holds_until_the_writer_closed(tmp_path: Path, kernel_backend: Any) -> None:
    """S25, W61: reported at the close, long before the quiet time is over."""
    with watched(tmp_path, kernel_backend, settle=3600) as watch:
        with (tmp_path / "f").open("w") as file:
            file.write("half")
            file.flush()
            assert watch.fence() == []
            assert watch.stats().held == 1
            (tmp_path / "f").replace(tmp_path / "g")
            assert watch.fence() == []
            file.write("whole")
        assert shown(watch.fence()) == ["FileCreated g"]
        with (tmp_path / "g").open("a") as file:
            file.write("1")
            file.flush()
            assert watch.fence() == []
        assert shown(watch.fence()) == ["FileUpdated g {content}"]
        (tmp_path / "never").touch()
        with (tmp_path / "seen").open("w") as file:
            file.write("1")
            file.flush()
            watch.fence()
            (tmp_path / "seen").unlink()
            watch.fence()
        assert "seen" not in {p.name for p in watch.entries()}


def test_settle_by_quiet_time(tmp_path: Path, backend: Any) -> None:
    """Where no hint comes of a close, and at most settle_max; nothing held is forgotten."""
    with (
        watched(tmp_path, backend, settle=0.05, settle_max=0.2, poll_interval=0.02) as watch,
        (tmp_path / "f").open("w") as file,
    ):
        file.write("1")
        file.flush()
        event = watch.next(timeout=30)
        assert event is not None
        assert describe(event) == "FileCreated f"
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.01):
                file.write("more")
                file.flush()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            event = watch.next(timeout=30)
            assert event is not None
            assert describe(event) == "FileUpdated f {content}"
        finally:
            stop.set()
            writer.join()


def test_state_delivers_what_happened_meanwhile(tmp_path: Path, backend: Any) -> None:
    """W99: each change once, renames of folders included."""
    place, state = tmp_path / "place", tmp_path / "state.json"
    for folder in (place / "d" / "in", place / "away"):
        folder.mkdir(parents=True)
    for name in ("d/in/f", "keep", "change", "away/x", "move"):
        (place / name).write_text("1")
    perform("age", place)
    events: list[limpet.Event] = []
    with watched(place, backend, state=state) as watch:
        start = watch.entries()
        (place / "seen").write_text("1")
        events += watch.fence()
        perform("age", place)
        events += watch.fence()
    (place / "d").replace(place / "e")
    (place / "move").replace(place / "moved")
    (place / "change").write_text("22")
    (place / "new").write_text("1")
    (place / "away" / "x").unlink()
    (place / "away").rmdir()
    with watched(place, backend, state=state) as watch:
        found = watch.fence()
        assert sorted(shown(found)) == [
            "DirDeleted away", "DirRenamed d -> e", "FileCreated new", "FileDeleted away/x",
            "FileRenamed move -> moved", "FileUpdated change {content}",
        ]  # fmt: skip
        assert {event.origin for event in found} == {"offline"}
        (place / "e" / "in" / "f").write_text("22")
        (live,) = watch.fence()
        assert (describe(live), live.origin) == ("FileUpdated e/in/f {content}", "live")
    with watched(place, backend, state=state) as watch:
        assert watch.fence() == []
    check_stream(events, start)


def test_state_keeps_what_was_not_handed_out(tmp_path: Path, kernel_backend: Any) -> None:
    """Found but not delivered, and held back: both come with the next start."""
    place, state = tmp_path / "place", tmp_path / "state.json"
    place.mkdir()
    core = watched(place, kernel_backend, state=state, settle=3600)
    with core as watch:
        (place / "closed").write_text("1")
        assert watch._core is not None
        watch._core.examine(force=True)  # found, but nobody asks for it
        with (place / "open").open("w") as file:
            file.write("1")
            file.flush()
            watch._core.examine(force=True)
            assert watch.stats().held == 1
            watch.close()
    with watched(place, kernel_backend, state=state) as watch:
        assert sorted(shown(watch.fence())) == ["FileCreated closed", "FileCreated open"]


def test_state_of_a_target_that_was_gone(tmp_path: Path, backend: Any) -> None:
    place, state = tmp_path / "place", tmp_path / "state.json"
    with watched(place, backend, state=state) as watch:
        assert watch.fence() == []
    place.mkdir()
    (place / "f").write_text("1")
    with watched(place, backend, state=state) as watch:
        assert shown(watch.fence()) == ["TargetDirCreated .", "FileCreated f"]
    for name in place.iterdir():
        name.unlink()
    place.rmdir()
    with watched(place, backend, state=state) as watch:
        assert shown(watch.fence()) == ["FileDeleted f", "TargetDirDeleted . (deleted)"]


def test_state_of_a_file_watch(tmp_path: Path, backend: Any) -> None:
    path, state = tmp_path / "f", tmp_path / "state.json"
    path.write_text("1")

    def run() -> list[str]:
        watch = limpet.watch_file(path, backend=backend, state=state, poll_interval=3600)
        with watch.sync() as running:
            return shown(running.fence())

    assert run() == []
    path.write_text("22")
    assert run() == ["TargetFileUpdated . {content}"]
    assert run() == []
    path.unlink()
    assert run() == ["TargetFileDeleted . (deleted)"]
    assert run() == []
    path.write_text("1")
    assert run() == ["TargetFileCreated ."]


def test_rescan_interval(tmp_path: Path) -> None:
    """A scan of the whole tree for safety, reported as such."""
    with watched(tmp_path, rescan_interval=0.02) as watch:
        event = watch.next(timeout=30)
        assert event is not None
        assert describe(event) == "Rescanned (interval)"


def test_polling_by_itself(tmp_path: Path) -> None:
    with watched(tmp_path, "poll", poll_interval=0.02) as watch:
        (tmp_path / "f").write_text("1")
        event = watch.next(timeout=30)
        assert event is not None
        assert describe(event) == "FileCreated f"
        assert watch.next(timeout=0.05) is None


def test_a_watch_is_pickled_as_what_was_asked_for(tmp_path: Path) -> None:
    """I15, and it can be entered again after it was left."""
    watch = pickle.loads(pickle.dumps(limpet.watch_dir(tmp_path, settle=2, include="*.txt")))  # noqa: S301
    assert watch.location == tmp_path
    assert watch.options.settle == 2
    sync = watch.sync()
    for number in range(3):
        with sync as running:
            (tmp_path / f"{number}.txt").write_text("1")
            assert shown(running.fence()) == [f"FileCreated {number}.txt"]


def test_a_backend_that_does_not_work_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> object:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("limpet.backends._select.make_source", refuse)
    monkeypatch.setattr("limpet.backends._hint_router.make_source", refuse)
    with pytest.raises(limpet.UnsupportedError, match=r"fanotify.*not permitted.*auto"):
        watched(tmp_path, "fanotify").__enter__()
    with watched(tmp_path, "auto") as watch:
        (event,) = watch.fence()
        assert isinstance(event, limpet.Degraded)
        assert (event.reason, watch.stats().backend) == ("limit", "poll")
        assert "not permitted" in event.message
        (tmp_path / "f").write_text("1")
        assert shown(watch.fence()) == ["FileCreated f"]


def test_the_typed_keyword_arguments_are_the_options() -> None:
    """A type checker of a user's program knows each option, and none that is not there."""
    given = limpet.watching.Options.__annotations__
    assert list(given) == [one.name for one in dataclasses.fields(limpet.config.WatchOptions)]


@pytest.mark.parametrize("cls", [limpet.config.WatchOptions, limpet.config.ContentOptions])
def test_every_option_has_its_help(cls: type) -> None:
    """One line, in lower case and without a period, for each form in which it is set."""
    for one in dataclasses.fields(cls):
        if one.name == "content":
            continue
        kind, default, info = info_of(cls, one.name)
        for text in (info.help, *([info.help_off] if kind is bool and default else [])):
            assert text, one.name
            assert text[0].islower()
            assert not text.endswith(".")


def test_a_closed_sync_watch_is_refused(tmp_path: Path) -> None:
    watch = limpet.watch_dir(tmp_path).sync()
    with watch:
        assert watch.fence() == []
    with pytest.raises(RuntimeError, match="is closed"):
        watch.next(timeout=0)


def test_out_of_descriptors_is_a_limit_with_any_backend(tmp_path: Path) -> None:
    """Not that the backend would not work here."""
    script = f"""
import os, resource, sys
import limpet, limpet.watching
from limpet.watching import _dispatcher
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
place = {str(tmp_path)!r}
watches = [limpet.watch_dir(place, backend=name).sync() for name in ("fanotify", "inotify")]
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for spare in range(1, 6):
    os.close(held.pop())
    for watch in watches:
        try:
            with watch:
                pass
        except limpet.errors.LimitError as error:
            assert "ulimit" in str(error), error
        except limpet.errors.UnsupportedError as error:
            sys.exit(f"{{spare}}: {{error}}")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
