"""The state file of a watch: what is taken for one, what is done about others, when it is kept."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.config import BackendName, WatchOptions
from limpet.errors import StateFileError, UsageError
from limpet.events import EntryEvent
from limpet.testing import describe
from limpet.watching import Watcher, _state_file, make_router
from limpet.watching.index._fs import FileSystemCalls

HEAD = '{"limpet-state": '


def shown(events: list[limpet.Event]) -> list[str]:
    return [describe(event) for event in events]


def watched(path: Path, backend: Any = "auto", **options: Any) -> limpet.SyncWatch:
    return limpet.watch_dir(path, backend=backend, **{"poll_interval": 3600, **options}).sync()


@pytest.mark.parametrize("damage", ['{"limpet-state": 99}', '{"limpet-state": 3}\n\n', HEAD])
def test_a_damaged_state_is_set_aside_and_said(tmp_path: Path, damage: str) -> None:
    """Nothing that was set aside before is overwritten."""
    place, state = tmp_path / "place", tmp_path / "state.json"
    place.mkdir()
    (tmp_path / "state.json.bad").write_text("mine")
    state.write_text(damage)
    with watched(place, state=state) as watch:
        (event,) = watch.fence()
        assert isinstance(event, limpet.Degraded)
        assert event.reason == "state"
        assert "state.json.bad-2" in event.message
    assert (tmp_path / "state.json.bad").read_text() == "mine"
    assert (tmp_path / "state.json.bad-2").read_text() == damage
    with watched(place, state=state) as watch:
        assert watch.fence() == []


def test_a_state_cut_off_anywhere_is_never_trusted(tmp_path: Path) -> None:
    place, state = tmp_path / "place", tmp_path / "state.json"
    (place / "d").mkdir(parents=True)
    (place / "d" / "f").write_text("1")
    with watched(place, state=state):
        pass
    whole = state.read_bytes()
    for size in (0, *range(len(HEAD), len(whole), 7)):
        state.write_bytes(whole[:size])
        with watched(place, state=state) as watch:
            (event,) = watch.fence()
            assert isinstance(event, limpet.Degraded)


@pytest.mark.parametrize("what", ["folder", "fifo", "text", "null", "half", "itself"])
def test_what_is_no_state_file_is_refused_and_left_alone(tmp_path: Path, what: str) -> None:
    """Only what limpet can prove to have written is replaced."""
    place, state = tmp_path / "place", tmp_path / "state"
    place.mkdir()
    contents = {"text": b"user = 1\n", "null": b"null\n\n", "half": HEAD.encode()[:-1]}
    if what == "folder":
        state.mkdir()
        (state / "keep").write_text("mine")
    elif what == "fifo":
        os.mkfifo(state)
    elif what == "itself":
        state = place
    else:
        state.write_bytes(contents[what])
    before = os.lstat(state)
    with pytest.raises(UsageError, match="state="), watched(place, state=state):
        pass
    assert os.lstat(state).st_ino == before.st_ino
    assert what not in contents or state.read_bytes() == contents[what]
    assert sorted(os.listdir(tmp_path)) == sorted({"place", state.name})


def test_a_state_that_cannot_be_kept_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for state in (Path("/proc/limpet"), tmp_path / "file" / "state", tmp_path / "new" / "state"):
        with pytest.raises(StateFileError, match="cannot use the state file"):
            with watched(tmp_path / "new", state=state):
                pass
    assert not (tmp_path / "new").exists()  # a missing location is not created by its state


def test_the_folder_of_a_state_is_created(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b" / "state"
    (tmp_path / "place").mkdir()
    with watched(tmp_path / "place", state=state):
        pass
    (tmp_path / "place" / "f").write_text("")
    with watched(tmp_path / "place", state=state) as watch:
        assert shown(watch.fence()) == ["FileCreated f"]


@pytest.mark.anyio
async def test_a_state_that_is_not_saved_is_said_at_the_end(tmp_path: Path) -> None:
    """An exception of the consumer is not hidden by it."""
    folder = tmp_path / "gone"
    watch = limpet.watch_dir(tmp_path / "place", state=folder / "state")
    with pytest.raises(StateFileError, match="create the folder"):
        async with watch:
            shutil.rmtree(folder)

    async def fail() -> None:
        async with watch:
            shutil.rmtree(folder)
            raise KeyError

    with pytest.raises(KeyError) as raised:
        await fail()
    assert "cannot use the state file" in raised.value.__notes__[0]


def test_a_start_that_fails_keeps_the_state(tmp_path: Path) -> None:
    """What an incomplete start has seen is not what the consumer has."""
    place, state = tmp_path / "place", tmp_path / "state"
    (place / "d").mkdir(parents=True)
    with watched(place, state=state):
        pass
    kept = state.read_bytes()

    class Failing(FileSystemCalls):
        def read(self, handle: Any) -> dict[str, int]:
            raise MemoryError

    (place / "d" / "f").write_text("")
    router = make_router()
    watcher = Watcher(place, WatchOptions(state=state), "dir", router, Failing())
    with pytest.raises(MemoryError):
        watcher.start()
    watcher.close()
    router.close()
    assert state.read_bytes() == kept


@pytest.mark.parametrize("backend", ["fanotify", "inotify", "poll"])
def test_the_state_file_is_no_entry(tmp_path: Path, backend: BackendName) -> None:
    """A watch that keeps its state where it watches does not report itself."""
    for spelled in (tmp_path, tmp_path / "link"):
        if spelled != tmp_path:
            spelled.symlink_to(tmp_path)
        options: dict[str, Any] = {"state": spelled / "state", "backend": backend}
        for _ in range(2):
            with watched(tmp_path, default_ignores=False, **options) as watch:
                (tmp_path / "state.bad").write_text("")
                (tmp_path / "f").write_text("")
                names = {str(e.path.name) for e in watch.fence() if isinstance(e, EntryEvent)}
                assert not names - {"f", "link"}
                assert tmp_path / "state" not in watch.entries()
            (tmp_path / "f").unlink()


def test_a_symlink_to_a_state_stays_one(tmp_path: Path) -> None:
    """The file that it leads to is replaced, also one that does not exist yet."""
    for name in ("place", "real"):
        (tmp_path / name).mkdir()
    link, state = tmp_path / "link", tmp_path / "real" / "state"
    link.symlink_to(state)
    for _ in range(2):
        with watched(tmp_path / "place", state=link) as watch:
            assert watch.fence() == []
        assert link.is_symlink()
        assert state.read_text().startswith(HEAD)


VALUES: list[Any] = [
    None, "", -1, 1.5, 1e400, 2**64, [], {}, "x", "AAAA", "\ud800", ["a"], {"a": 1}, "..", "a/b",
]  # fmt: skip


def test_a_state_of_which_any_part_is_odd_is_damaged_and_no_other_error(tmp_path: Path) -> None:
    """Each value of each row, one at a time, is replaced by each odd one."""
    place, state = tmp_path / "place", tmp_path / "state"
    (place / "d").mkdir(parents=True)
    (place / "d" / "f").write_text("1")
    with limpet.watch_dir(place, state=state, metadata=True).sync() as watch:
        (place / "new").write_text("1")
        watch._start()[0].examine(force=True)  # found, and not taken
    whole = state.read_text(encoding="ascii").splitlines()

    def places(value: Any, way: tuple[Any, ...] = ()) -> Any:
        if isinstance(value, dict | list) and value:
            for key in value if isinstance(value, dict) else range(len(value)):
                yield from places(value[key], (*way, key))
        if way:
            yield way

    tried = 0
    for number, line in enumerate(whole[:-1]):
        for way in places(json.loads(line)):
            if way == ("limpet-state",):
                continue
            for odd in VALUES:
                changed = json.loads(line)
                inner = changed
                for key in way[:-1]:
                    inner = inner[key]
                inner[way[-1]] = odd
                lines = [*whole[:number], json.dumps(changed), *whole[number + 1 :]]
                state.write_text("\n".join(lines) + "\n", encoding="ascii")
                tried += 1
                try:
                    saved = _state_file.load(state, place)
                    for row in saved.events if saved is not None else ():
                        _state_file.decode_event(row, 1)
                except _state_file.DamagedError:
                    pass
    assert tried > 200
