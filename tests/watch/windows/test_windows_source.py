"""The life of the source ``windows``: on a fake of Windows' calls, so it runs on every system."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from limpet.backends import CREATE, DELETE, MOVED
from limpet.backends import _completion_port as completion_port
from limpet.backends._watched_tree import BUFFER, NETWORK_BUFFER
from limpet.backends._windows import SharedPort, WindowsSource
from limpet.backends._windows_api import (
    CALL_NOT_IMPLEMENTED,
    INVALID_FUNCTION,
    INVALID_PARAMETER,
    NOT_SUPPORTED,
    NOTIFY_ENUM_DIR,
    OPERATION_ABORTED,
    RefusedError,
)
from tests.waiting import until_sync
from tests.watch.windows.buffers import (
    ADDED,
    MODIFIED,
    NEW_NAME,
    OLD_NAME,
    REMOVED,
    extended,
    plain,
)
from tests.watch.windows.fake_api import FakeApi

TREE = os.path.join(os.sep, "t")


class Received:
    """What a watch gets."""

    def __init__(self) -> None:
        self.paths: dict[str, int] = {}
        self.moves: list[tuple[str, str]] = []
        self.losses: list[str] = []
        self.fails = False

    def touched_paths(self, paths: dict[str, int], moves: Sequence[tuple[str, str]] = ()) -> None:
        if self.fails:
            raise ValueError("a receiver that fails")
        self.paths |= paths
        self.moves += moves

    def lost(self, reason: str = "backend") -> None:
        self.losses.append(reason)

    def has(self, name: str) -> bool:
        return os.path.join(TREE, name) in self.paths


class Rig:
    """The source on a fake, with one watch or several."""

    def __init__(self) -> None:
        self.api = FakeApi(TREE)
        self.ports = SharedPort(lambda: self.api)
        self.got = Received()
        self.source = WindowsSource(self.got, self.ports)

    def seen(self, name: str, data: bytes | None = None) -> None:
        """Change a name, and wait for its hint."""
        self.api.change(TREE, data or plain((MODIFIED, name)))
        until_sync(lambda: self.got.has(name))


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.api.hold.set()
    made.source.close()
    assert made.api.mistakes == []
    until_sync(lambda: not made.api.opened, "a directory stays open")
    assert made.api.ports == 0
    until_sync(lambda: not [t for t in threading.enumerate() if t.name == "limpet windows"])


def test_hints_are_paths_below_the_location(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.api.change(
        TREE, plain((ADDED, "a"), (REMOVED, "d\\e\\f"), (OLD_NAME, "x"), (NEW_NAME, "y"))
    )
    until_sync(lambda: rig.got.has("y"))
    below = os.path.join(TREE, "d", "e", "f")
    assert rig.got.paths[below] == DELETE
    assert rig.got.paths[os.path.join(TREE, "a")] == 0
    assert rig.got.moves == [(os.path.join(TREE, "x"), os.path.join(TREE, "y"))]
    assert rig.got.losses == []


def test_the_root_of_a_drive_is_a_location_too(rig: Rig) -> None:
    rig.api.make(os.sep)
    rig.source.watch("")
    rig.api.change(os.sep, plain((MODIFIED, "a")))
    until_sync(lambda: os.sep + "a" in rig.got.paths)


def test_extended_records_are_asked_for_where_they_are_there(rig: Rig) -> None:
    rig.api.has_extended = True
    rig.source.watch(TREE)
    rig.seen("e\\b".replace("\\", os.sep), extended((REMOVED, "d\\a", 7), (ADDED, "e\\b", 7)))
    assert rig.got.moves == [(os.path.join(TREE, "d", "a"), os.path.join(TREE, "e", "b"))]
    assert rig.got.paths[os.path.join(TREE, "e", "b")] == CREATE | MOVED
    (one,) = rig.api.opened.values()
    assert set(one.reads) == {(True, BUFFER)}


@pytest.mark.parametrize(
    "code", [INVALID_FUNCTION, NOT_SUPPORTED, INVALID_PARAMETER, CALL_NOT_IMPLEMENTED]
)
def test_a_file_system_without_extended_records_is_read_plainly(rig: Rig, code: int) -> None:
    rig.api.has_extended = True
    rig.api.refuse = {True: code}
    rig.source.watch(TREE)
    rig.seen("a")
    (one,) = rig.api.opened.values()
    assert set(one.reads) == {(False, BUFFER)}


def test_over_a_network_the_buffer_is_smaller(rig: Rig) -> None:
    rig.api.has_extended = rig.api.is_network = True
    rig.source.watch(TREE)
    rig.seen("a", extended((MODIFIED, "a", 1)))
    (one,) = rig.api.opened.values()
    assert set(one.reads) == {(True, NETWORK_BUFFER)}


def test_a_server_that_refuses_later_is_asked_in_another_form(rig: Rig) -> None:
    """Then nobody knows what happened in between."""
    rig.api.has_extended = True
    rig.source.watch(TREE)
    rig.api.end_read(TREE, NOT_SUPPORTED)
    until_sync(lambda: rig.got.losses == ["backend"])
    (one,) = rig.api.opened.values()
    assert one.reads == [(True, NETWORK_BUFFER)]


def test_a_file_system_that_reports_nothing_is_an_error(rig: Rig) -> None:
    rig.api.refuse = {False: INVALID_FUNCTION}
    with pytest.raises(OSError, match=r"reports no changes \(Windows error 1\)"):
        rig.source.watch(TREE)
    assert rig.api.opened == {}
    until_sync(lambda: rig.api.ports == 0)


@pytest.mark.parametrize("error", [0, NOTIFY_ENUM_DIR])
def test_an_overflow_is_reported_and_the_next_read_asked_for(rig: Rig, error: int) -> None:
    rig.source.watch(TREE)
    rig.api.end_read(TREE, error)
    until_sync(lambda: rig.got.losses == ["overflow"])
    rig.seen("a")
    assert rig.got.losses == ["overflow"]


def test_an_overflow_may_be_the_answer_to_a_read(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.api.read_errors = [NOTIFY_ENUM_DIR]
    rig.seen("a")
    until_sync(lambda: rig.got.losses == ["overflow"])
    rig.seen("b")


@pytest.mark.parametrize("data", [b"\1", b"\xff" * 64, plain((ADDED, "abc"))[:-1]])
def test_a_damaged_buffer_is_an_overflow(rig: Rig, data: bytes) -> None:
    rig.source.watch(TREE)
    rig.api.change(TREE, data)
    until_sync(lambda: rig.got.losses == ["overflow"])
    rig.seen("a")


def test_a_loss_separates_the_halves_of_a_rename(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.seen("old", plain((OLD_NAME, "old")))
    rig.api.overflow(TREE)
    rig.seen("new", plain((NEW_NAME, "new")))
    assert rig.got.moves == []


def test_the_next_read_is_asked_for_before_the_last_one_is_passed_on(rig: Rig) -> None:
    """And what was read is not overwritten by it."""
    rig.source.watch(TREE)
    pending: list[bool] = []
    touched = rig.got.touched_paths

    def look(paths: dict[str, int], moves: Sequence[tuple[str, str]] = ()) -> None:
        (one,) = rig.api.opened.values()
        pending.append(one.pending is not None)
        touched(paths, moves)

    rig.got.touched_paths = look  # type: ignore[method-assign]
    rig.seen("a")
    assert pending == [True]
    (one,) = rig.api.opened.values()
    one.gathered += [plain((MODIFIED, f"g{number}")) for number in range(5)]
    rig.seen("last")
    until_sync(lambda: rig.got.has("g4"))
    assert all(rig.got.has(f"g{number}") for number in range(5))


def test_the_end_of_the_folder_lets_go_of_it_and_has_the_location_checked(rig: Rig) -> None:
    """The name of a deleted directory stays taken for as long as a handle is open on it."""
    rig.source.watch(TREE)
    rig.api.delete(TREE)
    until_sync(lambda: rig.got.paths == {TREE: 0})
    assert rig.api.opened == {}
    assert rig.got.losses == []


def test_a_folder_that_comes_back_is_reported_again(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.api.delete(TREE)
    until_sync(lambda: rig.api.opens >= 3, "it is not tried again")
    rig.api.make(TREE)
    until_sync(lambda: rig.got.losses == ["backend"])
    rig.seen("a")


def test_a_folder_that_is_not_there_is_no_error(rig: Rig) -> None:
    rig.api.paths.clear()
    rig.source.watch(TREE)
    rig.api.make(TREE)
    until_sync(lambda: rig.got.losses == ["backend"])
    rig.seen("a")


@pytest.mark.parametrize("code", [5, 6, 64, OPERATION_ABORTED])
def test_a_read_that_fails_is_begun_again(rig: Rig, code: int) -> None:
    """At the end of a read, and when the next one is asked for."""
    rig.source.watch(TREE)
    rig.api.end_read(TREE, code)
    until_sync(lambda: rig.got.losses == ["backend"])
    rig.api.read_errors = [code]
    rig.seen("a")
    until_sync(lambda: rig.got.losses == ["backend", "backend"])
    rig.seen("b")


def test_a_server_that_does_not_answer_stops_no_other_watch(rig: Rig) -> None:
    """It is opened again in a thread of its own; closing the watch does not wait for it."""
    other, got = os.path.join(os.sep, "other"), Received()
    rig.api.make(other)
    rig.source.watch(TREE)
    second = WindowsSource(got, rig.ports)
    second.watch(other)
    rig.api.hold.clear()
    rig.api.delete(TREE)
    until_sync(lambda: "limpet reopen" in {thread.name for thread in threading.enumerate()})
    rig.api.change(other, plain((MODIFIED, "a")))
    until_sync(lambda: bool(got.paths))
    rig.source.close()
    rig.api.make(TREE)
    rig.api.hold.set()
    until_sync(lambda: TREE not in {one.path for one in rig.api.opened.values()})
    second.close()


def test_closing_while_a_read_is_pending_waits_for_its_packet(rig: Rig) -> None:
    rig.source.watch(TREE)
    (one,) = rig.api.opened.values()
    assert one.pending is not None
    rig.source.close()
    assert rig.api.opened == {}
    assert rig.api.ports == 0
    rig.source.close()


def test_a_packet_that_is_already_there_ends_it_as_well(rig: Rig) -> None:
    """CancelIoEx finds nothing to cancel then; the hint of that packet is for nobody any more."""
    rig.source.watch(TREE)
    rig.api.keeps_packets = True  # the cancelling itself does nothing
    leave = threading.Thread(target=rig.source.close)
    leave.start()
    rig.api.change(TREE, plain((MODIFIED, "late")))
    leave.join(20)
    assert not leave.is_alive()
    assert rig.api.opened == {}


def test_a_buffer_whose_packet_never_comes_is_kept_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may write into it at any time: to free it would be worse."""
    monkeypatch.setattr(completion_port, "PATIENCE_S", 0.05)
    rig.source.watch(TREE)
    rig.api.keeps_packets = True
    (one,) = rig.api.opened.values()
    request = one.pending
    assert request is not None
    rig.source.close()
    until_sync(lambda: request in completion_port._abandoned)
    gc.collect()
    request.buffer.raw = b"x" * request.size
    completion_port._abandoned.remove(request)


