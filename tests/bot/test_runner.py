"""The runner, promise by promise; ``test_model.py`` has them all at once under random failures."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import re
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
    Runner,
    RunOptions,
    run,
)
from limpet.bot.events._event_codec import CodecError, decode, encode, public_name
from limpet.bot.io._event_queue import EventQueue, StoppedError
from limpet.bot.runner._metrics import health_of, metrics_of
from limpet.errors import UsageError
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
    """Puts what it is given, then waits for ever, or does what ``then`` does."""

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
    """A third party's action: calls what it is given, and replies with what that gives."""

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
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# -- what goes where -------------------------------------------------------------------------------


def test_each_behaviour_and_each_output_once_in_the_order_of_the_file() -> None:
    """Also where classes and their bases are asked for together."""
    line = MemoryIO(TextEvent("a"), SpecialTextEvent("b"))
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
    stats = done(line, one, two, off)
    assert sorted(seen) == ["1a", "1b", "2a", "2b"]
    assert sorted(line.output.got) == ["1a", "1b", "2a", "2b"]
    assert [text for text in seen if text[0] == "1"] == ["1a", "1b"]
    assert (stats.events, stats.acted, stats.outputs) == (2, 4, 4)


def test_it_runs_inside_a_running_loop_and_in_any_thread() -> None:
    """mewbot's own can neither."""
    line = MemoryIO(TextEvent("a"))

    async def main() -> None:
        await asyncio.gather(run([line, behaviour(text_of)], until_done=True))

    import threading

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(30)
    assert line.output.got == ["a"]


def test_mewbots_own_bot_is_taken() -> None:
    """As it was put together."""
    from mewbot.bot import Bot

    line, bot = MemoryIO(TextEvent("a")), Bot("name")
    bot.add_io_config(line)
    bot.add_behaviour(behaviour(text_of))
    asyncio.run(run(bot, until_done=True))
    assert line.output.got == ["a"]


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
    """Others overtake them only where more than one may be worked on at once."""
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


def test_a_rename_waits_for_both_its_names_and_a_folder_for_all() -> None:
    """And what comes after waits for them."""
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
        line = MemoryIO(*(TextEvent(str(number)) for number in range(100)))
        bot = [line, behaviour(lambda _: gate.wait())]
        runner = Runner(bot, RunOptions(queue=5, behaviour_queue=3, until_done=True))
        task = asyncio.create_task(runner.run())
        await until(lambda: len(line.input.events) <= 91)
        for _ in range(50):
            await asyncio.sleep(0)
        # One is worked on, three wait for it, one is in the dispatcher's hand, five are queued.
        assert len(line.input.events) >= 100 - 11
        gate.set()
        stats = await task
        assert stats.acted == 100

    asyncio.run(main())


def test_put_nowait_may_go_over_the_bound_for_a_while() -> None:
    """Components that cannot wait; then it is full, as asyncio says it."""

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
    """As long as its lane has room."""

    async def main() -> None:
        gate = asyncio.Event()
        line = MemoryIO(*(TextEvent(str(number)) for number in range(20)))
        slow, fast = behaviour(lambda _: gate.wait()), behaviour(text_of)
        runner = Runner([line, slow, fast], RunOptions(until_done=True))
        task = asyncio.create_task(runner.run())
        await until(lambda: len(line.output.got) == 20)
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
    """A day's events in short: nothing of an event is left behind."""
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

    line = ManyIO()
    line.output.got = []

    async def forget(event: OutputEvent) -> bool:
        return True

    line.output.output = forget  # type: ignore[method-assign]  # a fake
    tracemalloc.start()
    try:
        stats = done(line, behaviour(text_of), behaviour(text_of, concurrency=3), queue=100)
    finally:
        tracemalloc.stop()
    assert (stats.events, stats.outputs) == (count, 2 * count)
    assert taken[1] - taken[0] < 300_000, taken


# -- failures --------------------------------------------------------------------------------------


