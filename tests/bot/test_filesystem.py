"""``FileSystem`` alone: its properties, its input as paths change, its output."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from limpet import Degraded
from limpet.bot import (
    AppendToFileOutputEvent,
    CreateFileOutputEvent,
    DeleteFileOutputEvent,
    FileCreatedInputEvent,
    FileSystem,
    FileSystemOutputEvent,
    MakeDirOutputEvent,
    MoveFileOutputEvent,
    OverwriteFileOutputEvent,
    TargetFileCreatedInputEvent,
    WatchInputEvent,
    WriteToFileOutputEvent,
)
from limpet.bot.events._input_events import wrap
from limpet.bot.io._desired_state import DesiredWatch
from limpet.bot.io._event_queue import EventQueue
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._watch_handover import WatchHandover
from limpet.errors import UsageError
from limpet.watching import Unacknowledged
from tests.bot.factories import Received, created, put, running, short
from tests.waiting import until


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


# -- properties ------------------------------------------------------------------------------------


def test_every_part_is_optional() -> None:
    """B1: without a path there is still one input, and one output."""
    io = FileSystem()
    assert io.input_path is None
    assert io.output_path is None
    assert len(io.get_inputs()) == len(io.get_outputs()) == 1
    assert io.get_inputs()[0] is io.get_inputs()[0]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"input_path_type": "folder"}, "must be one of file, dir, not 'folder'"),
        ({"input_path_type": "File"}, "did you mean 'file'"),
        ({"settle": -1}, "must be greater than or equal to 0, not -1"),
        ({"settle": "1"}, "must be a number"),
        ({"settle": True}, "must be a number"),
        ({"settle": float("nan")}, "must be a finite number"),
        ({"recursive": "yes"}, "must be true or false"),
        ({"input_path": ""}, "must not be empty"),
        ({"input_path": 5}, "must be text"),
        ({"exclude": [5]}, "exclude[0] must be text"),
        ({"content": {"mod": "r"}}, "did you mean 'mode'"),
        ({"content": {"max_bytes": -5}}, "content['max_bytes'] must be greater than or equal to 0"),
        ({"content": {"encoding": "klingon"}}, "encoding must be"),
        ({"output_limits": {"max_files": 0}}, "max_files"),
        ({"input_pth": "x"}, "did you mean 'input_path'"),
        ({"input_mode": "lines", "input_path": "x"}, "needs input_path_type 'file'"),
        ({"input_path": "x", "settle": 5, "settle_max": 1}, "settle_max must be at least settle"),
        ({"input_path": "x", "settle_dir": 1, "recursive": False}, "settle_dir"),
        ({"input_path": "x", "exclude": ["!"]}, "exclude must be globs"),
        ({"input_path": "x", "ignore_file": "a/b"}, "ignore_file must be"),
    ],
)
def test_a_wrong_value_is_refused(properties: dict[str, Any], expected: str) -> None:
    """With the name of the property and a remedy; by code as by YAML."""
    with pytest.raises(UsageError) as refused:
        FileSystem(**properties)
    assert expected in str(refused.value)


def test_it_serialises_to_what_the_loader_takes() -> None:
    """Plain values, and only what was set."""
    io = FileSystem(
        input_path=Path("in"),
        exclude="*.tmp",
        content={"mode": "rb"},
        path="out",  # what mewbot's own storage calls it
        uid="u1",
    )
    block = io.serialise()
    again: Any = yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(block))))
    assert again["implementation"] == "limpet.bot.FileSystem"
    assert again["kind"] == "IOConfig"
    assert again["uuid"] == "u1"
    assert again["properties"]["output_path"] == "out"
    assert FileSystem(**again["properties"]).serialise()["properties"] == block["properties"]


def test_events_are_written_once_and_compared_by_what_they_say() -> None:
    """mewbot's own base class calls any two events of a class equal."""
    one, same, other = created("a"), created("a"), created("b")
    assert one == same
    assert one != other
    assert len({one, same, other}) == 2
    with pytest.raises(AttributeError):
        one.event = other.event
    assert isinstance(one, FileCreatedInputEvent)
    assert not isinstance(one, TargetFileCreatedInputEvent)
    trouble = Degraded(
        location=Path("/x"), time=1.0, seq=1, path=Path("/x"), reason="limit", message="m"
    )
    assert type(wrap(trouble, "", "")) is WatchInputEvent


# -- the input -------------------------------------------------------------------------------------


def test_an_input_runs_alone(folder: Path) -> None:
    """I15, B4: bound to a separate queue, without a bot; and again after a stop."""

    async def main() -> None:
        io = FileSystem(input_path=str(folder / "in"))
        for name in ("a", "b"):
            async with running(io) as received:
                (folder / "in").mkdir(exist_ok=True)
                put(folder / "in" / name)
                await received.reach(f"file.created {name}")

    run(main())


