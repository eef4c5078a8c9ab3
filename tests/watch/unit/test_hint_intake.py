"""From pending hints to what is to be examined."""

from __future__ import annotations

import os
from typing import Any

import pytest

from limpet.backends import (
    ATTRIB,
    CLOSED,
    CREATE,
    GONE,
    OTHER,
    SELF_MOVED,
    WRITE,
    PendingHints,
    Subscriber,
)
from limpet.backends._watchfiles import spell_below
from limpet.watch._hint_intake import (
    carry_closed,
    only_names,
    rename_origins,
    take_hints,
    take_path,
)
from limpet.watch.diff._agenda import Agenda
from limpet.watch.location._path_marks import PathMarks, Waypoint
from tests.watch.unit.memory_tree import LOCATION, MemoryTree


class Root:
    """Of the root's life cycle: where hints about the root itself are collected."""

    bits = 0


def taken(tree: MemoryTree, hints: PendingHints, root: Any = None) -> Agenda:
    """Return the agenda that the hints make."""
    agenda = Agenda()
    lifecycle: Any = root or Root()
    path_marks = PathMarks.__new__(PathMarks)  # what it answers here depends on the waypoint alone
    take_hints(hints, agenda, tree.context, lifecycle, path_marks)
    return agenda


def test_hints_about_names_are_what_to_examine() -> None:
    tree = MemoryTree("a", "d/")
    hints = PendingHints()
    hints.touch(tree.root, {"a": WRITE, "new": CREATE})
    hints.touch(tree.node("d"), {"f": CREATE})
    hints.touch(Subscriber(), {"of another kind": WRITE})
    agenda = taken(tree, hints)
    assert agenda.names == {tree.root: {"a": WRITE, "new": CREATE}, tree.node("d"): {"f": CREATE}}
    assert not agenda.listings
    assert not agenda.location


def test_what_the_last_examination_left_open_is_taken_once() -> None:
    tree = MemoryTree("d/", "e/")
    tree.context.relist.add(tree.node("d"))
    tree.context.reexamine.append(tree.node("e"))
    agenda = taken(tree, PendingHints())
    assert agenda.listings == {tree.node("d")}
    assert agenda.names == {tree.root: {"e": 0}}
    assert not taken(tree, PendingHints())


@pytest.mark.parametrize("bits", [GONE, SELF_MOVED, ATTRIB | OTHER])
def test_a_hint_about_a_directory_itself_examines_its_name(bits: int) -> None:
    """Of its bits those remain that mean the same of a name."""
    tree = MemoryTree("d/")
    hints = PendingHints()
    hints.touch(tree.node("d"), {"": bits, "f": WRITE})
    agenda = taken(tree, hints)
    assert agenda.names == {
        tree.root: {"d": bits & (ATTRIB | OTHER)}, tree.node("d"): {"f": WRITE},
    }  # fmt: skip
    assert not agenda.location


def test_a_directory_that_is_gone_loses_its_identity() -> None:
    """The next directory may get its inode number at once."""
    tree = MemoryTree("d/")
    node = tree.node("d")
    identity = (node.device, node.inode)
    for bits, known in ((SELF_MOVED, True), (GONE, False)):
        hints = PendingHints()
        hints.touch(node, {"": bits})
        taken(tree, hints)
        assert (identity in tree.context.index.by_identity) == known
        assert bool(node.inode) == known


def test_a_hint_about_the_root_checks_the_location() -> None:
    """A root that could not be read is listed again: it may be readable now."""
    tree, root = MemoryTree("d/"), Root()
    for blind, listings in ((None, set()), ("permission", {tree.root})):
        tree.root.blind = blind
        hints = PendingHints()
        hints.touch(tree.root, {"": ATTRIB})
        agenda = taken(tree, hints, root)
        assert agenda.location
        assert agenda.listings == listings
        assert not agenda.names
        assert root.bits == ATTRIB


@pytest.mark.parametrize(
    ("name", "bits", "concerns"),
    [
        ("watched", CREATE, True), ("other", CREATE, False),
        ("", GONE, True), ("", SELF_MOVED, True), ("", WRITE, False),
    ],
)  # fmt: skip
def test_a_hint_on_the_way_checks_the_location_if_it_concerns_it(
    name: str, bits: int, concerns: bool
) -> None:
    waypoint = Waypoint("/")
    waypoint.names, waypoint.what = {"watched"}, 1
    hints = PendingHints()
    hints.touch(waypoint, {name: bits})
    agenda = taken(MemoryTree(), hints)
    assert agenda.location == concerns
    assert not agenda


