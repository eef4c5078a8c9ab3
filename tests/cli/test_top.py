"""``limpet top``: the table, the screen at each width, and keys on a real terminal."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rich")

from rich.console import Console

from limpet.cli._keys import KeyReader
from limpet.cli._programs import Seen
from limpet.cli._run_status import code_of
from limpet.cli._shown_paths import cells
from limpet.cli._status_text import ago, lasted, short, size, story
from limpet.cli._top_screen import Shown, View, screen
from limpet.cli._top_table import laid_out, part_rows, plain, program_row
from tests.web.fakes import HOSTILE, full_status

VIEWS: tuple[View, ...] = ("programs", "dead letters", "events")


def full() -> list[Seen]:
    """A program with one of everything, one with hostile names, and one that is away."""
    status = full_status()
    hostile = dataclasses.replace(
        status,
        name=HOSTILE[3],
        watches=tuple(
            dataclasses.replace(status.watches[0], name=name, place=name) for name in HOSTILE
        ),
    )
    return [
        Seen(name=status.name, address="http://127.0.0.1:1", status=status),
        Seen(name=hostile.name, address="http://127.0.0.1:2", status=hostile),
        Seen(name="away", address="http://127.0.0.1:3", status=None, reason="no limpet answers"),
    ]


def drawn(shown: Shown, width: int, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False, file=io.StringIO())
    with console.capture() as captured:
        console.print(screen(shown, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_screen_fits(width: int, view: View) -> None:
    """No line is wider, there are no more than the terminal has, and nothing drives it."""
    shown = Shown(view=view, answers=full())
    happened = [
        {"time": time.time(), "what": "failed", "path": name, "by": "b", "detail": name}
        for name in HOSTILE
    ]
    shown.happenings = {"http://127.0.0.1:1": happened}
    for chosen in range(3):
        shown.chosen = chosen
        lines = drawn(shown, width)
        assert len(lines) <= 24
        assert max(map(cells, lines)) <= width
        text = "\n".join(lines)
        assert all(one.isprintable() or one == "\n" for one in text), text
        assert "\u202e" not in text


def test_what_matters_is_there_at_80_columns() -> None:
    """Health, rates, what waits, what failed, dead letters: whole numbers, no cut ones."""
    lines = drawn(Shown(answers=full()[:1]), 80, 60)
    head = next(line for line in lines if line.startswith("name"))
    assert head.split() == ["name", "what", "health", "/min", "waiting", "done", "failed", "dead",
                            "last"]  # fmt: skip
    assert any("problem" in line for line in lines)
    assert lines[-1].startswith("b programs")


def test_keys() -> None:
    """Views, pause, the chosen one within its bounds, and the end."""
    shown = Shown(answers=full())
    views = [(shown.press(key), shown.view) for key in "deb"]
    assert views == [(False, "dead letters"), (False, "events"), (False, "programs")]
    for key, chosen in (("up", 0), ("down", 1), ("down", 2), ("down", 2), ("up", 1)):
        assert not shown.press(key)
        assert shown.chosen == chosen
    assert not shown.press("p")
    assert shown.is_paused
    assert not shown.press("x")
    assert not shown.press("")
    assert shown.press("q")


def test_keys_that_arrive_together_are_all_taken() -> None:
    """A held arrow, fast typing, and an arrow that arrives in two parts."""
    ours, theirs = os.pipe()
    reader = KeyReader(ours)
    os.write(theirs, b"\x1b[B\x1b[B\x1bOAdq")
    assert [reader.read(1) for _ in range(5)] == ["down", "down", "up", "d", "q"]
    os.write(theirs, b"\x1b")
    os.write(theirs, b"[B\x1b[5~e")
    assert [reader.read(1) for _ in range(3)] == ["down", "", "e"]
    assert reader.read(0.01) == ""
    os.close(theirs)
    assert reader.read(1) == "q"
    os.close(ours)


def test_what_does_not_answer_is_not_called_well() -> None:
    """In the head, by its number."""
    (away,) = full()[2:]
    head = drawn(Shown(answers=[away]), 80)[0]
    assert "1 without an answer" in head
    assert "ok" not in head
    head = drawn(Shown(answers=full()), 120)[0]
    assert "3 running" in head
    assert "1 without an answer" in head


def test_what_a_newer_limpet_says_is_shown() -> None:
    """Words that this one does not know, and texts that would drive a terminal."""
    status = dataclasses.replace(
        full_status(),
        health="wonderful",  # type: ignore[arg-type]
        state="s\x1b[31m",  # type: ignore[arg-type]
        program="p\x1b[2J",  # type: ignore[arg-type]
    )
    seen = Seen(name="x", address="", status=status)
    assert code_of(seen) == 1
    for width in (80, 120):
        for view in VIEWS:
            lines = drawn(Shown(view=view, answers=[seen]), width)
            assert all(line.isprintable() for line in lines)
    assert all(line.isprintable() for line in plain([program_row(seen, time.time())]))


def test_a_table_lines_up_whatever_a_name_is() -> None:
    """Also with letters that take two cells, and names that are cut."""
    status = dataclasses.replace(full_status(), name="日本語のボット" * 5)
    rows = [program_row(Seen(name="x", address="", status=status), time.time())]
    rows += part_rows(status, time.time())
    for width in (60, 80, 120):
        lines = ["".join(text for text, _ in row) for row in laid_out(rows, width)]
        assert len({cells(line) for line in lines}) == 1
    assert plain(rows)[0].startswith("name")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (short(999), "999"), (short(1000), "1.0k"), (short(12_345), "12.3k"),
        (short(999_999), "1000k"), (short(1_500_000), "1.5M"), (short(0.5), "0.5"),
        (size(999), "999 B"), (size(1500), "1.5 kB"), (lasted(59), "59 s"), (lasted(3600), "1 h"),
        (ago(None, 5.0), "never"), (ago(3.0, 5.0), "2 s ago"), (lasted(-1), "0 s"),
    ],
)  # fmt: skip
def test_numbers_are_short(made: str, text: str) -> None:
    """They have a unit, and never more cells than a column."""
    assert made == text


def test_the_story_of_a_status_is_text() -> None:
    """Each line is one, without anything that drives a terminal."""
    for one in full()[:2]:
        assert one.status is not None
        for line in story(one.status):
            text = "".join(piece for piece, _ in line)
            assert text.isprintable(), text


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Path]:
    """A folder with a program that watches it and listens."""
    pytest.importorskip("uvicorn")
    from tests.bot.test_service import Program

    with Program(tmp_path, "watch", "--dir", "in", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "status at" in program.output)
        yield tmp_path
        program.process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal(watched: Path) -> None:
    """It shows what runs, takes keys, and leaves the terminal as it was."""
    from tests.cli.test_on_a_terminal import on_terminal

    home = str(watched / "xdg")
    with on_terminal("top", "--interval", "0.1", folder=watched, XDG_STATE_HOME=home) as screen:
        screen.until("1 running")
        screen.until("watch")
        screen.send("e")
        (watched / "in").mkdir()
        (watched / "in" / "made").touch()
        screen.until("file.created")
        screen.send("d")
        screen.until("there are no dead letters")
        screen.send("q")
        assert screen.process.wait(20) == 0
        assert screen.raw.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in screen.raw
