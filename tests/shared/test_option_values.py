"""Every option of every public call refuses what is no value of it, in one wording."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limpet
from limpet._option_fields import _fits
from limpet.config import ContentOptions, WatchOptions
from limpet.errors import UsageError
from limpet.following._follow_options import FollowOptions
from limpet.output._config import Settings
from limpet.output._limits import OutputLimits, Rotation

CLASSES = [ContentOptions, WatchOptions, FollowOptions, OutputLimits, Rotation]
REQUIRED: dict[type, dict[str, Any]] = {Rotation: {"daily": True}}


class Odd:
    """No value of any option."""

    def __repr__(self) -> str:
        return "Odd()"


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from([1 << 63, 1 << 200, -1, 1e300, math.nan, math.inf, b"x", bytearray(b"x")]),
    st.lists(st.one_of(st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.builds(Odd),
    st.just(print),
    st.just(object),
)


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, one.name) for cls in CLASSES for one in fields(cls) if one.init]
)
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_a_field_takes_its_type_or_says_what_it_takes(cls: type, name: str, value: object) -> None:
    """What is taken has the type that is written down, and no refusal is another error."""
    kind = get_type_hints(cls)[name]
    refused = ""
    try:
        cls(**{**REQUIRED.get(cls, {}), name: value})
    except UsageError as error:
        refused = str(error)
    # A text of the right type may be no word, no encoding, no handler: that names the option too.
    assert name in refused or "needs" in refused or (not refused and _fits(value, kind))


CALLS: dict[str, Any] = {
    "watch_dir": lambda **o: limpet.watch_dir("x", **o),
    "watch_file": lambda **o: limpet.watch_file("x", **o),
    "follow": lambda **o: limpet.follow("x", **o),
    "open_output": lambda **o: limpet.open_output("x", **o),
}
NAMES = {
    "watch_dir": [one.name for one in fields(WatchOptions)],
    "watch_file": [one.name for one in fields(WatchOptions)],
    "follow": [one.name for one in fields(FollowOptions)],
    "open_output": list(get_type_hints(Settings)),
}


@pytest.mark.parametrize(("call", "name"), [(call, name) for call in NAMES for name in NAMES[call]])
@pytest.mark.parametrize("value", [Odd(), ["a", 3], b"\0", {"a": 1}, (), object, "\0"], ids=repr)
def test_a_call_refuses_it_where_it_is_made(call: str, name: str, value: object) -> None:
    if name in {"include", "exclude"} and value in ((), "\0"):
        return  # none, and a pattern that matches nothing
    if name == "rotated" and value == "\0":
        return
    if name == "delimiter" and value == b"\0":
        return
    with pytest.raises(UsageError, match=name):
        CALLS[call](**{name: value})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", [None, 3, ["a"], "", "a\0b", b"", Odd()], ids=repr)
def test_a_path_that_is_none_is_refused(call: str, path: Any) -> None:
    with pytest.raises(UsageError):
        getattr(limpet, call)(path)


@pytest.mark.parametrize(
    ("call", "given", "wanted"),
    [
        ("watch_dir", "recursve", "unknown option 'recursve'; did you mean 'recursive'"),
        ("watch_file", "Settle", "did you mean 'settle'"),
        ("follow", "start_at", "did you mean 'start'"),
        ("open_output", "lock-timeout", "did you mean 'lock_timeout'"),
        ("open_output", "zzz", "unknown option 'zzz'; known are create, durability"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest(call: str, given: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        CALLS[call](**{given: 1})


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"settle": "2"}, "settle must be a number of seconds, not '2'"),
        ({"settle": None}, "settle must be a number of seconds, not None"),
        ({"settle": True}, "settle must be a number of seconds, not True"),
        ({"settle": 1e300}, r"settle must be at most 1e\+09 seconds, got 1e\+300"),
        ({"settle": 2, "settle_max": 1}, r"settle_max must be at least settle \(2\), got 1"),
        ({"recursive": "False"}, "recursive must be True or False, not 'False'"),
        ({"recursive": 1}, "recursive must be True or False, not 1"),
        ({"content": True}, "content must be ContentOptions or None, not True"),
        ({"include": ["*.py", 3]}, r"include must be a text or several texts, not \['\*.py', 3\]"),
        ({"exclude": None}, "exclude must be a text or several texts, not None"),
        ({"exclude": b"*.py"}, r"exclude must be a text or several texts, not b'\*.py'"),
        ({"exclude": "!"}, "exclude must be globs in gitignore syntax, not '!'"),
        ({"include": "[z-a]"}, "include must be globs in gitignore syntax"),
        ({"ignore_file": "a/.ign"}, "ignore_file must be a file name or an absolute path"),
        ({"state": ""}, "state must not be empty"),
        ({"state": 3}, "state must be a path"),
        ({"own": "x"}, "own must be one of drop, mark, keep, not 'x'"),
    ],
)
def test_the_message_says_what_the_option_takes(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        limpet.watch_dir("x", **options)


@pytest.mark.parametrize("encoding", ["hex", "base64", "rot13", "nope", "", "a\0b", "undefined"])
def test_an_encoding_that_encodes_no_text_is_refused(encoding: str) -> None:
    for make in (ContentOptions, FollowOptions):
        with pytest.raises(UsageError, match="encoding"):
            make(encoding=encoding)
    with pytest.raises(UsageError, match="errors"):
        ContentOptions(errors="nope")


def test_what_fits_is_taken() -> None:
    """A number without a fraction is a number of seconds; a path may be of any kind of path."""
    watch = WatchOptions(settle=2, state=Path("x"), settle_max=None, include=("*.py",))
    assert watch.settle == 2
    spelled: Any = b"x"
    rules: Any = Path("/etc/x")
    limpet.watch_dir(spelled, ignore_file=rules, exclude=(one for one in ("a", "b")))


class Nasty:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000, Nasty(), "x" * 10_000], ids="abcde"
)
@pytest.mark.parametrize("name", ["settle", "rescan_interval", "poll_interval"])
def test_a_value_that_cannot_be_shown_is_refused_too(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name) as refused:
        limpet.watch_dir("x", **{name: value})
    assert len(str(refused.value)) < 400
    with pytest.raises(UsageError, match="lock_timeout"):
        limpet.open_output("x", lock_timeout=value)


@pytest.mark.parametrize("path", [3, None, ["x"], "", "a\0", "\ud800"], ids=repr)
def test_every_path_is_checked_where_it_is_given(path: Any) -> None:
    for call in (
        lambda: limpet.watch_dir(path),
        lambda: limpet.watch_dir("x", state=path or cast("Any", 3)),
        lambda: limpet.follow("x", state=path or cast("Any", 3)),
        lambda: limpet.own_write(path).__enter__(),
        lambda: limpet.Output(path),
    ):
        with pytest.raises(UsageError):
            call()
