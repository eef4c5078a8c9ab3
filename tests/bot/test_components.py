"""Triggers, conditions and actions, one by one."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mewbot.core import InputEvent, OutputEvent

from limpet import Degraded, DirSettled, FileStat, TargetDirDeleted
from limpet._file_stat import identity_of
from limpet.bot import (
    AgeCondition,
    AllEventsTrigger,
    AppendToFileAction,
    AppendToFileOutputEvent,
    ClassTrigger,
    ContentCondition,
    CreateFileAction,
    CreateFileOutputEvent,
    DeleteFileAction,
    ExtensionCondition,
    FileSystemTrigger,
    GlobTrigger,
    LinesAddedInputEvent,
    LinesTrigger,
    LogAction,
    MakeDirAction,
    MoveFileAction,
    MoveProcessedFileAction,
    MoveProcessedFileOutputEvent,
    OverwriteFileAction,
    OverwriteFileOutputEvent,
    PrintAction,
    RateLimitCondition,
    RegexTrigger,
    RunCommandAction,
    SizeCondition,
    StillThereCondition,
    TimeOfDayCondition,
)
from limpet.bot._dry_run import dry_run_report
from limpet.bot._hurry import is_hurried
from limpet.bot.actions import CommandFailedError
from limpet.bot.events._action_result import ActionState, outcome_of
from limpet.bot.events._input_events import Lines, wrap
from limpet.bot.io._archive_file import move_processed_file
from limpet.errors import UsageError
from tests.bot.factories import created, renamed, stat
from tests.waiting import PATIENCE, until


@dataclasses.dataclass
class Chat(InputEvent):
    text: str = "hello"


class Whisper(Chat):
    pass


def act(action: Any, event: InputEvent, state: dict[str, Any] | None = None) -> list[Any]:
    """Return the outputs an action requests, as under limpet's runner."""

    async def main() -> list[OutputEvent]:
        state_now = ActionState() if state is None else state
        return [one async for one in action.act(event, state_now) if one]

    return asyncio.run(main())


# -- triggers --------------------------------------------------------------------------------------

GONE = wrap(
    TargetDirDeleted(
        location=Path("/srv/in"), time=1.0, seq=1, path=Path("/srv/in"), kind="dir",
        previous=None, reason="deleted",
    ),
    "inbox", "s",
)  # fmt: skip
FINISHED = wrap(
    DirSettled(
        location=Path("/srv/in"), time=1.0, seq=1, path=Path("/srv/in/d"), kind="dir",
        stat=FileStat(
            size=1, mtime=1.0, ctime=1.0, birthtime=None, mode=0o40755, uid=0, gid=0, inode=1,
            device=1, kind="dir",
        ),
    ),
    "inbox", "s",
)  # fmt: skip
TROUBLE = wrap(
    Degraded(
        location=Path("/x"), time=1.0, seq=1, path=Path("/x"), reason="limit", message="m"
    ),
    "inbox", "s",
)  # fmt: skip
LINES = LinesAddedInputEvent(
    event=Lines(
        location=Path("/l"), path=Path("/l"), time=1.0, generation=1, start=0, end=9,
        lines=("all well", "ERROR: 5"),
    ),
    io="log",
)  # fmt: skip


