"""The runner, promise by promise; ``test_model.py`` has them all at once under random failures."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import json
import logging
import os
import re
import sys
import time
import tracemalloc
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mewbot.api import v1
from mewbot.core import InputEvent, OutputEvent

import limpet.bot
from limpet.bot import (
    AllEventsTrigger,
    AppendToFileAction,
    Behaviour,
    ClassTrigger,
    CreateFileAction,
    FileSystem,
    FileSystemTrigger,
    LimpetAction,
    MoveProcessedFileAction,
    RunCommandAction,
    Runner,
    RunOptions,
    run,
)
from limpet.bot.events import Lines
from limpet.bot.events._event_codec import CodecError, decode, encode, public_name
from limpet.bot.events._host_path import make_host_path
from limpet.bot.events._input_events import wrap
from limpet.bot.io._event_queue import EventQueue, StoppedError
from limpet.bot.runner import Stats
from limpet.errors import UsageError
from limpet.remote import RemotePathError
from tests.bot.factories import created, put, renamed
from tests.waiting import until


@dataclasses.dataclass
class TextEvent(InputEvent):
    text: str
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class SpecialTextEvent(TextEvent):
    pass


@dataclasses.dataclass
class TextOutput(OutputEvent):
    text: str


@dataclasses.dataclass
class ReplyOutput(TextOutput):
    pass


class ListInput(v1.Input):
    """Puts the given events, and then calls ``then``, if there is one."""

    def __init__(self, events: Iterable[InputEvent], then: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self.events = list(events)
        self.then = then
        self.runs = 0

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        return {TextEvent}

    async def run(self) -> None:
        self.runs += 1
        assert self.queue is not None
        while self.events:
            await self.queue.put(self.events.pop(0))
        if self.then is not None:
            await self.then()


class CollectingOutput(v1.Output):
    def __init__(self) -> None:
        self.got: list[str] = []

    @staticmethod
    def consumes_outputs() -> set[type[OutputEvent]]:
        return {ReplyOutput, TextOutput}  # a class together with its base: mewbot would send twice

    async def output(self, event: OutputEvent) -> bool:
        assert isinstance(event, ReplyOutput)
        self.got.append(event.text)
        return True


class MemoryIO(v1.IOConfig):
    def __init__(self, *events: InputEvent, then: Callable[[], Any] | None = None) -> None:
        self.input, self.output = ListInput(events, then), CollectingOutput()

    def get_inputs(self) -> Iterable[v1.Input]:
        return [self.input]

    def get_outputs(self) -> Iterable[v1.Output]:
        return [self.output]


class CallAction(v1.Action):
    """A third-party action: calls a function, and replies with its result."""

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.what = what

    @staticmethod
    def consumes_inputs() -> set[type[InputEvent]]:
        return {InputEvent}

    @staticmethod
    def produces_outputs() -> set[type[OutputEvent]]:
        return {ReplyOutput}

    async def act(self, event: InputEvent, state: dict[str, Any]) -> AsyncIterator[OutputEvent]:
        found = self.what(event)
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, str):
            yield ReplyOutput(found)


def behaviour(*actions: Any, trigger: Any = None, **values: Any) -> Any:
    made = Behaviour(**values)
    made.add(trigger or AllEventsTrigger())
    for action in actions:
        made.add(action if isinstance(action, v1.Action) else CallAction(action))
    return made


def text_of(event: Any) -> str:
    return str(event.text)


FAST = {"backoff": 0.001, "backoff_max": 0.002}


def done(*bot: Any, **options: Any) -> Any:
    """Run a bot until all is done."""
    return asyncio.run(run(bot, until_done=True, **FAST, **options))


def dead_letters(folder: Path) -> list[dict[str, Any]]:
    path = folder / "dead-letters.jsonl"
    return [json.loads(io) for io in path.read_text().splitlines()] if path.exists() else []


# -- what goes where -------------------------------------------------------------------------------


def test_each_behaviour_and_each_output_once_in_the_order_of_the_file() -> None:
    """Also where a component takes a class and its base."""
    io = MemoryIO(TextEvent("a"), SpecialTextEvent("b"))
    seen: list[str] = []

    class Both(v1.Trigger):
        @staticmethod
        def consumes_inputs() -> set[type[InputEvent]]:
            return {TextEvent, SpecialTextEvent, InputEvent}

        def matches(self, event: InputEvent) -> bool:
            return True

    def note(mark: str) -> Callable[[Any], str]:
        def noted(event: Any) -> str:
            seen.append(f"{mark}{event.text}")
            return f"{mark}{event.text}"

        return noted

    one = behaviour(note("1"), trigger=Both())
    two = behaviour(note("2"))
    off = behaviour(lambda e: seen.append("never"), active=False)
    stats = done(io, one, two, off)
    assert sorted(seen) == ["1a", "1b", "2a", "2b"]
    assert sorted(io.output.got) == ["1a", "1b", "2a", "2b"]
    assert [text for text in seen if text[0] == "1"] == ["1a", "1b"]
    assert (stats.events, stats.acted, stats.outputs) == (2, 4, 4)


def test_it_runs_inside_a_running_loop_and_in_any_thread() -> None:
    """mewbot's own runner can do neither."""
    io = MemoryIO(TextEvent("a"))

    async def main() -> None:
        await asyncio.gather(run([io, behaviour(text_of)], until_done=True))

    import threading

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(30)
    assert io.output.got == ["a"]


