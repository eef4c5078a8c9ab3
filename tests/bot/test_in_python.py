"""Bots in Python alone: no file, no YAML, no loader; a program starts and stops them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
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
    FileSystem,
    FileSystemTrigger,
    LimpetAction,
    Outcome,
    PrintAction,
    Runner,
    RunOptions,
)
from limpet.errors import UsageError
from tests.waiting import until, until_sync

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "bots" / "in_python.py"

WITHOUT = """
import runpy, sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__") if sys.argv else exec(sys.stdin.read())
"""
"""Runs a program in which the named modules cannot be imported."""


def test_a_bot_in_python_needs_neither_yaml_nor_mewbots_loader(tmp_path: Path) -> None:
    """The example runs, with components of its own, where none of them can be imported."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    (source / "early.order").touch()
    (source / "note.txt").touch()
    absent = "yaml,ruamel,ruamel.yaml,mewbot.loader,mewbot.bot"
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WITHOUT, absent, EXAMPLE, source, target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        orders = target / "orders.txt"
        until_sync(lambda: orders.exists() or program.poll() is not None)
        (source / "late.order").touch()
        until_sync(lambda: program.poll() is not None or orders.read_text().count("\n") == 2)
    finally:
        program.terminate()
        out, err = program.communicate()
    assert (out, err) == (f"watching {source}\n", "")
    if os.name == "posix":
        assert program.returncode == 0
    assert orders.read_text() == "1 early.order\n2 late.order\n"


@pytest.mark.parametrize("absent", ["mewbot.core", "mewbot.api", "pydantic", "jinja2"])
def test_without_the_extra_every_name_says_what_to_install(absent: str) -> None:
    """As an attribute, by ``from``, and from a module below; nothing else of limpet is touched."""
    program = """
import limpet
assert "bot" in dir(limpet)
def bot_of(name): exec(f"from limpet.bot import {name}")
for attempt in (*(lambda name=name: bot_of(name) for name in NAMES), lambda: limpet.bot,
                lambda: exec("import limpet.bot.actions")):
    try:
        attempt()
    except limpet.MissingExtraError as error:
        assert isinstance(error, ImportError)
        assert str(error).endswith("pip install 'limpet[bot]'"), error
        assert error.code
    else:
        raise AssertionError("nothing was raised")
limpet.watch_dir, limpet.testing, limpet.remote
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, absent],
        input=f"NAMES = {limpet.bot.__all__!r}\n{program}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_behaviour_takes_its_components() -> None:
    """In the order given, as ``add`` does; what is none is refused as there."""
    trigger, first, second = AllEventsTrigger(), PrintAction(), PrintAction(text="x")
    made = Behaviour(trigger, first, second, name="n", attempts=2)
    assert (made.triggers, made.conditions, made.actions) == ([trigger], [], [first, second])
    assert (made.name, made.attempts) == ("n", 2)
    with pytest.raises(TypeError, match="not a Trigger"):
        Behaviour("x")  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(UsageError, match="attempts"):
        Behaviour(trigger, attemts=2)


def bot_of(folder: Path) -> list[Any]:
    (folder / "in").mkdir(exist_ok=True)
    files = FileSystem(input_path=folder / "in", output_path=folder / "out", existing=True)
    note = AppendToFileAction(name="log.txt", content="{{ rel }}")
    return [files, Behaviour(FileSystemTrigger(events="file.created"), note, name="note")]


async def _run_once(folder: Path, *, block: bool) -> Runner:
    runner = Runner(bot_of(folder))
    (folder / "in" / "a").touch()
    log = folder / "out" / "log.txt"
    if block:
        async with runner as entered:
            assert entered is runner
            await until(log.exists)
    else:
        assert await runner.aopen() is runner
        with pytest.raises(UsageError, match="already"):
            await runner.aopen()
        await until(log.exists)
        await runner.aclose()
        await runner.aclose()
    return runner


@pytest.mark.parametrize("block", [True, False])
def test_a_runner_is_opened_and_closed_beside_the_program(tmp_path: Path, *, block: bool) -> None:
    """By a block or by two calls; all is processed and no task is left."""

    async def main() -> None:
        runner = await _run_once(tmp_path, block=block)
        assert runner.state == "stopped"
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(UsageError, match="make another"):
            await runner.aopen()

    asyncio.run(main())
    assert (tmp_path / "out" / "log.txt").read_text() == "a\n"


def test_what_keeps_a_bot_from_starting_comes_out_of_open(tmp_path: Path) -> None:
    """Another bot has the state folder; afterwards ``aclose`` has nothing to do."""

    async def main() -> None:
        options = RunOptions(state_dir=tmp_path / "state")
        async with Runner(bot_of(tmp_path), options):
            second = Runner(bot_of(tmp_path), options)
            with pytest.raises(UsageError, match="another bot"):
                await second.aopen()
            await second.aclose()
            with pytest.raises(UsageError, match="another bot"):
                async with Runner(bot_of(tmp_path), options):
                    raise AssertionError

    asyncio.run(main())


def test_a_cancelled_open_leaves_nothing_running(tmp_path: Path) -> None:
    """No task, and the state folder is free again."""

    async def main() -> None:
        options = RunOptions(state_dir=tmp_path / "state")
        opening = asyncio.create_task(Runner(bot_of(tmp_path), options).aopen())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert len(asyncio.all_tasks()) == 1
        async with Runner(bot_of(tmp_path), options):
            pass

    asyncio.run(main())


def test_a_cancelled_close_stops_at_once(tmp_path: Path) -> None:
    """What an action does not finish is stored, and nothing is left running."""

    class Hang(LimpetAction):
        began = asyncio.Event()

        async def steps(
            self, event: InputEvent, state: dict[str, Any], outcome: Outcome
        ) -> AsyncIterator[OutputEvent | None]:
            self.began.set()
            await asyncio.Event().wait()
            yield None

    async def main() -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a").touch()
        files = FileSystem(input_path=tmp_path / "in", existing=True)
        behaviour = Behaviour(FileSystemTrigger(events="file.created"), Hang(), name="hang")
        options = RunOptions(state_dir=tmp_path / "state", drain=1000.0)
        runner = await Runner([files, behaviour], options).aopen()
        await Hang.began.wait()
        closing = [asyncio.create_task(runner.aclose()) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in closing)
        closing[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing[0]
        await closing[1]
        await runner.aclose()
        assert runner.state == "stopped"
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_the_bodys_exception_comes_out_as_it_went_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with Runner(bot_of(tmp_path)):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())


class Once(v1.Input):
    """An input that ends by itself."""

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        return {InputEvent}

    async def run(self) -> None:
        assert self.queue is not None
        await self.queue.put(InputEvent())


class OnceConfig(v1.IOConfig):
    def __init__(self) -> None:
        self.one = Once()

    def get_inputs(self) -> list[v1.Input]:
        return [self.one]

    def get_outputs(self) -> list[v1.Output]:
        return []


def test_a_bot_that_has_ended_by_itself_is_closed_as_any(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        bot = [OnceConfig(), Behaviour(AllEventsTrigger(), PrintAction(text="seen"), name="b")]
        async with Runner(bot, RunOptions(until_done=True)) as runner:
            await until(lambda: runner.state == "stopped")

    asyncio.run(main())
    assert capsys.readouterr().out == "seen\n"
