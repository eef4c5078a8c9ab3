"""How long hints are gathered in a burst."""

from __future__ import annotations

from limpet.watching._gathering import Gathering


def test_the_pause_doubles_up_to_the_shortest_limit_of_all() -> None:
    gathering = Gathering()
    pauses = []
    now = 100.0
    for _ in range(8):
        pauses.append(gathering.pause(now, lambda: [0.05, 0.014]))
        now += pauses[-1] + 0.001
        gathering.examined(now, 10)
    assert pauses == [0.0, 0.001, 0.002, 0.004, 0.008, 0.014, 0.014, 0.014]
    assert gathering.is_on


def test_a_change_after_a_quiet_moment_is_examined_at_once() -> None:
    """Also where single changes come now and again, and hints may be gathered for a second."""
    gathering = Gathering()
    now = 100.0
    for _ in range(9):
        gathering.pause(now, lambda: [1.0])
        gathering.examined(now, 20)
    assert gathering.pause(now, lambda: [1.0]) > 0.1
    gathering.examined(now, 1)
    for _ in range(3):
        now += 0.7
        assert gathering.pause(now, lambda: [1.0]) == 0.0
        gathering.examined(now, 1)


def test_nothing_is_gathered_if_one_of_them_wants_none() -> None:
    gathering = Gathering()
    for _ in range(5):
        assert gathering.pause(100.0, lambda: [1.0, 0.0]) == 0.0
        gathering.examined(100.0, 50)