def test_mewbots_own_bot_is_taken() -> None:
    """With its components."""
    from mewbot.bot import Bot

    io, bot = MemoryIO(TextEvent("a")), Bot("name")
    bot.add_io_config(io)
    bot.add_behaviour(behaviour(text_of))
    asyncio.run(run(bot, until_done=True))
    assert io.output.got == ["a"]


def test_what_is_no_component_is_refused() -> None:
    """Before anything runs."""
    with pytest.raises(UsageError, match="neither an IOConfig nor a Behaviour"):
        Runner([5])
    for wrong in ({"queue": 0}, {"drain": -1.0}, {"listen": "0.0.0.0:80"}, {"listen": "x"}):
        with pytest.raises(UsageError):
            Runner([], RunOptions(**wrong))


# -- order, bounds, concurrency --------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 8])
def test_events_of_one_path_are_worked_on_in_order(concurrency: int) -> None:
    """Others overtake them only where more than one may run at once."""
    running: list[str] = []
    log: list[tuple[str, int]] = []
    most = 0

    async def slowly(event: Any) -> None:
        nonlocal most
        name = event.path.name
        assert name not in running, "two of one path at once"
        running.append(name)
        most = max(most, len(running))
        await asyncio.sleep(0.001 if event.event.seq % 3 else 0.004)
        running.remove(name)
        log.append((name, event.event.seq))

    events = [created(f"f{number % 5}", seq=number) for number in range(60)]
    done(MemoryIO(*events), behaviour(slowly, concurrency=concurrency))
    for name in {name for name, _ in log}:
        numbers = [number for other, number in log if other == name]
        assert numbers == sorted(numbers)
    assert most == min(concurrency, 5)


def test_a_rename_waits_for_both_its_names_and_a_directory_for_all() -> None:
    """And later events wait for them."""
    from limpet.events import DirDeleted

    log: list[str] = []

    async def slowly(event: Any) -> None:
        await asyncio.sleep({1: 0.02, 2: 0.005, 3: 0.01}.get(event.event.seq, 0))
        log.append(f"{type(event.event).__name__} {event.path.name}")

    gone = DirDeleted(
        location=Path("/srv/in"), time=1.0, seq=9, path=Path("/srv/in/d"), kind="dir", previous=None
    )
    from limpet.bot.events._input_events import wrap

    events = [
        created("a", seq=1),
        renamed("a", "b"),
        created("c", seq=2),
        wrap(gone, "", ""),
        created("e", seq=4),
    ]
    done(MemoryIO(*events), behaviour(slowly, concurrency=9))
    assert log == [
        "FileCreated c",
        "FileCreated a",
        "FileRenamed b",
        "DirDeleted d",
        "FileCreated e",
    ]


def test_queues_are_bounded_and_the_input_waits() -> None:
    """Backpressure up to the input."""
    release = asyncio.Event

    async def main() -> None:
        gate = release()
        io = MemoryIO(*(TextEvent(str(number)) for number in range(100)))
        bot = [io, behaviour(lambda _: gate.wait())]
        runner = Runner(bot, RunOptions(queue=5, behaviour_queue=3, until_done=True))
        task = asyncio.create_task(runner.run())
        await until(lambda: len(io.input.events) <= 91)
        for _ in range(50):
            await asyncio.sleep(0)
        # One runs, three wait in its queue, the dispatcher holds one, five are queued.
        assert len(io.input.events) >= 100 - 11
        gate.set()
        stats = await task
        assert stats.acted == 100

    asyncio.run(main())


def test_put_nowait_may_go_over_the_bound_for_a_while() -> None:
    """For components that cannot wait; then it raises ``QueueFull``."""

    async def main() -> None:
        queue = EventQueue(2)
        for _ in range(8):
            queue.put_nowait(TextEvent("x"))
        with pytest.raises(asyncio.QueueFull):
            queue.put_nowait(TextEvent("x"))
        queue.close()
        with pytest.raises(StoppedError):
            await queue.put(TextEvent("x"))
        assert queue.qsize() == 8

    asyncio.run(main())


