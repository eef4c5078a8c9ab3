"""The runner's promise under random events, failures and stops: nothing lost, nothing doubled.

Events have paths; components fail at random, in every way that Python has, some of them for good;
the bot is stopped at random moments, with more or less patience, and started again with the same
state directory. A model knows what must have happened when the last run has ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from mewbot.api import v1
from mewbot.core import InputEvent, OutputEvent

from limpet.bot import AllEventsTrigger, Behaviour, LimpetAction, Runner, RunOptions
from limpet.bot.settings._setting import Setting

SEEDS = range(400) if os.environ.get("LIMPET_PROFILE") == "soak" else range(24)


@dataclasses.dataclass
class NumberEvent(InputEvent):
    path: str
    number: int


@dataclasses.dataclass
class NumberOutput(OutputEvent):
    behaviour: str
    path: str
    number: int


class World:
    """The environment of the bot, which stays when the bot is stopped."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.total = self.random.choice((5, 40, 150))
        self.paths = self.random.choice((1, 3, 40))
        self.fails = self.random.choice((0.0, 0.1, 0.4))
        self.poison = self.random.choice((0.0, 0.05))
        self.slow = self.random.choice((0.0, 0.001, 0.004))
        self.next = 0
        """The event that the input delivers next: it delivers none twice."""
        self.done: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        """Behaviour -> what it did, in order."""
        self.troubles: Counter[object] = Counter()
        self.cursed: set[object] = set()

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    async def pause(self) -> None:
        if self.slow and self.chance(0.5):
            await asyncio.sleep(self.random.random() * self.slow)
        elif self.chance(0.3):
            await asyncio.sleep(0)

    def may_fail(self, key: object) -> None:
        """Fail at random, less often than the runner tries; for a cursed key, always."""
        if key not in self.troubles and self.chance(self.poison):
            self.cursed.add(key)
        if key in self.cursed or (self.troubles[key] < 2 and self.chance(self.fails)):
            self.troubles[key] += 1
            raise self.random.choice(FAILURES)("it went wrong")


WORLD: list[World] = []


class MuteError(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise KeyError(0)


FAILURES = (
    OSError, ValueError, RuntimeError, MuteError, asyncio.CancelledError, SystemExit,
    KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError,
)  # fmt: skip


class Source(v1.Input):
    """Delivers its events in order, and fails at random between two of them."""

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        return {NumberEvent}

    async def run(self) -> None:
        world = WORLD[0]
        assert self.queue is not None
        while world.next < world.total:
            number = world.next
            await self.queue.put(NumberEvent(f"p{number % world.paths}", number))
            world.next = number + 1
            await world.pause()
            if world.chance(0.02):
                raise world.random.choice(FAILURES)("the connection is lost")


class Sink(v1.Output):
    """Fails at random: raises, or returns False."""

    @staticmethod
    def consumes_outputs() -> set[type[OutputEvent]]:
        return {NumberOutput}

    async def output(self, event: OutputEvent) -> bool:
        world = WORLD[0]
        assert isinstance(event, NumberOutput)
        await world.pause()
        try:
            world.may_fail((event.behaviour, event.number, "out"))
        except BaseException:
            if event.number % 2:
                raise
            return False
        world.done[event.behaviour].append((event.path, event.number))
        return True


class WorldIO(v1.IOConfig):
    def __init__(self) -> None:
        self._input, self._output = Source(), Sink()

    def get_inputs(self) -> Iterable[v1.Input]:
        return [self._input]

    def get_outputs(self) -> Iterable[v1.Output]:
        return [self._output]


class WorldAction(LimpetAction):
    """Acts by itself, or requests an output."""

    label: str = Setting("", description="Which behaviour it belongs to.")
    asks: bool = Setting(default=False, description="Whether it requests an output.")

    async def steps(self, event: InputEvent, state: Any, outcome: Any) -> AsyncIterator[Any]:
        world = WORLD[0]
        assert isinstance(event, NumberEvent)
        await world.pause()
        world.may_fail((self.label, event.number))
        if self.asks:
            yield NumberOutput(self.label, event.path, event.number)
        else:
            world.done[self.label].append((event.path, event.number))


class Plain:
    """A behaviour with no more than mewbot's protocol requires."""

    name = "plain"

    def add(self, component: object) -> None:
        raise NotImplementedError

    def consumes_inputs(self) -> set[type[InputEvent]]:
        return {NumberEvent, InputEvent}  # mewbot's own runner would deliver each event twice

    async def process(self, event: InputEvent) -> AsyncIterator[OutputEvent]:
        assert isinstance(event, NumberEvent)
        await WORLD[0].pause()
        yield NumberOutput("plain", event.path, event.number)


def behaviour(name: str, *, concurrency: int = 1, asks: bool = False, actions: int = 1) -> Any:
    made = Behaviour(name=name, concurrency=concurrency)
    made.add(AllEventsTrigger())
    for number in range(actions):
        made.add(WorldAction(label=name if number == 0 else f"{name}{number}", asks=asks))
    return made


def bot() -> list[Any]:
    return [
        WorldIO(),
        behaviour("single", actions=2),
        behaviour("many", concurrency=4),
        behaviour("asking", concurrency=3, asks=True),
        Plain(),
    ]


LABELS = ("single", "single1", "many", "asking", "plain")


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path, seed: int) -> None:
    """At least once, and without a kill exactly once; of one path in order; else a dead letter."""
    world = World(seed)
    WORLD[:] = [world]
    runs = 0

    async def one_run(*, last: bool) -> None:
        options = RunOptions(
            state_dir=tmp_path,
            queue=world.random.choice((1, 10, 1000)),
            behaviour_queue=world.random.choice((1, 5, 100)),
            backoff=0.0001,
            backoff_max=0.001,
            drain=10.0 if last else world.random.choice((0.0, 0.005, 10.0)),
            until_done=last,
        )
        runner = Runner(bot(), options)
        runner.supervisor._first = 0.0005
        task = asyncio.create_task(runner.run())
        if not last:
            await asyncio.sleep(world.random.random() * 0.03)
            how = world.random.choice(("stop", "twice", "cancel"))
            if how == "cancel":
                task.cancel()
            else:
                runner.stop()
                if how == "twice":
                    runner.stop()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    while world.next < world.total and runs < 12:
        asyncio.run(one_run(last=False))
        runs += 1
    asyncio.run(one_run(last=True))

    dead_letters = [
        json.loads(line)
        for path in tmp_path.glob("dead-letters.jsonl")
        for line in path.read_text().splitlines()
    ]
    dead = {(one["behaviour"]["name"], one["event"]["v"]["number"]) for one in dead_letters}
    assert len(dead) == len(dead_letters)
    assert not (tmp_path / "journal.jsonl").exists()
    for label in LABELS:
        did = [number for _, number in world.done[label]]
        assert len(did) == len(set(did)), f"{label} did some twice"
        name = label.rstrip("1")
        missing = set(range(world.total)) - set(did)
        assert missing <= {number for who, number in dead if who == name}, label
        by_path = defaultdict(list)
        for path, number in world.done[label]:
            by_path[path].append(number)
        for path, numbers in by_path.items():
            assert numbers == sorted(numbers), f"{label} {path}"
    for who, number in dead:
        cursed = {(who, number), (f"{who}1", number), (who, number, "out")}
        assert cursed & world.cursed, "given up though another try report_dry_run have helped"
