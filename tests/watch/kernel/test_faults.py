"""Bad input and bad weather: a typed event or error that says what to do, and the watch goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import limpet
from limpet.backends import HintRouter, MarkError
from limpet.testing import check_stream, describe, listing, perform
from limpet.watching._watcher import Watcher
from limpet.watching.index._fs import FileSystemCalls, PathSystemCalls
from tests.conftest import BACKENDS
from tests.unprivileged import start


class Started:
    """A core with a disk of the test's own, driven by hand."""

    def __init__(self, location: Path, disk: FileSystemCalls | None = None, **options: Any) -> None:
        options.setdefault("poll_interval", 3600)
        self.router = HintRouter()
        watch = limpet.watch_dir(location, **options)
        self.core = Watcher(location, watch.options, "dir", self.router, disk)
        self.core.start()
        self.start = self.core.entries()
        self.events: list[limpet.Event] = self.core.pop_all()

    def fence(self) -> list[str]:
        self.core.examine(force=True)
        found = self.core.pop_all()
        self.events += found
        return [describe(event) for event in found]

    def close(self) -> None:
        self.core.close()
        self.router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_bad_paths_are_refused_at_the_call(path: str) -> None:
    with pytest.raises(limpet.UsageError, match="path") as refused:
        limpet.watch_dir(path)
    assert isinstance(refused.value, ValueError)
    assert pickle.loads(pickle.dumps(refused.value)).code == "usage"  # noqa: S301 (ours)


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert limpet.watch_dir("x/../y").location == tmp_path / "y"


@pytest.mark.parametrize(
    "options",
    [
        {"settle": -1},
        {"settle": float("nan")},
        {"poll_interval": 0},
        {"backend": "magic"},
        {"own": "maybe"},
        {"rescan_interval": 0},
        {"no_such_option": 1},
    ],
)
def test_bad_options_are_refused_at_the_call(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(limpet.UsageError, match=next(iter(options))):
        limpet.watch_dir(tmp_path, **options)


def test_bad_content_options_are_refused() -> None:
    for wrong in ({"mode": "w"}, {"encoding": "no-such"}, {"errors": "no"}, {"max_bytes": -1}):
        with pytest.raises(limpet.UsageError):
            limpet.ContentOptions(**wrong)


def test_odd_nodes_are_entries_and_never_opened(tmp_path: Path, backend: Any) -> None:
    """A FIFO would block the program that opens it; a socket and a device cannot be opened."""
    os.mkfifo(tmp_path / "early")
    options = {"content": limpet.ContentOptions(), "existing": True, "backend": backend}
    with limpet.watch_dir(tmp_path, poll_interval=3600, **options).sync() as watch:
        os.mkfifo(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "socket"))
        (tmp_path / "text").write_text("read me")
        events = {e.path.name: e for e in watch.fence() if isinstance(e, limpet.FileCreated)}
        assert events["early"].existing
        for name in ("early", "fifo", "socket"):
            assert events[name].kind == events[name].stat.kind == "other"
            assert events[name].content_error == "not_regular"
        assert events["text"].content == "read me"
        assert events["text"].content_mode == "r"


