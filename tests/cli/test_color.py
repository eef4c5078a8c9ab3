"""Colours: who decides, what they change, and that nothing needs them."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limpet.cli import main
from limpet.cli._color import (
    HELP_RULES,
    LOG_RULES,
    PROBLEM_RULES,
    REPORT_RULES,
    Color,
    Rules,
    by_rules,
    choice,
    choice_in,
    painter,
    wants_color,
)
from limpet.cli._command_list import COMMANDS
from limpet.cli._render import renderer_for
from tests.cli.fakes import created, stream
from tests.cli.test_render import Tty, tty

__all__ = ["tty"]

CODE = "\x1b["


@contextmanager
def chosen(color: Color) -> Iterator[None]:
    token = choice.set(color)
    try:
        yield
    finally:
        choice.reset(token)


@pytest.mark.parametrize(
    ("option", "environment", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, True),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("always", {}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("never", {}, True, False),
    ],
)
def test_who_decides(
    option: Color, environment: dict[str, str], terminal: bool, expected: bool
) -> None:
    """The option, then NO_COLOR, then FORCE_COLOR, then the terminal."""

    class Stream:
        def isatty(self) -> bool:
            return terminal

    with chosen(option):
        assert wants_color(Stream(), environment) is expected


def test_what_is_no_stream_has_no_colours() -> None:
    """None at all, and a closed one."""
    closed = io.StringIO()
    closed.close()
    assert not wants_color(None, {})
    assert not wants_color(closed, {})


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("watch . --color always", "always"),
        ("watch . --color=never --color always", "always"),
        ("watch . --color", "auto"),
        ("watch . --color x", "auto"),
        ("watch . -- --color always", "auto"),
        ("watch . --exec ls --color always", "auto"),
        ("watch . -x ls --color=always", "auto"),
        ("watch . -bx ls --color=always", "auto"),
        ("watch . --exec=ls --color=always", "auto"),
        ("--color always watch .", "always"),
    ],
)
def test_the_option_is_found_before_the_arguments_are_read(argv: str, expected: str) -> None:
    """Not that of a command that is run, and not a path."""
    assert choice_in(argv.split()) == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_same_text_with_colours_and_without(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And has some."""
    assert main([command, "--help", "--color", "never"]) == 0
    plain = capsys.readouterr().out
    assert CODE not in plain
    assert main([command, "--color", "always", "--help"]) == 0
    coloured = capsys.readouterr().out
    assert "\x1b[1m" in coloured
    assert "\x1b[36m--color auto|always|never\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_errors_have_colours(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's name, so that the line is found; the text is the same."""
    assert main(["watch", "--color", "always"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "\x1b[1;31mlimpet:\x1b[0m expected PATH..., got 0 arguments"
    assert second == "Try '\x1b[1mlimpet watch --help\x1b[0m'."
    assert main(["watch", "--color", "x"]) == 2
    assert capsys.readouterr().err.startswith(
        "limpet: --color: must be one of auto, always, never, not 'x'"
    )


def test_the_option_may_come_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """As the only one."""
    assert main(["--color", "always", "watch"]) == 2
    assert capsys.readouterr().err.startswith("\x1b[1;31mlimpet:\x1b[0m expected PATH...")
    assert main(["--color", "always"]) == 2
    assert "\x1b[1musage:\x1b[0m limpet" in capsys.readouterr().out


def test_one_call_leaves_no_choice_for_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    """A program may call ``main`` several times."""
    main(["watch", "--color", "always"])
    main(["watch"])
    assert capsys.readouterr().err.splitlines()[2].startswith("limpet: ")


def test_text_in_a_pipe_keeps_its_columns(tty: Tty) -> None:
    """With colours that were asked for; JSON and NUL-ended paths never have any."""
    event = created("a b")
    plain = renderer_for("text", stream()).event(event, "s")
    with chosen("always"):
        coloured = renderer_for("text", stream()).event(event, "s")
        assert CODE.encode() in coloured
        assert re.sub(rb"\x1b\[[0-9;]*m", b"", coloured) == plain
        assert coloured.count(b"\t") == plain.count(b"\t") == 3
        for form in ("jsonl", "cloudevents", "paths0"):
            assert CODE.encode() not in renderer_for(form, tty).event(event, "s")
    with chosen("never"):
        assert CODE.encode() not in renderer_for("text", tty).event(event, "s")


def test_the_doctor_and_the_check_have_colours(tmp_path: Path, capfdbinary: Any) -> None:
    """And the same text."""
    wrong = tmp_path / "bot.yaml"
    wrong.write_text("kind: nothing\n")
    for argv in (["doctor", str(tmp_path)], ["check", str(wrong)]):
        codes = main([*argv, "--color", "never"]), main([*argv, "--color", "never"])
        plain = capfdbinary.readouterr()
        coloured_code = main([*argv, "--color", "always"]), main([*argv, "--color", "always"])
        coloured = capfdbinary.readouterr()
        assert codes == coloured_code
        for before, after in zip(plain, coloured, strict=True):
            stripped = re.sub(rb"\x1b\[[0-9;]*m", b"", after)
            moves = rb"[\d\s-]+"  # counts, and the width of their columns
            assert re.sub(moves, b"", stripped) == re.sub(moves, b"", before)
        assert CODE.encode() in coloured.out + coloured.err


@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        (PROBLEM_RULES, "a.yaml:1:2: error: x: error: y", "<a.yaml:1:2:> <error>: x: error: y"),
        (PROBLEM_RULES, "a.yaml:1:2: warning: x", "<a.yaml:1:2:> <warning>: x"),
        (PROBLEM_RULES, "1 bot: fine", "1 bot: <fine>"),
        (REPORT_RULES, "path         /x", "<path>         /x"),
        (
            REPORT_RULES,
            "\nproblem (limit): a\n    sudo x\n",
            "\n<problem (limit):> a\n    <sudo x>\n",
        ),
        (REPORT_RULES, "no problem found", "<no problem found>"),
        (
            LOG_RULES,
            "2026-01-01T00:00:00.000Z ERROR   a: ERROR x",
            "<2026-01-01T00:00:00.000Z> <ERROR>   a: ERROR x",
        ),
        (
            LOG_RULES,
            "2026-01-01 00:00:00,000 WARNING 7 ERROR",
            "<2026-01-01 00:00:00,000> <WARNING> 7 ERROR",
        ),
        (
            HELP_RULES,
            "usage: limpet\n\noptions:\n  -h, --help  show",
            "<usage:> limpet\n\n<options:>\n  <-h, --help>  show",
        ),
    ],
)
def test_what_the_rules_match(rules: Rules, text: str, expected: str) -> None:
    """The marks of a line, and not what somebody has written after them."""

    def paint(pieces: Any) -> str:
        return "".join(f"<{text}>" for text, _ in pieces)

    assert by_rules(paint, rules)(text) == expected


def test_without_rich_colours_that_are_asked_for_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command starts and prints plainly."""
    for name in ("rich", "rich.color", "rich.console", "rich.style"):
        monkeypatch.setitem(sys.modules, name, None)
    with chosen("always"):
        assert painter(sys.stdout)([("a", "red"), ("b", "")]) == "ab"
    assert main(["watch", "--color", "always"]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("there are no colours without rich: pip install 'limpet[cli]'")
    assert rest[0] == "limpet: expected PATH..., got 0 arguments"
