"""``limpet watch`` over a fake watch: what is written where, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from limpet.cli import _run_session
from limpet.cli._run_watch import run
from limpet.cli._watch_plan import Command, Plan, Target
from limpet.config import WatchOptions
from limpet.errors import LimitError, UnsupportedError, UsageError
from limpet.events import Degraded, Event, Rescanned
from tests.cli.fakes import (
    ROOT,
    STAT,
    FakeWatch,
    created,
    deleted,
    opener,
    renamed,
    stream,
    updated,
    written,
)
from tests.waiting import until_sync

TARGET = Target(path="/srv/in", kind="dir")
PLAN = Plan(targets=(TARGET,), options=WatchOptions(), format="text")
ABOUT: dict[str, Any] = {"location": ROOT, "time": 1_764_000_000.5, "seq": 1}
RESCANNED = Rescanned(**ABOUT, reason="overflow")
DEGRADED = Degraded(**ABOUT, path=ROOT / "x", reason="permission", message="cannot read")


class Run:
    """One run to its end, and its output."""

    def __init__(self, plan: Plan, watch: FakeWatch) -> None:
        self.watch = watch
        out, err = stream(), stream()
        self.code = run(plan, open_watch=opener(watch), stdout=out, stderr=err)
        self.out, self.err = written(out), written(err).decode()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def types(self) -> list[str]:
        return [wire["type"] for wire in self.objects]


def ending(*batches: list[Event], **more: Any) -> FakeWatch:
    return FakeWatch(batches, ends=True, **more)


def test_ready_comes_first_then_every_event() -> None:
    """One line each; the watch is closed at the end; the code is 0."""
    done = Run(PLAN, ending([created("a"), updated("a")], [deleted("a")]))
    lines = [line.split("\t") for line in done.out.decode().splitlines()]
    assert [line[1:3] for line in lines] == [
        ["watch.ready", "/srv/in"],
        ["file.created", "/srv/in/a"],
        ["file.updated", "/srv/in/a"],
        ["file.deleted", "/srv/in/a"],
    ]
    assert (done.code, done.err) == (0, "")
    assert done.watch.was_closed


def test_the_watch_gets_the_options() -> None:
    """What was asked for is what it is opened with."""
    options = WatchOptions(recursive=False, settle=2.0)
    done = Run(replace(PLAN, options=options), ending())
    assert done.watch.options is options


def test_json_lines_carry_all_in_order() -> None:
    """Events about the watch too: a program must not miss that changes were lost."""
    done = Run(replace(PLAN, format="jsonl"), ending([created("a"), RESCANNED, updated("a")]))
    assert done.types == ["watch.ready", "file.created", "watch.rescanned", "file.updated"]
    ready, first = done.objects[:2]
    assert ready["session"] == first["session"]
    assert ready["backend"] == "fake"
    assert done.err == ""


@pytest.mark.parametrize("form", ["text", "paths0"])
def test_text_formats_put_events_about_the_watch_on_stderr(form: Any) -> None:
    """Standard output holds what happened on disk."""
    done = Run(replace(PLAN, format=form), ending([RESCANNED, created("a"), DEGRADED]))
    assert b"rescanned" not in done.out
    assert "limpet: watch.rescanned /srv/in was scanned again (overflow)\n" in done.err
    assert "limpet: watch.degraded /srv/in/x: cannot read (permission)\n" in done.err


def test_paths0_is_names_and_nulls() -> None:
    """The ready line is on standard error, for there is no place for it among names."""
    done = Run(replace(PLAN, format="paths0"), ending([created("a\nb"), renamed("a\nb", "c")]))
    assert done.out == b"/srv/in/a\nb\0/srv/in/c\0"
    assert done.err == "limpet: watch.ready /srv/in (fake)\n"


def test_cloudevents_wrap_the_wire() -> None:
    """Every line is an envelope, the first one too."""
    done = Run(replace(PLAN, format="cloudevents"), ending([created("a")]))
    assert [one["type"] for one in done.objects] == ["limpet.watch.ready", "limpet.file.created"]
    assert {one["specversion"] for one in done.objects} == {"1.0"}


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_only_hides_what_happened_on_disk_but_no_loss(form: Any) -> None:
    """What ``--only`` does not name is left out; events about the watch go to stderr."""
    plan = replace(PLAN, format=form, only=frozenset({"file.deleted"}))
    done = Run(plan, ending([created("a"), RESCANNED, deleted("a")]))
    assert b"created" not in done.out
    assert b"file.deleted" in done.out
    assert b"rescanned" not in done.out
    assert "watch.rescanned" in done.err


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_only_can_name_events_about_the_watch(form: Any) -> None:
    """Then it is an event like any other."""
    plan = replace(PLAN, format=form, only=frozenset({"watch.rescanned"}), count=1)
    done = Run(plan, FakeWatch([[created("a"), RESCANNED]]))
    assert b"watch.rescanned" in done.out
    assert done.err == ""


def test_count_ends_after_that_number_of_reported_events() -> None:
    """Those left out do not count, nor does the ready line; what comes after is not taken."""
    watch = FakeWatch([[created("a")], [deleted("b"), created("c")], [created("d")]])
    plan = replace(PLAN, format="jsonl", count=2, only=frozenset({"file.created"}))
    done = Run(plan, watch)
    assert [wire.get("rel") for wire in done.objects] == [None, "a", "c"]
    assert done.code == 0
    assert watch.pulled == 2


def test_several_paths_in_one_output() -> None:
    """Each ready line is there before the first event; one session, whose numbers are unique."""
    a, b = ROOT / "a", ROOT / "b"
    plan = replace(PLAN, format="jsonl", targets=(TARGET, Target(path="f", kind="file")))
    events = [created("x", a), created("y", a), created("x", b)]
    done = Run(plan, ending([*events], roots=(a, b)))
    ready = [(wire["type"], wire["root"], wire["kind"]) for wire in done.objects[:2]]
    assert ready == [("watch.ready", str(a), "dir"), ("watch.ready", str(b), "file")]
    assert [wire["path"] for wire in done.objects[2:]] == [str(event.path) for event in events]
    assert len({wire["id"] for wire in done.objects[2:]}) == 3
    assert len({wire["session"] for wire in done.objects}) == 1


def test_stats_come_at_the_end_on_stderr() -> None:
    """Words beside text, an object beside objects."""
    assert Run(replace(PLAN, stats=True), ending()).err == (
        "limpet: watch.stats /srv/in backend=fake marks=3 entries=4\n"
    )
    done = Run(replace(PLAN, stats=True, format="jsonl"), ending())
    assert json.loads(done.err)["type"] == "watch.stats"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("cannot watch 'x': an empty path"), 2),
        (UnsupportedError("no fanotify here"), 1),
        (LimitError("fs.inotify.max_user_instances is used up"), 1),
        (PermissionError(13, "Permission denied"), 1),
    ],
)
def test_a_watch_that_cannot_start(error: Exception, code: int) -> None:
    """One line on stderr, a code that says whether the call was wrong, no output, nothing left."""
    done = Run(PLAN, FakeWatch(start_fails=error))
    assert (done.code, done.out) == (code, b"")
    assert done.err == f"limpet: {error}\n"


def test_a_watch_that_fails_later() -> None:
    """What it gave before is written; the code is 1."""
    done = Run(PLAN, FakeWatch([[created("a")]], fails=OSError("gone")))
    assert b"file.created" in done.out
    assert (done.code, done.err) == (1, "limpet: the watch of /srv/in ended: gone\n")


def test_a_bug_is_not_hidden() -> None:
    """An unexpected error is raised as it is."""
    with pytest.raises(BaseExceptionGroup) as caught:
        Run(PLAN, FakeWatch(fails=ZeroDivisionError("bug")))
    assert caught.group_contains(ZeroDivisionError)


class BadStream(io.TextIOWrapper):
    """A stream whose every write fails."""

    def __init__(self, error: OSError) -> None:
        class Raw(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, _data: object, /) -> int:
                raise error

        super().__init__(io.BufferedWriter(Raw()), encoding="utf-8", write_through=True)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "limpet: cannot write to standard output: No space left on device\n",
        ),
    ],
)
def test_output_that_fails(error: OSError, code: int, message: str) -> None:
    """A reader that has enough is no failure; a full disk is."""
    err = stream()
    watch = FakeWatch([[created("a")]])
    got = run(PLAN, open_watch=opener(watch), stdout=BadStream(error), stderr=err)
    assert (got, written(err).decode()) == (code, message)
    assert watch.was_closed
    assert watch.pulled == 0


def test_messages_that_cannot_be_written_end_nothing() -> None:
    """With standard error gone the events are still written."""
    out = stream()
    code = run(
        replace(PLAN, stats=True, format="jsonl"),
        open_watch=opener(ending([RESCANNED, created("a")])),
        stdout=out,
        stderr=BadStream(OSError(errno.EIO, "gone")),
    )
    assert code == 0
    assert b"file.created" in written(out)


def test_the_file_our_lines_go_to_is_no_event(tmp_path: Path) -> None:
    """``limpet watch . > log``: writing a line is not reported in another line."""
    with (tmp_path / "log").open("w", encoding="utf-8") as out:
        found = os.fstat(out.fileno())
        ours = replace(STAT, device=found.st_dev, inode=found.st_ino)
        code = run(
            replace(PLAN, format="jsonl"),
            open_watch=opener(
                ending([updated("log", stat=ours), created("log", stat=ours), updated("other")])
            ),
            stdout=out,
            stderr=stream(),
        )
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert code == 0
    assert [line.get("rel") for line in lines] == [None, "other"]


def wait_until_full(pipe: int) -> None:
    """Return once the writing end of a pipe would block: some 64 KiB are in it (pipe(7))."""
    until_sync(lambda: not select.select([], [pipe], [], 0)[1])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_blocked_output_stops_the_pulling(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-pressure reaches the watch, which merges what happens; a signal still ends it."""
    number = getattr(signal, name)
    monkeypatch.setattr(_run_session, "PATIENCE_S", 0.01)
    reading, writing = os.pipe()
    watch = FakeWatch([[created("a" * 200) for _ in range(1000)]] * 5)
    seen: list[int] = []

    def interrupt() -> None:
        wait_until_full(writing)
        seen.append(watch.pulled)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with suppress(BrokenPipeError), open(writing, "w", encoding="utf-8") as out:
        plan = replace(PLAN, format="jsonl")
        code = run(plan, open_watch=opener(watch), stdout=out, stderr=stream())
        os.close(reading)
    thread.join()
    assert code == 128 + number
    assert (seen, watch.pulled) == ([1], 1)
    assert watch.was_closed


