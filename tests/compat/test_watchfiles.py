"""What the drop-in for watchfiles reports of the real disk, and when it ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
import trio

from limpet.compat.watchfiles import Change, awatch, watch
from tests import unprivileged
from tests.waiting import until_sync

Changes = set[tuple[Change, str]]
ADDED, MODIFIED, DELETED = Change


class Watching:
    """A watch that has started: nothing that comes now is missed."""

    def __init__(self, *paths: Path | str, **options: Any) -> None:
        given = {"watch_filter": None, "step": 20, "debounce": 200, "rust_timeout": 20}
        self.sets = watch(*paths, **{**given, "yield_on_timeout": True, **options})
        assert next(self.sets) == set()
        self.found: Changes = set()

    def wait(self, *wanted: tuple[Change, Path | str]) -> None:
        """Return once all these changes came."""
        texts = {(change, os.fspath(path)) for change, path in wanted}
        until_sync(lambda: self._has(texts), lambda: f"{texts} not in {self.found}")

    def _has(self, wanted: Changes) -> bool:
        self.found |= next(self.sets)
        return wanted <= self.found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sets.close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    return folder


def test_added_modified_deleted(root: Path) -> None:
    """One set each, with the absolute path as text."""
    path = root / "a.txt"
    with Watching(root) as watching:
        path.write_text("1")
        watching.wait((ADDED, path))
        assert (MODIFIED, str(path)) not in watching.found
        path.write_text("two")
        watching.wait((MODIFIED, path))
        path.unlink()
        watching.wait((DELETED, path))
        assert watching.found == {(one, str(path)) for one in Change}


def test_a_touched_file_is_modified(root: Path) -> None:
    """So is one whose mode changed."""
    for name in ("a", "b"):
        (root / name).write_text("1")
    with Watching(root) as watching:
        os.utime(root / "a", (1, 1))
        watching.wait((MODIFIED, root / "a"))
        if os.name == "posix":
            (root / "b").chmod(0o600)
            watching.wait((MODIFIED, root / "b"))


def test_a_rename_is_a_deletion_and_an_addition(root: Path) -> None:
    """Of a file, and of a folder with all that is in it."""
    (root / "a").write_text("1")
    (root / "pkg" / "sub").mkdir(parents=True)
    (root / "pkg" / "sub" / "m.py").write_text("1")
    with Watching(root) as watching:
        (root / "a").rename(root / "b")
        watching.wait((DELETED, root / "a"), (ADDED, root / "b"))
        (root / "pkg").rename(root / "new")
        watching.wait(
            (DELETED, root / "pkg"),
            (ADDED, root / "new"),
            (DELETED, root / "pkg" / "sub" / "m.py"),
            (ADDED, root / "new" / "sub" / "m.py"),
        )


def test_a_rename_from_one_place_into_another(root: Path) -> None:
    """Each path begins with the place it is in."""
    other = root.parent / "other"
    other.mkdir()
    (root / "a").write_text("1")
    with Watching(root, other) as watching:
        (root / "a").rename(other / "b")
        watching.wait((DELETED, root / "a"), (ADDED, other / "b"))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("src", "{home}/src/a"),
        ("./src", "{home}/./src/a"),
        ("src/", "{home}/src/a"),
        (".", "{home}/./src/a"),
        ("../{name}/src", "{home}/../{name}/src/a"),
        ("{home}/src", "{home}/src/a"),
    ],
)
def test_paths_begin_as_they_were_given(root: Path, given: str, shown: str) -> None:
    """A relative one is made absolute, and nothing else is done to it."""
    if os.name != "posix":
        pytest.skip("separators differ")
    words = {"home": root.parent, "name": root.parent.name}
    with Watching(given.format(**words)) as watching:
        (root / "a").write_text("1")
        watching.wait((ADDED, shown.format(**words)))


def test_a_file_as_place(root: Path) -> None:
    """Nothing is reported of its neighbours; an atomic save keeps it."""
    path, new = root / "a", root / "a.tmp"
    path.write_text("1")
    with Watching(path) as watching:
        for text in ("two", "three"):
            new.write_text(text)
            os.replace(new, path)
            watching.found.clear()
            until_sync(lambda: watching._has(set()) and watching.found)
            assert {one for _, one in watching.found} == {str(path)}
        path.unlink()
        watching.wait((DELETED, path))
        path.write_text("again")
        watching.wait((ADDED, path))


def test_places_inside_each_other_and_twice(root: Path) -> None:
    """What is in two of them is reported once at least, and a file in a folder is a part of it."""
    (root / "pkg").mkdir()
    (root / "pkg" / "m").write_text("1")
    with Watching(root, root, root / "pkg", root / "pkg" / "m") as watching:
        (root / "pkg" / "m").write_text("two")
        (root / "pkg" / "n").write_text("1")
        watching.wait((MODIFIED, root / "pkg" / "m"), (ADDED, root / "pkg" / "n"))


def test_folders_below_are_left_out_where_that_is_asked_for(root: Path) -> None:
    """``recursive=False``."""
    (root / "sub").mkdir()
    with Watching(root, recursive=False) as watching:
        (root / "sub" / "a").write_text("1")
        (root / "b").write_text("1")
        watching.wait((ADDED, root / "b"))
        assert (ADDED, str(root / "sub" / "a")) not in watching.found


def test_polling(root: Path) -> None:
    """By the argument; changes are those of the notifications."""
    with Watching(root, force_polling=True, poll_delay_ms=20) as watching:
        (root / "a").write_text("1")
        watching.wait((ADDED, root / "a"))
        (root / "a").unlink()
        watching.wait((DELETED, root / "a"))


def test_the_filter_decides(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sets of which nothing is left are not yielded; the number of the others is logged."""
    asked: list[tuple[Change, str]] = []

    def python(change: Change, path: str) -> bool:
        asked.append((change, path))
        return path.endswith(".py")

    caplog.set_level(logging.INFO, "watchfiles.main")
    with Watching(root, watch_filter=python) as watching:
        (root / "a.txt").write_text("1")
        until_sync(lambda: next(watching.sets) == set() and (ADDED, str(root / "a.txt")) in asked)
        (root / "a.py").write_text("1")
        watching.wait((ADDED, root / "a.py"))
        assert watching.found == {(ADDED, str(root / "a.py"))}
    assert "1 change detected" in caplog.text


