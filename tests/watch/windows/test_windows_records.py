"""The records of ReadDirectoryChangesW, from buffers written out by hand; and what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limpet.backends import CREATE, DELETE, ISDIR, MOVED
from limpet.backends._windows_records import Record, parse
from limpet.backends._windows_renames import _MOST, RenamePairs
from tests.watch.windows.buffers import (
    ADDED,
    BORN,
    MODIFIED,
    NEW_NAME,
    OLD_NAME,
    REMOVED,
    extended,
    plain,
    word,
)

TEXT = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=300)
ACTIONS = st.integers(ADDED, NEW_NAME)


def test_a_plain_buffer_by_its_bytes() -> None:
    """Every byte written out: nothing here comes from the code that reads it."""
    data = bytes.fromhex(
        "14000000 04000000 06000000 6100 2e00 7400 0000"  # 20 on, old name, 6 bytes, a.t, padding
        "00000000 05000000 02000000 6200"  # the last, new name, 2 bytes, b
    )
    assert parse(data, extended=False) == [Record(OLD_NAME, "a.t"), Record(NEW_NAME, "b")]


def test_an_extended_buffer_by_its_bytes() -> None:
    data = bytes.fromhex(
        "00000000 01000000"  # the last, added
        "0000000000000001 0000000000000002 0000000000000003 0000000000000004"  # four times
        "0010000000000000 1100000000000000"  # allocated, size
        "10000000 00000000"  # a directory, no reparse tag
        "2a00000000000700 0500000000000500"  # its id and its parent's
        "02000000 6400"  # 2 bytes, d
    )
    assert parse(data, extended=True) == [
        Record(ADDED, "d", 0x000700000000002A, 0x0100000000000000, is_dir=True)
    ]


@pytest.mark.parametrize(
    "name", ["a", "d\\e\\f.txt", "ж中", "\U0001f980", "half \ud83e of a pair", "x" * 255, ""]
)
def test_names_come_out_as_they_are(name: str) -> None:
    """Also one that is no text, and none at all: some systems name the directory itself so."""
    assert parse(plain((MODIFIED, name)), extended=False) == [Record(MODIFIED, name)]
    found = parse(extended((MODIFIED, name, 7)), extended=True)
    assert found == [Record(MODIFIED, name, 7, BORN, is_dir=False)]


@given(st.lists(st.tuples(ACTIONS, TEXT), min_size=1, max_size=20))
def test_what_was_written_is_read(records: list[tuple[int, str]]) -> None:
    assert parse(plain(*records), extended=False) == [Record(*record) for record in records]
    numbered = [(*record, number) for number, record in enumerate(records, 1)]
    found = parse(extended(*numbered), extended=True)
    assert found is not None
    assert [(one.action, one.file_id, one.born) for one in found] == [
        (action, number, BORN) for action, _, number in numbered
    ]


@pytest.mark.parametrize("is_extended", [False, True])
def test_a_buffer_cut_anywhere_is_damaged(is_extended: bool) -> None:
    data = (
        extended((ADDED, "first", 1), (MODIFIED, "second", 2))
        if is_extended
        else plain((ADDED, "first"), (MODIFIED, "second"))
    )
    for end in range(len(data)):
        assert parse(data[:end], extended=is_extended) is None, end
    assert parse(data, extended=is_extended) is not None


@pytest.mark.parametrize(
    ("at", "what"),
    [
        (0, word(1)),  # the next record would begin in the middle of this one
        (0, word(4)),
        (0, word(16)),
        (0, word(21)),  # or of the next one
        (0, word(1 << 31)),
        (0, word(0xFFFFFFFC)),
        (4, word(0)),  # no action has this number
        (4, word(6)),
        (8, word(5)),  # half a character
        (8, word(200)),  # a name that goes beyond the end
        (8, word(0xFFFFFFFE)),
    ],
)
def test_a_field_that_cannot_be_is_damage(at: int, what: bytes) -> None:
    data = bytearray(plain((ADDED, "abc"), (ADDED, "d")))
    assert parse(bytes(data), extended=False) is not None
    data[at : at + 4] = what
    assert parse(bytes(data), extended=False) is None


@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_damage_or_records_and_never_an_error(data: bytes, is_extended: bool) -> None:
    found = parse(data, extended=is_extended)
    assert found is None or 1 <= len(found) <= len(data) // 12


@given(st.lists(st.tuples(ACTIONS, TEXT, st.integers(0, 9)), min_size=1, max_size=9), st.data())
def test_a_good_buffer_with_bytes_changed(
    records: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    made = bytearray(extended(*records))
    for _ in range(data.draw(st.integers(1, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    found = parse(bytes(made), extended=True)
    assert found is None or len(found) <= len(made) // 84
    if found is not None:
        RenamePairs().feed(found)


# -- hints and renames ---------------------------------------------------------------------------


def plain_records(*records: tuple[int, str]) -> list[Record]:
    return parse(plain(*records), extended=False) or []


def extended_records(*records: tuple[int, str, int], born: int = BORN) -> list[Record]:
    return parse(extended(*records, born=born), extended=True) or []


def test_both_names_of_a_rename_come_together() -> None:
    hints, moves = RenamePairs().feed(plain_records((OLD_NAME, "a"), (NEW_NAME, "b")))
    assert hints == {"a": MOVED, "b": MOVED}
    assert moves == [("a", "b")]


def test_the_halves_may_be_in_two_buffers() -> None:
    pairs = RenamePairs()
    assert pairs.feed(plain_records((ADDED, "x"), (OLD_NAME, "a")))[1] == []
    assert pairs.feed(plain_records((NEW_NAME, "b"), (MODIFIED, "b")))[1] == [("a", "b")]


def test_two_renames_that_came_between_each_other_are_no_pairs_without_ids() -> None:
    mixed = [(OLD_NAME, "a", 1), (OLD_NAME, "c", 2), (NEW_NAME, "b", 1), (NEW_NAME, "d", 2)]
    assert (
        RenamePairs().feed(plain_records(*((action, name) for action, name, _ in mixed)))[1] == []
    )
    assert RenamePairs().feed(extended_records(*mixed))[1] == [("a", "b"), ("c", "d")]


def test_after_a_mixture_the_next_pair_is_one_again() -> None:
    pairs = RenamePairs()
    pairs.feed(plain_records((OLD_NAME, "a"), (OLD_NAME, "b"), (OLD_NAME, "c"), (NEW_NAME, "d")))
    assert pairs.feed(plain_records((NEW_NAME, "e")))[1] == []
    assert pairs.feed(plain_records((OLD_NAME, "f"), (NEW_NAME, "g")))[1] == [("f", "g")]


def test_a_move_between_directories_is_found_by_its_file_id() -> None:
    """NTFS reports a removal and an addition; the plain records have nothing that joins them."""
    hints, moves = RenamePairs().feed(
        extended_records((REMOVED, "d\\a", 7), (ADDED, "e\\b", 7), (MODIFIED, "e", 9))
    )
    assert moves == [("d\\a", "e\\b")]
    assert hints == {"d\\a": DELETE | MOVED, "e\\b": CREATE | MOVED, "e": 0}
    _, moves = RenamePairs().feed(plain_records((REMOVED, "d\\a"), (ADDED, "e\\b")))
    assert moves == []


def test_an_id_that_was_given_out_again_is_no_move() -> None:
    """FAT gives the number of a deleted file to the next one; it was not born at the same time."""
    pairs = RenamePairs()
    pairs.feed(extended_records((REMOVED, "a", 7)))
    assert pairs.feed(extended_records((ADDED, "b", 7), born=BORN + 1))[1] == []
    pairs.feed(extended_records((REMOVED, "c", 8), born=0))
    assert pairs.feed(extended_records((ADDED, "d", 8), born=0))[1] == []


def test_a_rename_onto_a_name_is_no_deletion_of_it() -> None:
    """As inotify has it; what is deleted after the rename is."""
    onto = [(REMOVED, "b", 2), (OLD_NAME, "a", 1), (NEW_NAME, "b", 1)]
    assert RenamePairs().feed(extended_records(*onto))[0]["b"] == MOVED
    hints, _ = RenamePairs().feed(extended_records(*onto, (REMOVED, "b", 1), (ADDED, "b", 3)))
    assert hints["b"] == MOVED | DELETE | CREATE


def test_bits_say_what_is_known() -> None:
    hints, _ = RenamePairs().feed(extended_records((ADDED, "d\\", 1)))
    assert hints == {"d": CREATE | ISDIR}
    hints, _ = RenamePairs().feed(plain_records((ADDED, "a"), (MODIFIED, "b"), (REMOVED, "c")))
    assert hints == {"a": 0, "b": 0, "c": DELETE}


def test_halves_that_wait_are_bounded_and_forgotten_after_a_loss() -> None:
    pairs = RenamePairs()
    pairs.feed(extended_records(*((REMOVED, str(number), number) for number in range(1, 3000))))
    assert len(pairs._departed) == _MOST
    assert pairs.feed(extended_records((ADDED, "z", 2999)))[1] == [("2999", "z")]
    assert pairs.feed(extended_records((ADDED, "y", 1)))[1] == []
    pairs.feed(plain_records((OLD_NAME, "a")))
    pairs.feed(extended_records((OLD_NAME, "b", 5000)))
    pairs.forget()
    assert pairs.feed(plain_records((NEW_NAME, "c")))[1] == []
    assert pairs.feed(extended_records((NEW_NAME, "d", 5000)))[1] == []
