"""Lines of a followed file as events of a bot: I14 for bots."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from limpet.bot import (
    AppendToFileAction,
    Behaviour,
    FileSystem,
    LinesAddedInputEvent,
    LinesTrigger,
    Runner,
    RunOptions,
)
from limpet.bot.io._event_queue import EventQueue
from tests.bot.factories import Received, running
from tests.waiting import until


def io_for(log: Path, **more: Any) -> FileSystem:
    return FileSystem(
        name="log", input_path=str(log), input_path_type="file", input_mode="lines", **more
    )


def lines_of(received: Received) -> list[str]:
    received.take_all()
    return [
        line
        for event in received.events
        if isinstance(event, LinesAddedInputEvent)
        for line in event.lines
    ]


def is_count(received: Received, count: int) -> bool:
    return len(lines_of(received)) == count


def append(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_lines_come_across_rotation(tmp_path: Path) -> None:
    """Each once, in order, with its offset in the file."""

    async def main() -> None:
        log = tmp_path / "app.log"
        append(log, "before")
        async with running(io_for(log)) as received:
            append(log, "one", "two")
            await until(lambda: lines_of(received) == ["one", "two"])
            log.rename(tmp_path / "app.log.1")
            append(log, "three")
            await until(lambda: lines_of(received) == ["one", "two", "three"])
            first = received.events[0]
            assert isinstance(first, LinesAddedInputEvent)
            assert (first.path, first.event.start, first.io) == (log, len("before\n"), "log")

    asyncio.run(main())


def test_a_checkpoint_follows_the_acknowledged_lines(tmp_path: Path) -> None:
    """Not after events that were only taken; out of order, after the last without a gap."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io = io_for(log, state=str(tmp_path / "keep" / "state"))
        async with running(io, EventQueue(100)) as received:
            for number in range(4):
                append(log, str(number))
                await until(partial(is_count, received, number + 1))
            for at in (0, 1, 3):
                received.deliveries[at].acknowledge()
        append(log, "4")
        async with running(io, EventQueue(100)) as received:
            await until(lambda: lines_of(received) == ["2", "3", "4"])

    asyncio.run(main())


def test_other_options_go_on_where_it_was(tmp_path: Path) -> None:
    """And from lines to events and back."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io = io_for(log)
        async with running(io, EventQueue(100)) as received:
            append(log, "one")
            await until(lambda: lines_of(received) == ["one"])
            io.poll_interval = 0.5
            append(log, "two")
            await until(lambda: lines_of(received) == ["one", "two"])
            io.input_mode = "events"
            await until(lambda: io.get_inputs()[0].backend not in {"", "follow"})  # type: ignore[attr-defined]
            append(log, "three")
            await until(lambda: len(received.take_all()) > 2)
            assert lines_of(received) == ["one", "two"]

    asyncio.run(main())


def test_a_bot_of_lines(tmp_path: Path) -> None:
    """From the log to the alerts; a stop stores unprocessed lines."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io, out = io_for(log), FileSystem(output_path=str(tmp_path / "out"))
        alert = Behaviour(name="alert")
        alert.add(LinesTrigger(pattern="ERROR"))
        alert.add(AppendToFileAction(name="alerts", content="{line_count} {lines}"))
        runner = Runner([io, out, alert], RunOptions(state_dir=tmp_path / "state"))
        task = asyncio.create_task(runner.run())
        await until(lambda: io.get_inputs()[0].backend)  # type: ignore[attr-defined]
        append(log, "fine")
        await until(lambda: runner.stats.events == 1)
        append(log, "ERROR 5", "worse")
        path = tmp_path / "out" / "alerts"
        await until(lambda: path.exists() and path.read_text() == "2 ERROR 5\nworse\n")
        runner.stop()
        await task

    asyncio.run(main())