def test_changes_that_keep_coming_are_one_set(root: Path) -> None:
    """``step`` begins anew with each; ``debounce`` ends the set all the same."""
    with Watching(root, step=10_000, debounce=300) as watching:
        for number in range(50):
            (root / str(number)).write_text("1")
        watching.wait(*((ADDED, root / str(number)) for number in range(50)))
    with Watching(root, step=200, debounce=60_000) as watching:
        (root / "0").unlink()
        watching.wait((DELETED, root / "0"))


# -- where watchfiles goes deaf ----------------------------------------------------------------


def test_the_place_is_deleted_and_made_again(root: Path) -> None:
    """It is watched again, with what is in it."""
    with Watching(root) as watching:
        for turn in range(2):
            shutil.rmtree(root)
            watching.wait((DELETED, root))
            watching.found.clear()
            root.mkdir()
            (root / f"a{turn}").write_text("1")
            watching.wait((ADDED, root), (ADDED, root / f"a{turn}"))


def test_the_place_is_swapped_for_another(root: Path) -> None:
    """As a deployment does that renames a finished folder into place."""
    (root / "a").write_text("1")
    new, old = root.parent / "new", root.parent / "old"
    new.mkdir()
    (new / "b").write_text("1")
    with Watching(root) as watching:
        root.rename(old)
        new.rename(root)
        watching.wait((DELETED, root / "a"), (ADDED, root / "b"))
        (root / "c").write_text("1")
        watching.wait((ADDED, root / "c"))


def test_a_package_that_is_made_at_once(root: Path) -> None:
    """Files are seen in folders that came a moment before."""
    with Watching(root) as watching:
        for number in range(10):
            inner = root / f"p{number}" / "q" / "r"
            inner.mkdir(parents=True)
            (inner / "m.py").write_text("1")
        watching.wait(*((ADDED, root / f"p{n}" / "q" / "r" / "m.py") for n in range(10)))