def test_watching_another_place_lets_go_of_the_first(rig: Rig) -> None:
    other = os.path.join(os.sep, "other")
    rig.api.make(other)
    rig.source.watch(TREE)
    rig.source.watch(other)
    assert [one.path for one in rig.api.opened.values()] == [other]
    rig.source.watch(None)
    assert rig.api.opened == {}


def test_many_watches_share_one_port_and_one_thread(rig: Rig) -> None:
    names = [os.path.join(os.sep, f"t{number}") for number in range(60)]
    rig.api.paths |= set(names)
    received = [Received() for _ in names]
    sources = [WindowsSource(got, rig.ports) for got in received]
    for source, name in zip(sources, names, strict=True):
        source.watch(name)
    assert rig.api.ports == 1
    assert rig.api.threads == {"limpet windows"}
    for name in names:
        rig.api.change(name, plain((MODIFIED, "a")))
    until_sync(lambda: all(got.paths for got in received))
    for got, name in zip(received, names, strict=True):
        assert set(got.paths) == {os.path.join(name, "a")}
    for source in sources[1:]:
        source.close()
    assert rig.api.ports == 1
    rig.api.change(names[0], plain((MODIFIED, "b")))
    until_sync(lambda: len(received[0].paths) == 2)
    sources[0].close()
    assert rig.api.ports == 0


