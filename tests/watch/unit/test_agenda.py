"""What an examination has to look into: hints add up, and nothing put off is lost."""

from __future__ import annotations

from limpet.backends import ATTRIB, CREATE, WRITE
from limpet.watching.diff._agenda import Agenda
from tests.watch.unit.memory_tree import dir_node

ROOT = dir_node("", None)
BELOW = dir_node("d", ROOT)


def test_an_agenda_is_true_if_there_is_something_to_examine() -> None:
    """The location is checked by itself, and is no reason to compare directories."""
    assert not Agenda()
    assert not Agenda(location=True)
    assert Agenda(names={ROOT: {"a": 0}})
    assert Agenda(listings={ROOT})


def test_hints_of_one_name_add_up() -> None:
    agenda = Agenda()
    agenda.add_name(ROOT, "a")
    agenda.add_name(ROOT, "a", WRITE)
    agenda.add_name(ROOT, "a", ATTRIB)
    agenda.add_name(BELOW, "a", CREATE)
    assert agenda.names == {ROOT: {"a": WRITE | ATTRIB}, BELOW: {"a": CREATE}}


def test_the_first_mapping_of_a_directory_is_kept_and_later_ones_are_added_to_it() -> None:
    agenda = Agenda()
    first, second = {"a": WRITE}, {"a": ATTRIB, "b": 0}
    agenda.add_names(ROOT, first)
    assert agenda.names[ROOT] is first
    agenda.add_names(ROOT, second)
    assert agenda.names[ROOT] is first
    assert first == {"a": WRITE | ATTRIB, "b": 0}
    assert second == {"a": ATTRIB, "b": 0}


def test_what_is_put_off_is_on_the_next_agenda() -> None:
    agenda = Agenda()
    agenda.put_off(ROOT, {"a": WRITE}, listing=False)
    agenda.put_off(ROOT, {"b": CREATE}, listing=False)
    agenda.put_off(BELOW, {}, listing=True)
    assert agenda.names == {ROOT: {"a": WRITE, "b": CREATE}}
    assert agenda.listings == {BELOW}


def test_what_is_put_off_is_copied() -> None:
    """The round that puts names off goes on to use its own mapping."""
    agenda, names = Agenda(), {"a": WRITE}
    agenda.put_off(ROOT, names, listing=False)
    names["b"] = 0
    assert agenda.names == {ROOT: {"a": WRITE}}


def test_adding_an_agenda_takes_all_of_it() -> None:
    agenda = Agenda({ROOT: {"a": WRITE}}, {ROOT})
    agenda.add(Agenda({ROOT: {"a": ATTRIB}, BELOW: {"b": 0}}, {BELOW}, location=True))
    assert agenda.names == {ROOT: {"a": WRITE | ATTRIB}, BELOW: {"b": 0}}
    assert agenda.listings == {ROOT, BELOW}
    assert agenda.location
    agenda.add(Agenda())
    assert agenda.location