def test_odd_names_survive(tmp_path: Path, backend: Any) -> None:
    """Newlines, invalid UTF-8 and names of 255 bytes are ordinary names."""
    names = [b"new\nline", b"\xff\xfe", b"x" * 255, "ü".encode() * 127, b" ", b"-rf", b"\x1b[31m"]
    with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
        for name in names:
            os.mkdir(os.fsencode(tmp_path) + b"/" + name)
            with open(os.fsencode(tmp_path) + b"/" + name + b"/f" + name[:200], "w"):
                pass
        if backend == "watchfiles":
            watch.fence()  # its notifier dies of such names and is started again
        events = watch.fence()
        assert {os.fsencode(path.name) for path in watch.entries()} >= set(names)
        assert watch.entries() == listing(tmp_path)
        del events


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "watchfiles"])
def test_a_tree_deeper_than_path_max(tmp_path: Path, backend: Any) -> None:
    """200 folders with names of 200 bytes: 40,000 bytes of path, ten times what a call takes.

    Not by watchfiles, whose notifier cannot watch a path longer than PATH_MAX (watch.md, Limits).
    """
    name = "d" * 200
    script = textwrap.dedent("""
        import os, sys
        os.chdir(sys.argv[1])
        for _ in range(200):
            os.mkdir(sys.argv[2]); os.chdir(sys.argv[2])
        open("early", "w").close()
    """)
    write = textwrap.dedent("""
        import os, sys
        os.chdir(sys.argv[1])
        for _ in range(200):
            os.chdir(sys.argv[2])
        open(sys.argv[3], "a").write("x")
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path), name], check=True)
    try:
        with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
            assert watch.stats().entries == 201
            subprocess.run([sys.executable, "-c", write, str(tmp_path), name, "late"], check=True)
            (event,) = watch.fence()
            assert isinstance(event, limpet.FileCreated)
            assert event.path.name == "late"
            assert len(os.fspath(event.path)) > 40_000
            subprocess.run([sys.executable, "-c", write, str(tmp_path), name, "early"], check=True)
            (event,) = watch.fence()
            assert isinstance(event, limpet.FileUpdated)
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True)


def test_overflow_is_reported_and_made_good(tmp_path: Path, kernel_backend: Any) -> None:
    """S21: a paused consumer and 100,000 creations; nothing is missing in the end."""
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        (tmp_path / "d").mkdir()
        watch.fence()
        for number in range(100_000):
            fd = os.open(tmp_path / "d" / str(number), os.O_CREAT | os.O_WRONLY)
            os.close(fd)
        events = watch.fence()
        assert [e.reason for e in events if isinstance(e, limpet.Rescanned)] == ["overflow"]
        created = {e.path.name for e in events if isinstance(e, limpet.FileCreated)}
        assert len(created) == 100_000
        assert {e.origin for e in events if isinstance(e, limpet.FileCreated)} == {"rescan"}
        assert watch.stats().rescans == 1


class LimitedHub(HintRouter):
    """A kernel whose limit of watches is used up after a few."""

    left = 3

    def mark(self, *arguments: Any, **details: Any) -> Any:
        if self.left <= 0:
            raise MarkError(errno.ENOSPC, limit=True)
        self.left -= 1
        return super().mark(*arguments, **details)

    def mark_several(self, order: Any, fds: list[int], *arguments: Any, **details: Any) -> Any:
        marks = super().mark_several(order, fds[: self.left], *arguments, **details)
        self.left -= len(marks)
        return marks


def test_the_watch_limit_is_reported_and_the_rest_is_polled(tmp_path: Path) -> None:
    """S23, and the marks come back once the limit allows."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    router = LimitedHub()
    router.left = len(tmp_path.parts) - 1 + 1  # the way to it, and the folder itself
    core = Watcher(tmp_path, limpet.watch_dir(tmp_path, poll_interval=3600).options, "dir", router)
    core.start()
    try:
        (event,) = core.pop_all()
        assert isinstance(event, limpet.Degraded)
        assert event.reason == "limit"
        assert "sysctl fs." in event.message
        assert core.stats().polled == 3
        (tmp_path / "b" / "f").write_text("1")
        core.examine(force=True)
        assert [describe(e) for e in core.pop_all()] == ["FileCreated b/f"]
        router.left = 100
        core.examine(force=True)
        assert [type(e) for e in core.pop_all()] == [limpet.Recovered]
        assert core.stats().polled == 0
        (tmp_path / "b" / "g").write_text("1")
        core.examine()
        assert [describe(e) for e in core.pop_all()] == ["FileCreated b/g"]
    finally:
        core.close()
        router.close()


class FailingDisk(FileSystemCalls):
    """A disk on which opening a folder of a given name fails."""

    def __init__(self) -> None:
        self.code = 0
        self.name = "/d"

    def open(self, path: str, *, follow: bool = False) -> Any:
        self.fail(path)
        return super().open(path, follow=follow)

    def open_in(self, handle: Any, name: str, path: str) -> Any:
        self.fail(path)
        return super().open_in(handle, name, path)

    def fail(self, path: str) -> None:
        if self.code and path.endswith(self.name):
            raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EMFILE, "descriptors"),
        (errno.EIO, "unreadable"),
        (errno.ESTALE, "unavailable"),
        (errno.EACCES, "permission"),
    ],
)
def test_a_folder_that_fails_is_reported_once_and_recovers(
    tmp_path: Path, code: int, reason: str
) -> None:
    """W10: an outage is no mass deletion; what changed meanwhile is reported afterwards."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").write_text("1")
    disk = FailingDisk()
    perform("age", tmp_path)
    with Started(tmp_path, disk) as watch:
        disk.code = code
        (tmp_path / "d" / "new").write_text("1")
        assert watch.fence() == [f"Degraded d ({reason})"]
        (tmp_path / "d" / "newer").write_text("1")
        assert watch.fence() == []
        assert tmp_path / "d" / "old" in watch.core.entries()
        disk.code = 0
        (tmp_path / "d").chmod(0o755)
        found = watch.fence()
        assert found[0] == "Recovered d"
        assert sorted(found[1:]) == ["FileCreated d/new", "FileCreated d/newer"]
        assert check_stream(watch.events, watch.start).entries == listing(tmp_path)


def test_a_folder_that_cannot_be_read_at_the_start(tmp_path: Path) -> None:
    """S22: its name is an entry, and its content comes once it can be read."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("1")
    disk = FailingDisk()
    disk.code = errno.EMFILE
    with Started(tmp_path, disk) as watch:
        assert [describe(e) for e in watch.events] == ["Degraded d (descriptors)"]
        assert tmp_path / "d" in watch.core.entries()
        disk.code = 0
        assert watch.fence() == ["Recovered d", "FileCreated d/f"]


