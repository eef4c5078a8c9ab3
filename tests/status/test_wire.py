"""A status as JSON and back, whatever names are in it."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limpet
from limpet.status import (
    Happening,
    Status,
    happening_to_wire,
    status_from_wire,
    status_to_wire,
)
from tests.cli.fakes import renamed

SCHEMA = json.loads((Path(limpet.__file__).parent / "status.schema.json").read_text("utf-8"))

text = st.text(st.characters(), max_size=8)
"""With lone surrogates, controls and marks of direction."""


def values(kind: Any) -> st.SearchStrategy[Any]:
    """A strategy for the values of a field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(text, values(arguments[1]), max_size=2)
    if arguments:  # a union with None
        return st.one_of(*(st.none() if one is type(None) else values(one) for one in arguments))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {one.name: values(hints[one.name]) for one in dataclasses.fields(kind)}
        if kind is Status:
            fields["version"] = st.just(1)
        return st.builds(kind, **fields)  # type: ignore[arg-type]
    plain = {int: st.integers(0, 2**53), float: st.floats(0, 1e12), str: text, bool: st.booleans()}
    return plain[kind]


@settings(max_examples=60)
@given(values(Status))
def test_each_status_is_json_by_the_schema_and_comes_back(status: Status) -> None:
    """Strict JSON in UTF-8; what no encoding holds is escaped, all else is as it was."""
    data = json.dumps(status_to_wire(status), ensure_ascii=False, allow_nan=False).encode("utf-8")
    wire = json.loads(data)
    jsonschema.validate(wire, SCHEMA)
    again = status_from_wire(wire)
    assert status_to_wire(again) == wire
    assert (again.pid, again.events, again.health) == (status.pid, status.events, status.health)


def least() -> dict[str, Any]:
    """What a status must have."""
    return {
        "version": 1, "program": "run", "name": "b", "instance": "i", "pid": 1, "host": "h",
        "limpet": "1", "started": 1, "time": 2,
    }  # fmt: skip


def test_a_newer_minor_form_is_read() -> None:
    """Fields and words that this version does not know are not its business."""
    found = status_from_wire({**least(), "new": {"a": 1}, "state": "sleeping"})
    assert (found.name, found.started, found.state) == ("b", 1.0, "sleeping")
    found = status_from_wire({**least(), "events_per_minute": float("nan"), "time": None})
    assert (found.events_per_minute, found.time) == (0.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], "x", {}, {"version": 2}, {**least(), "version": 2}, {**least(), "pid": "1"},
        {**least(), "pid": True}, {**least(), "watches": {}}, {**least(), "watches": [1]},
        {**least(), "counters": []}, {**least(), "counters": {"a": "b"}}, {**least(), "hub": 5},
        {**least(), "watches": [{"name": "a"}]},
    ],
)  # fmt: skip
def test_what_is_no_status_is_refused(wrong: object) -> None:
    """By one typed error, that says what is wrong."""
    with pytest.raises(limpet.UsageError, match="not a status"):
        status_from_wire(wrong)


def test_what_happened_is_described_without_content(tmp_path: Path) -> None:
    """Type, path and source of an event; text of anything else, escaped and not endless."""
    path = tmp_path / "a\udcff\n<b>"
    event = renamed("old", "a\udcff\n<b>", location=tmp_path)
    wire = happening_to_wire(3, Happening(1.5, "event", event, "in", "x" * 9000))
    assert json.dumps(wire, ensure_ascii=False).encode("utf-8")
    assert wire["type"] == "file.renamed"
    assert wire["path"].endswith("a\\udcff\n<b>")
    assert wire["source"].endswith("old")
    assert (wire["number"], wire["time"], wire["by"], len(wire["detail"])) == (3, 1.5, "in", 2000)
    assert happening_to_wire(1, Happening(1.0, "line", path))["path"] == str(wire["path"])
    assert len(happening_to_wire(1, Happening(1.0, "problem", "y" * 9000))["text"]) == 2000
