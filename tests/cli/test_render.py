"""Lines a program can split and a terminal cannot be driven by."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet._printable import escape
from limpet.cli._event_text import Ready, describe, facts
from limpet.cli._render import Paths, Text, renderer_for, stats_line
from limpet.cli._render_json import CloudEvents, JsonLines
from limpet.cli._terminal import Terminal
from limpet.events import (
    Degraded,
    DirCreated,
    DirSettled,
    DirUpdated,
    Event,
    Mismatched,
    Recovered,
    Rescanned,
    TargetFileDeleted,
)
from tests.cli.fakes import ROOT, STAT, FakeStats, base, created, deleted, renamed, stream, updated

READY = Ready(root=ROOT, kind="dir", backend="poll", session="s1", time=1_764_000_000.5)
ABOUT: dict[str, Any] = {"location": ROOT, "time": 1_764_000_000.5, "seq": 1}
STATS: Any = FakeStats()
NASTY = "a\n\x1b]0;owned\x07\udcff\\"


def unescape(text: str) -> str:
    """The way back, as the reference describes it."""

    def character(found: re.Match[str]) -> str:
        short, code = found[0][1], found[0][2:]
        if short in "nrt\\":
            return {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}[short]
        number = int(code, 16)
        return chr(number + 0xDC00 if short == "x" and number >= 0x80 else number)

    return re.sub(r"\\(?:[nrt\\]|x..|u....|U........)", character, text)


@given(st.text() | st.binary().map(os.fsdecode))
def test_escaped_names_are_printable_and_tell_apart(name: str) -> None:
    """Nothing but printable characters comes out, and the name can be had back."""
    shown = escape(name)
    assert shown.isprintable()
    assert unescape(shown) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 文.txt", "plain é 文.txt"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\u009b31m"),
        ("a\u202etxt", r"a\u202etxt"),
        ("\U000e0001", r"\U000e0001"),
        ("caf\udce9", r"caf\xe9"),
        ("a\\nb", r"a\\nb"),
    ],
)
def test_escapes(name: str, shown: str) -> None:
    """What each kind of character becomes."""
    assert escape(name) == shown


def test_a_backslash_between_folders_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is the separator, no name has one, or a control character."""
    monkeypatch.setattr(os, "sep", "\\")
    assert escape("C:\\in\\a") == "C:\\in\\a"
    assert escape("C:\\in\\\n") == "C:\\in\\\\n"


def columns(event: Event) -> list[str]:
    line = Text("utf-8").event(event, "s1").decode()
    assert line.endswith("\n")
    return line[:-1].split("\t")


def test_plain_lines_are_columns() -> None:
    """Time, type, path, then facts: ``cut -f3`` gives the path, whatever it is called."""
    assert columns(created("a.txt")) == [
        "2025-11-24T16:00:00.500Z",
        "file.created",
        "/srv/in/a.txt",
        "size=12",
    ]
    assert columns(updated(NASTY))[2] == r"/srv/in/a\n\x1b]0;owned\x07\xff\\"
    assert columns(renamed("old\n", "new", replaced=STAT))[3:] == [
        r"from=/srv/in/old\n",
        "replaced",
    ]
    assert columns(deleted("a"))[1:] == ["file.deleted", "/srv/in/a"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (created("a", transient=True), ["transient"]),
        (created("a", own=True, origin="offline"), ["size=12", "own", "origin=offline"]),
        (created("a", content_error="too_large"), ["size=12", "content=too_large"]),
        (updated("a", changes=frozenset({"mode", "content"})), ["size=12", "changes=content,mode"]),
        (DirCreated(**base("d") | {"kind": "dir"}, stat=STAT), []),
        (
            DirUpdated(
                **base("d") | {"kind": "dir"},
                stat=STAT,
                previous=None,
                changes=frozenset({"owner"}),
            ),
            ["changes=owner"],
        ),
        (DirSettled(**base("d") | {"kind": "dir"}, stat=STAT), []),
        (DirSettled(**base("d") | {"kind": "dir"}, stat=STAT, existing=True), ["existing"]),
        (
            TargetFileDeleted(**base(".") | {"kind": "symlink"}, previous=None, reason="moved"),
            ["target", "reason=moved", "kind=symlink"],
        ),
        (Rescanned(**ABOUT, reason="overflow"), ["reason=overflow"]),
        (Recovered(**ABOUT, path=ROOT), []),
        (Mismatched(**ABOUT, found="file", expected="dir"), ["found=file", "expected=dir"]),
        (
            Degraded(**ABOUT, path=ROOT, reason="limit", message="a\nb"),
            ["reason=limit", r"a\nb"],
        ),
    ],
)
def test_facts(event: Event, expected: list[str]) -> None:
    """What a line has beside type and path."""
    assert list(facts(event)) == expected


def test_the_encoding_of_the_stream_is_kept() -> None:
    """A character that the encoding does not have is escaped as a control character is."""
    assert b"\\u6587\n" in Text("latin-1").ready(
        Ready(root=Path("/é"), kind="dir", backend="文", session="s", time=0.0)
    )
    assert Text("latin-1").event(created("é"), "s").split(b"\t")[2] == b"/srv/in/\xe9"


