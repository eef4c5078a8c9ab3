"""What an examination finds at the names it is given, and what it leaves for the next round."""

from __future__ import annotations

from limpet.backends import ATTRIB, CLOSED, CREATE, DELETE, MOVED, WRITE
from limpet.watching.diff._agenda import Agenda
from limpet.watching.diff._compare import Comparison
from tests.watch.unit.memory_tree import MemoryTree


def found(comparison: Comparison) -> dict[str, set[str]]:
    """Return the paths of each kind of difference."""
    differences = comparison.differences
    return {
        kind: {directory.relative_of(name) for directory, name in getattr(differences, kind)}
        for kind in ("departures", "arrivals", "updates")
    }


def test_each_name_is_an_arrival_a_departure_an_update_or_unchanged() -> None:
    tree = MemoryTree("gone", "same", "written", "d/", "d/gone")
    tree.disk.remove("gone", "d/gone")
    tree.disk.write("written")
    tree.disk.file("new", "d/new")
    names = ("gone", "same", "written", "new", "never", "d/gone", "d/new")
    comparison = tree.compare(*names)
    assert found(comparison) == {
        "departures": {"gone", "d/gone"}, "arrivals": {"new", "d/new"}, "updates": {"written"},
    }  # fmt: skip
    assert not comparison.differences.later
    assert not comparison.differences.fleeting


def test_only_the_names_on_the_agenda_are_examined() -> None:
    tree = MemoryTree("a", "b")
    tree.disk.write("a")
    tree.disk.write("b")
    assert found(tree.compare("a"))["updates"] == {"a"}


def test_nothing_is_changed_by_departures_and_arrivals() -> None:
    """The index follows when the events are emitted."""
    tree = MemoryTree("a", "d/", "d/f")
    before = tree.listing()
    tree.disk.remove("a", "d")
    tree.disk.file("b")
    tree.compare("a", "b", "d")
    assert tree.listing() == before


def test_another_file_of_the_same_name_departs_and_arrives() -> None:
    tree = MemoryTree("a")
    tree.disk.remove("a")
    tree.disk.file("a")
    comparison = tree.compare("a")
    assert found(comparison) == {"departures": {"a"}, "arrivals": {"a"}, "updates": set()}
    assert comparison.differences.order == [(tree.root, "a")]


def test_a_listing_examines_every_name_on_disk_or_in_the_index() -> None:
    tree = MemoryTree("d/", "d/gone", "d/written", "d/same")
    tree.disk.remove("d/gone")
    tree.disk.write("d/written")
    tree.disk.file("d/new")
    assert found(tree.compare_agenda(Agenda(listings={tree.node("d")}))) == {
        "departures": {"d/gone"}, "arrivals": {"d/new"}, "updates": {"d/written"},
    }  # fmt: skip


def test_a_name_is_examined_once_a_round() -> None:
    """What it finds later belongs to the next round's hints."""
    tree = MemoryTree("a")
    comparison = tree.compare("a")
    tree.disk.write("a")
    comparison.compare(Agenda({tree.root: {"a": WRITE}}))
    assert not comparison.differences.updates


def test_created_and_deleted_again_is_fleeting() -> None:
    """Only if the hints say both; a name that was only deleted was never there."""
    tree = MemoryTree()
    for bits, is_fleeting in (
        (CREATE | DELETE, True), (CREATE | MOVED, True), (CREATE, False), (DELETE, False),
    ):  # fmt: skip
        fleeting = tree.compare("x", x=bits).differences.fleeting
        assert fleeting == ([(tree.root, "x", bits)] if is_fleeting else []), bits


def test_what_is_below_a_directory_that_is_gone_waits_for_the_next_round() -> None:
    tree = MemoryTree("d/", "d/f")
    d = tree.node("d")
    tree.disk.remove("d")
    comparison = tree.compare("d", "d/f", every=WRITE)
    assert found(comparison)["departures"] == {"d"}
    assert comparison.differences.later.names == {d: {"f": WRITE}}


def test_a_directory_that_is_elsewhere_is_examined_by_its_name() -> None:
    """No hint named it: the name below it could not be examined, so its own is."""
    tree = MemoryTree("d/", "d/f")
    d = tree.node("d")
    tree.disk.rename("d", "moved")
    comparison = tree.compare("d/f")
    assert found(comparison)["departures"] == {"d"}
    assert comparison.differences.later.names == {d: {"f": 0}}


def test_a_location_that_leads_elsewhere_is_found_lost() -> None:
    tree = MemoryTree("a")
    tree.disk.change("", inode=99)
    comparison = tree.compare("a")
    assert comparison.differences.root_lost
    assert found(comparison)["departures"] == set()


def test_a_directory_that_cannot_be_read_keeps_what_is_in_it() -> None:
    """Reported once; as soon as it can be read, all of it is examined."""
    tree = MemoryTree("d/", "d/f")
    tree.disk.refused.add("d")
    for reports in (["Degraded d (permission)"], []):
        assert tree.examine("d/f") == reports
        assert tree.listing() == {"d", "d/f"}
    tree.disk.refused.clear()
    tree.disk.file("d/new")
    assert tree.examine("d/f") == ["Recovered d", "FileCreated d/new"]


def test_nothing_is_examined_while_the_location_is_away() -> None:
    tree = MemoryTree("a", "d/")
    tree.disk.remove("a")
    tree.context.degradation.location = 5
    agenda = Agenda({tree.root: {"a": DELETE}}, {tree.node("d")})
    differences = tree.compare_agenda(agenda).differences
    assert not differences.order
    assert (differences.later.names, differences.later.listings) == (agenda.names, agenda.listings)


def test_hidden_names_are_no_arrivals_and_depart_once_hidden() -> None:
    tree = MemoryTree("a.log", exclude=("*.tmp",))
    tree.disk.file("x.tmp")
    tree.disk.rename("a.log", "a.tmp")
    assert found(tree.compare("a.log", "a.tmp", "x.tmp")) == {
        "departures": {"a.log"}, "arrivals": set(), "updates": set(),
    }  # fmt: skip


def test_a_record_is_renewed_where_nothing_is_reported() -> None:
    """A mode that no option asks for is kept, so that it explains the next ctime."""
    tree = MemoryTree("a")
    tree.disk.change("a", mode=0o100600)
    assert tree.examine("a", a=ATTRIB) == []
    record = tree.root.entries["a"]
    assert isinstance(record, bytes)
    assert tree.examine("a") == []


def test_a_close_makes_a_held_file_due() -> None:
    tree = MemoryTree("a", settle=60)
    tree.disk.write("a")
    tree.examine("a", a=WRITE)
    debouncer = tree.context.debouncer
    assert debouncer.due(0) == []
    tree.examine("a", a=CLOSED)
    assert debouncer.due(0) == [(tree.root, "a")]


def test_a_departure_knows_whether_the_index_still_has_it() -> None:
    tree = MemoryTree("gone")
    tree.disk.remove("gone")
    (departure,) = tree.compare("gone").differences.departures.values()
    assert departure.is_indexed
    del tree.root.entries["gone"]
    assert not departure.is_indexed
