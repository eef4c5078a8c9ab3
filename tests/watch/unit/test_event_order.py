"""In which order the differences of a round are emitted, and what becomes of them."""

from __future__ import annotations

from limpet.backends import ATTRIB, CLOSED
from tests.watch.unit.memory_tree import MemoryTree


def test_a_chain_of_renames_makes_room_from_its_end() -> None:
    """Each name is free before another file takes it, whatever the order of the hints."""
    for hints in (("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")):
        tree = MemoryTree("a", "b")
        tree.disk.rename("b", "c")
        tree.disk.rename("a", "b")
        assert tree.examine(*hints) == ["FileRenamed b -> c", "FileRenamed a -> b"]
        assert tree.listing() == {"b", "c"}


def test_exchanged_files_are_replaced() -> None:
    """Neither rename can go first: the circle is opened."""
    tree = MemoryTree("a", "b")
    tree.disk.rename("a", "x")
    tree.disk.rename("b", "a")
    tree.disk.rename("x", "b")
    assert sorted(tree.examine("a", "b")) == [
        "FileUpdated a {content,identity}", "FileUpdated b {content,identity}",
    ]  # fmt: skip
    assert tree.listing() == {"a", "b"}


def test_exchanged_directories_are_deleted_and_created() -> None:
    """All that is in them too, and only then is the new one created."""
    tree = MemoryTree("a/", "a/f", "b/", "b/g")
    tree.disk.rename("a", "x")
    tree.disk.rename("b", "a")
    tree.disk.rename("x", "b")
    events = tree.examine("a", "b")
    for name, before, now in (("a", "f", "g"), ("b", "g", "f")):
        mine = [event for event in events if event.split()[1].partition("/")[0] == name]
        assert mine == [
            f"FileDeleted {name}/{before}", f"DirDeleted {name}",
            f"DirCreated {name}", f"FileCreated {name}/{now}",
        ]  # fmt: skip
    assert tree.listing() == tree.on_disk()


def test_a_rename_onto_a_file_is_one_event() -> None:
    tree = MemoryTree("a", "b")
    tree.disk.rename("a", "b")
    assert tree.examine("a", "b") == ["FileRenamed a -> b (replaced)"]
    assert tree.listing() == {"b"}


def test_another_file_at_a_name_is_one_update() -> None:
    tree = MemoryTree("a")
    tree.disk.remove("a")
    tree.disk.file("a")
    assert tree.examine("a") == ["FileUpdated a {content,identity}"]


def test_a_new_file_of_the_same_size_and_time_changed_its_identity_only() -> None:
    """With ``metadata``, mode and owner are compared too."""
    for options, changes in (({}, "identity"), ({"metadata": True}, "identity,mode,owner")):
        tree = MemoryTree("a", **options)
        was = tree.disk.entries["a"]
        tree.disk.remove("a")
        tree.disk.file("a")
        tree.disk.change("a", mtime=was.mtime, mode=0o100600, uid=1)
        assert tree.examine("a") == [f"FileUpdated a {{{changes}}}"]


def test_a_file_that_becomes_a_directory_goes_first() -> None:
    tree = MemoryTree("a")
    tree.disk.remove("a")
    tree.disk.dir("a")
    tree.disk.file("a/f")
    assert tree.examine("a") == ["FileDeleted a", "DirCreated a", "FileCreated a/f"]


def test_a_directory_that_becomes_a_file_is_emptied_first() -> None:
    tree = MemoryTree("a/", "a/d/", "a/d/f", "a/d/e/")
    tree.disk.remove("a")
    tree.disk.file("a")
    assert tree.examine("a") == [
        "DirDeleted a/d/e", "FileDeleted a/d/f", "DirDeleted a/d", "DirDeleted a", "FileCreated a",
    ]  # fmt: skip


def test_a_deleted_directory_first_releases_what_was_moved_out_of_it() -> None:
    """A file and a directory, neither of which is deleted."""
    tree = MemoryTree("d/", "d/f", "d/g", "d/e/", "d/e/h")
    tree.disk.rename("d/f", "f")
    tree.disk.rename("d/e", "e")
    tree.disk.remove("d")
    events = tree.examine("d", "e", "f")
    assert sorted(events[:2]) == ["DirRenamed d/e -> e", "FileRenamed d/f -> f"]
    assert events[2:] == ["FileDeleted d/g", "DirDeleted d"]
    assert tree.listing() == tree.on_disk()


def test_a_file_moved_into_a_new_directory_comes_after_it() -> None:
    tree = MemoryTree("a")
    tree.disk.dir("new", "new/in")
    tree.disk.rename("a", "new/in/a")
    assert tree.examine("a", "new") == [
        "DirCreated new", "DirCreated new/in", "FileRenamed a -> new/in/a",
    ]  # fmt: skip
    assert tree.listing() == tree.on_disk()