@pytest.mark.parametrize(
    ("trigger", "yes", "no"),
    [
        (AllEventsTrigger(), [created(), Chat(), GONE, TROUBLE, LINES], []),
        (FileSystemTrigger(), [created(), GONE], [Chat(), TROUBLE, LINES]),
        (FileSystemTrigger(events="file.created"), [created()], [renamed("a", "b"), GONE]),
        (FileSystemTrigger(events=["file.renamed", "watch.degraded"]),
         [renamed("a", "b"), TROUBLE], [created()]),
        (FileSystemTrigger(events="dir.settled"), [FINISHED], [created(), GONE]),
        (ClassTrigger(event_class="limpet.bot.DirSettledInputEvent"), [FINISHED], [created()]),
        (FileSystemTrigger(target="only"), [GONE], [created()]),
        (FileSystemTrigger(target="never"), [created()], [GONE]),
        (FileSystemTrigger(io="inbox"), [created()], []),
        (FileSystemTrigger(io="other"), [], [created()]),
        (GlobTrigger(globs="*.txt"), [created("a.txt"), created("d/b.txt")], [created("a.pdf")]),
        (GlobTrigger(globs=["/in/*.pdf", "!draft*"]), [created("in/a.pdf")],
         [created("x/in/a.pdf"), created("in/draft.pdf")]),
        (GlobTrigger(globs="*.txt", events="file.renamed"), [renamed("a.part", "a.txt")],
         [created("a.txt"), renamed("a.txt", "a.bak")]),
        (RegexTrigger(pattern=r"^\d+/.*\.csv$"), [created("7/a.csv")], [created("x/a.csv")]),
        (ClassTrigger(event_class=f"{Chat.__module__}.Chat"), [Chat(), Whisper()], [created()]),
        (LinesTrigger(), [LINES], [created()]),
        (LinesTrigger(pattern="ERROR"), [LINES], []),
        (LinesTrigger(pattern="FATAL"), [], [LINES]),
        (LinesTrigger(io="other"), [], [LINES]),
    ],
)  # fmt: skip
def test_what_a_trigger_matches(trigger: Any, yes: list[InputEvent], no: list[InputEvent]) -> None:
    """And no event of a class that it does not declare."""
    assert [event for event in yes if not trigger.matches(event)] == []
    assert [event for event in no if trigger.matches(event)] == []
    consumed = tuple(trigger.consumes_inputs())
    assert all(isinstance(event, consumed) for event in yes)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: FileSystemTrigger(events="file.creatd"), "did you mean 'file.created'"),
        (lambda: GlobTrigger(), "needs the property 'globs'"),
        (lambda: RegexTrigger(pattern="("), "not a regular expression"),
        (lambda: ExtensionCondition(extensions=[]), "extensions must not be empty"),
        (lambda: TimeOfDayCondition(after="25:00"), "hour must be"),
        (lambda: TimeOfDayCondition(after="09:00", before="09:00"), "are equal"),
        (lambda: TimeOfDayCondition(timezone="Europe/Atlantis"), "no time zone"),
        (lambda: TimeOfDayCondition(days=["monday"]), "must be one of"),
        (lambda: CreateFileAction(name="{{ naem"), "unexpected end of template"),
        (lambda: RunCommandAction(command=[]), "must not be empty"),
        (lambda: AppendToFileAction(name="a", rotation={"keep": 1}), "nothing says when"),
    ],
)  # fmt: skip
def test_wrong_properties_are_refused_at_once(make: Callable[[], object], expected: str) -> None:
    """Before any event arrives."""
    with pytest.raises(UsageError) as refused:
        make()
    assert expected in str(refused.value)


# -- conditions ------------------------------------------------------------------------------------


def test_size_age_and_extension() -> None:
    """By the values in the event; an event without them does not pass."""
    assert SizeCondition(min_bytes=3, max_bytes=3).allows(created())
    assert not SizeCondition(min_bytes=4).allows(created())
    assert not SizeCondition().allows(Chat())
    old = created(stat=stat(mtime=1000.0))
    condition = AgeCondition(min_seconds=10, max_seconds=60)
    for now, wanted in ((1009.0, False), (1010.0, True), (1060.0, True), (1061.0, False)):
        condition.clock = partial(float, now)
        assert condition.allows(old) == wanted
    assert ExtensionCondition(extensions=["PDF", ".tar.gz"]).allows(created("A.pdf"))
    assert ExtensionCondition(extensions=["PDF", ".tar.gz"]).allows(created("a.TAR.gz"))
    assert not ExtensionCondition(extensions="pdf").allows(created("a.pdf.part"))
    assert ExtensionCondition(extensions="pdf", but_not=True).allows(created("a.txt"))
    assert not ExtensionCondition(extensions="pdf").allows(Chat())


def test_rate_limit() -> None:
    """A number in a span of time, for each key separately; its memory is bounded."""
    condition = RateLimitCondition(most=2, seconds=10, key="{{ name }}")
    now = [0.0]
    condition.clock = lambda: now[0]
    assert [condition.allows(created("a")) for _ in range(3)] == [True, True, False]
    assert condition.allows(created("b"))
    now[0] = 10.0
    assert condition.allows(created("a"))
    assert condition.dropped == 1
    for number in range(10_100):
        condition.allows(created(f"f{number}"))
    assert len(condition._passed) <= 10_000


def test_content(tmp_path: Path) -> None:
    """The content in the event, else that of the file, up to the limit."""
    condition = ContentCondition(pattern="(?i)urgent")
    assert condition.allows(created(content="very URGENT", content_mode="r"))
    assert condition.allows(created(content=b"\xffurgent", content_mode="rb"))
    (tmp_path / "f").write_bytes(b"\xff" * 10 + b"urgent")
    assert condition.allows(created("f", location=str(tmp_path)))
    short = ContentCondition(pattern="urgent", max_bytes=10)
    assert not short.allows(created("f", location=str(tmp_path)))
    assert not condition.allows(created("gone", location=str(tmp_path)))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert not condition.allows(created("pipe", location=str(tmp_path)))


