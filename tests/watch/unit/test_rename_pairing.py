"""Which arrivals are found to be departures under another name, and which are not."""

from __future__ import annotations

import pytest

from limpet.backends import DELETE, MOVED, FileSystemTraits
from tests.watch.unit.memory_tree import MemoryDisk, MemoryTree


def test_a_renamed_file_is_paired_by_its_inode_and_birth() -> None:
    tree = MemoryTree("a", "other")
    tree.disk.rename("a", "b")
    assert tree.pair(tree.compare("a", "b")) == ["a -> b"]


def test_an_inode_number_alone_is_no_evidence() -> None:
    """A new file that got the number of a deleted one is another file."""
    tree = MemoryTree("a")
    reused = tree.disk.entries["a"].inode
    tree.disk.remove("a")
    tree.disk.file("b")
    tree.disk.change("b", inode=reused)
    assert tree.pair(tree.compare("a", "b")) == []


def test_a_reported_rename_is_evidence_without_a_birth_time() -> None:
    """As on file systems that keep none; the file was written to afterwards."""
    for renamed, pairs in (({}, []), ({"b": "a"}, ["a -> b"])):
        tree = MemoryTree()
        tree.disk.file("a")
        tree.disk.change("a", birth=0)
        tree.examine("a")
        tree.disk.rename("a", "b")
        tree.disk.write("b")
        assert tree.pair(tree.compare("a", "b"), **renamed) == pairs


def test_a_reported_rename_is_none_once_its_target_was_deleted() -> None:
    """Something else may be at the new name since."""
    for bits, pairs in ((MOVED, ["a -> b"]), (MOVED | DELETE, [])):
        tree = MemoryTree()
        tree.disk.file("a")
        tree.disk.change("a", birth=0)
        tree.examine("a")
        tree.disk.rename("a", "b")
        tree.disk.write("b")
        assert tree.pair(tree.compare("a", "b", b=bits), b="a") == pairs


def test_another_kind_with_the_same_inode_is_not_paired() -> None:
    tree = MemoryTree("a")
    tree.disk.rename("a", "b")
    tree.disk.change("b", mode=0o120777)
    assert tree.pair(tree.compare("a", "b")) == []


def test_what_is_at_its_old_name_again_is_not_a_rename() -> None:
    """The comparison found it to be another file there; that is a replacement."""
    tree = MemoryTree("a")
    comparison = tree.compare("a", a=DELETE)
    assert not comparison.differences.departures
    tree.disk.change("a", birth=tree.disk.tick())
    assert tree.pair(tree.compare("a", a=DELETE)) == []


def test_one_departure_pairs_with_one_arrival() -> None:
    """Two hard links of what had one name: one of them is the rename."""
    tree = MemoryTree("a")
    tree.disk.entries["c"] = tree.disk.entries["a"]
    tree.disk.rename("a", "b")
    assert len(tree.pair(tree.compare("a", "b", "c"))) == 1


def test_a_renamed_directory_is_one_pair_and_is_not_scanned() -> None:
    tree = MemoryTree("d/", "d/f", "d/e/", "d/e/g")
    node = tree.node("d")
    tree.disk.rename("d", "moved")
    comparison = tree.compare("d", "moved")
    assert tree.pair(comparison) == ["d -> moved"]
    (departure,) = comparison.differences.departures.values()
    assert departure.entry is node
    assert departure.arrival is not None
    assert departure.arrival.found is None


def test_a_directory_is_paired_where_no_hint_named_its_old_place() -> None:
    """Its old name is examined because the index has its inode there."""
    tree = MemoryTree("d/", "d/f")
    tree.disk.rename("d", "moved")
    assert tree.pair(tree.compare("moved")) == ["d -> moved"]


def test_a_directory_that_was_reported_gone_is_not_paired() -> None:
    """The kernel reported its end; the next one has its inode number by accident."""
    tree = MemoryTree("d/")
    tree.context.index.lose_identity(tree.node("d"))
    tree.disk.rename("d", "moved")
    assert tree.pair(tree.compare("d", "moved")) == []


def test_a_file_moved_into_a_new_directory_is_lifted_out_of_it() -> None:
    """The new directory's scan finds it; it arrives by itself, not as part of the directory."""
    tree = MemoryTree("a")
    tree.disk.dir("new")
    tree.disk.rename("a", "new/b")
    tree.disk.file("new/c")
    comparison = tree.compare("a", "new")
    assert tree.pair(comparison) == ["a -> new/b"]
    found = comparison.differences.arrivals[tree.root, "new"].found
    assert found is not None
    assert list(found.entries) == ["c"]


def test_a_directory_moved_into_a_new_one_arrives_in_it() -> None:
    tree = MemoryTree("d/", "d/f")
    tree.disk.dir("new")
    tree.disk.rename("d", "new/d")
    assert tree.pair(tree.compare("new")) == ["d -> new/d"]


def test_a_file_keeps_its_name_in_another_directory_where_case_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two spellings of one name are about one directory; elsewhere, inode and birth decide."""
    caseless = FileSystemTraits(case_sensitive=False)
    monkeypatch.setattr(MemoryDisk, "traits", lambda self, path: caseless)
    tree = MemoryTree("a", "b")
    tree.disk.dir("d")
    tree.disk.rename("a", "d/a")
    tree.disk.rename("b", "B")
    assert tree.pair(tree.compare("a", "b", "B", "d")) == ["a -> d/a", "b -> B"]


def test_a_file_moved_out_of_a_deleted_directory_is_paired() -> None:
    """Only the directory's departure was found; the file is searched for in what it held."""
    tree = MemoryTree("d/", "d/e/", "d/e/f", "d/g")
    tree.disk.rename("d/e/f", "f")
    tree.disk.remove("d")
    assert tree.pair(tree.compare("d", "f")) == ["d/e/f -> f"]


def test_a_rename_out_of_a_directory_that_cannot_be_examined_is_paired() -> None:
    """The directory is put off to the next round, but the rename was reported."""
    for renamed, pairs in (({}, []), ({"f": "d/f"}, ["d/f -> f"])):
        tree = MemoryTree("d/", "d/f")
        tree.disk.rename("d/f", "f")
        tree.disk.refused.add("d")
        tree.reachable = False
        assert tree.pair(tree.compare("d/f", "f"), **renamed) == pairs


def test_a_level_that_is_watched_alone_pairs_directories_as_entries() -> None:
    tree = MemoryTree("d/", recursive=False)
    tree.disk.rename("d", "e")
    assert tree.pair(tree.compare("d", "e")) == ["d -> e"]