def test_a_receiver_that_fails_silences_nobody(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.got.fails = True
    rig.api.change(TREE, plain((MODIFIED, "a")))
    until_sync(lambda: rig.got.losses == ["backend"])
    rig.got.fails = False
    rig.seen("b")


def test_the_end_of_the_program_ends_reads_of_watches_left_open(rig: Rig) -> None:
    rig.source.watch(TREE)
    rig.ports.end()
    assert rig.api.opened == {}
    assert rig.api.ports == 0
    rig.source.close()
    rig.source.watch(TREE)  # not that anybody would: but it is a new beginning
    rig.seen("a")


def test_a_port_that_is_refused_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise RefusedError(8)

    monkeypatch.setattr(rig.api, "open_port", refuse)
    with pytest.raises(OSError, match="Windows error 8"):
        rig.source.watch(TREE)


@pytest.mark.parametrize("round_", range(20))
def test_opening_and_closing_in_many_threads(rig: Rig, round_: int) -> None:
    """The port is made and ended by turns; nothing is left and nothing hangs."""
    del round_
    failed: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(5):
                got = Received()
                source = WindowsSource(got, rig.ports)
                source.watch(TREE)
                rig.api.change(TREE, plain((MODIFIED, "a")))
                source.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not [thread for thread in threads if thread.is_alive()]
    assert failed == []