def test_permission_as_another_user(open_path: Path, kernel_backend: str) -> None:
    """S22, W72, W73 with a user who really may not read."""
    script = textwrap.dedent("""
        import sys
        import limpet
        from limpet.testing import describe
        from tests.unprivileged import drop_rights
        backend, place = sys.argv[1:]
        drop_rights()
        with limpet.watch_dir(place, backend=backend, poll_interval=3600).sync() as watch:
            for line in sys.stdin:
                print("|".join(describe(e) for e in watch.fence()), flush=True)
    """)
    place = open_path / "place"
    for folder in (place, place / "locked", place / "open"):
        folder.mkdir()
        folder.chmod(0o755)
    (place / "locked" / "f").write_text("1")
    (place / "locked").chmod(0o000)
    with start(script, kernel_backend, place) as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def fence() -> list[str]:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write("\n")
            program.stdin.flush()
            return [word for word in program.stdout.readline().rstrip("\n").split("|") if word]

        assert fence() == ["Degraded locked (permission)"]
        (place / "open" / "x").write_text("1")
        assert fence() == ["FileCreated open/x"]
        (place / "locked").chmod(0o755)
        assert fence() == ["Recovered locked", "FileCreated locked/f"]
        (place / "locked" / "g").write_text("1")
        assert fence() == ["FileCreated locked/g"]
        (place / "open").chmod(0o000)
        fence()
        (place / "open").chmod(0o755)
        (place / "open" / "y").write_text("1")
        assert fence()[-1] == "FileCreated open/y"
        place.chmod(0o000)
        fence()
        place.chmod(0o755)
        fence()
        (place / "z").write_text("1")
        assert fence()[-1] == "FileCreated z"
        program.stdin.close()
        assert program.wait() == 0