def test_still_there(tmp_path: Path) -> None:
    """A dangling link exists, too."""
    (tmp_path / "link").symlink_to("nowhere")
    assert StillThereCondition().allows(created("link", location=str(tmp_path)))
    assert not StillThereCondition().allows(created("gone", location=str(tmp_path)))


def test_time_of_day() -> None:
    """Also over midnight; the days are those on which the span begins."""
    night = TimeOfDayCondition(
        after="22:00", before="06:00", days=["fri"], timezone="Europe/London"
    )
    for text, wanted in (
        ("2026-11-27T22:30", True),  # a Friday
        ("2026-11-28T05:59", True),
        ("2026-11-28T06:00", False),
        ("2026-11-27T05:00", False),
        ("2026-11-28T22:30", False),
    ):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        night.clock = partial(float, moment)
        assert night.allows(Chat()) == wanted, text
    evening = TimeOfDayCondition(after="20:00")
    assert evening.serialise()["properties"] == {"after": "20:00:00"}


# -- actions ---------------------------------------------------------------------------------------


def test_print_and_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A template, or the event as JSON."""
    act(PrintAction(text="{{ type }} {{ rel }}"), created("a\udce9.txt"))
    act(PrintAction(), created("b.txt"))
    one, two = capsys.readouterr().out.splitlines()
    assert one == "file.created a\\udce9.txt"
    assert json.loads(two)["rel"] == "b.txt"
    with caplog.at_level(logging.WARNING, logger="mine"):
        act(LogAction(text="saw {{ name }}", level="warning", logger="mine"), created())
        act(LogAction(level="debug", logger="mine"), Chat())
    assert [record.getMessage() for record in caplog.records] == ["saw a.txt"]


def test_what_the_file_actions_ask_for() -> None:
    """Safe names; contents from templates, or unchanged."""
    event = created("sub/a.txt", content=b"\x00\xff", content_mode="rb")
    (made,) = act(CreateFileAction(name="x/{{ rel }}", io="out"), event)
    assert isinstance(made, CreateFileOutputEvent)
    assert (made.name, made.content, made.io) == ("x/sub/a.txt", b"\x00\xff", "out")
    (made,) = act(CreateFileAction(name="x", content="{{ size }}", if_exists="overwrite"), event)
    assert isinstance(made, OverwriteFileOutputEvent)
    (made,) = act(
        AppendToFileAction(name="{{ utc | strftime('%Y-%m-%d') }}.log", content="{{ type }}"), event
    )
    assert isinstance(made, AppendToFileOutputEvent)
    assert (made.name, made.content) == ("2025-11-25.log", "file.created\n")
    (made,) = act(
        AppendToFileAction(name="l", content="{{ type }}", rotation={"daily": True}), event
    )
    assert made.operation().rotation.daily
    for action, wanted in (
        (OverwriteFileAction(name="a", content='{"a": 1}'), '{"a": 1}'),  # D11
        (OverwriteFileAction(name="a", content=""), ""),
    ):
        assert act(action, event)[0].operation().content == wanted
    assert act(DeleteFileAction(name="{{ rel }}"), event)[0].operation().name == "sub/a.txt"
    assert act(MakeDirAction(name="{{ stem }}"), event)[0].operation().name == "a"
    moved = act(MoveFileAction(name="{{ rel }}", target="old/{{ name }}"), event)[0].operation()
    assert (moved.name, moved.target) == ("sub/a.txt", "old/a.txt")
    with pytest.raises(UsageError, match="the FileSystem has no option content"):
        act(CreateFileAction(name="x"), created())  # no content


def test_in_mewbot_a_failure_is_logged_and_the_later_actions_stand_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its runner would end the bot; the file still moves to the failures."""
    state: dict[str, Any] = {}
    event = created()
    assert act(CreateFileAction(name="{{ old_name }}"), event, state) == []
    assert "no field 'old_name'" in caplog.text
    assert act(CreateFileAction(name="fine", content="x"), event, state) == []
    (away,) = act(MoveProcessedFileAction(), event, state)
    assert isinstance(away, MoveProcessedFileOutputEvent)
    assert away.outcome is not None
    assert away.outcome.error is not None