def test_a_folder_that_is_moved_in(root: Path) -> None:
    """All that is in it is added, and what is changed in it afterwards is seen."""
    away = root.parent / "away"
    (away / "sub").mkdir(parents=True)
    (away / "sub" / "m.py").write_text("1")
    with Watching(root) as watching:
        away.rename(root / "here")
        watching.wait((ADDED, root / "here"), (ADDED, root / "here" / "sub" / "m.py"))
        (root / "here" / "sub" / "m.py").write_text("two")
        watching.wait((MODIFIED, root / "here" / "sub" / "m.py"))


# -- the end, and errors -----------------------------------------------------------------------


def test_a_stop_event_ends_it(root: Path) -> None:
    """It may be set before, meanwhile, and from another thread; the sets end without an error."""
    stop = threading.Event()
    stop.set()
    assert list(watch(root, stop_event=stop)) == []
    stop.clear()
    waiting = threading.Event()

    class Asked(threading.Event):
        def is_set(self) -> bool:
            waiting.set()
            return stop.is_set()

    def end() -> None:
        waiting.wait()
        stop.set()

    thread = threading.Thread(target=end)
    thread.start()
    assert list(watch(root, stop_event=Asked(), rust_timeout=0)) == []
    thread.join()


def test_what_is_missing_is_an_error(root: Path) -> None:
    """The messages begin as those of watchfiles do."""
    with pytest.raises(FileNotFoundError, match=r"No path was found\. about .*missing"):
        next(watch(root, root / "missing"))
    with pytest.raises(FileNotFoundError) as failure:
        next(watch(root / "missing", force_polling=True))
    assert failure.value.errno == errno.ENOENT


@pytest.mark.parametrize("name", ["debounce", "step", "rust_timeout", "poll_delay_ms"])
def test_a_time_that_is_none_is_an_error(root: Path, name: str) -> None:
    """Of the type that watchfiles raises; the message names the argument."""
    with pytest.raises(TypeError, match=name):
        next(watch(root, **{name: "a"}))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=name):
        next(watch(root, **{name: 1.5}))  # type: ignore[arg-type]
    with pytest.raises(OverflowError, match=name):
        next(watch(root, **{name: -1}))  # type: ignore[arg-type]


def test_without_paths_nothing_comes() -> None:
    """As it is in watchfiles."""
    assert next(watch(rust_timeout=1, yield_on_timeout=True)) == set()


@pytest.mark.parametrize("raises", [True, False])
def test_ctrl_c(root: Path, *, raises: bool) -> None:
    """It is raised, or ends the sets, as the argument says."""

    def interrupt(_change: Change, _path: str) -> bool:
        if os.name == "posix":
            signal.raise_signal(signal.SIGINT)
        raise KeyboardInterrupt

    sets = watch(
        root,
        watch_filter=interrupt,
        raise_interrupt=raises,
        rust_timeout=20,
        yield_on_timeout=True,
    )
    assert next(sets) == set()
    (root / "a").write_text("1")
    if raises:
        with pytest.raises(KeyboardInterrupt):
            list(sets)
    else:
        assert {one for found in sets for one in found} == set()


CLOSED = """
import os, sys
from pathlib import Path
from tests import unprivileged
import limpet.compat.watchfiles as drop_in
unprivileged.drop_rights()
root = Path(sys.argv[1])
for given in (None, True, "variable"):
    options = {}
    if given == "variable":
        os.environ["WATCHFILES_IGNORE_PERMISSION_DENIED"] = "1"
    elif given:
        options["ignore_permission_denied"] = True
    try:
        print(next(drop_in.watch(root, rust_timeout=300, yield_on_timeout=True, **options)))
    except PermissionError as error:
        print(type(error).__name__, "closed" in str(error))
"""


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_what_may_not_be_read(open_path: Path) -> None:
    """PermissionError, but where it is to be passed over: by the argument, or the variable."""
    root = open_path / "root"
    (root / "closed").mkdir(parents=True)
    (root / "closed").chmod(0)
    root.chmod(0o755)
    program = unprivileged.start(CLOSED, root)
    out, _ = program.communicate(timeout=60)
    assert out.splitlines() == ["PermissionError True", "set()", "set()"]
    (root / "closed").chmod(0o755)