def test_a_network_target_that_goes_is_asked_for_twice(tmp_path: Path) -> None:
    """W10: on a mount that may go away for a moment, one scan is not enough for mass deletion."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "f").write_text("1")
    perform("age", place)
    with Started(place, backend="poll") as watch:
        assert watch.core._context is not None
        watch.core._context.services.network = True
        place.rename(tmp_path / "away")

        def come_back(_: object) -> None:
            (tmp_path / "away").rename(place)

        watch.core._pause = come_back
        assert watch.fence() == []
        (place / "g").write_text("1")
        assert watch.fence() == ["FileCreated g"]
        place.rename(tmp_path / "away")
        watch.core._pause = lambda _: None
        assert watch.fence() == [
            "FileDeleted f",
            "FileDeleted g",
            "TargetDirDeleted . (deleted)",
        ]


def test_out_of_descriptors(tmp_path: Path) -> None:
    """A start says what to do; a running watch goes on and recovers."""
    script = textwrap.dedent("""
        import os, resource, sys
        import limpet
        from limpet.testing import describe
        place = sys.argv[1]
        def exhaust(leave):
            held = []
            try:
                while True:
                    held.append(os.open("/", os.O_RDONLY))
            except OSError:
                pass
            for fd in held[-leave:] if leave else ():
                os.close(fd)
            return held[:len(held) - leave]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = exhaust(2)
        try:
            limpet.watch_dir(place).sync().__enter__()
        except limpet.LimitError as error:
            assert error.code == "limit" and "ulimit -n" in str(error)
        else:
            raise SystemExit("started without descriptors")
        for fd in held:
            os.close(fd)
        with limpet.watch_dir(place, poll_interval=3600).sync() as watch:
            os.mkdir(place + "/d")
            assert [describe(e) for e in watch.fence()] == ["DirCreated d"]
            held = exhaust(0)
            fd = held.pop()
            os.close(fd)
            open(place + "/d/f", "w").close()
            fd = os.open("/", os.O_RDONLY)
            first = [describe(e) for e in watch.fence()]
            assert first == ["Degraded . (descriptors)"], first
            os.close(fd)
            for fd in held:
                os.close(fd)
            second = [describe(e) for e in watch.fence()]
            assert second == ["Recovered .", "FileCreated d/f"], second
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class MovingDisk(FileSystemCalls):
    """A disk on which a folder is moved at the very moment something in it is opened."""

    def __init__(self, at: Path, do: Callable[[], object]) -> None:
        self.at = os.fspath(at)
        self.do: Callable[[], object] | None = do

    def open(self, path: str, *, follow: bool = False) -> Any:
        self.move(path)
        return super().open(path, follow=follow)

    def open_in(self, handle: Any, name: str, path: str) -> Any:
        self.move(path)
        return super().open_in(handle, name, path)

    def move(self, path: str) -> None:
        if path == self.at and self.do is not None:
            do, self.do = self.do, None
            do()


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_moves_while_it_is_scanned(
    tmp_path: Path, kernel_backend: Any, again: bool
) -> None:
    """L1, W26: what was not reached under the old path is found under the new one.

    With ``again`` another folder of the same names takes the old path at once.
    """
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "n" / "c" / "deep").mkdir(parents=True)
    (tmp_path / "n" / "c" / "f").write_text("1")

    def move() -> None:
        (place / "n").rename(place / "m")
        if again:
            (place / "n" / "c").mkdir(parents=True)
            (place / "n" / "c" / "other").write_text("1")

    with Started(place, MovingDisk(place / "n" / "c", move), backend=kernel_backend) as watch:
        (tmp_path / "n").rename(place / "n")
        for _ in range(3):
            watch.fence()
        assert check_stream(watch.events, watch.start).entries == listing(place)
        assert watch.core.entries() == listing(place)
        (place / "m" / "c" / "deep" / "late").write_text("1")
        assert watch.fence() == ["FileCreated m/c/deep/late"]