def test_processed_files_are_moved(tmp_path: Path) -> None:
    """To done or failed; a taken name gets a number before its extension; another file stays."""
    directory = tmp_path / "in"
    (directory / "sub").mkdir(parents=True)

    def away(which: str, *, failed: bool = False, **more: Any) -> Path | None:
        device, inode = identity_of((directory / which).stat())
        event = created(
            which,
            location=str(directory),
            stat=dataclasses.replace(stat(), inode=inode, device=device),
        )
        state = ActionState()
        if failed:
            outcome_of(state).fail(OSError("it went wrong"))
        (order,) = act(MoveProcessedFileAction(**more), event, state)
        return asyncio.run(move_processed_file(order))

    for _ in range(2):
        (directory / "sub/a.txt").write_text("x")
        away("sub/a.txt")
    (directory / "b").write_text("x")
    away("b", failed=True)
    (directory / "c").write_text("x")
    assert away("c", name="{{ stem }}-{{ size }}", done="kept") == directory / "kept" / "c-3"
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["done/sub/a.1.txt", "done/sub/a.txt", "failed/b", "in/kept/c-3"]
    (directory / "n").write_text("x")
    (tmp_path / "failed" / "n.error.txt").write_text("another's")
    away("n", failed=True, note=True)
    assert "it went wrong" in (tmp_path / "failed" / "n.1.error.txt").read_text()
    assert (tmp_path / "failed" / "n.1").exists()
    (directory / "d").write_text("x")
    order = act(MoveProcessedFileAction(), created("d", location=str(directory)))[0]
    assert asyncio.run(move_processed_file(order)) is None  # another inode stands there
    assert (directory / "d").exists()
    order = act(MoveProcessedFileAction(), created("gone", location=str(directory)))[0]
    assert asyncio.run(move_processed_file(order)) is None
    with pytest.raises(UsageError):
        act(MoveProcessedFileAction(), Chat())


# -- commands --------------------------------------------------------------------------------------

PYTHON = sys.executable


def test_a_command_gets_its_arguments_and_the_event_and_little_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D13: an argument arrives unchanged; no shell interprets it."""
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("WANTED", "yes")
    name = '"; touch pwn; #$(touch pwn2)`.pdf'
    program = (
        "import json, os, sys; print(json.dumps([sys.argv[1:], json.loads(sys.stdin.readline()), "
        "dict(os.environ)]))"
    )
    action = RunCommandAction(
        command=[PYTHON, "-c", program, "{{ name }}", "--x={{ name }}"],
        folder=str(tmp_path),
        keep="WANTED",
    )
    state = ActionState()
    act(action, created(name), state)
    argv, wire, environment = json.loads(state["command"]["output"])
    assert argv == [name, f"--x={name}"]
    assert wire["rel"] == name
    assert environment["LIMPET_EVENT_TYPE"] == "file.created"
    assert environment["LIMPET_PATH"] == f"/srv/in/{name}"
    assert "SECRET_TOKEN" not in environment
    assert environment["WANTED"] == "yes"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"command": [PYTHON, "-c", "import sys; sys.exit('no good')"]}, "status 1: no good"),
        ({"command": ["/no/such/program"]}, "cannot start"),
        ({"command": [PYTHON, "-c", "import time; time.sleep(600)"], "timeout": 0.5}, "more than"),
    ],
)
def test_a_command_that_fails(more: dict[str, Any], expected: str) -> None:
    """The error has the reason; after the timeout the program and its children are ended."""
    begun = time.monotonic()
    with pytest.raises(CommandFailedError, match=expected):
        act(RunCommandAction(**more), created())
    assert time.monotonic() - begun < PATIENCE


def test_output_without_end_is_bounded() -> None:
    """Output beyond the bound is read and dropped; a program that reads nothing is no failure."""
    program = "import sys; sys.stdin.close(); sys.stdout.write('x' * 3_000_000)"
    state = ActionState()
    event = created(content="y" * 1_000_000, content_mode="r")
    act(RunCommandAction(command=[PYTHON, "-c", program], max_output=1000), event, state)
    assert state["command"] == {"status": 0, "output": "x" * 1000}


@pytest.mark.parametrize(("busy", "wanted"), [("queue", "abc"), ("skip", "a"), ("restart", "c")])
def test_what_happens_while_a_command_runs(tmp_path: Path, busy: str, wanted: str) -> None:
    """Wait, skip the event, or end the running program."""
    program = (
        "import pathlib, sys, time; here = pathlib.Path(sys.argv[1]); "
        "(here / ('began ' + sys.argv[2])).touch(); "
        "[time.sleep(0.01) for _ in iter(lambda: (here / 'go').exists(), True)]; "
        "(here / sys.argv[2]).touch()"
    )
    action = RunCommandAction(
        command=[PYTHON, "-c", program, str(tmp_path), "{{ name }}"], busy=busy
    )

    async def one(name: str) -> None:
        async for _ in action.act(created(name), ActionState()):
            pass

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one("a"))
            await until((tmp_path / "began a").exists)
            tasks = [group.create_task(one("b"))]
            if busy == "skip":
                await tasks[0]
            elif busy == "restart":
                await until((tmp_path / "began b").exists)
            tasks.append(group.create_task(one("c")))
            if busy == "skip":
                await tasks[1]
            elif busy == "restart":
                await until((tmp_path / "began c").exists)
            else:
                await asyncio.sleep(0)  # both wait from their first step on, in this order
            (tmp_path / "go").touch()

    asyncio.run(main())
    assert "".join(sorted(p.name for p in tmp_path.iterdir() if len(p.name) == 1)) == wanted


ORDERLY = """
import pathlib, signal, sys, time
here, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def end(*_):
    (here / f"asked {name}").touch()
    while not (here / "may end").exists():
        time.sleep(0.01)
    (here / f"ended {name}").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(here / f"began {name}").touch()