def test_a_path_is_examined_at_its_deepest_known_directory() -> None:
    """And listed, if it is a directory: a hint by path may be about what is below."""
    tree = MemoryTree("d/", "d/e/", "f")
    d, e = tree.node("d"), tree.node("d/e")
    for path, names, listings in (
        ("f", {tree.root: {"f": 0}}, set()),
        ("d", {tree.root: {"d": 0}}, {d}),
        ("d/e", {d: {"e": 0}}, {e}),
        ("d/e/g", {e: {"g": 0}}, set()),
        ("d/new/deep/g", {d: {"new": 0}}, set()),
        ("f/below", {tree.root: {"f": 0}}, set()),
    ):
        agenda = Agenda()
        take_path(LOCATION + os.sep + path.replace("/", os.sep), agenda, tree.context)
        assert (agenda.names, agenda.listings, agenda.location) == (names, listings, False), path


@pytest.mark.parametrize("path", [LOCATION, "/", "/elsewhere/f", LOCATION + "-too/f"])
def test_a_path_that_is_not_below_the_location_checks_it(path: str) -> None:
    tree = MemoryTree("f")
    hints = PendingHints()
    hints.paths.add(path)
    agenda = taken(tree, hints)
    assert agenda.location
    assert not agenda


def test_without_a_root_every_path_checks_the_location() -> None:
    tree = MemoryTree("f")
    tree.context.index.root = None
    agenda = Agenda()
    take_path(f"{LOCATION}/f", agenda, tree.context)
    assert agenda.location
    assert not agenda


def test_the_origin_of_a_chain_of_renames_is_its_first_name() -> None:
    tree = MemoryTree("d/")
    root, d = tree.root, tree.node("d")
    hints = PendingHints()
    assert rename_origins(hints) == {}
    hints.move((root, "a", root, "b"))
    hints.move((root, "x", root, "a"))
    hints.move((root, "b", d, "c"))
    hints.move((Waypoint("/"), "from outside", root, "y"))
    assert rename_origins(hints) == {(root, "a"): (root, "x"), (d, "c"): (root, "a")}


def test_hints_about_names_alone_are_handed_on_as_they_are() -> None:
    tree = MemoryTree("a")
    hints = PendingHints()
    hints.touch(tree.root, {"a": WRITE})
    assert only_names(hints) == {tree.root: {"a": WRITE}}


def test_hints_about_more_than_names_are_not() -> None:
    tree = MemoryTree("a", "d/")

    def of_directory(hints: PendingHints) -> None:
        hints.touch(tree.node("d"), {"": ATTRIB})

    def on_the_way(hints: PendingHints) -> None:
        hints.touch(Waypoint("/"), {"watched": CREATE})

    def by_path(hints: PendingHints) -> None:
        hints.paths.add(LOCATION)

    def of_mounts(hints: PendingHints) -> None:
        hints.mounts_changed = True

    def woken(hints: PendingHints) -> None:
        hints.woken = True

    def lost(hints: PendingHints) -> None:
        hints.lose("overflow")

    for more in (of_directory, on_the_way, by_path, of_mounts, woken, lost):
        hints = PendingHints()
        hints.touch(tree.root, {"a": WRITE})
        more(hints)
        assert only_names(hints) is None, more.__name__


def test_a_close_is_carried_along_a_chain_of_renames() -> None:
    """It happened under an earlier name; other hints stay where they were."""
    tree = MemoryTree("d/")
    root, d = tree.root, tree.node("d")
    hints = PendingHints()
    hints.touch(root, {"a": WRITE | CLOSED, "open": WRITE})
    hints.move((root, "a", root, "b"))
    hints.move((root, "b", d, "c"))
    hints.move((root, "open", d, "e"))
    carry_closed(hints)
    assert hints.dirty == {
        root: {"a": WRITE | CLOSED, "open": WRITE, "b": CLOSED}, d: {"c": CLOSED},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("/private/tmp/In", "/tmp/in"),
        ("/private/tmp/In/a/b", "/tmp/in/a/b"),
        ("/private/tmp/in/a", "/tmp/in/a"),
        ("/PRIVATE/tmp/In/A", "/tmp/in/A"),
        ("/private/tmp/Inbox/a", "/private/tmp/Inbox/a"),
        ("/private/tmp", "/private/tmp"),
        ("/elsewhere/In/a", "/elsewhere/In/a"),
    ],
)
def test_a_reported_path_is_spelled_as_the_watch_knows_it(reported: str, expected: str) -> None:
    """FSEvents has the spelling of the disk; realpath(3) leaves that of the caller."""
    found = spell_below(_os(reported), _os("/private/tmp/In"), _os("/tmp/in"))
    assert found == _os(expected)


def test_an_accent_that_is_written_in_another_way() -> None:
    """Names below the location keep the spelling that was reported."""
    composed, decomposed = "/b\u00fccher", "/bu\u0308cher"
    found = spell_below(_os(f"{decomposed}/u\u0308"), _os(composed), _os(composed))
    assert found == _os(f"{composed}/u\u0308")


def test_the_root_of_the_file_system() -> None:
    assert spell_below(_os("/a/b"), os.sep, os.sep) == _os("/a/b")
    assert spell_below(os.sep, os.sep, os.sep) == os.sep


def _os(path: str) -> str:
    return path.replace("/", os.sep)
