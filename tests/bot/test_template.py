"""The template language: its results, its errors, and the safety of names."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mewbot.core import InputEvent

from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import Fields
from limpet.errors import UsageError
from tests.bot.factories import created, renamed


@dataclasses.dataclass
class Message(InputEvent):
    author: str
    text: str
    extra: dict[str, object] = dataclasses.field(default_factory=dict)


def fields(event: InputEvent | None = None, **state: object) -> Fields:
    return Fields(event or created("sub/Report 1.tar.gz"), state)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("plain", "plain"),
        ("{{{name}}}", "{Report 1.tar.gz}"),
        ("{rel} {stem} {suffix} {parent}", "sub/Report 1.tar.gz Report 1.tar .gz sub"),
        ("{size:05d} {size}", "00003 3"),
        ("{utc:%Y-%m-%d} {utc:%H:%M}", "2025-11-25 12:00"),
        ("{mtime}", "1700000000"),
        ("{mtime|time('%Y')}", "2023"),
        ("{type} {kind} {io} {origin}", "file.created file inbox live"),
        ("{name|upper|limit(3)}", "REP"),
        ("{name|limit(3, '...')}", "Rep..."),
        ("{content|default('none, really')}", "none, really"),
        ("{event.nothing|default('')}|", "|"),
        ("{event.stat.size}", "3"),
        ("{event.seq}", "1"),
        ("{state.command.output}", "out"),
        ("{name|sha256|limit(8)}", "2e43bdc9"),
        ("{name|base64}", "UmVwb3J0IDEudGFyLmd6"),
        ("{name|url}", "Report%201.tar.gz"),
        ("{name|json}", '"Report 1.tar.gz"'),
        ('{name|replace(" ", "}")}', "Report}1.tar.gz"),
    ],
)  # fmt: skip
def test_what_a_template_expands_to(source: str, wanted: str) -> None:
    """Fields, forms, filters."""
    assert Template(source).text(fields(command={"output": "out"})) == wanted


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{name", "without a '}'"),
        ("name}", "a '}' without"),
        ("{}", "is not a field"),
        ("{name|uper}", "did you mean 'upper'"),
        ("{name|limit}", "takes 1 to 2"),
        ("{name|limit(x)}", "neither"),
        ("{name.__class__.__mro__}", None),
        ("{event.__class__}", None),
        ("{event.event}", None),
        ("{state.__class__}", None),
        ("{naem}", "did you mean 'name'"),
        ("{old_path}", "has no field"),
        ("{name:>}x{name:{size}}", "without a '}'"),
        ("{size:1000000000d}", "cannot be shown"),
        ("{io!r}", "is not a field"),
        ("{name[0]}", "is not a field"),
    ],
)
def test_errors_are_reported(source: str, expected: str | None) -> None:
    """At once if possible, else with the event; and nothing reaches into an object."""
    with pytest.raises(UsageError) as refused:
        Template(source).text(fields())
    assert expected is None or expected in str(refused.value)


@pytest.mark.parametrize(
    "author",
    ["../../etc/passwd", "..\\..\\x", "E:\\test", "a\0b", "x" * 5000, "CON", "", ".", "..", "a/b"],
)
def test_case_d12_nothing_in_a_value_leads_out(author: str) -> None:
    """D12: any user's name is one component of the file name."""
    name = Template("by/{event.author}.txt").name(Fields(Message(author, "hi")))
    first, second = name.split("/")
    assert first == "by"
    assert "\0" not in second
    assert "\\" not in second
    assert len(second.encode()) <= 200
    assert second not in {"", ".", ".."}


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_name_is_made_of_the_folders_of_the_template_alone(one: str, two: str) -> None:
    """Also when several values form a component."""
    name = Template("a/{event.author}-{event.text}/c").name(Fields(Message(one, two)))
    assert [*name.split("/")][0::2] == ["a", "c"]
    assert name.count("/") == 2


def test_what_parts_folders() -> None:
    """The template's own slashes, those in the form of a time, and the folders of a path."""
    event = created("sub/deep/a.txt", time=datetime(2027, 1, 2, 12, tzinfo=UTC).timestamp())
    assert Template("{rel}").name(Fields(event)) == "sub/deep/a.txt"
    assert Template("{utc:%Y/%m}/{name}").name(Fields(event)) == "2027/01/a.txt"
    assert Template("{utc}.txt").name(Fields(event)) == "2027-01-02T120000.txt"
    assert Template("{old_path|default('x')}").name(Fields(event)) == "x"
    assert Template("/{rel}/").name(Fields(event)) == "sub/deep/a.txt"
    with pytest.raises(UsageError, match="empty"):
        Template("/").name(Fields(event))


def test_fields_of_a_rename_and_of_others_events() -> None:
    """The old name; the public fields of a dataclass."""
    assert Template("{old_name} {name}").text(Fields(renamed("a", "b"))) == "a b"
    message = Fields(Message("Ann", "hi", {"id": 5}))
    assert Template("{event.author}: {event.text} {event.extra.id}").text(message) == "Ann: hi 5"
    assert Template("{type} {content}").text(message) == "Message hi"