while not (here / "go").exists():
    time.sleep(0.01)
"""
"""Ends in order, once it may."""


def test_a_program_that_is_restarted_has_its_grace(tmp_path: Path) -> None:
    """A third event, and a cancellation, while the first program ends in order do not kill it;
    of the events that wait only the newest runs."""
    argv = [PYTHON, "-c", ORDERLY, str(tmp_path), "{{ name }}"]
    action = RunCommandAction(command=argv, busy="restart")

    async def one(name: str) -> None:
        async for _ in action.act(created(name), ActionState()):
            pass

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(one("a"))
            await until((tmp_path / "began a").exists)
            group.create_task(one("b"))
            await until((tmp_path / "asked a").exists)
            group.create_task(one("c"))
            group.create_task(one("d"))
            for _ in range(3):
                first.cancel()
                await asyncio.sleep(0)
            assert not first.done()
            (tmp_path / "may end").touch()
            await until((tmp_path / "began d").exists)
            (tmp_path / "go").touch()
        assert first.cancelled()

    asyncio.run(main())
    found = {path.name for path in tmp_path.iterdir()}
    assert found >= {"ended a", "began d"}
    assert not found & {"began b", "began c", "asked d"}
    assert action.skipped == 2  # and the first was cancelled


def test_a_bot_in_a_hurry_does_not_wait_for_its_programs(tmp_path: Path) -> None:
    """The explicit sign ends the grace: not the number of cancellations."""
    argv = [PYTHON, "-c", ORDERLY, str(tmp_path), "{{ name }}"]
    action = RunCommandAction(command=argv)
    hurry = False

    async def one() -> None:
        async for _ in action.act(created("a"), ActionState()):
            pass

    async def main() -> None:
        nonlocal hurry
        is_hurried.set(lambda: hurry)
        task = asyncio.create_task(one())
        await until((tmp_path / "began a").exists)
        task.cancel()
        await until((tmp_path / "asked a").exists)
        hurry = True
        begun = time.monotonic()
        await asyncio.wait({task})
        assert time.monotonic() - begun < 4  # the whole grace is five seconds

    asyncio.run(main())
    assert not (tmp_path / "ended a").exists()


@pytest.mark.parametrize("field", ["content", "event.content"])
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"content_error": "undecodable"}, "of 'a.txt': it is not text in the encoding"),
        ({"content_error": "too_large"}, "more bytes than max_bytes"),
        ({"content_error": "vanished"}, "gone before it was read"),
        ({"content_error": "denied"}, "was denied"),
        ({}, "the FileSystem has no option content"),
    ],
)
def test_content_that_is_missing_has_its_reason(
    field: str, more: dict[str, Any], expected: str
) -> None:
    """Not only that there is none; and a default is taken."""
    with pytest.raises(UsageError, match=expected):
        act(CreateFileAction(name="x", content="{{ " + field + " }}"), created(**more))
    (made,) = act(
        CreateFileAction(name="x", content="{{ " + field + " | default('none') }}"), created(**more)
    )
    assert made.content == "none"


def test_a_deletion_has_no_content() -> None:
    """The message says which events have."""
    with pytest.raises(UsageError, match="only created and updated files have"):
        act(CreateFileAction(name="x"), renamed("a", "b"))


def test_a_dry_run_runs_and_posts_nothing() -> None:
    """It reports what it would run."""
    expected: list[str] = []
    token = dry_run_report.set(expected.append)
    try:
        act(RunCommandAction(command=["/no/such", "{{ name }}"]), created("a b"))
    finally:
        dry_run_report.reset(token)
    assert expected == ["would run /no/such 'a b'"]
