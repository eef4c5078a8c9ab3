"""The bounds of the spool, and changes while no agent ran."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from limpet.following import Gap
from limpet.remote import EventReader, Spool, Subjects
from limpet.remote._agent_follow import AgentFollow
from limpet.remote._entry_snapshot import EntrySnapshot, diff_offline
from limpet.remote._spool import NewRow
from limpet.remote.admin import FollowSpec
from tests.remote.helpers import collect, options, running
from tests.waiting import until

LARGE = b"x" * 200_000


def large(spool: Spool, content: bytes = LARGE) -> int:
    with spool.transaction():
        seq = spool.next_seq()
        spool.add([NewRow(seq, "s", b"{}", hashlib.sha256(content).hexdigest(), content)])
    return seq


def test_a_content_of_several_events_takes_its_room_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", retain_s=-1)
    seqs = [large(spool) for _ in range(5)]
    assert spool.stats().waiting_bytes < 2 * len(LARGE)
    spool.mark_acked(seqs)
    assert (spool.stats().waiting, spool.stats().waiting_bytes) == (0, 0)
    spool.close()


@pytest.mark.parametrize("when_full", ["block", "collapse"])
def test_acknowledged_events_make_room_for_waiting_ones(tmp_path: Path, when_full: Any) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=500_000, when_full=when_full)
    for number in range(10):
        seq = large(spool, LARGE + bytes([number]))
        assert spool.over == 0
        spool.mark_acked([seq])
    large(spool, LARGE + b"a")
    large(spool, LARGE + b"b")
    assert spool.stats().waiting == 2
    spool.close()


def test_a_commit_that_fails_leaves_the_spool_usable(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    db = spool._db
    db.execute("pragma foreign_keys=on")
    db.execute("create table a (id integer primary key)")
    db.execute("create table b (a integer references a deferrable initially deferred)")
    with pytest.raises(Exception, match="FOREIGN KEY"), spool.transaction():
        db.execute("insert into b values (1)")
    assert large(spool) == 1
    spool.close()


def wire(kind: str, inode: int) -> dict[str, Any]:
    stat = {"ino": str(inode), "size": 0, "mtime_us": 0, "birthtime_us": inode}
    return {"type": f"{kind}.created", "entry": kind, "stat": stat}


def known(kind: str, inode: int) -> EntrySnapshot:
    return EntrySnapshot(kind, str(inode), 0, 0, inode)


def test_a_rename_into_a_new_folder_where_a_file_was_can_be_replayed() -> None:
    before = {b"/t/f": known("file", 1), b"/t/a": known("file", 2)}
    now = {b"/t/f": wire("dir", 3), b"/t/f/a": wire("file", 2)}
    found = [(verb, path) for verb, path, *_ in diff_offline(before, now)]
    assert found.index(("created", b"/t/f")) < found.index(("created", b"/t/f/a"))
    assert ("renamed", b"/t/f/a") not in found


@pytest.mark.anyio
async def test_a_folder_renamed_and_emptied_while_no_agent_ran(memory: Any, tmp_path: Path) -> None:
    given = options(tmp_path)
    old, new = tmp_path / "in" / "old", tmp_path / "in" / "new"
    old.mkdir()
    (old / "gone").write_text("1")
    (old / "sub").mkdir()
    async with running(memory, given):
        pass
    (old / "gone").unlink()
    (old / "sub").rmdir()
    old.rename(new)
    transport = await memory.connect("bot")
    reader = EventReader(transport, bot="bot", store=tmp_path / "cursor", start="all")
    async with running(memory, given), reader:
        events = await collect(reader, 3)
    assert {(event.type, event.path and event.path.name) for event in events} == {
        ("dir.renamed", "new"),
        ("file.deleted", "gone"),
        ("dir.deleted", "sub"),
    }


@pytest.mark.anyio
async def test_lines_give_up_the_oldest_as_events_do(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_events=10, when_full="collapse")
    log = tmp_path / "log"
    log.write_text("")
    spec = FollowSpec(name="log", path=str(log))
    source = AgentFollow(spec, spool, host="web01", subjects=Subjects(), wake=lambda: None)
    task = asyncio.create_task(source.run())
    await source.ready.wait()
    for number in range(30):
        with log.open("a") as file:
            file.write(f"{number}\n")
        before = source.stored
        await until(lambda before=before: source.stored > before)  # type: ignore[misc]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert spool.stats().waiting <= 10
    assert spool.waiting(1)[0].subject == "limpet.v1.ev.web01.log.watch.overflow"
    spool.close()


@pytest.mark.anyio
async def test_what_a_followed_file_lost_says_whether_its_size_is_known(tmp_path: Path) -> None:
    """A file that was not found again may have had any number of bytes, and not 0."""
    spool = Spool(tmp_path / "spool")
    spec = FollowSpec(name="log", path=str(tmp_path / "log"))
    source = AgentFollow(spec, spool, host="web01", subjects=Subjects(), wake=lambda: None)
    where: dict[str, Any] = {"path": tmp_path / "log", "generation": 1, "time": 1.0}
    gaps = [
        Gap(kind="unlinked", bytes=5, **where),
        Gap(kind="generation-missing", bytes=0, size_known=False, **where),
    ]
    with spool.transaction() as db:
        wires = [wire for gap in gaps for wire in source._wires(gap, db)]
    assert [wire["lost"] for wire in wires] == [
        {"kind": "unlinked", "bytes": 5, "size_known": True},
        {"kind": "generation-missing", "bytes": 0, "size_known": False},
    ]
    spool.close()