def test_the_path_comes_moves_and_goes_while_it_runs(folder: Path) -> None:
    """B1: the input starts, moves and idles; no event of a path that it watched is lost."""

    async def main() -> None:
        io = FileSystem()
        one, two = folder / "one", folder / "two"
        one.mkdir()
        two.mkdir()
        async with running(io) as received:
            put(one / "before")
            io.input_path = str(one)
            await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
            put(one / "a")
            io.input_path = str(two)  # at once: ``a`` may not be examined yet
            await until(lambda: io.get_inputs()[0]._source.desired.path == str(two))  # type: ignore[attr-defined]
            put(two / "b")
            put(one / "unseen")
            await received.reach("file.created a", "file.created b")
            io.input_path = None
            await until(lambda: not io.get_inputs()[0].backend)  # type: ignore[attr-defined]
            put(two / "unseen")
            io.input_path = str(one)
            await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
            put(one / "c")
            await received.reach("file.created c")
        assert received.lines == ["file.created a", "file.created b", "file.created c"]

    run(main())


@pytest.mark.parametrize("state", [False, True], ids=["plain", "state"])
def test_other_options_of_the_same_path_lose_and_double_nothing(
    folder: Path, *, state: bool
) -> None:
    """B1: a thread writes while the options change again and again."""

    async def main() -> None:
        directory = folder / "in"
        directory.mkdir()
        io = FileSystem(input_path=str(directory))
        if state:
            io.state = str(folder / "state")
        names = [f"f{number}" for number in range(300)]
        go = threading.Event()

        def write() -> None:
            for number, name in enumerate(names):
                put(directory / name)
                if number % 20 == 0:
                    go.wait(0.02)

        async with running(io) as received:
            writer = asyncio.create_task(asyncio.to_thread(write))
            changes = 0
            while not writer.done():
                changes += 1
                io.exclude = (f"nothing{changes}",)
                await asyncio.sleep(0.01)
            await writer
            await received.reach(*(f"file.created {name}" for name in names))
        assert changes > 2
        # A file that was found between its creation and its write is reported as updated, too.
        made = [line for line in received.lines if line.startswith("file.created")]
        assert sorted(made) == sorted(f"file.created {name}" for name in names)

    run(main())


def test_a_path_that_overlaps_the_old_one_is_reported_once(folder: Path) -> None:
    """B1: from a directory to its parent, while files are created."""

    async def main() -> None:
        inner = folder / "outer" / "inner"
        inner.mkdir(parents=True)
        io = FileSystem(input_path=str(inner))
        paths = [inner / f"f{number}" for number in range(100)]

        def write() -> None:
            for path in paths:
                put(path)

        async with running(io) as received:
            writer = asyncio.create_task(asyncio.to_thread(write))
            io.input_path = str(folder / "outer")
            await writer
            await until(
                lambda: (received.take(), {e.path for e in received.events} >= set(paths))[1]
            )
        made = [event.path for event in received.events if short(event).startswith("file.created")]
        assert sorted(made) == sorted(paths)

    run(main())


def test_case_d4_the_next_start_reports_what_happened_between(folder: Path) -> None:
    """D4: run, stop, change one, add one, delete one, start: three events; the next start none."""

    async def main() -> None:
        directory = folder / "in"
        directory.mkdir()
        for name in ("stays", "changes", "goes"):
            put(directory / name)
        io = FileSystem(input_path=str(directory), state=str(folder / "keep" / "state"))
        async with running(io):
            pass
        (directory / "changes").write_text("other")
        put(directory / "new")
        (directory / "goes").unlink()
        queue = EventQueue(100)
        async with running(io, queue) as received:
            await received.reach("file.updated changes", "file.created new", "file.deleted goes")
            assert {event.event.origin for event in received.events} == {"offline"}
            for delivery in received.deliveries:
                delivery.acknowledge()
        async with running(io, EventQueue(100)) as received:
            put(directory / "last")
            await received.reach("file.created last")
        assert received.lines == ["file.created last"]

    run(main())


def test_unacknowledged_events_are_delivered_again(folder: Path) -> None:
    """Events taken from the queue are not acknowledged, and neither are queued ones."""

    async def main() -> None:
        directory = folder / "in"
        directory.mkdir()
        io = FileSystem(input_path=str(directory), state=str(folder / "state"))
        async with running(io, EventQueue(2)) as received:
            for name in "abcde":
                put(directory / name)
            await received.reach(*(f"file.created {name}" for name in "abcde"))
            for delivery, event in zip(received.deliveries, received.events, strict=True):
                if event.path.name in "ace":
                    delivery.acknowledge()
        async with running(io, EventQueue(100)) as received:
            await received.reach("file.created b", "file.created d")
        assert sorted(received.lines) == ["file.created b", "file.created d"]

    run(main())


