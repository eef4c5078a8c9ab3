"""From pending hints to what is to be examined."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from limpet.backends import (
    ATTRIB,
    CLOSED,
    CREATE,
    DELETE,
    GONE,
    MOVED,
    OTHER,
    SELF_MOVED,
    WRITE,
    Capabilities,
    FileSystemTraits,
    PendingHints,
    Subscriber,
)
from limpet.backends._hint_router import HINT_LIMIT
from limpet.backends._watchfiles import spell_below
from limpet.watching import _hint_intake
from limpet.watching._hint_intake import (
    carry_closed,
    only_names,
    rename_origins,
    take_hints,
)
from limpet.watching._path_hints import locate_moves, take_again, take_path
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._compare import Comparison
from limpet.watching.index._short_names import may_be_short
from limpet.watching.location._path_marks import PathMarks, Waypoint
from tests.watch.unit.memory_tree import LOCATION, MemoryTree


class Root:
    """Of the root's life cycle: where hints about the root itself are collected."""

    bits = 0


def at(path: str) -> str:
    """A path below the location, as this system writes it."""
    return os.path.join(Path(LOCATION), *path.split("/"))


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
        assert (tree.context.index.find(*identity) is not None) == known
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
        take_path(at(path), agenda, tree.context)
        assert (agenda.names, agenda.listings, agenda.location) == (names, listings, False), path


def exact(tree: MemoryTree) -> MemoryTree:
    """The tree, with a source whose hints by path are about that name alone."""
    tree.context.services = dataclasses.replace(
        tree.context.services, capabilities=Capabilities(kind="tree", exact_paths=True)
    )
    return tree


def test_an_exact_hint_about_a_directory_is_about_its_name_alone() -> None:
    """Unless it was elsewhere meanwhile, or could not be read until now."""
    tree = exact(MemoryTree("d/", "d/e/", "d/e/f"))
    d, e = tree.node("d"), tree.node("d/e")
    for bits, blind, listings in (
        (0, None, set()),
        (MOVED, None, set()),
        (CREATE, None, {d, e}),
        (DELETE | CREATE, None, {d, e}),
        (0, "permission", {d}),
    ):
        d.blind = blind
        agenda = Agenda()
        assert take_path(at("d"), agenda, tree.context, bits)
        assert (agenda.names, agenda.listings) == ({tree.root: {"d": bits}}, listings)


def test_a_path_through_an_unknown_directory_is_taken_again() -> None:
    """Not if the directory was listed since the hint came: then nothing in it was missed."""
    tree = exact(MemoryTree("d/", "d/f"))
    hints = PendingHints()
    hints.touch_paths({at("e/f"): WRITE, at("d/f"): 0, at("f/g"): 0}, [])
    agenda = taken(tree, hints)
    assert agenda.names[tree.root] == {"e": 0, "f": 0}
    assert tree.context.unplaced == {at("e/f"): WRITE, at("f/g"): 0}
    d = tree.node("d")
    tree.root.entries["e"] = tree.root.entries.pop("d")  # it was found under its new name
    d.name = "e"
    unplaced = dict(tree.context.unplaced)
    for seen, names in ((99, {d: {"f": WRITE}}), (100, {d: {"f": WRITE}}), (101, {})):
        d.seen, again, tree.context.unplaced = seen, Agenda(), dict(unplaced)
        take_again(again, tree.context, 100)
        assert again.names == names
        assert tree.context.unplaced == {}  # f is no directory, and nothing more comes
    again = Agenda(listings={tree.root})
    tree.context.unplaced = {**unplaced, at("late/f"): 0}
    take_again(again, tree.context, 0)
    assert tree.context.unplaced == {at("f/g"): 0, at("late/f"): 0}