def test_case_d20_tries_with_waits_then_a_dead_letter_and_the_others_go_on(tmp_path: Path) -> None:
    """D20: and a step that went well is not done again."""
    calls: list[str] = []
    line = MemoryIO(TextEvent("good"), TextEvent("bad"), TextEvent("good"))

    def first(event: Any) -> None:
        calls.append("first")

    def second(event: Any) -> str:
        calls.append(event.text)
        if event.text == "bad":
            message = "x" * 5000
            raise OSError(message)
        return text_of(event)

    stats = done(line, behaviour(first, second, name="b"), state_dir=tmp_path)
    assert calls.count("bad") == 3
    assert calls.count("first") == 3
    assert line.output.got == ["good", "good"]
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["behaviour"] == {"id": "name:b", "name": "b"}
    assert dead_letter["attempts"] == 3
    assert dead_letter["step"].startswith("action 2")
    assert len(dead_letter["error"]["message"]) <= 2000
    assert decode(dead_letter["event"]) == TextEvent("bad")
    assert (stats.failed, stats.retries) == (1, 2)


def test_an_output_that_fails_is_tried_again_and_others_get_it_all_the_same(tmp_path: Path) -> None:
    """False counts as a failure, which mewbot does not even log."""
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
    """A name that is taken, a field that is not there: one try."""
    folder = tmp_path / "out"
    line = MemoryIO(TextEvent("a"), TextEvent("a"))
    io = FileSystem(output_path=str(folder))
    bot = behaviour(CreateFileAction(name="{event.text}", content="x"), name="b")
    lost = behaviour(CreateFileAction(name="{event.nothing}", content="x"), name="c")
    stats = done(line, io, bot, lost, state_dir=tmp_path)
    assert stats.retries == 0
    assert sorted(one["error"]["type"] for one in dead_letters(tmp_path)) == [
        "ExistsError", "MissingFieldError", "MissingFieldError",
    ]  # fmt: skip


@pytest.mark.parametrize("io", [None, "elsewhere"])
def test_what_no_file_system_takes_is_a_failure(tmp_path: Path, io: str | None) -> None:
    """Nothing is dropped in silence."""
    action = CreateFileAction(name="x", content="x")
    action.io = io
    done(MemoryIO(TextEvent("a")), FileSystem(name="one"), behaviour(action), state_dir=tmp_path)
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["error"]["type"] == "NotMeantError"


def test_an_input_that_dies_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """Loudly; and one that has ended is left alone."""

    async def main() -> None:
        async def die() -> None:
            if line.input.runs < 3:
                line.input.events.append(TextEvent(str(line.input.runs)))
                message = "gone"
                raise ConnectionError(message)

        line = MemoryIO(then=die)
        runner = Runner([line, behaviour(text_of)], RunOptions(until_done=True))
        runner.supervisor._first = 0.001
        stats = await runner.run()
        assert line.input.runs == 3
        assert line.output.got == ["1", "2"]
        assert stats.restarts == 2

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the input ListInput failed" in caplog.text


def test_a_third_partys_failure_in_a_trigger_is_a_failure_of_that_event_alone() -> None:
    """In mewbot's own runner it ends the bot."""

    class Bad(AllEventsTrigger):
        def matches(self, event: InputEvent) -> bool:
            if text_of(event) == "bad":
                message = "no"
                raise ValueError(message)
            return True

    line = MemoryIO(TextEvent("bad"), TextEvent("good"))
    stats = done(line, behaviour(text_of, trigger=Bad()))
    assert line.output.got == ["good"]
    assert stats.failed == 1


# -- stopping --------------------------------------------------------------------------------------


