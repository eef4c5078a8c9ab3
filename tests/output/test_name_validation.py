"""Which names are taken, and what any text becomes."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import limpet
from limpet.output import safe_name
from limpet.output._name_validation import BadNameError, split

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)
"""Lone surrogates, unassigned and private characters too."""

ESCAPES = [
    "../x",  # V1
    "a/../../x",  # V2
    "a/..",
    "..",
    "/etc/x",  # V3
    "//x",  # V4
    "C:\\x",  # V5
    "C:x",
    "c:",
    "\\\\host\\share\\x",
    "\\\\?\\C:\\x",
    "..\\x",  # V6
    "a\\b",
]
WRONG = [
    "a\0b",  # V7
    "",  # V8
    ".",
    "a//b",
    "a/",
    "a/./b",
    "./a",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "\ud800",  # V35
    "x" * 256,  # V31
    "é" * 128,
    "/".join(["d"] * 33),  # V32
    "/".join(["x" * 250] * 5),
    ".limpet-0123456789abcdef.tmp",
    "a/.limpet-x",
]
ORDINARY = [
    "a",
    "a/b/c.txt",
    "..%2fx",  # V9: nothing is decoded
    "%2e%2e%2fx",
    "%252e%252e%252fx",
    "\u2025",  # V10: look-alikes of two dots and of slashes
    "\uff0e\uff0e\uff0fx",
    "\u2215etc",
    "...",
    ".hidden",
    "x" * 255,
    "/".join(["d"] * 32),
    "e\u0301",
    "10:30.log",
    "line\u2028end",
]
UNPORTABLE = [
    "CON",  # V27
    "nul.txt",
    "COM1.log",
    "com0",
    "LPT\u00b2",
    "CONIN$",
    "clock$.x",
    "aux .txt",
    "a/PRN",
    "a.",  # V28
    "a ",
    " a",
    "file:stream",  # V29
    "PROGRA~1",  # V30
    "a~2.txt",
    "a<b",
    'a"b',
    "a?b",
    "a*b",
    "a|b",
    "-rf",
    "~root",
    "a\u202eb",  # V36
    "a\u200bb",
    "a\ufeff",
    "a\ue000",
    "a\U000e0041",
    "a\u3164",
    "a\u00a0b",
    "e\u0301",
]


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("name", ESCAPES)
def test_what_points_out_is_an_escape(name: str, portable: bool) -> None:
    """V1 to V6: to whoever gave it, that is said as such."""
    with pytest.raises(BadNameError) as raised:
        split(name, portable=portable)
    assert raised.value.code == "escape"


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("name", WRONG, ids=ascii)
def test_what_is_no_name_is_refused(name: str, portable: bool) -> None:
    """V7, V8, V31, V32, V35: empty, with control characters, too long, too deep, no text."""
    with pytest.raises(BadNameError) as raised:
        split(name, portable=portable)
    assert raised.value.code == "bad-name"


@pytest.mark.parametrize("name", ORDINARY, ids=ascii)
def test_what_only_looks_odd_is_taken_as_it_is(name: str) -> None:
    """V9, V10, V31, V33: nothing is decoded, folded or trimmed."""
    assert "/".join(split(name, portable=False)) == name


@pytest.mark.parametrize("name", UNPORTABLE, ids=ascii)
def test_portable_names_are_names_everywhere(name: str) -> None:
    """V27 to V30, V36: devices, dots and spaces at the end, streams, short names, the unseen."""
    assert split(name, portable=False)
    with pytest.raises(BadNameError):
        split(name, portable=True)


def test_names_on_disk_that_are_no_text_can_be_named() -> None:
    """For deletion and moving; not for new files."""
    name = "caf\udce9"
    assert split(name, portable=False, undecodable=True) == (name,)
    with pytest.raises(BadNameError):
        split(name, portable=False)
    with pytest.raises(BadNameError):
        split("\ud800", portable=False, undecodable=True)


@given(ANY_TEXT)
def test_a_name_is_given_back_whole_or_refused(name: str) -> None:
    for portable in (False, True):
        try:
            parts = split(name, portable=portable)
        except BadNameError:
            continue
        assert "/".join(parts) == name
        assert not {"", ".", ".."} & set(parts)
        assert len(name.encode()) <= 1024


@given(ANY_TEXT, st.integers(40, 255))
@example("", 40)
@example("..", 40)
@example("CON", 40)
@example("con.tar.gz", 40)
@example("PROGRA~1", 40)
@example("\U0001f469\u200d\U0001f680" * 40, 60)
@example("x" * 254 + "é", 255)
@example("a" + "\u0301" * 300, 50)
@example("\U0001d4d7" * 100, 41)
@example(".....", 40)
@example("x." + "y" * 12, 40)
def test_any_text_becomes_a_portable_name(text: str, most: int) -> None:
    """V27 to V36: valid everywhere, short enough, composed, visible, and the same each time."""
    name = safe_name(text, max_bytes=most)
    assert split(name, portable=True) == (name,)
    assert len(name.encode()) <= most
    assert unicodedata.is_normalized("NFC", name)
    assert not name.startswith((".", "-", "~"))
    assert safe_name(text, max_bytes=most) == name


@given(ANY_TEXT)
def test_what_is_such_a_name_already_is_kept(text: str) -> None:
    """Unchanged, or marked with a hash: nothing in between."""
    name = safe_name(text)
    assert name == text or re.search(r"~[a-z2-7]{16}(\.[A-Za-z0-9]{1,12})?\Z", name)


@given(ANY_TEXT, ANY_TEXT)
def test_two_texts_never_give_one_name(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(ANY_TEXT)
def test_a_made_name_is_not_the_name_of_itself(text: str) -> None:
    """Else a stranger could ask for somebody else's file by its name."""
    name = safe_name(text)
    if name != text:
        assert safe_name(name) != name


@pytest.mark.parametrize(
    "pair",
    [("é", "e\u0301"), ("a/b", "a_b"), ("a\u200bb", "ab"), ("x" * 300, "x" * 301), ("a ", "a")],
    ids=ascii,
)
def test_texts_that_look_alike_stay_apart(pair: tuple[str, str]) -> None:
    """V33: also the composed and decomposed spellings of one name."""
    assert safe_name(pair[0]) != safe_name(pair[1])


def test_what_it_looks_like() -> None:
    """Stable across releases: names on disk were made with it."""
    assert safe_name("2026-11-25 report.pdf") == "2026-11-25 report.pdf"
    assert safe_name("a/b") == "a_b~ubnhh5to3xkbyih7"
    assert safe_name("nul.txt") == "_nul~owvndeulwhftt5sx.txt"


def test_case_alone_is_not_enough_where_it_is_folded() -> None:
    """V34: a name that is there already is that text's own, one in another case is not."""
    assert safe_name("Name", taken=["Name"]) == "Name"
    assert safe_name("Name", taken=["other"]) == "Name"
    made = safe_name("Name", taken=["name", "NAME"])
    assert made.startswith("Name~")
    assert safe_name("Stra\u00dfe", taken=["STRASSE"]).startswith("Stra\u00dfe~")


@pytest.mark.parametrize("most", [0, 39, 256, -1])
def test_a_length_that_cannot_be_kept_is_refused(most: int) -> None:
    with pytest.raises(limpet.UsageError):
        safe_name("x", max_bytes=most)
