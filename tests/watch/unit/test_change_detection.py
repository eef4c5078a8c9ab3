"""Whether an entry is the same, and what changed of it: each piece of evidence by itself."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.backends import ATTRIB, DELETE, MOVED, OTHER, WRITE
from limpet.watching.diff._change_detection import changed_besides_its_name, changes_of, is_same
from limpet.watching.index._entry_record import BRIEF_DIR, BRIEF_FILE, RACY_NS, pack
from tests.watch.unit.memory_tree import SECOND, dir_node, facts_of

ROOT = dir_node("", None)
ROOT.seen = 10 * SECOND
FACTS = facts_of(7, at=5 * SECOND)
RECORD = pack(FACTS, 9 * SECOND)
BRIEF = 7 << 2 | BRIEF_FILE


@pytest.mark.parametrize(
    ("changed", "bits", "same"),
    [
        ({}, 0, True),
        ({"size": 9, "mtime": 8 * SECOND, "mode": 0o100600}, WRITE | ATTRIB, True),
        ({"inode": 8}, 0, False),
        ({"mode": 0o120777}, 0, False),
        ({"birth": 8 * SECOND}, 0, False),
        ({}, DELETE, True),  # its birth time outweighs the hint: a hard link of it was deleted
        ({"birth": 0}, 0, True),
        ({"birth": 0}, DELETE, False),
    ],
)
def test_a_file_known_by_a_stat(changed: dict[str, Any], bits: int, same: bool) -> None:
    assert is_same(ROOT, RECORD, FACTS._replace(**changed), 0, bits) == same


@pytest.mark.parametrize(
    ("birth", "changed"), [(0, True), (ROOT.seen, True), (ROOT.seen - 1, False)]
)
def test_what_is_renamed_to_a_listed_name_may_be_another(birth: int, changed: bool) -> None:
    """With the same inode number, and born in the tick of the listing: only the hint tells."""
    facts = facts_of(7, at=ROOT.seen)._replace(birth=birth, mtime=0, ctime=0)
    found = changes_of(BRIEF, facts, MOVED, seen=ROOT.seen, exact=True, metadata=False)
    assert (found == {"content"}) == changed


def test_a_birth_within_the_clocks_tick_is_no_evidence_after_a_deletion() -> None:
    """The next file may have inode and birth time of one that was created and deleted."""
    young = pack(FACTS, FACTS.birth + RACY_NS - 1)
    assert is_same(ROOT, young, FACTS, 0, 0)
    assert not is_same(ROOT, young, FACTS, 0, DELETE)


@pytest.mark.parametrize(
    ("changed", "bits", "same"),
    [
        ({}, 0, True),
        ({}, DELETE, True),  # born before the listing, and the listing had its inode
        ({"birth": 11 * SECOND}, 0, False),
        ({"birth": ROOT.seen}, 0, True),  # within the tick: only a hint shows a difference
        ({"birth": ROOT.seen}, DELETE, False),
        ({"birth": ROOT.seen + RACY_NS}, 0, True),
        ({"birth": ROOT.seen + RACY_NS + 1}, 0, False),
        ({"birth": 0}, 0, True),
        ({"birth": 0}, DELETE, False),
        ({"inode": 8}, 0, False),
        ({"mode": 0o040755}, 0, False),
    ],
)
def test_a_file_known_by_a_listing(changed: dict[str, Any], bits: int, same: bool) -> None:
    assert is_same(ROOT, BRIEF, FACTS._replace(**changed), 0, bits) == same


def test_a_directory_is_its_device_inode_and_link() -> None:
    node = dir_node("d", dir_node("", None), inode=7)
    facts = facts_of(7, mode=0o040755)
    assert is_same(ROOT, node, facts, 0, 0)
    assert not is_same(ROOT, node, facts, 3, 0)
    assert not is_same(ROOT, node, facts._replace(device=2), 0, 0)
    assert not is_same(ROOT, node, facts._replace(inode=8), 0, 0)
    assert not is_same(ROOT, node, facts._replace(mode=0o100644), 0, 0)
    assert not is_same(ROOT, node, facts._replace(birth=3 * SECOND), 0, 0)
    node.link = 3
    assert is_same(ROOT, node, facts, 3, 0)


def test_a_symlink_that_leads_to_a_directory_now_is_another_entry() -> None:
    """It was no directory when it was taken in."""
    assert not is_same(ROOT, 7 << 2 | BRIEF_DIR, facts_of(7, mode=0o040755), 3, 0)


def changes(changed: dict[str, Any], bits: int, *, metadata: bool = True) -> set[str]:
    facts = FACTS._replace(**changed)
    found = changes_of(RECORD, facts, bits, seen=ROOT.seen, exact=True, metadata=metadata)
    return set(found)


LATER = 9 * SECOND


@pytest.mark.parametrize(
    ("changed", "bits", "expected"),
    [
        ({}, 0, set()),
        ({}, WRITE, set()),  # a write before the stat, of which the hint came after it
        ({"size": 2}, 0, {"content"}),
        ({"mtime": LATER, "ctime": LATER}, 0, {"content"}),
        ({"ctime": LATER}, WRITE, {"content"}),  # the mtime was set back
        ({"ctime": LATER}, ATTRIB, set()),
        ({"ctime": LATER}, 0, {"content"}),  # no hint explains it
        ({"ctime": LATER}, OTHER, {"content"}),  # whose change it was is no hint of what changed
        ({"ctime": LATER, "nlink": 2}, 0, set()),
        ({"ctime": LATER, "mode": 0o100600}, 0, {"mode"}),
        ({"ctime": LATER, "uid": 1}, 0, {"owner"}),
        ({"ctime": LATER, "gid": 1, "size": 2}, 0, {"owner", "content"}),
    ],
)
def test_what_changed(changed: dict[str, Any], bits: int, expected: set[str]) -> None:
    assert changes(changed, bits) == expected
    assert changes(changed, bits, metadata=False) == expected - {"mode", "owner"}


def test_the_content_of_a_directory_is_no_change_of_it() -> None:
    facts = facts_of(7, mode=0o040755)
    record = pack(facts, LATER)
    now = facts._replace(mtime=LATER, ctime=LATER, mode=0o040700)
    found = changes_of(record, now, 0, seen=0, exact=True, metadata=True)
    assert found == {"mode"}


@pytest.mark.parametrize(
    ("changed", "bits", "expected"),
    [
        ({"ctime": LATER}, 0, set()),  # the rename itself set it
        ({"ctime": LATER}, WRITE, set()),  # a write would have set the mtime too
        ({"ctime": LATER, "mtime": LATER}, WRITE, {"content"}),
        ({"ctime": LATER, "size": 2}, 0, {"content"}),
        ({"ctime": LATER, "mode": 0o100600}, 0, {"mode"}),
    ],
)
def test_what_changed_besides_a_name(
    changed: dict[str, Any], bits: int, expected: set[str]
) -> None:
    for metadata in (True, False):
        found = changed_besides_its_name(
            RECORD, FACTS._replace(**changed), bits, seen=0, exact=True, metadata=metadata
        )
        assert found == (expected if metadata else expected - {"mode", "owner"})


def test_a_listed_file_that_is_renamed_changed_if_its_mtime_is_after_the_listing() -> None:
    for mtime, expected in ((9 * SECOND, set()), (10 * SECOND, {"content"})):
        found = changed_besides_its_name(
            BRIEF,
            FACTS._replace(mtime=mtime, ctime=11 * SECOND),
            WRITE,
            seen=ROOT.seen,
            exact=True,
            metadata=True,
        )
        assert found == expected
