"""The file of a reader's checkpoints is opened by its first use and closed with the reader."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from limpet.remote import CheckpointStore, EventReader, Spool
from limpet.remote._spool_file import SpoolError


def is_open(path: Path) -> bool:
    held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    return os.fspath(path) in held


@pytest.mark.anyio
async def test_a_reader_opens_nothing_in_its_constructor_and_closes_what_it_opened(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("readers are for asyncio")
    where = tmp_path / "cursor.db"
    hub: Any = object()
    reader = EventReader(hub, bot="b", hosts=["h"], store=where)
    assert not where.exists()
    reader.store.load("x")
    assert is_open(where)
    await reader.__aexit__(None, None, None)
    assert not is_open(where)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader.store.load("x")


def test_a_programs_own_connection_is_not_closed(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "own")
    store = CheckpointStore(database)
    store.load("x")
    store.close()
    assert database.execute("select 1").fetchone() == (1,)
    database.close()


@pytest.mark.parametrize("content", [b"not a database, but text of some length", b""])
def test_a_spool_that_cannot_be_used_is_not_left_open(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spool"
    if content:
        path.write_bytes(content)
    else:
        spool = Spool(path)
        spool.close()
        database = sqlite3.connect(path)
        database.execute("update meta set value = '99' where key = 'version'")
        database.commit()
        database.close()
    with pytest.raises(SpoolError):
        Spool(path)
    assert not is_open(path)
