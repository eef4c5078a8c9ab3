"""``docs/reference/cli.md`` names what there is, and nothing else."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from limpet._wire import EVENT_TYPES, schema
from limpet.cli import (
    _agent_args,
    _bot_args,
    _command_list,
    _doctor_args,
    _explain_args,
    _follow_args,
    _hub_args,
    _inbox_args,
    _status_args,
    _watch_args,
    _write,
)
from limpet.cli._commands import VARIABLES
from limpet.cli._doctor import examine
from limpet.cli._parser import Parser

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")

SECTIONS: dict[str, list[Parser]] = {
    "limpet watch": [_watch_args.parser("watch")],
    "limpet follow": [_follow_args.parser("follow")],
    "limpet inbox": [_inbox_args.parser("inbox")],
    "limpet doctor": [_doctor_args.parser("doctor")],
    "limpet explain": [_explain_args.parser("explain")],
    "Writing": [_write.parser(command) for command in _write.USES],
    "limpet agent": [_agent_args.parser("agent")],
    "limpet hub": [_hub_args.parser("hub")],
    **{f"limpet {command}": [_status_args.parser(command)] for command in ("status", "top")},
    **{f"limpet {command}": [_bot_args.parser(command)] for command in _bot_args.USES},
}
"""Heading of the page -> the commands whose options it lists."""


def options(parser: Parser) -> list[argparse.Action]:
    """Return the options that are a command's own."""
    return [
        one
        for one in parser._actions
        if one.option_strings and one.dest not in {"help", "color", "version"}
    ]


def test_options_of_every_command_are_on_the_page_once() -> None:
    """In their own section; each command has them."""
    section = PAGE.partition("\n## Every command\n")[2].partition("\n## ")[0]
    found = [cells(line)[0] for line in section.splitlines() if line.startswith("| `-")]
    assert found[:2] == ["`-h`, `--help`", "`--color auto\\|always\\|never`"]
    for parsers in SECTIONS.values():
        for parser in parsers:
            flags = {flag for one in parser._actions for flag in one.option_strings}
            assert {"-h", "--help", "--color"} <= flags


def rows(parsers: list[Parser]) -> list[list[str]]:
    """Return the table of the options; with a column for the commands if there are several."""
    users: dict[tuple[str, str, str], list[str]] = {}
    for parser in parsers:
        for action in options(parser):
            value = f" {action.metavar}" if action.metavar else ""
            flags = ", ".join(f"`{flag}{value}`" for flag in action.option_strings)
            shown = re.fullmatch(r"(.*?)(?: \(([^()]*)\))?", action.help or "")
            assert shown is not None
            key = (flags.replace("|", "\\|"), shown[2] or "", shown[1])
            users.setdefault(key, []).append(parser.prog.removeprefix("limpet "))
    found = []
    for (flags, default, text), names in users.items():
        of = "all" if len(names) == len(parsers) else ", ".join(names)
        found.append([flags, *([of] if len(parsers) > 1 else []), default, text])
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_tables_have_the_options_and_their_help(heading: str) -> None:
    """Option, default and help are the parser's, word for word."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = [cells(line) for line in section.splitlines() if line.startswith("| `-")]
    assert sorted(found) == sorted(rows(SECTIONS[heading]))


def test_every_option_on_the_page_exists() -> None:
    """In prose too; the programs in its examples have none of their own."""
    parsers = [_command_list.overview(), *(one for found in SECTIONS.values() for one in found)]
    known = {flag for one in parsers for action in one._actions for flag in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known


@pytest.mark.parametrize("word", sorted([*EVENT_TYPES, *VARIABLES]))
def test_every_word_is_on_the_page(word: str) -> None:
    """Types of events, and variables of commands."""
    assert f"`{word}`" in PAGE


def blocks(kind: str) -> Iterator[str]:
    return iter(re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_are_json() -> None:
    """The event among them fulfils the schema."""
    objects = [json.loads(block) for block in blocks("json")]
    assert [one.get("type") for one in objects] == [
        "watch.ready",
        "file.created",
        "limpet.file.created",
        "follow.line",
        "doctor",
        None,
        None,
    ]
    assert [one.get("ok") for one in objects[-2:]] == [True, False]
    Draft202012Validator(schema()).validate(objects[1])


def test_every_problem_of_the_doctor_is_on_the_page() -> None:
    """As the source names them."""
    source = Path(examine.__code__.co_filename).read_text(encoding="utf-8")
    codes = set(re.findall(r'code="([a-z-]+)"', source))
    assert codes
    assert all(f"| `{code}` |" in PAGE for code in codes)