def test_after_a_kill_the_start_before_counts(folder: Path) -> None:
    """The checkpoint that exists while the input runs is enough to lose nothing."""

    async def main() -> None:
        directory, state = folder / "in", folder / "state"
        directory.mkdir()
        io = FileSystem(input_path=str(directory), state=str(state))
        async with running(io, EventQueue(100)) as received:
            killed = state.read_bytes()  # what a kill now would leave
            put(directory / "a")
            await received.reach("file.created a")
        state.write_bytes(killed)
        async with running(io, EventQueue(100)) as received:
            await received.reach("file.created a")

    run(main())


def test_under_mewbots_runner_a_failing_input_restarts_itself(folder: Path) -> None:
    """There an exception would end the bot."""

    async def main() -> None:
        (folder / "state").touch()
        (folder / "in").mkdir()
        state = str(folder / "state" / "file")
        io = FileSystem(input_path=str(folder / "in"), state=state)
        (one,) = io.get_inputs()
        assert isinstance(one, FileSystemInput)
        one.bind(asyncio.Queue())
        task = asyncio.create_task(one.run())
        await until(lambda: one.failure)
        (folder / "state").unlink()
        await until(lambda: one.backend)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    run(main())


def test_it_waits_while_many_events_are_queued(folder: Path) -> None:
    """Also with an unbounded queue, as mewbot's own runner has."""

    async def main(queue: asyncio.Queue[Any]) -> int:
        directory = folder / "in"
        directory.mkdir(exist_ok=True)
        for number in range(200):
            put(directory / f"f{number}")
        io = FileSystem(input_path=str(directory), existing=True, max_waiting=10)
        most = 0
        async with running(io, queue):
            seen = 0
            while seen < 200:
                await until(lambda: not queue.empty())
                most = max(most, queue.qsize())
                queue.get_nowait()
                seen += 1
        return most

    assert run(main(asyncio.Queue())) <= 10
    assert run(main(EventQueue(7))) <= 7


def test_case_d3_what_is_there_at_the_start(folder: Path) -> None:
    """D3: reported with ``existing``, else not."""

    async def main(existing: bool) -> list[str]:
        directory = folder / "in"
        directory.mkdir(exist_ok=True)
        for name in "abc":
            put(directory / name)
        io = FileSystem(input_path=str(directory), existing=existing)
        async with running(io) as received:
            put(directory / f"last{existing}")
            await received.reach(f"file.created last{existing}")
        return sorted(received.lines)[:-1]

    assert run(main(False)) == []
    assert run(main(True))[:4] == ["dir.created .", *(f"file.created {name}" for name in "abc")]


def test_case_d6_a_file_that_is_not_there_comes_goes_and_comes(folder: Path) -> None:
    """D6: with the classes of the target, and the input alive throughout."""

    async def main() -> None:
        directory = folder / "later" / "settings"
        io = FileSystem(input_path=str(directory), input_path_type="file")
        async with running(io) as received:
            directory.parent.mkdir()
            for size in (1, 2):
                put(directory, "x" * size)
                await until(
                    lambda: (received.take(), short_last(received).startswith("file.created"))[1]
                )
                assert received.events[-1].is_target
                directory.unlink()
                await until(
                    lambda: (received.take(), short_last(received).startswith("file.deleted"))[1]
                )

    def short_last(received: Received) -> str:
        events = received.take_all()
        return short(events[-1]) if events else ""

    run(main())


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_case_d18_names_that_are_not_text(folder: Path) -> None:
    """D18: bytes, line feeds, unusual separators; each is reported and written as JSON."""
    names = ["caf\udcff\udcfe\udce9", "two\nlines", "u\u2028x"]

    async def main() -> None:
        from limpet._wire import dump_line
        from limpet.bot.settings._template_fields import wire_of

        io = FileSystem(input_path=str(folder))
        async with running(io) as received:
            for name in names:
                (folder / name).write_text("x")
            await received.reach(*(f"file.created {name}" for name in names))
        for event in received.events:
            assert json.loads(dump_line(wire_of(event)).decode("utf-8"))["type"]

    run(main())


# -- the output ------------------------------------------------------------------------------------


def output_of(io: FileSystem) -> Any:
    return io.get_outputs()[0]


