"""Whatever a component raises, and wherever: one dead letter, and all others are processed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mewbot.api import v1
from mewbot.core import InputEvent, OutputEvent

from limpet.bot import AllEventsTrigger, Behaviour, Runner, RunOptions
from limpet.bot.compat._mewbot_failures import contained_steps
from limpet.bot.events._action_result import Outcome
from limpet.errors import UsageError
from tests.bot.test_runner import (
    FAST,
    CallAction,
    ListInput,
    MemoryIO,
    ReplyOutput,
    TextEvent,
    behaviour,
    dead_letters,
    done,
    text_of,
)
from tests.waiting import until


class MuteError(Exception):
    """Neither its text nor its repr can be made, nor can it be asked whether it is transient."""

    def __str__(self) -> str:
        raise KeyError(1)

    __repr__ = __str__

    @property
    def transient(self) -> bool:
        raise KeyError(2)


class ExitingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


async def cancelled() -> None:
    inner = asyncio.ensure_future(asyncio.sleep(100))
    inner.cancel()
    await inner


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def exits_in_a_thread() -> None:
    await asyncio.to_thread(raising(SystemExit(4)))


KINDS: dict[str, Callable[[], Any]] = {
    "cancelled-inside": cancelled,
    "cancelled": raising(asyncio.CancelledError()),
    "mute": raising(MuteError()),
    "exiting": raising(ExitingError()),
    "exit": raising(SystemExit(5)),
    "interrupt": raising(KeyboardInterrupt()),
    "generator-exit": raising(GeneratorExit()),
    "stop": raising(StopIteration()),
    "stop-async": raising(StopAsyncIteration()),
    "group": raising(BaseExceptionGroup("all", [SystemExit(6), ValueError("x")])),
    "memory": raising(MemoryError()),
    "exit-in-a-thread": exits_in_a_thread,
}


async def call(what: Callable[[], Any]) -> None:
    found = what()
    if asyncio.iscoroutine(found):
        await found


def bad_action(what: Callable[[], Any]) -> Any:
    async def act(event: Any) -> str:
        if event.text == "bad":
            await call(what)
        return text_of(event)

    return behaviour(act, name="b")


def bad_trigger(what: Callable[[], Any]) -> Any:
    class Bad(AllEventsTrigger):
        def matches(self, event: InputEvent) -> bool:
            if text_of(event) == "bad":
                what()
            return True

    return behaviour(text_of, trigger=Bad(), name="b")


def bad_condition(what: Callable[[], Any], *, waits: bool = False) -> Any:
    class Bad(v1.Condition):
        @staticmethod
        def consumes_inputs() -> set[type[InputEvent]]:
            return {InputEvent}

        def allows(self, event: InputEvent) -> bool:
            if text_of(event) == "bad":
                what()
            return True

    Bad.waits = waits  # type: ignore[attr-defined]
    made = behaviour(text_of, name="b")
    made.add(Bad())
    return made


def bad_process(what: Callable[[], Any]) -> Any:
    class Whole:
        name = "b"

        def add(self, component: object) -> None:
            raise NotImplementedError

        def consumes_inputs(self) -> set[type[InputEvent]]:
            return {TextEvent}

        async def process(self, event: TextEvent) -> AsyncIterator[OutputEvent]:
            if event.text == "bad":
                await call(what)
            yield ReplyOutput(event.text)

    return Whole()


PLACES: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "action": bad_action,
    "process": bad_process,
    "trigger": bad_trigger,
    "condition": bad_condition,
    "condition-that-waits": lambda what: bad_condition(what, waits=True),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_raised_is_the_failure_of_one_event(
    tmp_path: Path, kind: str, place: str
) -> None:
    """A dead letter with the class of the error; the events before and after it are processed."""
    what = KINDS[kind]
    if asyncio.iscoroutinefunction(what) and place not in {"action", "process"}:
        pytest.skip("it is not asynchronous")
    io = MemoryIO(TextEvent("a"), TextEvent("bad"), TextEvent("b"))
    stats = done(io, PLACES[place](what), state_dir=tmp_path)
    assert io.output.got == ["a", "b"]
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["event"]["v"]["text"] == "bad"
    assert dead_letter["error"]["message"]
    assert (stats.failed, stats.done, stats.lost, stats.worker_restarts) == (1, 2, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_that_raises_anything_fails_that_output_alone(tmp_path: Path, kind: str) -> None:
    """The dead letter has the output event."""
    one = MemoryIO(TextEvent("a"), TextEvent("bad"), TextEvent("b"))

    async def output(event: OutputEvent) -> bool:
        assert isinstance(event, ReplyOutput)
        if event.text == "bad":
            await call(KINDS[kind])
        one.output.got.append(event.text)
        return True

    one.output.output = output  # type: ignore[method-assign]  # a fake
    done(one, behaviour(text_of, name="b"), state_dir=tmp_path)
    assert one.output.got == ["a", "b"]
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["output"]["v"]["text"] == "bad"


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_raises_anything_is_started_again(kind: str) -> None:
    """It has not ended, and is in the failures until it runs."""

    async def main() -> None:
        async def die() -> None:
            if io.input.runs < 3:
                io.input.events.append(TextEvent(str(io.input.runs)))
                await call(KINDS[kind])

        io = MemoryIO(then=die)
        runner = Runner([io, behaviour(text_of)], RunOptions(until_done=True))
        runner.supervisor._first = 0.001
        stats = await runner.run()
        assert (io.output.got, stats.restarts) == (["1", "2"], 2)

    asyncio.run(main())


@dataclasses.dataclass(init=False, repr=False)
class OddEvent(InputEvent):
    """Everything about it fails, but its class."""

    text: str

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    @property
    def path(self) -> str:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_event_that_cannot_even_be_read_stops_nobody(tmp_path: Path, concurrency: int) -> None:
    """Not the dispatcher, which wants its path; and its dead letter is written all the same."""
    odd = OddEvent.__new__(OddEvent)
    io = MemoryIO(TextEvent("a"), odd, TextEvent("b"))
    stats = done(io, behaviour(text_of, name="b", concurrency=concurrency), state_dir=tmp_path)
    assert sorted(io.output.got) == ["a", "b"]
    (dead_letter,) = dead_letters(tmp_path)
    assert dead_letter["about"] == {"type": "OddEvent"}
    assert stats.lost == 0


def test_a_dead_worker_and_a_dead_dispatcher_are_reported_and_started_again() -> None:
    """Somebody has cancelled them; the event in hand gets another try, and no event is lost."""

    async def main() -> None:
        io = MemoryIO(*(TextEvent(str(number)) for number in range(6)))
        tries: list[str] = []

        async def act(event: Any) -> str:
            tries.append(event.text)
            if event.text == "2" and tries.count("2") == 1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return text_of(event)

        runner = Runner([io, behaviour(act, name="b")], RunOptions(backoff=0.001))
        dispatcher = runner._dispatcher
        (worker,) = dispatcher._workers.values()
        worker._backoff, dispatcher._backoff = (type(worker._backoff)(0.05, 1) for _ in "12")
        task = asyncio.create_task(runner.run())
        await until(lambda: worker.down)
        status = runner.status()
        assert status.health == "failing"
        assert [one.where for one in status.problems] == ["behaviour b"]
        assert status.behaviours[0].failure
        await until(lambda: len(io.output.got) == 6)
        assert io.output.got == ["0", "1", "2", "3", "4", "5"]
        assert runner.status().health == "ok"
        for one in asyncio.all_tasks():
            if one.get_name() in {"dispatch", "behaviour b"}:
                one.cancel()
        await until(lambda: len(runner.failures) == 2)
        assert io.input.queue is not None
        await io.input.queue.put(TextEvent("6"))
        await until(lambda: io.output.got[-1] == "6")
        assert runner.status().health == "ok"
        runner.stop()
        assert (await task).worker_restarts == 3

    asyncio.run(main())


def test_an_event_that_always_ends_its_worker_is_given_up(tmp_path: Path) -> None:
    """After as many tries as any other."""

    async def main() -> None:
        io = MemoryIO(TextEvent("bad"), TextEvent("good"))

        async def act(event: Any) -> str:
            if event.text == "bad":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return text_of(event)

        options = RunOptions(state_dir=tmp_path, until_done=True, **FAST)  # type: ignore[arg-type]
        runner = Runner([io, behaviour(act, name="b")], options)
        (worker,) = runner._dispatcher._workers.values()
        worker._backoff = type(worker._backoff)(0.001, 0.001)
        await runner.run()
        assert io.output.got == ["good"]
        (dead_letter,) = dead_letters(tmp_path)
        assert (dead_letter["error"]["type"], dead_letter["attempts"]) == ("WorkerEndedError", 3)

    asyncio.run(main())


def test_an_action_that_swallows_its_cancellation_begins_no_further_step(tmp_path: Path) -> None:
    """What is stored at a stop is not done beside it."""

    async def main() -> None:
        began: list[str] = []

        async def deaf(event: Any) -> None:
            began.append("first")
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                began.append("swallowed")

        bot = behaviour(deaf, lambda _: began.append("second"), name="b")
        io = MemoryIO(TextEvent("a"), TextEvent("b"))
        runner = Runner([io, bot], RunOptions(state_dir=tmp_path, drain=0))
        task = asyncio.create_task(runner.run())
        await until(lambda: began and runner.stats.events == 2)
        runner.stop()
        stats = await task
        assert began == ["first", "swallowed"]
        kept = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
        assert [one["event"]["v"]["text"] for one in kept] == ["a", "b"]
        assert kept[0]["progress"]["step"] == 2
        assert (stats.kept, stats.lost) == (2, 0)

    asyncio.run(main())


@pytest.mark.parametrize("made", [ValueError, None], ids=["another-error", "a-group"])
def test_what_an_action_makes_of_its_interruption_is_no_failure(
    tmp_path: Path, made: type[Exception] | None
) -> None:
    """It is stored for the next start, and not given up."""

    async def main() -> None:
        async def act(event: Any) -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                if made is None:
                    message = "interrupted"
                    raise BaseExceptionGroup(message, [error]) from None
                raise made from error

        options = RunOptions(state_dir=tmp_path, drain=0, attempts=1)
        runner = Runner([MemoryIO(TextEvent("a")), behaviour(act, name="b")], options)
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.acted == 1)
        runner.stop()
        stats = await task
        assert (stats.kept, stats.failed) == (1, 0)

    asyncio.run(main())


def test_a_component_that_does_not_close_does_not_hold_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is named, and the others are closed."""
    closed: list[str] = []

    class Closing(CallAction):
        def __init__(self, what: Callable[[], Any]) -> None:
            super().__init__(text_of)
            self._closing = what

        async def aclose(self) -> None:
            await call(self._closing)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        bot = behaviour(
            Closing(hang), Closing(raising(SystemExit())), Closing(lambda: closed.append("good"))
        )
        dispatcher = Runner([MemoryIO(), bot])._dispatcher
        await dispatcher.close(timeout=0.05)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert closed == ["good"]
    assert "Closing did not close within 0.05 s" in caplog.text