def test_case_d17_what_is_queued_is_done_or_kept(tmp_path: Path) -> None:
    """D17: a stop does what it can within the deadline; the rest is done at the next start."""

    async def main() -> None:
        line = MemoryIO(*(TextEvent(str(number)) for number in range(1000)))

        async def slowly(event: Any) -> str:
            await asyncio.sleep(0.001)
            return text_of(event)

        options = RunOptions(state_dir=tmp_path, drain=0.2, queue=2000, behaviour_queue=10)
        runner = Runner([line, behaviour(slowly, name="b")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: not line.input.events and len(line.output.got) > 5)
        runner.stop()
        await task
        first = list(line.output.got)
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
    """Also what hangs; and what hung is kept."""

    async def main() -> None:
        line = MemoryIO(TextEvent("a"), TextEvent("b"))
        started = asyncio.Event()

        async def hang(event: Any) -> None:
            started.set()
            await asyncio.sleep(3600)

        options = RunOptions(state_dir=tmp_path, drain=3600)
        runner = Runner([line, behaviour(hang, name="b")], options)
        task = asyncio.create_task(runner.run())
        await started.wait()
        runner.stop()
        await asyncio.sleep(0)
        runner.stop()
        async with asyncio.timeout(20):
            await task
        assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 2

    asyncio.run(main())


def test_a_journal_for_a_behaviour_that_is_gone_becomes_dead_letters(tmp_path: Path) -> None:
    """Nothing is thrown away because a file was edited."""

    async def main() -> None:
        async def hang(event: Any) -> None:
            await asyncio.sleep(3600)

        options = RunOptions(state_dir=tmp_path, drain=0)
        line = MemoryIO(TextEvent("a"))
        runner = Runner([line, behaviour(hang, name="old")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.acted == 1)
        runner.stop()
        await task

    asyncio.run(main())
    done(MemoryIO(), behaviour(text_of, name="new"), state_dir=tmp_path)
    assert [one["behaviour"]["id"] for one in dead_letters(tmp_path)] == ["name:old"]
    assert not (tmp_path / "journal.jsonl").exists()


def test_two_bots_do_not_share_a_state_folder(tmp_path: Path) -> None:
    """The second is refused."""

    async def main() -> None:
        runner = Runner([MemoryIO()], RunOptions(state_dir=tmp_path))
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        with pytest.raises(UsageError, match="another bot runs") as refused:
            await run([MemoryIO()], state_dir=tmp_path, until_done=True)
        assert refused.value.code == "state-in-use"
        runner.stop()
        await task

    asyncio.run(main())


def test_events_survive_the_journal_or_are_refused() -> None:
    """Bytes, paths, odd names, nested values; what has no form is said, not guessed."""
    event = TextEvent(
        "\udce9", {"path": Path("/x/\udcff"), "bytes": b"\xff", "set": frozenset({1, 2})}
    )
    line = json.dumps(encode(event), allow_nan=False)
    line.encode("utf-8")
    assert decode(json.loads(line)) == event
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


def test_what_is_stored_names_no_private_module() -> None:
    """A journal and a dead letter outlive the version that wrote them, and its private modules."""
    components = [one for one in vars(limpet.bot).get("__all__", ()) if one.endswith("Event")]
    assert len(components) > 20
    for event in (created("a"), renamed("a", "b")):
        text = json.dumps(encode(event))
        named = re.findall(r'"c": "([^"]+):', text)
        assert named
        assert not [one for one in named if any(p.startswith("_") for p in one.split("."))], text
    for name in components:
        assert public_name(getattr(limpet.bot, name)) == f"limpet.bot:{name}"


# -- files in, files out ---------------------------------------------------------------------------


def test_o5_a_bot_that_answers_into_the_same_folder_does_not_loop(folder: Path) -> None:
    """O5, D9: one outside change, one answer."""

    async def main() -> None:
        io = FileSystem(name="here", input_path=str(folder), output_path=str(folder))
        answer = behaviour(
            CreateFileAction(name="answer to {name}", content="x", if_exists="overwrite"),
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


def test_failures_are_put_away_and_the_source_is_never_deleted(folder: Path) -> None:
    """D20: to done or failed, with a dead letter for each of the failed."""
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
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*/*") if p.is_file())
    assert found == ["done/good", "failed/bad", "state/dead-letters.jsonl", "state/lock"]


def test_state_is_committed_only_for_what_was_done(folder: Path) -> None:
    """What was queued at a stop without a state folder is told again; what was done is not."""
    place = folder / "in"
    place.mkdir()
    processed: list[str] = []

    def seen_by(runner: Runner, count: int) -> bool:
        return runner.stats.events >= count

    async def one(*, hang: bool) -> None:
        gate = asyncio.Event()

        async def work(event: Any) -> None:
            if hang and event.path.name == "b":
                await gate.wait()
            processed.append(event.path.name)

        io = FileSystem(input_path=str(place), state=str(folder / "state.json"))
        runner = Runner([io, behaviour(work)], RunOptions(drain=0.05))
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        if hang:
            for count, name in enumerate("abc", 1):
                put(place / name)
                await until(partial(seen_by, runner, count))
            await until(lambda: processed == ["a"])
        else:
            put(place / "d")
            await until(lambda: "d" in processed)
        runner.stop()
        await task

    asyncio.run(one(hang=True))
    assert processed == ["a"]
    asyncio.run(one(hang=False))
    assert sorted(processed) == ["a", "b", "c", "d"]


def test_with_a_state_file_and_a_journal_each_event_comes_once(folder: Path) -> None:
    """What the journal has the state file does not; twice over, and in order."""
    place = folder / "in"
    place.mkdir()
    processed: list[str] = []

    async def one(*, hang: bool) -> None:
        gate = asyncio.Event()

        async def work(event: Any) -> None:
            if hang and event.path.name != "f0":
                await gate.wait()
            processed.append(event.path.name)

        io = FileSystem(input_path=str(place), state=str(folder / "state.json"))
        options = RunOptions(drain=0.05, state_dir=folder / "keep")
        runner = Runner([io, behaviour(work, name="b")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        if hang and not processed:
            for number in range(20):
                put(place / f"f{number}")
            await until(lambda: runner.stats.events == 20)
        elif not hang:
            put(place / "last")
            await until(lambda: "last" in processed)
        runner.stop()
        await task

    for hang in (True, True, False):
        asyncio.run(one(hang=hang))
    assert sorted(processed) == sorted([*(f"f{number}" for number in range(20)), "last"])


def test_case_d10_records_of_three_behaviours_keep_their_order(folder: Path) -> None:
    """D10: a thousand appends, each source's in its order, none torn."""
    line = MemoryIO(*(TextEvent(f"{number:04d}") for number in range(334)))
    io = FileSystem(output_path=str(folder))
    bots = [
        behaviour(AppendToFileAction(name="log", content=f"{who} {{event.text}}"), name=who)
        for who in ("one", "two", "three")
    ]
    done(line, io, *bots)
    lines = (folder / "log").read_text().splitlines()
    assert len(lines) == 1002
    for who in ("one", "two", "three"):
        mine = [text.split()[1] for text in lines if text.split()[0] == who]
        assert mine == [f"{number:04d}" for number in range(334)]


def test_a_dry_run_writes_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says what it would do; not even a state file or a folder comes to be."""
    place = folder / "in"
    place.mkdir()
    put(place / "a")
    before = sorted(folder.rglob("*"))

    async def main() -> None:
        io = FileSystem(
            input_path=str(place), output_path=str(folder / "out"), existing=True,
            state=str(folder / "state" / "file"),
        )  # fmt: skip
        ran: list[str] = []
        bot = behaviour(
            CreateFileAction(name="{rel}.copy", content="text"),
            lambda event: ran.append("third party"),
            MoveProcessedFileAction(),
            trigger=FileSystemTrigger(target="never"),
        )
        runner = Runner([io, bot], RunOptions(dry_run=True, state_dir=folder / "keep"))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.done >= 2 and runner.is_idle)
        runner.stop()
        await task
        assert ran == []

    with caplog.at_level(logging.INFO, logger="limpet.bot.dry"):
        asyncio.run(main())
    said = [record.getMessage() for record in caplog.records if record.name == "limpet.bot.dry"]
    assert said[0] == "would CreateFile 'a.copy' (4 characters)"
    assert "which is not limpet's" in said[1]
    assert said[2].startswith(f"would move {place / 'a'} to {folder / 'done'}")
    assert sorted(folder.rglob("*")) == before


# -- swapping a changed bot in ---------------------------------------------------------------------


def test_a_reload_loses_and_doubles_nothing(folder: Path) -> None:
    """Events come all the while, of an input that stays, and one behaviour changes each time."""
    place = folder / "in"
    place.mkdir()
    log: list[tuple[str, str]] = []

    def bot(version: str) -> list[Any]:
        io = FileSystem(uid="io", input_path=str(place), exclude=f"no{version}")

        async def work(event: Any) -> None:
            await asyncio.sleep(0.001)
            log.append((version, event.path.name))

        return [io, behaviour(work, name="b", concurrency=3)]

    async def main() -> None:
        runner = Runner(bot("0"), RunOptions(drain=5))
        task = asyncio.create_task(runner.run())
        await until(
            lambda: health_of(runner.snapshot())["inputs"] != {"io": None} and runner.ready.is_set()
        )
        names = [f"f{number}" for number in range(300)]

        async def feed() -> None:
            for name in names:
                put(place / name)
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
    """The old bot goes on, and the caller is told why."""

    async def main() -> None:
        line = MemoryIO()
        runner = Runner([line, behaviour(text_of)])
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        with pytest.raises(UsageError):
            await runner.reload([5])
        assert line.input.queue is not None
        await line.input.queue.put(TextEvent("still"))
        await until(lambda: line.output.got == ["still"])
        runner.stop()
        await task

    asyncio.run(main())


def test_components_that_go_are_ended_and_new_ones_are_started() -> None:
    """Of others' IOConfigs; what a behaviour that goes had left becomes dead letters."""

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
    """200 while all is well, 503 while an input is down; Prometheus' text."""

    async def main() -> None:
        async def die() -> None:
            if line.input.runs == 1:
                await asyncio.Event().wait()

        line = MemoryIO(TextEvent("a"), then=die)
        runner = Runner(
            [line, behaviour(text_of, name='"odd"\n')], RunOptions(listen="127.0.0.1:0")
        )
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        await until(lambda: line.output.got == ["a"])
        assert runner.health is not None
        port = runner.health.port
        status, body = await asyncio.to_thread(get, port, "/health")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        status, body = await asyncio.to_thread(get, port, "/metrics")
        assert "limpet_bot_events_total 1\n" in body
        assert 'limpet_bot_behaviour_queue_depth{behaviour="\\"odd\\"\\n"} 0\n' in body
        for line_of in body.splitlines():
            assert line_of.startswith("#") or len(line_of.rsplit(" ", 1)) == 2
        assert (await asyncio.to_thread(get, port, "/other"))[0] == 404
        runner.supervisor.down["ListInput"] = "ConnectionError: gone"
        status, body = await asyncio.to_thread(get, port, "/health")
        assert (status, json.loads(body)["failures"]) == (
            503,
            {"ListInput": "ConnectionError: gone"},
        )
        runner.stop()
        await task
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(main())


def test_case_d19_a_watch_that_sees_less_is_degraded(folder: Path) -> None:
    """D19: health says so, with what the watch says is to be done."""
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
        await until(lambda: health_of(runner.snapshot())["status"] == "degraded")
        assert health_of(runner.snapshot())["degraded"] == {str(folder / "d"): "raise the sysctl"}
        assert 'limpet_bot_health{status="degraded"} 1' in metrics_of(runner.snapshot())
        one._waiting.append(Recovered(**where))
        put(folder / "y")
        await until(lambda: health_of(runner.snapshot())["status"] == "ok")
        runner.stop()
        await task

    asyncio.run(main())


def test_classes_are_named_as_users_name_them() -> None:
    """The public name of a class of limpet's, in a trigger as in a file."""
    assert ClassTrigger(event_class="limpet.bot.FileCreatedInputEvent").matches(created())
    assert LimpetAction.__module__.startswith("limpet.bot.")
