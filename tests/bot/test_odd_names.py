"""Names that are not UTF-8, and text with halves of surrogate pairs, on every way out of a bot."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.bot import (
    AppendToFileAction,
    Behaviour,
    CreateFileAction,
    FileSystem,
    FileSystemTrigger,
    LogAction,
    MessageInputEvent,
    PrintAction,
    RunCommandAction,
    Runner,
    RunOptions,
)
from limpet.bot.events._action_result import ActionState
from limpet.bot.program import DeadLetters, logging_to
from limpet.bot.runner import Stats
from limpet.bot.runner._dead_letters import dead_letter_line
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._work_journal import Unfinished
from limpet.bot.settings._template_fields import Fields, template
from limpet.bot.settings._template_filters import FILTERS
from tests.bot.factories import created
from tests.waiting import until

RAW = b"evil\xff"
NAME = os.fsdecode(RAW)
HALF = "half\ud800"
"""In no encoding, and no name either: JSON has escapes for it."""

if sys.platform != "linux":
    pytest.skip("other systems refuse such names", allow_module_level=True)


def expanded(text: str, name: str = NAME) -> str:
    return template(text).text(Fields(created(name), {}))


@pytest.mark.parametrize("value", [NAME, HALF], ids=["name", "half"])
def test_json_in_a_template_reads_back(value: str) -> None:
    """The text can be written in UTF-8, and names the file."""
    found = expanded("{{ path | json }}", value)
    found.encode()
    assert json.loads(found) == f"/srv/in/{value}"


ARGUMENTS = {"limit": "(3)", "replace": "('a', 'b')", "d": "('x')", "default": "('x')"}
OF_TEXT = sorted(
    FILTERS.keys() - {"abs", "filesizeformat", "format", "items", "round", "strftime", "sum"}
)


@pytest.mark.parametrize("value", [NAME, HALF], ids=["name", "half"])
@pytest.mark.parametrize("name", OF_TEXT)
def test_no_filter_fails_on_such_text(name: str, value: str) -> None:
    """Each gives a text."""
    assert expanded(f"{{{{ name | {name}{ARGUMENTS.get(name, '')} }}}}", value)
    assert expanded("{{ '%s' | format(name) }}", value) == value


def run_for(folder: Path, *actions: Any, raw: bytes = RAW) -> Runner:
    """Run a bot with these actions for one file, and return its runner."""
    inbox = folder / "in"
    inbox.mkdir()
    with open(os.fsencode(inbox) + b"/" + raw, "wb") as file:
        file.write(b"text \xff")

    async def main() -> Runner:
        files = FileSystem(
            input_path=str(inbox), output_path=str(folder / "out"), existing=True,
            content={"mode": "r", "errors": "surrogateescape"},
        )  # fmt: skip
        behaviour = Behaviour(name="b")
        behaviour.add(FileSystemTrigger(target="never"))
        for action in actions:
            behaviour.add(action)
        runner = Runner([files, behaviour], RunOptions(state_dir=folder / "state", attempts=1))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.done + runner.stats.failed)
        runner.stop()
        await task
        return runner

    return asyncio.run(main())


def test_a_file_that_is_not_utf_8_is_in_the_audit(folder: Path) -> None:
    """As text, as JSON, and with its own bytes where the whole content is copied."""
    runner = run_for(
        folder,
        AppendToFileAction(name="log", content="{{ path | json }}"),
        AppendToFileAction(name="log", content="{{ rel }}"),
        AppendToFileAction(name="wide", content="{{ rel }}", encoding="utf-16-le"),
        CreateFileAction(name="copy", content="{{ content }}"),
        CreateFileAction(name="in text", content="[{{ content }}]"),
    )
    assert (runner.stats.failed, runner.stats.outputs) == (0, 5)
    path, rel = (folder / "out" / "log").read_text("utf-8").splitlines()
    assert os.fsencode(json.loads(path)) == os.fsencode(folder / "in") + b"/" + RAW
    assert rel == r"evil\udcff"
    assert (folder / "out" / "wide").read_text("utf-16-le") == "evil\\udcff\n"
    assert (folder / "out" / "copy").read_bytes() == b"text \xff"
    assert (folder / "out" / "in text").read_bytes() == rb"[text \udcff]"


def test_a_program_gets_the_name_itself(folder: Path) -> None:
    """In its arguments and in its environment: it can open the file."""
    code = "import os, sys; print(open(sys.argv[1], 'rb').read() == open(os.environ['LIMPET_PATH'], 'rb').read())"  # noqa: E501
    runner = run_for(
        folder,
        RunCommandAction(command=[sys.executable, "-c", code, "{{ path }}"]),
        AppendToFileAction(name="log", content="{{ state.command.output }}"),
    )
    assert runner.stats.failed == 0
    assert (folder / "out" / "log").read_text() == "True\n"


def test_a_program_gets_text_that_is_no_name_escaped() -> None:
    """The system takes no half of a pair."""
    message = MessageInputEvent(text=HALF, author="a", channel="c", id="1", time=0.0)
    state = ActionState()

    async def main() -> None:
        code = "import sys; print(sys.argv[1])"
        action = RunCommandAction(command=[sys.executable, "-c", code, "{{ event.text }}"])
        async for _ in action.act(message, state):
            pass

    asyncio.run(main())
    assert state["command"]["output"] == r"half\ud800"


def test_a_dead_letter_names_the_file(folder: Path) -> None:
    """It can be written, read, and replayed."""
    runner = run_for(folder, RunCommandAction(command=["false", "{{ path }}"]))
    assert runner.stats.failed == 1
    letters = DeadLetters(folder / "state")
    (letter,) = letters.read()
    path = letter.event().path  # type: ignore[attr-defined]
    assert os.fsencode(path) == os.fsencode(folder / "in") + b"/" + RAW
    assert r"evil\udcff" in letter.error


@pytest.mark.parametrize("value", [NAME, HALF], ids=["name", "half"])
def test_the_journal_and_dead_letters_hold_any_text(folder: Path, value: str) -> None:
    """In the names of behaviours, in foreign events, and in errors."""
    event = MessageInputEvent(text=value, author=value, channel=value, id=value, time=0.0)
    line = dead_letter_line(
        event, behaviour=value, name=value, step="1", attempts=1, error=ValueError(value)
    )
    DeadLetters(folder).add([line])
    (letter,) = DeadLetters(folder).read()
    assert (letter.behaviour, letter.name, letter.event()) == (value, value, event)
    state = StateDir(folder / "state", Stats())
    with state:
        state.store([Unfinished(None, "id", value, event, None)])
    again = StateDir(folder / "state", Stats())
    with again:
        (entry,) = again.load()
    assert (entry.behaviour, entry.event) == (value, event)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_holds_any_text(form: Any) -> None:
    """Escaped, whatever the encoding of the stream."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    with logging_to(stream, form=form):
        logging.getLogger("limpet.bot").info("%s %s", NAME, HALF)
    stream.flush()
    text = raw.getvalue().decode("utf-8")
    message = json.loads(text)["message"] if form == "json" else text
    assert (NAME if form == "json" else r"evil\udcff") in message


@pytest.mark.parametrize("make", [PrintAction, LogAction])
def test_lines_hold_any_text(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Standard output and the log of a program of one's own."""

    async def main() -> None:
        async for _ in make(text="{{ name }}").act(created(NAME), ActionState()):
            pass

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert r"evil\udcff" in capsys.readouterr().out + caplog.text
    caplog.text.encode()