def test_a_slow_behaviour_does_not_hold_the_others() -> None:
    """As long as its queue has room."""

    async def main() -> None:
        gate = asyncio.Event()
        io = MemoryIO(*(TextEvent(str(number)) for number in range(20)))
        slow, fast = behaviour(lambda _: gate.wait()), behaviour(text_of)
        runner = Runner([io, slow, fast], RunOptions(until_done=True))
        task = asyncio.create_task(runner.run())
        await until(lambda: len(io.output.got) == 20)
        gate.set()
        await task

    asyncio.run(main())


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(5_000, id="short"),
        pytest.param(200_000, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_many_events_in_bounded_memory(count: int) -> None:
    """No memory of a processed event is kept."""
    taken: list[int] = []

    class ManyInput(v1.Input):
        @staticmethod
        def produces_inputs() -> set[type[InputEvent]]:
            return {TextEvent}

        async def run(self) -> None:
            assert self.queue is not None
            for number in range(count):
                await self.queue.put(TextEvent(str(number)))
                if number in {count // 4, count - 1}:
                    taken.append(tracemalloc.get_traced_memory()[0])

    class ManyIO(MemoryIO):
        def get_inputs(self) -> Iterable[v1.Input]:
            return [ManyInput()]

    io = ManyIO()
    io.output.got = []

    async def forget(event: OutputEvent) -> bool:
        return True

    io.output.output = forget  # type: ignore[method-assign]  # a fake
    tracemalloc.start()
    try:
        stats = done(io, behaviour(text_of), behaviour(text_of, concurrency=3), queue=100)
    finally:
        tracemalloc.stop()
    assert (stats.events, stats.outputs) == (count, 2 * count)
    assert taken[1] - taken[0] < 300_000, taken


# -- failures --------------------------------------------------------------------------------------


def test_case_d20_tries_with_delays_then_a_dead_letter_and_the_others_go_on(tmp_path: Path) -> None:
    """D20: and a step that succeeded is not repeated."""
    calls: list[str] = []
    io = MemoryIO(TextEvent("good"), TextEvent("bad"), TextEvent("good"))

    def first(event: Any) -> None:
        calls.append("first")

    def second(event: Any) -> str:
        calls.append(event.text)
        if event.text == "bad":
            message = "x" * 5000
            raise OSError(message)
        return text_of(event)

    stats = done(io, behaviour(first, second, name="b"), state_dir=tmp_path)
    assert calls.count("bad") == 3
    assert calls.count("first") == 3
    assert io.output.got == ["good", "good"]
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["behaviour"] == {"id": "name:b", "name": "b"}
    assert dead_letter["attempts"] == 3
    assert dead_letter["step"].startswith("action 2")
    assert len(dead_letter["error"]["message"]) <= 2000
    assert decode(dead_letter["event"]) == TextEvent("bad")
    assert (stats.failed, stats.retries) == (1, 2)


def test_an_output_that_fails_is_tried_again_and_others_get_it_all_the_same(tmp_path: Path) -> None:
    """False counts as a failure, which mewbot ignores."""
    one, two = MemoryIO(TextEvent("a"), TextEvent("b")), MemoryIO()
    answers = iter([False, True, False, False, False])

    async def refuse(event: OutputEvent) -> bool:
        return next(answers)

    one.output.output = refuse  # type: ignore[method-assign]  # a fake
    done(one, two, behaviour(text_of, name="b"), state_dir=tmp_path)
    assert two.output.got == ["a", "b"]
    (dead_letter,) = dead_letters(tmp_path)
    assert decode(dead_letter["output"]) == ReplyOutput("b")
    assert dead_letter["error"]["type"] == "OutputRefusedError"


def test_what_cannot_go_well_is_not_tried_again(tmp_path: Path) -> None:
    """A taken name, a missing field: one try."""
    folder = tmp_path / "out"
    source = MemoryIO(TextEvent("a"), TextEvent("a"))
    io = FileSystem(output_path=str(folder))
    bot = behaviour(CreateFileAction(name="{{ event.text }}", content="x"), name="b")
    failing = behaviour(CreateFileAction(name="{{ event.nothing }}", content="x"), name="c")
    stats = done(source, io, bot, failing, state_dir=tmp_path)
    assert stats.retries == 0
    assert sorted(one["error"]["type"] for one in dead_letters(tmp_path)) == [
        "ExistsError", "MissingFieldError", "MissingFieldError",
    ]  # fmt: skip


@pytest.mark.parametrize("io", [None, "elsewhere"])
def test_what_no_file_system_takes_is_a_failure(tmp_path: Path, io: str | None) -> None:
    """Nothing is dropped silently."""
    action = CreateFileAction(name="x", content="x")
    action.io = io
    done(MemoryIO(TextEvent("a")), FileSystem(name="one"), behaviour(action), state_dir=tmp_path)
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["error"]["type"] == "NotMeantError"


def test_an_input_that_dies_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """And logged; one that has ended is left alone."""

    async def main() -> None:
        async def die() -> None:
            if io.input.runs < 3:
                io.input.events.append(TextEvent(str(io.input.runs)))
                message = "gone"
                raise ConnectionError(message)

        io = MemoryIO(then=die)
        runner = Runner([io, behaviour(text_of)], RunOptions(until_done=True))
        runner.supervisor._first = 0.001
        stats = await runner.run()
        assert io.input.runs == 3
        assert io.output.got == ["1", "2"]
        assert stats.restarts == 2

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the input ListInput failed" in caplog.text


def test_a_watch_that_fails_is_restarted_and_health_reports_it(folder: Path) -> None:
    """By limpet's runner; nothing is delivered twice, and nothing lost, once it works."""

    async def main() -> None:
        blocker = folder / "state"
        blocker.touch()
        (folder / "in").mkdir()
        io = FileSystem(name="in", input_path=str(folder / "in"), state=str(blocker / "file"))
        names: list[str] = []
        runner = Runner([io, behaviour(lambda event: names.append(event.path.name))])
        runner.supervisor._first = 0.01
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.restarts >= 2)
        status = runner.status()
        assert (status.health, [one.where for one in status.problems]) == ("failing", ["in"])
        blocker.unlink()
        await until(lambda: are_watched(runner))
        await until(lambda: runner.status().health == "ok")
        put(folder / "in" / "a")
        await until(lambda: names)
        runner.stop()
        await task
        assert names == ["a"]

    asyncio.run(main())


def test_a_third_partys_failure_in_a_trigger_is_a_failure_of_that_event_alone() -> None:
    """In mewbot's own runner it ends the bot."""

    class Bad(AllEventsTrigger):
        def matches(self, event: InputEvent) -> bool:
            if text_of(event) == "bad":
                message = "no"
                raise ValueError(message)
            return True

    io = MemoryIO(TextEvent("bad"), TextEvent("good"))
    stats = done(io, behaviour(text_of, trigger=Bad()))
    assert io.output.got == ["good"]
    assert stats.failed == 1


# -- stopping --------------------------------------------------------------------------------------


def test_case_d17_queued_events_are_processed_or_stored(tmp_path: Path) -> None:
    """D17: a stop processes events until the deadline; the next start processes the rest."""

    async def main() -> None:
        io = MemoryIO(*(TextEvent(str(number)) for number in range(1000)))

        async def slowly(event: Any) -> str:
            await asyncio.sleep(0.001)
            return text_of(event)

        options = RunOptions(state_dir=tmp_path, drain=0.2, queue=2000, behaviour_queue=10)
        runner = Runner([io, behaviour(slowly, name="b")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: not io.input.events and len(io.output.got) > 5)
        runner.stop()
        await task
        first = list(io.output.got)
        assert 5 < len(first) < 1000
        kept = (tmp_path / "journal.jsonl").read_text().splitlines()
        assert len(kept) == 1000 - len(first)
        assert os.listdir(tmp_path).count("journal.jsonl") == 1

        again = MemoryIO()
        options = dataclasses.replace(options, until_done=True, drain=10)
        await Runner([again, behaviour(text_of, name="b")], options).run()
        assert first + again.output.got == [str(number) for number in range(1000)]
        assert not (tmp_path / "journal.jsonl").exists()

    asyncio.run(main())


def test_a_second_stop_ends_at_once(tmp_path: Path) -> None:
    """Even if a task hangs; that task is stored."""

    async def main() -> None:
        io = MemoryIO(TextEvent("a"), TextEvent("b"))
        started = asyncio.Event()

        async def hang(event: Any) -> None:
            started.set()
            await asyncio.sleep(3600)

        options = RunOptions(state_dir=tmp_path, drain=3600)
        runner = Runner([io, behaviour(hang, name="b")], options)
        task = asyncio.create_task(runner.run())
        await started.wait()
        runner.stop()
        await asyncio.sleep(0)
        runner.stop()
        async with asyncio.timeout(20):
            await task
        assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 2

    asyncio.run(main())


def test_a_journal_of_a_removed_behaviour_becomes_dead_letters(tmp_path: Path) -> None:
    """No event is dropped because a file was edited."""

    async def main() -> None:
        async def hang(event: Any) -> None:
            await asyncio.sleep(3600)

        options = RunOptions(state_dir=tmp_path, drain=0)
        io = MemoryIO(TextEvent("a"))
        runner = Runner([io, behaviour(hang, name="old")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.acted == 1)
        runner.stop()
        await task

    asyncio.run(main())
    done(MemoryIO(), behaviour(text_of, name="new"), state_dir=tmp_path)
    assert [one["behaviour"]["id"] for one in dead_letters(tmp_path)] == ["name:old"]
    assert not (tmp_path / "journal.jsonl").exists()


def test_two_bots_do_not_share_a_state_directory(tmp_path: Path) -> None:
    """The second is refused."""

    async def main() -> None:
        runner = Runner([MemoryIO()], RunOptions(state_dir=tmp_path))
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        with pytest.raises(UsageError, match="another bot runs") as refused:
            await run([MemoryIO()], state_dir=tmp_path, until_done=True)
        assert refused.value.code == "state-in-use"
        assert f"process {os.getpid()}" in str(refused.value)
        runner.stop()
        await task

    asyncio.run(main())


def test_events_survive_the_journal_or_are_refused() -> None:
    """Bytes, paths, odd names, nested values; a value without a form is refused, not guessed."""
    event = TextEvent(
        "\udce9", {"path": Path("/x/\udcff"), "bytes": b"\xff", "set": frozenset({1, 2})}
    )
    io = json.dumps(encode(event), allow_nan=False)
    io.encode("utf-8")
    assert decode(json.loads(io)) == event
    for one in (created("caf\udce9", content=b"x", content_mode="rb"), renamed("a", "b")):
        assert decode(json.loads(json.dumps(encode(one)))) == one
    with pytest.raises(CodecError, match="no form"):
        encode(TextEvent("x", {"socket": object()}))
    for wrong in (
        {"$": "object", "c": "os:system", "v": {}},
        {"$": "object", "c": "subprocess:Popen", "v": {}},
        {"$": "object", "c": "no.such:Class", "v": {}},
        {"$": "magic", "v": 1},
    ):
        with pytest.raises(CodecError):
            decode(wrong)


def test_a_path_of_another_host_stays_one_when_it_is_stored() -> None:
    """What a bot replays after a restart cannot be opened here either."""
    for windows, root in ((False, "/"), (True, "C:\\")):
        there, path = (
            make_host_path("web01", windows, (root, *parts)) for parts in ((), ("é\udcff",))
        )
        event: Any = created("a").event
        event = dataclasses.replace(event, location=there, path=path)
        stored = json.dumps(encode(wrap(event, "io", "s")), allow_nan=False)
        found = decode(json.loads(stored)).event
        assert found == event
        assert str(found.path).startswith("web01:")
        assert found.path.is_absolute()
        assert not found.path.relative_to(there).is_absolute()
        with pytest.raises(RemotePathError):
            open(found.path)


def test_what_is_stored_names_no_private_module() -> None:
    """A journal and a dead letter outlive the version that wrote them, and its private modules."""
    components = [one for one in vars(limpet.bot).get("__all__", ()) if one.endswith("Event")]
    assert len(components) > 20
    lines = Lines(
        location=Path("/l"), path=Path("/l"), time=1.5, generation=2, start=0, end=2, lines=("a",)
    )
    for event in (
        created("a"),
        renamed("a", "b"),
        limpet.bot.LinesAddedInputEvent(event=lines, io="", session=""),
    ):
        text = json.dumps(encode(event))
        named = re.findall(r'"c": "([^"]+):', text)
        assert named
        assert not [one for one in named if any(p.startswith("_") for p in one.split("."))], text
    for name in components:
        assert public_name(getattr(limpet.bot, name)) == f"limpet.bot:{name}"


# -- files in, files out ---------------------------------------------------------------------------


def test_o5_a_bot_that_answers_into_the_same_directory_does_not_loop(folder: Path) -> None:
    """O5, D9: one outside change, one answer."""

    async def main() -> None:
        io = FileSystem(name="here", input_path=str(folder), output_path=str(folder))
        answer = behaviour(
            CreateFileAction(name="answer to {{ name }}", content="x", if_exists="overwrite"),
            trigger=FileSystemTrigger(events=["file.created", "file.updated"]),
        )
        runner = Runner([io, answer])
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        for number in range(20):
            put(folder / f"q{number}")
        await until(lambda: len(list(folder.iterdir())) >= 40)
        await io.get_inputs()[0]._source.watch.fence()  # type: ignore[attr-defined]
        await until(lambda: runner.is_idle)
        runner.stop()
        stats = await task
        assert len(list(folder.iterdir())) == 40
        assert stats.acted == 20

    asyncio.run(main())


def test_failures_are_moved_and_the_source_is_never_deleted(folder: Path) -> None:
    """D20: to done or failed, with a dead letter for each failure."""
    inbox = folder / "inbox"
    inbox.mkdir()
    for name in ("good", "bad"):
        put(inbox / name, name)

    def work(event: Any) -> None:
        if event.path.name == "bad":
            message = "it is bad"
            raise OSError(message)

    async def main() -> None:
        io = FileSystem(input_path=str(inbox), existing=True)
        bot = behaviour(
            CallAction(work),
            MoveProcessedFileAction(),
            trigger=FileSystemTrigger(events="file.created", target="never"),
        )
        runner = Runner([io, bot], RunOptions(state_dir=folder / "state", **FAST))  # type: ignore[arg-type]
        task = asyncio.create_task(runner.run())
        await until(lambda: not list(inbox.iterdir()))
        runner.stop()
        await task

    asyncio.run(main())
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*/*") if p.is_file())
    assert found == ["done/good", "failed/bad", "state/dead-letters.jsonl", "state/lock"]


def test_state_is_committed_only_for_what_was_done(folder: Path) -> None:
    """Events queued at a stop are delivered again; processed ones are not."""
    directory = folder / "in"
    directory.mkdir()
    processed: list[str] = []

    def seen_by(runner: Runner, count: int) -> bool:
        return runner.stats.events >= count

    async def one(*, hang: bool) -> None:
        gate = asyncio.Event()

        async def work(event: Any) -> None:
            if hang and event.path.name == "b":
                await gate.wait()
            processed.append(event.path.name)

        io = FileSystem(input_path=str(directory), state=str(folder / "state.json"))
        runner = Runner([io, behaviour(work)], RunOptions(drain=0.05))
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        if hang:
            for count, name in enumerate("abc", 1):
                put(directory / name)
                await until(partial(seen_by, runner, count))
            await until(lambda: processed == ["a"])
        else:
            put(directory / "d")
            await until(lambda: "d" in processed)
        runner.stop()
        await task

    asyncio.run(one(hang=True))
    assert processed == ["a"]
    asyncio.run(one(hang=False))
    assert sorted(processed) == ["a", "b", "c", "d"]


def test_with_a_state_file_and_a_journal_each_event_comes_once(folder: Path) -> None:
    """An event is in the journal or in the checkpoint, not in both; twice, and in order."""
    directory = folder / "in"
    directory.mkdir()
    processed: list[str] = []
    begun: list[str] = []

    async def one(*, hang: bool) -> None:
        gate = asyncio.Event()

        async def work(event: Any) -> None:
            begun.append(event.path.name)
            if hang and len(begun) > 1:
                await gate.wait()
            processed.append(event.path.name)

        io = FileSystem(input_path=str(directory), state=str(folder / "state.json"))
        options = RunOptions(drain=0.05, state_dir=folder / "keep")
        runner = Runner([io, behaviour(work, name="b")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        if not begun:
            for number in range(20):
                put(directory / f"f{number}")
            await until(lambda: runner.stats.events == 20)
        elif not hang:
            put(directory / "last")
            await until(lambda: "last" in processed)
        runner.stop()
        await task

    for hang in (True, True, False):
        asyncio.run(one(hang=hang))
    assert sorted(processed) == sorted([*(f"f{number}" for number in range(20)), "last"])


def test_case_d10_records_of_three_behaviours_keep_their_order(folder: Path) -> None:
    """D10: a thousand appends, each source's in its order, none torn."""
    source = MemoryIO(*(TextEvent(f"{number:04d}") for number in range(334)))
    io = FileSystem(output_path=str(folder))
    bots = [
        behaviour(AppendToFileAction(name="log", content=who + " {{ event.text }}"), name=who)
        for who in ("one", "two", "three")
    ]
    done(source, io, *bots)
    lines = (folder / "log").read_text().splitlines()
    assert len(lines) == 1002
    for who in ("one", "two", "three"):
        mine = [text.split()[1] for text in lines if text.split()[0] == who]
        assert mine == [f"{number:04d}" for number in range(334)]


def test_a_dry_run_writes_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It reports what it would do, and creates not even a checkpoint or a directory."""
    directory = folder / "in"
    directory.mkdir()
    put(directory / "a")
    before = sorted(folder.rglob("*"))

    async def main() -> None:
        io = FileSystem(
            input_path=str(directory), output_path=str(folder / "out"), existing=True,
            state=str(folder / "state" / "file"),
        )  # fmt: skip
        ran: list[str] = []
        bot = behaviour(
            CreateFileAction(name="{{ rel }}.copy", content="text"),
            lambda event: ran.append("third party"),
            MoveProcessedFileAction(),
            trigger=FileSystemTrigger(target="never"),
        )
        runner = Runner([io, bot], RunOptions(dry_run=True, state_dir=folder / "keep"))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.done == 1 and runner.is_idle)
        runner.stop()
        await task
        assert ran == []

    with caplog.at_level(logging.INFO, logger="limpet.bot.dry"):
        asyncio.run(main())
    expected = [record.getMessage() for record in caplog.records if record.name == "limpet.bot.dry"]
    assert expected[0] == "would CreateFile 'a.copy' (4 characters)"
    assert "which is not limpet's" in expected[1]
    assert expected[2].startswith(f"would move {directory / 'a'} to {folder / 'done'}")
    assert sorted(folder.rglob("*")) == before


DEAF = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("pid.new").write_text(str(os.getpid()))
os.rename("pid.new", "pid")
time.sleep(600)
"""


def test_a_program_that_does_not_end_is_killed_within_the_stop(folder: Path) -> None:
    """Its five seconds are more than the stop has left."""

    async def main() -> None:
        behaviour = Behaviour(name="b")
        behaviour.add(AllEventsTrigger())
        command = [sys.executable, "-c", DEAF]
        behaviour.add(RunCommandAction(command=command, folder=str(folder)))
        io = MemoryIO(TextEvent("go"))
        runner = Runner([io, behaviour], RunOptions(drain=1.0, state_dir=folder / "state"))
        task = asyncio.create_task(runner.run())
        await until((folder / "pid").exists)
        begun = time.monotonic()
        runner.stop()
        await task
        assert time.monotonic() - begun < 4

    asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


class WriteAsAnother(LimpetAction):
    """Writes to the file of the event as another program would."""

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Any
    ) -> AsyncIterator[OutputEvent | None]:
        with open(event.path, "a") as file:  # type: ignore[attr-defined]
            file.write("x")
        return
        yield


def looping(directory: Path, **more: Any) -> list[Any]:
    """Return a bot that answers each event of a file by a write to that file."""
    answer = Behaviour(name="answer", **more)
    answer.add(FileSystemTrigger(target="never"))
    answer.add(WriteAsAnother())
    return [FileSystem(input_path=str(directory)), answer]


def are_watched(runner: Runner) -> bool:
    """Whether each input has its watch."""
    watches = runner.status().watches
    return bool(watches) and all(one.backend for one in watches)


async def run_looping(bot: list[Any], directory: Path, until_it: Callable[[Stats], bool]) -> Stats:
    runner = Runner(bot, RunOptions(drain=0))
    task = asyncio.create_task(runner.run())
    await runner.ready.wait()
    await until(lambda: are_watched(runner))
    put(directory / "a")
    await until(lambda: until_it(runner.stats))
    runner.stop()
    return await task


def test_a_loop_is_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the names of the behaviour and of the path, once."""
    asyncio.run(run_looping(looping(folder), folder, lambda stats: stats.acted > 70))
    said = [one.getMessage() for one in caplog.records if "it is a loop" in one.getMessage()]
    assert len(said) == 1
    assert f"behaviour answer acted on 61 events of {folder / 'a'} within a minute" in said[0]


def test_a_loop_is_paused_if_asked(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the names of both; it acts no more than that in a minute, and a stop ends the pause."""
    bot = looping(folder, loop_limit=5)
    stats = asyncio.run(run_looping(bot, folder, lambda stats: stats.pauses == 1))
    assert (stats.acted, stats.loops) == (5, 0)
    (said,) = [one.getMessage() for one in caplog.records if "loop_limit" in one.getMessage()]
    assert "behaviour answer pauses for 60 s" in said
    assert str(folder / "a") in said


def test_a_dry_run_stays_dry_over_a_reload(folder: Path) -> None:
    """A reload may be asked for from anywhere, such as the handler of a signal."""
    directory = folder / "in"
    directory.mkdir()

    def bot() -> list[Any]:
        io = FileSystem(input_path=str(directory), output_path=str(folder / "out"))
        action = CreateFileAction(name="{{ rel }}.copy", content="text")
        return [io, behaviour(action, trigger=FileSystemTrigger(target="never"))]

    async def main() -> None:
        runner = Runner(bot(), RunOptions(dry_run=True))
        elsewhere = contextvars.copy_context()
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        await asyncio.get_running_loop().create_task(runner.reload(bot()), context=elsewhere)
        await until(lambda: are_watched(runner))
        put(directory / "a")
        await until(lambda: runner.stats.acted)
        await until(lambda: runner.is_idle)
        runner.stop()
        await task

    asyncio.run(main())
    assert not (folder / "out").exists()


def test_a_bot_that_has_lost_a_part_is_not_alive() -> None:
    """systemd gets no keep-alive then; before the start and after the end it is not asked."""

    async def main() -> None:
        runner = Runner([behaviour(text_of, name="b")])
        assert runner.is_alive
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        assert runner.is_alive
        (worker,) = runner._dispatcher._workers.values()
        loops = set(worker.loops)
        worker.loops.clear()
        assert not runner.is_alive
        worker.loops |= loops
        runner.stop()
        await task
        assert runner.is_alive

    asyncio.run(main())


# -- swapping a changed bot in ---------------------------------------------------------------------


def test_a_reload_loses_and_doubles_nothing(folder: Path) -> None:
    """An input that stays delivers all the time, and one behaviour changes at each reload."""
    directory = folder / "in"
    directory.mkdir()
    log: list[tuple[str, str]] = []

    def bot(version: str) -> list[Any]:
        io = FileSystem(uid="io", input_path=str(directory), exclude=f"no{version}")

        async def work(event: Any) -> None:
            await asyncio.sleep(0.001)
            log.append((version, event.path.name))

        return [io, behaviour(work, name="b", concurrency=3)]

    async def main() -> None:
        runner = Runner(bot("0"), RunOptions(drain=5))
        task = asyncio.create_task(runner.run())
        await until(lambda: are_watched(runner) and runner.ready.is_set())
        names = [f"f{number}" for number in range(300)]

        async def feed() -> None:
            for name in names:
                put(directory / name)
                await asyncio.sleep(0.002)

        feeding = asyncio.create_task(feed())
        version = 0
        while not feeding.done():
            version += 1
            await runner.reload(bot(str(version)))
            before = len(log)
            await until(lambda: len(log) > before or feeding.done())  # noqa: B023 (at once)
        await until(lambda: len(log) >= 300, f"{len(log)}")
        runner.stop()
        await task
        assert sorted(name for _, name in log) == sorted(names)
        assert len({one for one, _ in log}) > 1

    asyncio.run(main())


def test_a_wrong_reload_changes_nothing() -> None:
    """The old bot goes on, and the caller gets the error."""

    async def main() -> None:
        io = MemoryIO()
        runner = Runner([io, behaviour(text_of)])
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        with pytest.raises(UsageError):
            await runner.reload([5])
        assert io.input.queue is not None
        await io.input.queue.put(TextEvent("still"))
        await until(lambda: io.output.got == ["still"])
        runner.stop()
        await task

    asyncio.run(main())


def test_components_that_go_are_ended_and_new_ones_are_started() -> None:
    """For third-party IOConfigs."""

    async def main() -> None:
        async def forever() -> None:
            await asyncio.sleep(3600)

        old, new = MemoryIO(then=forever), MemoryIO(TextEvent("new"))
        runner = Runner([old, behaviour(text_of, name="b")], RunOptions(drain=0.01))
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        await runner.reload([new, behaviour(text_of, name="b")])
        await until(lambda: new.output.got == ["new"])
        assert runner.supervisor.inputs == [new.input]
        runner.stop()
        await task

    asyncio.run(main())


# -- health ----------------------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_metrics_on_loopback() -> None:
    """200 while all is well, 503 while an input is down; metrics in Prometheus' format."""

    async def main() -> None:
        async def die() -> None:
            if io.input.runs == 1:
                await asyncio.Event().wait()

        io = MemoryIO(TextEvent("a"), then=die)
        runner = Runner([io, behaviour(text_of, name='"odd"\n')], RunOptions(listen="127.0.0.1:0"))
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        await until(lambda: io.output.got == ["a"])
        assert runner.listening is not None
        port = runner.listening.port
        status, body = await asyncio.to_thread(get, port, "/health")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        status, body = await asyncio.to_thread(get, port, "/metrics")
        assert "limpet_events_total 1.0\n" in body
        assert 'limpet_behaviour_queue_depth{behaviour="\\"odd\\"\\n"' in body
        for line in body.splitlines():
            assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2
        assert (await asyncio.to_thread(get, port, "/other"))[0] == 404
        runner.supervisor.down["ListInput"] = "ConnectionError: gone"
        status, body = await asyncio.to_thread(get, port, "/health")
        assert (status, json.loads(body)["failures"]) == (
            503,
            {"ListInput": "ConnectionError: gone"},
        )
        runner.stop()
        await task
        with pytest.raises(OSError, match=r"(?i)connect"):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(main())


def test_the_status_counts_what_waits_in_every_queue() -> None:
    """That of the dispatcher, and those of the behaviours, which may share a name."""

    async def main() -> None:
        gate = asyncio.Event()
        io = MemoryIO(*(TextEvent(str(number)) for number in range(20)))
        bots = [behaviour(lambda _: gate.wait(), name="slow", concurrency=2) for _ in "ab"]
        runner = Runner([io, *bots, behaviour(text_of, name="fast")], RunOptions(until_done=True))
        task = asyncio.create_task(runner.run())
        await until(lambda: len(io.output.got) == 20)
        status = runner.status()
        assert [(one.name, one.queue_depth, one.active) for one in status.behaviours] == [
            ("slow", 19, 1), ("slow", 19, 1), ("fast", 0, 0),
        ]  # fmt: skip
        assert [one.done for one in status.behaviours] == [0, 0, 20]
        await until(lambda: runner.status().behaviours[0].oldest_s > 0)
        gate.set()
        await task
        status = runner.status()
        assert [one.done for one in status.behaviours] == [20, 20, 20]
        assert all(one.slowest_s > 0 and one.oldest_s == 0 for one in status.behaviours)
        assert (status.events, status.queued, status.state) == (20, 0, "stopped")

    asyncio.run(main())


def test_a_reload_while_the_bot_starts_waits_and_one_while_it_stops_is_refused() -> None:
    """It is not said that something was reloaded which was not."""

    async def main() -> None:
        runner = Runner([MemoryIO(), behaviour(text_of, name="b")])
        task = asyncio.create_task(runner.run())
        await runner.reload([MemoryIO(), behaviour(text_of, name="b")])
        assert runner.stats.reloads == 1
        runner.stop()
        with pytest.raises(UsageError, match="the bot is stopping"):
            await runner.reload([MemoryIO()])
        await task

    asyncio.run(main())


def test_case_d19_a_watch_that_sees_less_is_degraded(folder: Path) -> None:
    """D19: health reports it, with the remedy from the watch."""
    from limpet import Degraded, Recovered

    async def main() -> None:
        io = FileSystem(name="in", input_path=str(folder))
        runner = Runner([io, behaviour(lambda _: None)])
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        one: Any = io.get_inputs()[0]
        where: Any = {"location": folder, "time": 1.0, "seq": 1, "path": folder / "d"}
        one._waiting.append(Degraded(**where, reason="limit", message="raise the sysctl"))
        put(folder / "x")
        await until(lambda: runner.status().health == "degraded")
        (watch,) = runner.status().watches
        assert watch.degraded == {str(folder / "d"): "raise the sysctl"}
        (problem,) = runner.status().problems
        assert (problem.where, problem.reason) == (str(folder / "d"), "raise the sysctl")
        one._waiting.append(Recovered(**where))
        put(folder / "y")
        await until(lambda: runner.status().health == "ok")
        runner.stop()
        await task

    asyncio.run(main())


def test_classes_are_named_as_users_name_them() -> None:
    """By their public names, in a trigger as in a file."""
    assert ClassTrigger(event_class="limpet.bot.FileCreatedInputEvent").matches(created())
    assert LimpetAction.__module__.startswith("limpet.bot.")