def test_what_was_pulled_is_still_written_at_the_end() -> None:
    """A checkpoint counts it as reported: a reader that continues gets every line, whole."""
    reading, writing = os.pipe()
    watch = FakeWatch([[created("a" * 200) for _ in range(1000)]] * 5)
    got = bytearray()

    def interrupt() -> None:
        wait_until_full(writing)
        os.kill(os.getpid(), signal.SIGTERM)
        while piece := os.read(reading, 1 << 16):
            got.extend(piece)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with open(writing, "w", encoding="utf-8") as out:
        plan = replace(PLAN, format="jsonl")
        code = run(plan, open_watch=opener(watch), stdout=out, stderr=stream())
    thread.join()
    os.close(reading)
    assert code == 128 + signal.SIGTERM
    assert [json.loads(line).get("seq") for line in got.splitlines()] == [None, *range(1, 1001)]


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    """Also when nothing more happens that would be written."""
    reading, writing = os.pipe()
    watch = FakeWatch([[created("a")]])

    def leave() -> None:
        got = b""
        while b"file.created" not in got:
            got += os.read(reading, 1 << 16)
        os.close(reading)

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    err = stream()
    with open(writing, "w", encoding="utf-8") as out:
        code = run(PLAN, open_watch=opener(watch), stdout=out, stderr=err)
    thread.join()
    assert (code, written(err)) == (0, b"")
    assert watch.was_closed


