"""Lines of a followed file as events of a bot: I14 for bots."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest

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
from limpet.errors import UsageError
from limpet.following import Gap
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


def test_a_file_that_was_rotated_while_the_bot_was_down_is_read(tmp_path: Path) -> None:
    """With ``rotated``: its unread lines come first, as for ``limpet follow``."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io = io_for(log, state=str(tmp_path / "state"), rotated="app.log.*")
        async with running(io, EventQueue(100)) as received:
            append(log, "one")
            await until(lambda: lines_of(received) == ["one"])
            received.deliveries[0].acknowledge()
        append(log, "two")
        log.rename(tmp_path / "app.log.1")
        append(log, "three")
        async with running(io, EventQueue(100)) as received:
            await until(lambda: lines_of(received) == ["two", "three"])

    asyncio.run(main())


def test_a_file_that_is_not_found_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not known is not said to be 0 bytes, and the message names the remedy."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io = io_for(log, state=str(tmp_path / "state"))
        async with running(io, EventQueue(100)) as received:
            append(log, "one")
            await until(lambda: is_count(received, 1))
            received.deliveries[0].acknowledge()
        append(log, "two")
        log.rename(tmp_path / "elsewhere")
        append(log, "three")
        async with running(io, EventQueue(100)) as received:
            await until(lambda: lines_of(received) == ["three"])
            await until(lambda: "missing" in caplog.text)

    with caplog.at_level(logging.WARNING, logger="limpet.bot.input"):
        asyncio.run(main())
    assert "an unknown number of bytes may be missing (generation-missing); " in caplog.text
    assert "'rotated' tells the names" in caplog.text


@pytest.mark.parametrize(
    ("size", "known", "words"),
    [
        (5, True, "5 bytes are missing"),
        (5, False, "at least 5 bytes are missing"),
        (0, False, "an unknown number of bytes may be missing"),
    ],
)
def test_how_much_is_missing(size: int, known: bool, words: str) -> None:
    """In words, which the command line and bots share."""
    gap = Gap(
        path=Path("log"), time=0.0, kind="generation-missing", bytes=size, generation=1,
        size_known=known,
    )  # fmt: skip
    assert gap.missing == words


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rotated": "*.1"}, "rotated is about lines: it needs input_mode 'lines'"),
        ({"linger": 1}, "linger is about lines"),
        (
            {"input_mode": "lines", "input_path_type": "file", "max_line": 3},
            "max_line must be greater than or equal to 16",
        ),
        (
            {"input_mode": "lines", "input_path_type": "file", "content": {"encoding": "no"}},
            "encoding",
        ),
    ],
)
def test_options_of_lines_are_checked(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    """When the component is created; and none is ignored in silence."""
    with pytest.raises(UsageError, match=message):
        FileSystem(input_path=str(tmp_path / "log"), **more)


def test_a_bot_of_lines(tmp_path: Path) -> None:
    """From the log to the alerts; a stop stores unprocessed lines."""

    async def main() -> None:
        log = tmp_path / "app.log"
        log.touch()
        io, out = io_for(log), FileSystem(output_path=str(tmp_path / "out"))
        alert = Behaviour(name="alert")
        alert.add(LinesTrigger(pattern="ERROR"))
        alert.add(AppendToFileAction(name="alerts", content="{{ line_count }} {{ lines }}"))
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
