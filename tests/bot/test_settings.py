"""Settings of a user's own component: any annotation, from a file and from code."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from limpet.bot import LimpetAction, Setting
from limpet.bot.settings import FilePath, OneOrMore, TemplateText, Text
from limpet.errors import UsageError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Server(BaseModel):
    host: str
    port: int = 80


class Own(LimpetAction):
    """Has a setting of each kind."""

    class Pace(enum.IntEnum):
        SLOW = 1

    pace: Pace = Setting(Pace.SLOW, description="An enum of numbers, in the class.")
    names: frozenset[str] = Setting(frozenset(), description="A set.")
    pair: tuple[int, str] = Setting((0, ""), description="A pair.")
    points: list[Point] = Setting([], description="Dataclasses.")
    place: Server = Setting(Server(host="a"), title="Place", description="A model with bounds.")
    either: bool | int = Setting(0, description="Two types with values that are equal.")
    number: Literal[1, 2] = Setting(1, description="One of two numbers.")
    words: str = Setting("hello", min_length=2, description="Words.")
    text: Text = Setting("x", description="A text.")
    count: int = Setting(1, ge=1, le=5, description="A number.")
    colour: Colour = Setting(Colour.RED, description="An enum.")
    day: dt.date | None = Setting(None, description="A date.")
    point: Point = Setting(Point(1), description="A dataclass.")
    server: Server | None = Setting(None, description="A model.")
    numbers: list[int] = Setting([], description="A list.")
    table: dict[str, float] = Setting({}, description="A mapping.")
    mode: Literal["a", "b"] = Setting("a", description="One of two.")
    folders: OneOrMore[FilePath] = Setting((), description="Paths.")
    line: TemplateText | None = Setting(None, description="A template.")

    async def steps(self, event: Any, state: Any, outcome: Any) -> AsyncIterator[None]:
        return
        yield


@pytest.mark.parametrize(
    ("name", "given", "expected", "plain"),
    [
        ("words", "hi", "hi", "hi"),
        ("colour", "blue", Colour.BLUE, "blue"),
        ("colour", Colour.BLUE, Colour.BLUE, "blue"),
        ("pace", 1, Own.Pace.SLOW, 1),
        ("names", ["a"], frozenset({"a"}), ["a"]),
        ("pair", [1, "a"], (1, "a"), [1, "a"]),
        ("points", [{"x": 1}], [Point(1)], [{"x": 1, "y": 0}]),
        ("place", {"host": "b"}, Server(host="b"), {"host": "b", "port": 80}),
        ("day", "2026-11-29", dt.date(2026, 11, 29), "2026-11-29"),
        ("point", {"x": 1, "y": 2}, Point(1, 2), {"x": 1, "y": 2}),
        ("server", {"host": "a"}, Server(host="a"), {"host": "a", "port": 80}),
        ("numbers", [1, 2], [1, 2], [1, 2]),
        ("table", {"a": 1}, {"a": 1.0}, {"a": 1.0}),
        ("folders", Path("x"), ("x",), ["x"]),
        ("folders", ["x", Path("y")], ("x", "y"), ["x", "y"]),
        ("folders", "a\udcff", ("a\udcff",), ["a\udcff"]),  # a name that is not UTF-8
        ("text", "a\udcff", "a\udcff", "a\udcff"),
    ],
)
def test_what_is_accepted(name: str, given: Any, expected: Any, plain: Any) -> None:
    """As a file has it and as code has it; ``values`` is what a file would have."""
    made = Own(**{name: given})
    assert getattr(made, name) == expected
    assert made.values() == {name: plain}
    assert getattr(Own(**made.values()), name) == expected


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("words", "x", "words must have at least 2 characters, not 'x'"),
        ("words", 5, "words must be text, not 5"),
        ("text", "", "text must not be empty"),
        ("folders", ["a", ""], "folders[1] must not be empty"),
        ("count", 6, "count must be less than or equal to 5, not 6"),
        ("count", True, "count must be a whole number, not True"),
        ("colour", "green", "colour must be one of red, blue, not 'green'"),
        ("number", 3, "number must be one of 1, 2, not 3"),
        ("pair", ["1", "a"], "pair[0] must be a whole number, not '1'"),
        ("pair", [1, "a", 2], "pair must have at most 2 items, not 3"),
        ("server", {"host": "a", "port": "x"}, "must be a whole number, not 'x'"),
        ("table", {1: 1.0}, "must be text, not 1"),
        ("day", "yesterday", "day must be a valid date"),
        ("point", {"y": 1}, "point the key 'x' is missing"),
        ("server", {"hots": "a"}, "server the key 'host' is missing"),
        ("numbers", [1, "2"], "numbers[1] must be a whole number, not '2'"),
        ("numbers", "12", "numbers must be a list, not '12'"),
        ("table", {"a": "b"}, "table['a'] must be a number, not 'b'"),
        ("mode", "c", "mode must be one of a, b, not 'c'"),
        ("line", "{{ nmae }}", "there is no field 'nmae'; did you mean 'name'?"),
    ],
)
def test_what_is_refused(name: str, given: Any, message: str) -> None:
    """By the name of the property and its part; the old value stays."""
    made = Own()
    before = getattr(made, name)
    with pytest.raises(UsageError) as refused:
        setattr(made, name, given)
    assert message in str(refused.value)
    assert getattr(made, name) == before
    assert made.values() == {}


def test_an_equal_value_of_another_type_is_set() -> None:
    made = Own(either=1)
    made.either = True
    assert made.either is True


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    class Local: ...

    class Unresolved(Own):
        local: Local | None = Setting(None, description="A type of this function alone.")
        nothing = Setting(None, description="It has none.")

    with pytest.raises(TypeError, match=r"Unresolved\.local cannot be resolved: name 'Local'"):
        Unresolved(local=5)
    with pytest.raises(TypeError, match=r"Unresolved\.nothing has no annotation"):
        Unresolved(nothing=5)


def test_a_name_inside_an_annotation_may_be_quoted() -> None:
    module: Any = types.ModuleType("of_a_user")
    sys.modules[module.__name__] = module
    source = """
from limpet.bot.settings import Setting
from limpet.bot.settings._setting import Configured

class Group(Configured):
    members: list["Member"] = Setting([], description="Classes that come later.")

from pydantic import BaseModel

class Member(BaseModel):
    name: str
"""
    exec(source, vars(module))  # noqa: S102 - a module of a user
    del sys.modules[module.__name__]  # as after a check
    made = module.Group()
    made.members = [{"name": "a"}]
    assert made.members == [module.Member(name="a")]


def test_a_default_that_can_be_changed_is_each_instances_own() -> None:
    one, two = Own(), Own()
    one.numbers.append(5)
    assert (one.numbers, two.numbers, Own().numbers) == ([5], [], [])
    assert one.values() == {}