def test_paths_that_cannot_be_placed_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the location cannot be reached, nothing is examined; then everything is."""
    monkeypatch.setattr(_hint_intake, "HINT_LIMIT", 3)
    tree = exact(MemoryTree("d/"))
    for number in range(3):
        hints = PendingHints()
        hints.touch_paths({at(f"new{number}/f"): 0}, [])
        assert not taken(tree, hints).listings
    hints = PendingHints()
    hints.touch_paths({at("new/f"): 0}, [])
    assert taken(tree, hints).listings == {tree.root, tree.node("d")}
    assert tree.context.unplaced == {}


def test_renames_by_path_become_renames_between_directories() -> None:
    tree = MemoryTree("d/", "d/f", "e/", "g")
    root, d, e = tree.root, tree.node("d"), tree.node("e")
    hints = PendingHints()
    hints.touch_paths({}, [(at("d/f"), at("e/f")), (at("g"), at("d/f")), (at("e/f"), at("e/h"))])
    locate_moves(hints, tree.context)
    assert hints.moves == [(d, "f", e, "f"), (root, "g", d, "f"), (e, "f", e, "h")]
    assert hints.path_moves == []
    assert rename_origins(hints.moves) == {(d, "f"): (root, "g"), (e, "h"): (d, "f")}


def test_renames_below_a_directory_that_was_renamed_itself() -> None:
    """Its paths are those after the rename; the index has the name before it."""
    tree = MemoryTree("d/", "d/f", "d/in/", "d/in/x")
    root, d, inner = tree.root, tree.node("d"), tree.node("d/in")
    hints = PendingHints()
    hints.touch_paths(
        {},
        [
            (at("d"), at("e")),
            (at("e/f"), at("e/g")),
            (at("e/in"), at("in")),
            (at("in/x"), at("in/y")),
            (at("e"), at("d")),
            (at("d/g"), at("d/h")),
        ],
    )
    locate_moves(hints, tree.context)
    assert hints.moves == [
        (root, "d", root, "e"),
        (d, "f", d, "g"),
        (d, "in", root, "in"),
        (inner, "x", inner, "y"),
        (root, "e", root, "d"),
        (d, "g", d, "h"),
    ]
    assert tree.context.relist == {d, inner}  # d had another name in between


def test_a_directory_that_had_the_name_of_another_is_listed() -> None:
    """Hints by that name lead to the other one."""
    tree = MemoryTree("a/", "b/", "b/c/", "f")
    hints = PendingHints()
    hints.touch_paths({}, [(at("f"), at("g")), (at("b/c"), at("c"))])
    locate_moves(hints, tree.context)
    assert tree.context.relist == set()
    hints.touch_paths({}, [(at("b"), at("a"))])
    locate_moves(hints, tree.context)
    assert tree.context.relist == {tree.node("b"), tree.node("b/c")}


def test_a_rename_that_cannot_be_placed_is_left_out() -> None:
    """In a directory that is not in the index, or that another has the name of by now."""
    tree = MemoryTree("d/", "d/f")
    hints = PendingHints()
    hints.touch_paths(
        {},
        [
            (at("new/a"), at("new/b")),
            ("/elsewhere/a", at("a")),
            (at("d"), at("e")),
            (at("d/x"), at("d/y")),
        ],
    )
    locate_moves(hints, tree.context)
    assert hints.moves == [(tree.root, "d", tree.root, "e")]
    tree.context.index.root = None
    hints.touch_paths({}, [(at("a"), at("b"))])
    locate_moves(hints, tree.context)
    assert len(hints.moves) == 1


def test_hints_by_path_are_bounded_and_dropped_after_an_overflow() -> None:
    hints = PendingHints()
    hints.touch_paths({"/a": CREATE}, [("/b", "/a")])
    hints.touch_paths({"/a": DELETE}, [])
    assert (hints.paths, hints.path_moves, hints.count) == (
        {"/a": CREATE | DELETE}, [("/b", "/a")], 2,
    )  # fmt: skip
    hints.touch_paths({str(number): 0 for number in range(HINT_LIMIT)}, [])
    assert hints.lost == "overflow"
    hints.touch_paths({"/a": CREATE}, [("/b", "/a")])
    assert (hints.paths, hints.path_moves) == ({}, [])


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("LONGFI~1.TXT", True),
        ("LONGFI~1", True),
        ("A1B2~12.C", True),
        ("PROGRA~1", True),
        ("long-name~1.txt", False),
        ("file.txt~", False),
        ("file~", False),
        ("~$doc.docx", False),
        ("~1.txt", False),
        ("LONGFI~1.text", False),
        ("a.b~1", False),
        ("", False),
    ],
)
def test_what_may_be_a_short_name(name: str, short: bool) -> None:
    assert may_be_short(name) == short


def test_below_a_short_name_everything_is_examined() -> None:
    """It is in no listing, so nobody knows which directory it is."""
    tree = exact(MemoryTree("long directory/", "long directory/f", "g"))
    agenda = Agenda()
    assert not take_path(at("LONGDI~1/f"), agenda, tree.context)
    assert agenda.listings == {tree.root, tree.node("long directory")}


def test_a_short_name_is_looked_up_in_the_listing() -> None:
    tree = MemoryTree("long name.txt", "other")
    tree.disk.write("long name.txt")
    comparison = Comparison(tree.context)
    tree.believe(FileSystemTraits(case_sensitive=False))
    comparison.compare(Agenda({tree.root: {"LONGNA~1.TXT": 0}}))
    assert [ref[1] for ref in comparison.differences.updates] == ["long name.txt"]
    assert not comparison.differences.arrivals


def test_another_spelling_of_a_directory_on_the_way() -> None:
    tree = exact(MemoryTree("Dir/", "Dir/f"))
    tree.believe(FileSystemTraits())
    assert not take_path(at("DIR/f"), Agenda(), tree.context)
    tree.believe(FileSystemTraits(case_sensitive=False))
    agenda = Agenda()
    assert take_path(at("DIR/f"), agenda, tree.context)
    assert agenda.names == {tree.node("Dir"): {"f": 0}}


@pytest.mark.parametrize("path", [LOCATION, "/", "/elsewhere/f", LOCATION + "-too/f"])
def test_a_path_that_is_not_below_the_location_checks_it(path: str) -> None:
    tree = MemoryTree("f")
    hints = PendingHints()
    hints.paths[path] = 0
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
    assert rename_origins(hints.moves) == {}
    hints.move((root, "a", root, "b"))
    hints.move((root, "x", root, "a"))
    hints.move((root, "b", d, "c"))
    hints.move((Waypoint("/"), "from outside", root, "y"))
    assert rename_origins(hints.moves) == {(root, "a"): (root, "x"), (d, "c"): (root, "a")}


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
        hints.paths[LOCATION] = 0

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
