"""The status of a program in Python: whatever it has added, while it runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import limpet
from limpet.status import ProgramStatus, fetch_status, running, status_to_wire


def test_all_that_it_has_added_is_shown_while_it_runs(tmp_path: Path) -> None:
    """A watch, two places, a follower, an output and an inbox; what is closed is left out."""
    for name in ("a", "b", "c", "in"):
        (tmp_path / name).mkdir()
    (tmp_path / "log").write_text("")

    async def main() -> None:
        shown = ProgramStatus("mine")
        watch, places = (
            limpet.watch_dir(tmp_path / "a"),
            limpet.watch(tmp_path / "b", tmp_path / "c"),
        )
        follower, out = (
            limpet.follow(tmp_path / "log"),
            limpet.open_output(tmp_path / "out", create=True),
        )
        box = limpet.inbox(tmp_path / "in", done=tmp_path / "done", failed=tmp_path / "failed")
        for one in (watch, places, follower, out, box):
            shown.add(one)
        assert shown.status().watches == ()
        async with watch, places, follower, out, box:
            await out.append("x", "y")
            (tmp_path / "a" / "new").touch()
            event = await anext(aiter(watch))
            assert isinstance(event, limpet.FileCreated)
            assert event.path == tmp_path / "a" / "new"
            assert shown.status().events == 1
            status = shown.status()
            places_shown = [one.place for one in status.watches]
            assert places_shown == [str(tmp_path / name) for name in "abc"]
            assert [one.name for one in status.follows] == ["follower"]
            assert status.outputs[0].operations == {"append": 1}
            assert [one.place for one in status.inboxes] == [str(tmp_path / "in")]
            assert (status.program, status.health, status.state) == ("python", "ok", "running")
            where: dict[str, Any] = {
                "location": tmp_path / "a",
                "time": 1.0,
                "seq": 1,
                "path": tmp_path / "a" / "d",
            }
            shown.degraded.note(limpet.Degraded(**where, reason="limit", message="no"))
            assert [(one.where, one.reason) for one in shown.status().problems] == [
                (str(tmp_path / "a" / "d"), "no")
            ]
            assert shown.status().health == "degraded"
            shown.degraded.note(limpet.Recovered(**where))
            assert shown.status().health == "ok"
            json.dumps(status_to_wire(shown.status()), allow_nan=False)
        after = shown.status()
        assert after.watches == ()
        assert after.inboxes == ()

    asyncio.run(main())


def test_one_part_that_fails_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """It is a problem; so are counters that cannot be had."""
    shown = ProgramStatus("mine")

    def fails() -> list[Any]:
        message = "gone"
        raise KeyError(message)

    shown.show(fails)
    shown.add(limpet.Output(tmp_path))
    status = shown.status()
    assert [one.root for one in status.outputs] == [str(tmp_path)]
    assert [(one.where, one.is_failure) for one in status.problems] == [("part 1", True)]
    assert status.health == "failing"
    shown.counters = lambda: {"a": 1 // 0}
    assert [one.where for one in shown.status().problems] == ["part 1", "counters"]


def test_something_else_is_refused() -> None:
    """With what to do in its place; there are no dead letters."""
    shown = ProgramStatus("mine")
    with pytest.raises(limpet.UsageError, match=r"show\(\)"):
        shown.add(5)  # type: ignore[arg-type]

    async def main() -> None:
        assert await shown.dead_letter("a") is None
        for act in (shown.retry, shown.discard):
            with pytest.raises(limpet.UsageError, match="no dead letters"):
                await act(["a"])

    asyncio.run(main())


def test_a_start_that_fails_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is listed who cannot be reached."""
    pytest.importorskip("uvicorn")
    from limpet.web import Listening

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "home"))
    (tmp_path / "state" / "listen.json").mkdir(parents=True)

    async def main() -> None:
        listening = Listening(ProgramStatus("x"), "127.0.0.1:0", state_dir=tmp_path / "state")
        with pytest.raises(OSError, match="listen"):
            await listening.start()
        assert running() == []

    asyncio.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_program_of_any_loop_listens(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found and asked while it listens, and not afterwards; twice."""
    pytest.importorskip("uvicorn")
    pytest.importorskip(backend)
    from limpet.web import Listening

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))

    async def main() -> None:
        shown = ProgramStatus("mine")
        for _ in range(2):
            listening = Listening(shown, "127.0.0.1:0")
            await listening.start()
            (record,) = running()
            found = await anyio.to_thread.run_sync(fetch_status, record.address)
            assert (found.name, found.program) == ("mine", "python")
            assert record.token_file
            await listening.aclose()
            await listening.aclose()
            assert running() == []

    anyio.run(main, backend=backend)