def test_a_signal_the_parent_ignores_stays_ignored() -> None:
    """As for a job in the background, or below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        class Hanging(FakeWatch):
            async def batches(self) -> AsyncIterator[list[Event]]:
                os.kill(os.getpid(), signal.SIGHUP)
                await anyio.lowlevel.checkpoint()
                yield [created("a")]

        done = Run(PLAN, Hanging())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.code == 0
    assert b"file.created" in done.out


def test_where_a_loop_takes_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C then comes as an exception, and the code is the same."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", refuse)
    assert Run(PLAN, ending([created("a")])).code == 0

    def interrupted(main: Coroutine[Any, Any, int]) -> None:
        main.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    assert Run(PLAN, FakeWatch()).code == 130


def command(code: str, *args: str, **more: Any) -> Command:
    return Command(argv=(sys.executable, "-Sc", code, *args), **more)


ADD = "import os, sys; open(sys.argv[1], 'a').write(os.environ['LIMPET_PATH'] + '\\n')"


def test_exec_runs_the_command_and_writes_nothing(tmp_path: Path) -> None:
    """Standard output belongs to the command; the ready line is on standard error."""
    plan = replace(PLAN, format=None, count=3, command=command(ADD, str(tmp_path / "log")))
    done = Run(plan, FakeWatch([[created("a"), RESCANNED, updated("a")], [deleted("b")]]))
    assert (tmp_path / "log").read_text().split() == ["/srv/in/a", "/srv/in/a", "/srv/in/b"]
    assert (done.code, done.out) == (0, b"")
    assert done.err == (
        "limpet: watch.ready /srv/in (fake)\n"
        "limpet: watch.rescanned /srv/in was scanned again (overflow)\n"
    )


def test_exec_runs_for_what_only_names(tmp_path: Path) -> None:
    """Also for events about the watch, if they are named."""
    only = frozenset({"watch.rescanned"})
    plan = replace(
        PLAN, format=None, only=only, count=1, command=command(ADD, str(tmp_path / "log"))
    )
    done = Run(plan, FakeWatch([[created("a"), RESCANNED]]))
    assert (tmp_path / "log").read_text() == "/srv/in\n"
    assert "rescanned" not in done.err


def test_exec_and_format_do_both(tmp_path: Path) -> None:
    """The events are on standard output, and alone there."""
    plan = replace(PLAN, format="jsonl", count=1, command=command(ADD, str(tmp_path / "log")))
    done = Run(plan, FakeWatch([[created("a")]]))
    assert done.types == ["watch.ready", "file.created"]
    assert (tmp_path / "log").read_text() == "/srv/in/a\n"


def test_a_failed_command_shows_in_the_code() -> None:
    """The watch continues; a script sees the failure at the end."""
    plan = replace(PLAN, format=None, count=2, command=command("raise SystemExit(3)"))
    done = Run(plan, FakeWatch([[created("a"), created("b")]]))
    assert done.code == 1
    assert done.err.count("ended with status 3, for file.created /srv/in/") == 2


STAY = """
import os, signal, sys, time
def end(*_):
    open(sys.argv[1] + ".end", "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1] + ".start", "w").close()
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("presses", [1, 2])
def test_a_signal_ends_the_command_and_reports_what_is_left(presses: int, tmp_path: Path) -> None:
    """In order at the first; a second one only makes it quicker."""
    log = tmp_path / "log"
    plan = replace(PLAN, format=None, command=command(STAY, str(log)))

    def interrupt() -> None:
        until_sync(Path(f"{log}.start").exists)
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    done = Run(plan, FakeWatch([[created("a"), created("b"), created("c")]]))
    thread.join()
    assert done.code == 130
    assert "limpet: 2 events were left without a command\n" in done.err
    assert presses == 2 or Path(f"{log}.end").exists()
