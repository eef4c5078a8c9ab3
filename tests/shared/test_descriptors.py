"""What systems do differently with descriptors, with the answers of the others written out."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from limpet import _descriptors
from limpet._descriptors import sync_to_disk, wait_readable


@pytest.mark.parametrize("works", [True, False])
def test_the_cache_of_the_drive_is_emptied_where_fsync_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """F_FULLFSYNC of macOS; a file system that refuses it gets fsync(2)."""
    calls: list[object] = []

    def full(fd: int, command: int) -> None:
        calls.append(command)
        if not works:
            raise OSError(45, "Operation not supported")

    monkeypatch.setattr(_descriptors, "_FULL_SYNC", 51)
    monkeypatch.setattr(_descriptors, "_fcntl", SimpleNamespace(fcntl=full))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync"))
    with open(tmp_path / "f", "w") as file:
        sync_to_disk(file.fileno())
    assert calls == ([51] if works else [51, "fsync"])


def test_what_cannot_be_synced_is_an_error(tmp_path: Path) -> None:
    file = os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY)
    os.close(file)
    with pytest.raises(OSError, match="descriptor"):
        sync_to_disk(file)


@pytest.mark.parametrize("polls_devices", [True, False])
def test_waiting_ends_with_what_can_be_read(
    monkeypatch: pytest.MonkeyPatch, polls_devices: bool
) -> None:
    """By poll(2), or by select(2) where poll knows no terminals; an end is something to read."""
    monkeypatch.setattr(_descriptors, "_POLLS_DEVICES", polls_devices)
    first, other = os.pipe(), os.pipe()
    try:
        assert wait_readable([first[0], other[0]], 0.01) == []
        writer = threading.Thread(target=os.write, args=(other[1], b"x"))
        writer.start()
        assert wait_readable([first[0], other[0]]) == [other[0]]
        writer.join()
        os.read(other[0], 1)
        os.close(other[1])
        assert wait_readable([first[0], other[0]]) == [other[0]]
    finally:
        for fd in (*first, other[0]):
            os.close(fd)


def test_a_terminal_is_waited_for_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a descriptor that select(2) has no place for is still waited for."""
    pty: Any = pytest.importorskip("pty", reason="no module pty")
    master, slave = pty.openpty()
    high = 1500
    os.dup2(slave, high)
    try:
        for polls_devices in (True, False):
            monkeypatch.setattr(_descriptors, "_POLLS_DEVICES", polls_devices)
            os.write(master, b"line\n")
            assert wait_readable([slave]) == [slave]
            assert wait_readable([high]) == [high]
            os.read(slave, 100)
    finally:
        for fd in (master, slave, high):
            os.close(fd)
