"""The file of a reader's checkpoints is opened by its first use and closed with the reader."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from limpet.remote import CheckpointError, CheckpointStore, EventReader, Spool
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


def test_two_readers_do_not_share_a_file(tmp_path: Path) -> None:
    """Each would do the same work, and set the other's checkpoint back."""
    first, second = CheckpointStore(tmp_path / "c"), CheckpointStore(tmp_path / "c")
    first.load("x")
    with pytest.raises(CheckpointError, match="another reader") as caught:
        second.load("x")
    assert caught.value.code == "checkpoint-busy"
    first.close()
    assert second.load("x")[0] is None
    second.close()


@pytest.mark.parametrize(
    ("position", "acknowledged"),
    [
        ("{", "{}"),
        ("null", "{}"),
        ("[]", "{}"),
        ('{"seq": "1", "id": "", "time": 1.0}', "{}"),
        ('{"seq": true, "id": "", "time": 1.0}', "{}"),
        ('{"seq": 1, "id": null, "time": 1.0}', "{}"),
        ('{"seq": 1, "id": "", "time": 1.0}', "[]"),
        ('{"seq": 1, "id": "", "time": 1.0}', '{"a": 1}'),
        ('{"seq": 1, "id": "", "time": 1.0}', '{"a": [["x", 2]]}'),
    ],
)
def test_a_damaged_checkpoint_is_an_error_that_names_the_file(
    tmp_path: Path, position: str, acknowledged: str
) -> None:
    path = tmp_path / "c"
    store = CheckpointStore(path)
    store.connection.execute(
        "insert into limpet_checkpoint values ('x', ?, ?)", (position, acknowledged)
    )
    with pytest.raises(CheckpointError, match="move the file away") as caught:
        store.load("x")
    assert str(path) in str(caught.value)
    store.close()


def test_a_file_that_is_no_database_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"something else, and long enough to be no database at all" * 20)
    before = path.read_bytes()
    store = CheckpointStore(path)
    with pytest.raises(CheckpointError, match="not a database"):
        store.load("x")
    store.close()
    assert path.read_bytes() == before
    missing = CheckpointStore(tmp_path / "none" / "c")
    with pytest.raises(CheckpointError, match="create the folder"):
        missing.load("x")