def test_what_each_output_event_does(folder: Path) -> None:
    """Create, append, overwrite, move, delete, make a directory; the event of mewbot's storage."""

    async def main() -> None:
        io = FileSystem(output_path=str(folder / "not" / "there"))
        out = output_of(io)
        root = folder / "not" / "there"
        assert await out.output(CreateFileOutputEvent(name="a/b.txt", content="one\n"))
        assert not await out.output(CreateFileOutputEvent(name="a/b.txt", content="two\n"))
        assert await out.output(AppendToFileOutputEvent(name="a/b.txt", content=b"two\n"))
        assert (root / "a/b.txt").read_text() == "one\ntwo\n"
        assert await out.output(OverwriteFileOutputEvent(name="a/b.txt", content="{}"))
        assert (root / "a/b.txt").read_text() == "{}"
        assert await out.output(MoveFileOutputEvent(name="a/b.txt", target="c.txt"))
        assert await out.output(MakeDirOutputEvent(name="d"))
        assert await out.output(WriteToFileOutputEvent(path="w", file_contents="1"))
        assert await out.output(WriteToFileOutputEvent(path="w", file_contents="2", append=True))
        assert not await out.output(WriteToFileOutputEvent(path="w", file_contents="3"))
        assert (root / "w").read_text() == "12"
        again = WriteToFileOutputEvent(path="w", file_contents="4", may_overwrite=True)
        assert await out.output(again)
        assert (root / "w").read_text() == "4"
        assert await out.output(DeleteFileOutputEvent(name="c.txt"))
        assert not await out.output(DeleteFileOutputEvent(name="c.txt"))
        assert sorted(path.name for path in root.iterdir()) == ["a", "d", "w"]
        await out.aclose()

    run(main())


def test_an_output_event_may_name_the_one_it_means(folder: Path) -> None:
    """B2: by name or uuid; without one, each with an output directory takes it."""

    async def main() -> None:
        one = FileSystem(name="one", output_path=str(folder / "1"))
        two = FileSystem(uid="u2", output_path=str(folder / "2"))
        none = FileSystem(name="none")
        events: list[FileSystemOutputEvent] = [
            CreateFileOutputEvent(name="a", content="", io="one"),
            CreateFileOutputEvent(name="b", content="", io="u2"),
            CreateFileOutputEvent(name="c", content=""),
            CreateFileOutputEvent(name="d", content="", io="none"),
        ]
        done = [[await output_of(io).output(event) for io in (one, two, none)] for event in events]
        assert done == [
            [True, False, False],
            [False, True, False],
            [True, True, False],
            [False, False, False],
        ]
        for io in (one, two):
            await output_of(io).aclose()

    run(main())


def test_the_output_directory_moves_while_it_runs(folder: Path) -> None:
    """B1: the next event is written to the new path."""

    async def main() -> None:
        io = FileSystem(output_path=str(folder / "1"))
        out = output_of(io)
        assert await out.output(CreateFileOutputEvent(name="a", content=""))
        io.output_path = str(folder / "2")
        assert await out.output(CreateFileOutputEvent(name="b", content=""))
        io.output_path = None
        assert not await out.output(CreateFileOutputEvent(name="c", content=""))
        await out.aclose()
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("?/*")) == [
            "1/a",
            "2/b",
        ]

    run(main())


def test_an_output_survives_the_end_of_its_loop(folder: Path) -> None:
    """mewbot's own runner closes nothing, and may be run again."""
    io = FileSystem(output_path=str(folder))
    for name in ("a", "b"):
        assert run(output_of(io).output(CreateFileOutputEvent(name=name, content="x")))
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_case_d12_no_output_leads_out(folder: Path) -> None:
    """D12: False, nothing raised, nothing outside."""
    root = folder / "root"
    root.mkdir()
    (root / "link").symlink_to(folder)
    io = FileSystem(output_path=str(root))
    names = ["../x", "..\\x", "E:\\x", "/x", "a\0b", "y" * 5000, "link/x", ""]

    async def main() -> list[bool]:
        made = [CreateFileOutputEvent(name=name, content="x") for name in names]
        return [await output_of(io).output(event) for event in made]

    assert run(main()) == [False] * len(names)
    assert sorted(path.name for path in folder.iterdir()) == ["root"]


def test_a_watch_that_is_handed_over_is_closed_though_the_input_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping a bot while its input takes over other options left the old watch running."""
    (tmp_path / "in").mkdir()
    desired = DesiredWatch(
        path=str(tmp_path / "in"), kind="dir", mode="events", options=(("state", None),)
    )

    async def main() -> None:
        handover = WatchHandover(Unacknowledged())
        old = await handover.open(desired)
        saving = asyncio.Event()

        async def never(_path: Path | None = None) -> None:
            saving.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(old.watch, "save", never)
        task = asyncio.create_task(handover.stop(old, desired))
        await saving.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RuntimeError, match="not running"):
            old.watch.stats()
        handover.clean()

    run(main())
