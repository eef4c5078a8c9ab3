"""Which new folders are not yet finished, and when each may be; without a disk or a clock."""

from __future__ import annotations

from typing import Any

from limpet.testing import describe
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._settled import add_last_scan, emit_settled
from limpet.watching.diff._settling_dirs import SettlingDirs
from limpet.watching.index._index import DirNode
from tests.watch.unit.memory_tree import MemoryTree


def node(name: str, parent: DirNode | None) -> DirNode:
    made = DirNode(name, parent, 1, 1, b"")
    if parent is not None:
        parent.entries[name] = made
    return made


ROOT = node("", None)
A = node("a", ROOT)
AB = node("b", A)
C = node("c", ROOT)


def test_the_topmost_is_kept() -> None:
    dirs = SettlingDirs(2)
    dirs.add(A, 10)
    dirs.add(AB, 11)
    dirs.add(C, 11, existing=True)
    assert dirs.kept() == {A: False, C: True}
    assert dirs.deadline() == 12
    assert dirs.due(11.9) == []
    assert dirs.due(13) == [A, C]
    assert dirs.forget(C) is True
    assert dirs.forget(C) is None
    assert dirs.kept() == {A: False}


def test_without_the_option_none_is_kept() -> None:
    dirs = SettlingDirs(0)
    dirs.add(A, 10)
    dirs.restore({C: True}, 10)
    assert not dirs
    assert dirs.deadline() is None


def test_what_happens_below_or_to_it_begins_the_quiet_time() -> None:
    dirs = SettlingDirs(2)
    dirs.add(A, 10)
    dirs.add(C, 10)
    dirs.note_hints(Agenda({AB: {"f": 1}}), 20)
    assert dirs.due(21) == [C]
    dirs.note_hints(Agenda({ROOT: {"a": 1}}), 30)  # about the folder itself
    assert dirs.due(31) == [C]
    dirs.note_hints(Agenda(listings={A}), 40)
    assert dirs.due(41) == [C]
    dirs.note_differences([(AB, "f"), (ROOT, "x")], 50)
    assert dirs.due(51) == [C]
    dirs.disturb_all(60)
    assert dirs.due(61) == []
    assert dirs.due(62) == [A, C]
    dirs.put_off(C, 70)
    assert dirs.due(62) == [A]


def test_moved_out_of_one_that_is_kept() -> None:
    top = node("", None)
    a, out = node("a", top), node("out", top)
    dirs = SettlingDirs(2)
    dirs.add(a, 10, existing=True)
    dirs.carry(out, a, 11)
    assert dirs.kept() == {a: True, out: True}
    known = node("known", top)
    dirs.carry(known, top, 12)
    assert known not in dirs.kept()
    assert dirs.due(12.5) == [a]


def finished(tree: MemoryTree, left: Agenda, now: float) -> list[str]:
    emit_settled(tree.context, left, now)
    return [describe(event) for event in tree.context.emit.fetch()]


def settling(**options: Any) -> MemoryTree:
    tree = MemoryTree("a/", "a/b/", settle_dir=1.0, **options)
    tree.context.settling.add(tree.node("a"), 10)
    return tree


def test_one_is_emitted_once() -> None:
    tree = settling()
    assert finished(tree, Agenda(), 10.5) == []
    assert finished(tree, Agenda(), 11) == ["DirSettled a"]
    assert finished(tree, Agenda(), 99) == []


def test_while_something_is_not_known_it_is_put_off() -> None:
    """Names and folders that are left, unread folders, and names without an answer."""
    tree = settling()
    context, inner = tree.context, tree.node("a/b")
    assert finished(tree, Agenda({inner: {"f": 0}}), 11) == []
    assert context.settling.deadline() == 12
    assert finished(tree, Agenda(listings={inner}), 12) == []
    context.relist.add(inner)
    assert finished(tree, Agenda(), 13) == []
    context.relist.clear()
    context.unsure.add(inner)
    assert finished(tree, Agenda(), 14) == []
    context.unsure.clear()
    inner.blind = "permission"
    assert finished(tree, Agenda(), 15) == []
    inner.blind = None
    context.degradation.unknown[inner, "f"] = "unreadable"
    assert finished(tree, Agenda(), 16) == []
    context.degradation.unknown.clear()
    context.debouncer.hold((inner, "f"), 16, created=True)
    assert finished(tree, Agenda(), 17) == []
    context.debouncer.held.clear()
    tree.disk.refused.add("a")
    assert finished(tree, Agenda(), 18) == []
    tree.disk.refused.clear()
    # What is beside it does not count.
    assert finished(tree, Agenda({tree.root: {"f": 0}}), 19) == ["DirSettled a"]


def test_one_that_is_gone_is_not_emitted() -> None:
    """Its departure is not found yet; it will be."""
    tree = settling()
    del tree.disk.entries["a/b"], tree.disk.entries["a"]
    assert finished(tree, Agenda(), 11) == []
    assert tree.examine("a") == ["DirDeleted a/b", "DirDeleted a"]
    assert not tree.context.settling


def test_where_no_hints_come_all_of_it_is_scanned_before() -> None:
    tree = settling()
    agenda = Agenda()
    add_last_scan(tree.context, agenda, 10.5)
    assert not agenda
    add_last_scan(tree.context, agenda, 11)
    assert agenda.listings == {tree.node("a"), tree.node("a/b")}