def test_ready_lines() -> None:
    """The first line of each format; ``paths0`` has no place for one."""
    assert Text("utf-8").ready(READY) == (
        b"2025-11-24T16:00:00.500Z\twatch.ready\t/srv/in\tbackend=poll\n"
    )
    assert json.loads(JsonLines().ready(READY)) == {
        "v": 1,
        "type": "watch.ready",
        "root": "/srv/in",
        "kind": "dir",
        "backend": "poll",
        "session": "s1",
    }
    cloud = json.loads(CloudEvents().ready(READY))
    assert (cloud["type"], cloud["id"], cloud["source"]) == (
        "limpet.watch.ready",
        "s1.0",
        "file:///srv/in",
    )
    assert cloud["time"] == "2025-11-24T16:00:00.500000Z"
    assert Paths().ready(READY) == b""


def test_structured_formats_carry_the_wire() -> None:
    """JSON lines are the wire object; a CloudEvent has it as its data."""
    wire = json.loads(JsonLines().event(created("a"), "s1"))
    assert wire["id"] == "s1.1"
    assert json.loads(CloudEvents().event(created("a"), "s1"))["data"] == wire


def test_paths0_gives_bytes() -> None:
    """Exactly what is on disk, a NUL after it; a watch's own events have no path to act on."""
    assert Paths().event(created(NASTY), "s") == b"/srv/in/a\n\x1b]0;owned\x07\xff\\\0"
    assert Paths().event(renamed("a", "b"), "s") == b"/srv/in/b\0"
    assert Paths().event(Recovered(**ABOUT, path=ROOT), "s") == b""


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            Degraded(**ABOUT, path=ROOT / "x\n", reason="permission", message="cannot\nread"),
            r"watch.degraded /srv/in/x\n: cannot\nread (permission)",
        ),
        (Recovered(**ABOUT, path=ROOT), "watch.recovered /srv/in is watched again"),
        (
            Rescanned(**ABOUT, reason="overflow"),
            "watch.rescanned /srv/in was scanned again (overflow)",
        ),
        (
            Mismatched(**ABOUT, found="file", expected="dir"),
            "watch.mismatched /srv/in is a file, not a dir: waiting for that to change",
        ),
        (created("a"), "file.created /srv/in"),
    ],
)
def test_events_about_the_watch(event: Event, message: str) -> None:
    """One plain line for standard error."""
    assert describe(event) == message


def test_stats_lines() -> None:
    """Words for people, an object for programs."""
    assert stats_line(ROOT, STATS, structured=False) == (
        "watch.stats /srv/in backend=fake marks=3 entries=4"
    )
    assert json.loads(stats_line(ROOT, STATS, structured=True)) == {
        "v": 1,
        "type": "watch.stats",
        "root": "/srv/in",
        "backend": "fake",
        "marks": 3,
        "entries": 4,
    }


class Tty(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Tty:
    """A terminal with colours, as rich finds them out."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Tty(io.BytesIO(), encoding="utf-8")


def test_the_format_and_the_stream_choose_the_renderer(tty: Tty) -> None:
    """Colours only on a terminal."""
    assert isinstance(renderer_for("text", stream()), Text)
    assert isinstance(renderer_for("text", None), Text)
    assert isinstance(renderer_for("text", tty), Terminal)
    assert isinstance(renderer_for("jsonl", tty), JsonLines)
    assert isinstance(renderer_for("cloudevents", tty), CloudEvents)
    assert isinstance(renderer_for("paths0", tty), Paths)


def without_colour(line: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line.decode())


def test_a_terminal_gets_colours_and_aligned_columns(tty: Tty) -> None:
    """The type in its colour, paths below one another, sizes with a unit, never a broken line."""
    terminal = Terminal(tty)
    lines = [
        terminal.ready(READY),
        terminal.event(created("a.txt"), "s"),
        terminal.event(updated("d/" + "long" * 100), "s"),
        terminal.event(renamed("x", "y"), "s"),
        terminal.event(deleted(NASTY), "s"),
        terminal.event(Degraded(**ABOUT, path=Path("/"), reason="limit", message="full"), "s"),
    ]
    assert b"\x1b[32mfile.created\x1b[0m" in lines[1]
    plain = [without_colour(line) for line in lines]
    assert all(line.count("\n") == 1 for line in plain)
    assert all(line.removesuffix("\n").isprintable() for line in plain)
    assert {line.index("  /srv/in") for line in plain[:5]} == {26}
    assert plain[1].endswith("  /srv/in/a.txt  12 bytes\n")
    assert plain[2].endswith("longlong  12 bytes  content\n")
    assert plain[3].endswith("/srv/in/y  from /srv/in/x\n")
    assert plain[4].endswith(r"/srv/in/a\n\x1b]0;owned\x07\xff\\" + "\n")
    assert plain[5].endswith("  /  reason limit  full\n")


def test_without_rich_a_terminal_gets_the_same_columns(
    tty: Tty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra cli is for colours alone."""
    events = [created("a.txt"), renamed("x", "y"), deleted(NASTY)]
    coloured = [without_colour(Terminal(tty).event(event, "s")) for event in events]
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = Terminal(tty)
    assert [plain.event(event, "s").decode() for event in events] == coloured
    assert plain.ready(READY).decode().endswith("  poll\n")


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1024, 123_456, 999_999, 10**6, 5 * 10**12])
def test_sizes_are_those_of_rich(count: int) -> None:
    from rich.filesize import decimal

    from limpet.cli._terminal import _size

    assert _size(count) == decimal(count)


def test_no_colour_is_honoured(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    """``NO_COLOR`` leaves the columns and takes the colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b[32m" not in Terminal(tty).event(created("a"), "s")
