"""What needs daemon threads says so where there are none, and ctypes structures are read anyway."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import limpet
from limpet import _ctypes_buffers
from limpet._ctypes_buffers import unpacker


def fds() -> int:
    return len(os.listdir("/dev/fd"))


def test_where_no_daemon_threads_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a sub-interpreter: an error at entering, nothing is left open, outputs work."""
    plain = threading.Thread

    class Thread(plain):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: Any, daemon: bool | None = None, **more: Any) -> None:
            if daemon:
                message = "daemon threads are disabled in this (sub)interpreter"
                raise RuntimeError(message)
            super().__init__(*arguments, **more)

    monkeypatch.setattr(threading, "Thread", Thread)
    (tmp_path / "log").write_text("a\n")

    async def main() -> None:
        before = fds()
        with pytest.raises(limpet.UnsupportedError, match=r"use its sync\(\) form"):
            await limpet.watch_dir(tmp_path).__aenter__()
        with pytest.raises(limpet.UnsupportedError, match="in the main interpreter"):
            await limpet.follow(tmp_path / "log").__aenter__()
        with pytest.raises(limpet.UnsupportedError, match="in the main interpreter"):
            limpet.follow(tmp_path / "log").sync().__enter__()
        with pytest.raises(limpet.UnsupportedError, match="sub-interpreter"):
            limpet.watch_dir(tmp_path, backend="watchfiles").sync().__enter__()
        assert fds() == before

    anyio.run(main)
    with limpet.watch_dir(tmp_path).sync() as watch, limpet.Output(tmp_path) as out:
        out.append("o", "x")
        (tmp_path / "f").write_text("x")
        event = watch.next(timeout=20)
        if isinstance(event, limpet.Degraded):  # all that is left there is polling
            event = watch.next(timeout=20)
        assert isinstance(event, limpet.FileCreated)


@pytest.mark.parametrize("takes_arrays", [True, False])
def test_a_structure_is_read_from_an_array(
    monkeypatch: pytest.MonkeyPatch, *, takes_arrays: bool
) -> None:
    """PyPy's ``struct`` wants bytes."""
    if not takes_arrays:
        monkeypatch.setattr(_ctypes_buffers, "_reads_arrays", lambda: False)
    layout = struct.Struct("=IH")
    assert unpacker(layout)(ctypes.create_string_buffer(layout.pack(7, 9), 20)) == (7, 9)