def test_a_directory_moved_below_what_it_held_is_not_put_into_itself() -> None:
    """``d/e`` is moved out, and then ``d`` into it; the index is the tree after two rounds."""
    tree = MemoryTree("d/", "d/f", "d/e/")
    tree.disk.rename("d/e", "e")
    tree.disk.rename("d", "e/d")
    first = tree.compare("d", "e", "d/e/d")
    events = tree.emit(first)
    assert events[0] == "DirRenamed d/e -> e"
    tree.emit(tree.compare_agenda(first.differences.later))
    assert tree.listing() == tree.on_disk()


def test_a_renamed_directory_keeps_its_node_and_what_is_in_it() -> None:
    tree = MemoryTree("d/", "d/f", "d/e/", "d/e/g")
    node, inner = tree.node("d"), tree.node("d/e")
    tree.disk.rename("d", "moved")
    assert tree.examine("d", "moved") == ["DirRenamed d -> moved"]
    assert tree.node("moved") is node
    assert tree.node("moved/e") is inner
    assert tree.listing() == tree.on_disk()


def test_a_renamed_file_that_was_written_to_is_renamed_and_updated() -> None:
    tree = MemoryTree("a")
    tree.disk.rename("a", "b")
    tree.disk.write("b")
    assert tree.examine("a", "b") == ["FileRenamed a -> b", "FileUpdated b {content}"]


def test_a_renamed_directory_with_another_mode_is_renamed_and_updated() -> None:
    tree = MemoryTree("d/", metadata=True)
    tree.disk.rename("d", "e")
    tree.disk.change("e", mode=0o040700)
    assert tree.examine("d", "e", e=ATTRIB) == ["DirRenamed d -> e", "DirUpdated e {mode}"]


def test_a_new_directory_that_is_gone_before_its_scan_is_examined_once_more() -> None:
    """No event of it, and no name that is lost."""
    tree = MemoryTree()
    tree.disk.dir("new")
    comparison = tree.compare("new")
    tree.disk.remove("new")
    assert tree.emit(comparison) == []
    later = comparison.differences.later
    assert later.names == {tree.root: {"new": 0}}
    tree.disk.file("new")
    assert tree.emit(tree.compare_agenda(later)) == ["FileCreated new"]


def test_a_new_directory_that_cannot_be_read_is_created_and_reported() -> None:
    tree = MemoryTree()
    tree.disk.dir("new")
    tree.disk.refused.add("new")
    assert tree.examine("new") == ["Degraded new (permission)", "DirCreated new"]
    assert tree.node("new").blind == "permission"


def test_a_held_file_that_is_deleted_again_leaves_no_event() -> None:
    """It was never emitted, so its end is none either."""
    tree = MemoryTree(settle=60)
    tree.disk.file("a")
    assert tree.examine("a") == []
    assert (tree.root, "a") in tree.context.debouncer.held
    tree.disk.remove("a")
    assert tree.examine("a") == []
    assert not tree.context.debouncer.held


def test_a_file_that_was_closed_is_not_held() -> None:
    tree = MemoryTree(settle=60)
    tree.disk.file("a")
    assert tree.examine("a", a=CLOSED) == ["FileCreated a"]


def test_a_held_file_is_carried_to_its_new_name() -> None:
    """It is emitted as created there once it is due: no rename of what was never emitted."""
    tree = MemoryTree(settle=60)
    tree.disk.file("a")
    tree.examine("a")
    tree.disk.rename("a", "b")
    assert tree.examine("a", "b") == []
    held = tree.context.debouncer.held
    assert list(held) == [(tree.root, "b")]
    assert held[tree.root, "b"].created


def test_a_held_new_file_renamed_onto_another_is_its_update() -> None:
    """Save by way of a temporary file: what was at the name was emitted before."""
    tree = MemoryTree("b", settle=60)
    before = tree.root.entries["b"]
    tree.disk.file("a")
    tree.examine("a")
    tree.disk.rename("a", "b")
    assert tree.examine("a", "b") == []
    held = tree.context.debouncer.held[tree.root, "b"]
    assert (held.created, held.changes, held.previous) == (False, {"content", "identity"}, before)


def test_a_held_update_of_a_deleted_file_is_its_deletion() -> None:
    tree = MemoryTree("a", settle=60)
    tree.disk.write("a")
    assert tree.examine("a") == []
    tree.disk.remove("a")
    assert tree.examine("a") == ["FileDeleted a"]
    assert not tree.context.debouncer.held