def test_an_input_that_cannot_be_bound_is_a_failing_input() -> None:
    """Not the end of the bot."""

    class Unbound(ListInput):
        def bind(self, queue: Any) -> None:
            if not self.runs:
                self.runs += 1
                raise SystemExit
            super().bind(queue)

    async def main() -> None:
        io = MemoryIO()
        io.input = Unbound([TextEvent("a")])
        runner = Runner([io, behaviour(text_of)], RunOptions(until_done=True))
        runner.supervisor._first = 0.001
        await runner.run()
        assert io.output.got == ["a"]

    asyncio.run(main())


def test_a_reload_that_fails_anywhere_leaves_the_old_bot_running() -> None:
    """Also where a new component fails only when it is asked for its parts."""

    class Broken(MemoryIO):
        def get_inputs(self) -> Any:
            raise ZeroDivisionError

    class Classless(Behaviour):
        def consumes_inputs(self) -> Any:
            return None

    async def main() -> None:
        io = MemoryIO()
        runner = Runner([io, behaviour(text_of, name="b")])
        task = asyncio.create_task(runner.run())
        await runner.ready.wait()
        for wrong in ([Broken()], [MemoryIO(), Classless()]):
            with pytest.raises(UsageError, match=r"failed: Zero|must return a set"):
                await runner.reload(wrong)
        assert runner.state == "running"
        assert io.input.queue is not None
        await io.input.queue.put(TextEvent("still"))
        await until(lambda: io.output.got == ["still"])
        runner.stop()
        await task

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_under_mewbots_runner_it_is_noted_and_logged(kind: str) -> None:
    """There it would end the bot; the later actions do nothing."""

    async def main() -> None:
        async def steps() -> AsyncIterator[None]:
            yield None
            await call(KINDS[kind])

        outcome = Outcome()
        found = contained_steps(steps(), "Odd", TextEvent("a"), outcome)
        assert [one async for one in found] == [None]
        assert outcome.error is not None

    asyncio.run(main())


def test_a_generator_that_is_closed_early_has_not_failed() -> None:
    """Whoever iterates over the steps may end that."""

    async def main() -> None:
        async def steps() -> AsyncIterator[None]:
            yield None

        outcome = Outcome()
        found: Any = contained_steps(steps(), "Odd", TextEvent("a"), outcome)
        await anext(found)
        await found.aclose()
        assert outcome.error is None

    asyncio.run(main())
