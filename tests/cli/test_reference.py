"""``docs/reference/cli.md`` names what there is, and nothing else."""

from __future__ import annotations

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
    _dispatch,
    _doctor_args,
    _follow_args,
    _hub_args,
    _watch_args,
    _write_args,
)
from limpet.cli._doctor import examine
from limpet.cli._exec import VARIABLES

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")


def options() -> set[str]:
    """Every option the program takes, that for help left out."""
    parsers = [
        _dispatch.overview(),
        _watch_args.parser(),
        _follow_args.parser(),
        _doctor_args.parser(),
        _agent_args.parser(),
        _hub_args.parser(),
    ]
    parsers += map(_write_args.parser, _write_args.USES)
    parsers += map(_bot_args.parser, _bot_args.USES)
    words = {word for one in parsers for action in one._actions for word in action.option_strings}
    return {word for word in words if word.startswith("--")} - {"--help"}


def test_every_option_is_on_the_page() -> None:
    """And every option on the page is one, or one of the programs in its examples."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert options() <= named
    assert named - options() == set()


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