class SteppingDisk(FileSystemCalls):
    """A disk whose clock can be set."""

    offset = 0

    def now(self) -> int:
        return super().now() + self.offset

    def time(self) -> float:
        return super().time() + self.offset / 1e9


def test_the_clock_steps_back(tmp_path: Path) -> None:
    """Event times never decrease, and changes are reported all the same."""
    disk = SteppingDisk()
    with Started(tmp_path, disk) as watch:
        (tmp_path / "a").write_text("1")
        assert watch.fence() == ["FileCreated a"]
        disk.offset = -3600 * 10**9
        (tmp_path / "b").write_text("1")
        (tmp_path / "a").write_text("22")
        assert sorted(watch.fence()) == ["FileCreated b", "FileUpdated a {content}"]
        check_stream(watch.events, watch.start)


def test_a_tree_that_changes_wildly_while_it_is_listed(tmp_path: Path, backend: Any) -> None:
    """Whatever the first listing saw, the events lead to what is there."""
    script = textwrap.dedent("""
        import os, random, shutil, sys
        root = sys.argv[1]
        chance = random.Random(7)
        print("go", flush=True)
        for step in range(3000):
            path = os.path.join(root, *[chance.choice("abc") for _ in range(chance.randint(1, 4))])
            try:
                match chance.randint(0, 4):
                    case 0: os.makedirs(path)
                    case 1: open(path, "w").close()
                    case 2: os.replace(path, os.path.join(root, chance.choice("abc")))
                    case 3: shutil.rmtree(path)
                    case 4: os.unlink(path)
            except OSError:
                pass
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        events: list[limpet.Event] = []
        with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
            start = watch.entries()
            while program.poll() is None:
                events += watch.fence()
            events += watch.fence()
            assert check_stream(events, start).entries == listing(tmp_path)


class SwappingDisk(FileSystemCalls):
    """A disk where a file becomes a folder between the listing and the stat."""

    victim: Path | None = None

    def records(self, handle: Any, names: Any, now: int) -> Any:
        if self.victim is not None and self.victim.name in names:
            os.replace(self.victim, self.victim.with_name("was"))
            self.victim.mkdir()
            self.victim = None
        return super().records(handle, names, now)


def test_a_file_becomes_a_folder_while_it_is_listed(tmp_path: Path, kernel_backend: Any) -> None:
    """L1: it is watched as the folder it is."""
    disk = SwappingDisk()
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "new").mkdir(parents=True)
    (outside / "new" / "a").touch()
    inside.mkdir()
    with Started(inside, disk, backend=kernel_backend) as watch:
        os.replace(outside / "new", inside / "new")
        disk.victim = inside / "new" / "a"
        watch.fence()
        (inside / "new" / "a" / "later").touch()
        watch.fence()
        assert disk.victim is None
        assert check_stream(watch.events, watch.start).entries == listing(inside)


def test_paths_instead_of_descriptors(tmp_path: Path) -> None:
    """The way of systems whose folders have no descriptors gives the same events."""
    with Started(tmp_path, PathSystemCalls(), backend="poll") as watch:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "f").write_text("1")
        assert watch.fence() == ["DirCreated a", "DirCreated a/b", "FileCreated a/b/f"]
        (tmp_path / "a" / "b" / "f").write_text("22")
        assert watch.fence() == ["FileUpdated a/b/f {content}"]
        (tmp_path / "a" / "b" / "f").unlink()
        assert watch.fence() == ["FileDeleted a/b/f"]


def test_a_rewrite_that_keeps_size_and_mtime(tmp_path: Path, backend: Any) -> None:
    """W80: the change time gives it away."""
    path = tmp_path / "f"
    path.write_text("one")
    with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
        path.write_text("two")
        watch.fence()
        before = path.stat()
        path.write_text("six")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert [describe(e) for e in watch.fence()] == ["FileUpdated f {content}"]


def test_reading_is_no_change(tmp_path: Path, backend: Any) -> None:
    """W63: a consumer that reads what changed gets no report of it."""
    path = tmp_path / "f"
    path.write_text("one")
    with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
        path.write_text("two")
        assert len(watch.fence()) == 1
        for _ in range(3):
            path.read_text()
            list(tmp_path.iterdir())
            assert watch.fence() == []


def test_unlinked_while_open(tmp_path: Path, backend: Any) -> None:
    """W65: deleted at the unlink, and nothing afterwards."""
    path = tmp_path / "f"
    with (
        path.open("w") as file,
        limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch,
    ):
        path.unlink()
        assert [describe(e) for e in watch.fence()] == ["FileDeleted f"]
        file.write("into the void")
        file.flush()
        assert watch.fence() == []


def test_inode_reuse_is_no_rename(tmp_path: Path, backend: Any) -> None:
    """W38: an unrelated file that got the inode number of one that is gone."""
    (tmp_path / "a").write_text("1")
    with limpet.watch_dir(tmp_path, backend=backend, poll_interval=3600).sync() as watch:
        for number in range(20):
            (tmp_path / "a").unlink()
            (tmp_path / f"n{number}").write_text("2")
            assert sorted(describe(e) for e in watch.fence()) == [
                "FileCreated " + f"n{number}",
                "FileDeleted a",
            ]
            (tmp_path / "a").write_text("1")
            watch.fence()


def test_mmap_writes_show_at_close(tmp_path: Path, kernel_backend: Any) -> None:
    """W82."""
    import mmap

    path = tmp_path / "f"
    path.write_bytes(b"x" * 4096)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as view:
            view[0] = 65
            view.flush()
        assert [describe(e) for e in watch.fence()] == ["FileUpdated f {content}"]


def test_there_and_back_is_nothing(tmp_path: Path, kernel_backend: Any) -> None:
    """S6: a -> b -> a within one scan."""
    (tmp_path / "a").write_text("1")
    (tmp_path / "d" / "e").mkdir(parents=True)
    perform("age", tmp_path)
    with limpet.watch_dir(tmp_path, backend=kernel_backend).sync() as watch:
        for name in ("a", "d"):
            (tmp_path / name).rename(tmp_path / "b")
            (tmp_path / "b").rename(tmp_path / name)
        assert watch.fence() == []


def marks_in_kernel() -> int:
    """Count this process's fanotify marks as the kernel shows them."""
    count = 0
    for number in os.listdir("/proc/self/fdinfo"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            lines = Path("/proc/self/fdinfo", number).read_text().splitlines()
            count += sum(line.startswith(("fanotify ino:", "fanotify sdev:")) for line in lines)
    return count


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_ADMIN")
def test_one_mark_for_the_whole_file_system(tmp_path: Path) -> None:
    """``filesystem_mark``: new folders need no mark, and nothing is missed in them."""
    for number in range(50):
        (tmp_path / f"d{number}" / "in").mkdir(parents=True)
    with limpet.watch_dir(tmp_path, backend="fanotify", filesystem_mark=True).sync() as watch:
        marks = marks_in_kernel()
        assert marks < 50
        (tmp_path / "d7" / "in" / "f").write_text("1")
        (tmp_path / "new" / "deep").mkdir(parents=True)
        (tmp_path / "new" / "deep" / "g").write_text("1")
        assert sorted(describe(e) for e in watch.fence()) == [
            "DirCreated new",
            "DirCreated new/deep",
            "FileCreated d7/in/f",
            "FileCreated new/deep/g",
        ]
        (tmp_path / "d7").rename(tmp_path / "new" / "d7")
        (tmp_path / "new" / "deep" / "g").unlink()
        assert sorted(describe(e) for e in watch.fence()) == [
            "DirRenamed d7 -> new/d7",
            "FileDeleted new/deep/g",
        ]
        assert marks_in_kernel() == marks