# -- variables ---------------------------------------------------------------------------------


def test_variables_of_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """They stand for arguments that are not given: polling, its delay, and debugging."""
    from limpet.compat.watchfiles import _settings

    for value, polls in [("1", True), ("true", True), ("disable", False), ("False", False)]:
        monkeypatch.setenv("WATCHFILES_FORCE_POLLING", value)
        assert _settings.is_polling(None) is polls
        assert _settings.is_polling(asked=not polls) is not polls
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "10")
    monkeypatch.setenv("WATCHFILES_DEBUG", "1")
    with Watching(root, poll_delay_ms=3_600_000) as watching:
        (root / "a").write_text("1")
        watching.wait((ADDED, root / "a"))
    assert "FileCreated" in capfd.readouterr().err


def test_a_delay_that_is_no_number_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the argument holds."""
    from limpet.compat.watchfiles import _settings

    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "soon")
    assert _settings.poll_delay(300) == 0.3


# -- async -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_awatch(root: Path, loop: str) -> None:
    """Under both loops; a set comes, and a cancellation ends it."""

    async def main() -> Changes:
        sets = awatch(root, rust_timeout=20, yield_on_timeout=True, step=20)
        async with aclosing(sets):
            async for found in sets:
                if found:
                    return found
                (root / "a").write_text("1")
        return set()

    assert anyio.run(main, backend=loop) == {(ADDED, str(root / "a"))}


MAKERS: list[tuple[str, Callable[[], Any]]] = [
    ("asyncio", asyncio.Event),
    ("asyncio", anyio.Event),
    ("asyncio", threading.Event),
    ("trio", trio.Event),
    ("trio", anyio.Event),
    ("trio", threading.Event),
]


@pytest.mark.parametrize(
    ("loop", "make"), MAKERS, ids=[f"{loop}-{make.__module__}" for loop, make in MAKERS]
)
def test_awatch_ends_when_its_event_is_set(root: Path, loop: str, make: Callable[[], Any]) -> None:
    """Events of the loops and of threads; the rest of the program goes on."""

    async def main() -> list[Changes]:
        stop, found = make(), []
        async for one in awatch(root, stop_event=stop, rust_timeout=20, yield_on_timeout=True):
            found.append(one)
            stop.set()
        return found

    assert anyio.run(main, backend=loop) == [set()]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_awatch_is_ended_while_it_waits(root: Path, loop: str) -> None:
    """By its event, without a time-out of its own."""

    async def main() -> None:
        stop = anyio.Event()

        async def end() -> None:
            await anyio.wait_all_tasks_blocked()
            stop.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end)
            async for found in awatch(root, stop_event=stop, rust_timeout=0):
                raise AssertionError(found)

    anyio.run(main, backend=loop)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_awatch_is_cancelled(root: Path, loop: str) -> None:
    """A scope of the caller ends it at once, with or without an event."""

    async def main() -> None:
        for stop in (None, anyio.Event()):
            with anyio.CancelScope() as scope:
                async for _ in awatch(
                    root, stop_event=stop, rust_timeout=20, yield_on_timeout=True
                ):
                    scope.cancel()
            assert scope.cancelled_caught

    anyio.run(main, backend=loop)


def test_awatch_errors(root: Path) -> None:
    """The same as those of ``watch``; the argument that is gone warns."""

    async def main(path: Path, **options: Any) -> None:
        async for _ in awatch(path, yield_on_timeout=True, **options):
            return

    with pytest.raises(FileNotFoundError):
        anyio.run(main, root / "missing")
    with pytest.warns(DeprecationWarning, match="raise_interrupt"):
        asyncio.run(main(root, raise_interrupt=False, rust_timeout=1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors by /proc")
def test_nothing_is_left_over(root: Path) -> None:
    """No thread and no descriptor, however it ended."""

    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def turn() -> Iterator[Changes]:
        yield from watch(root, rust_timeout=1, yield_on_timeout=True)

    next(turn())
    before = left()
    for _ in range(3):
        sets = watch(root, rust_timeout=1, yield_on_timeout=True)
        next(sets)
        sets.close()
    assert left() == before
