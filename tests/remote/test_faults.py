"""The failure cases F1 to F22 of several hosts and one hub; each test's name has its number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limpet
from limpet.output import Output
from limpet.remote import (
    CheckpointStore,
    EventReader,
    RemoteEvent,
    RemoteOutput,
    RemotePath,
    RemotePathError,
    Spool,
    read_events,
)
from limpet.remote._agent_source import AgentSource
from limpet.remote._command_executor import CommandExecutor, CommandOutput
from limpet.remote._command_journal import CommandJournal
from limpet.remote._envelope import decode, encode, notice
from limpet.remote._spool import NewRow
from limpet.remote._spool_sender import SpoolSender
from limpet.remote.admin import Agent, AgentError, WatchSpec
from tests.remote.conftest import SERVERS
from tests.remote.helpers import Proxy, collect, options, running, stored_beyond
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

SUBJECT = "limpet.v1.ev.web01.in.file.created"
NEWEST = max(SERVERS, key=lambda version: [int(part) for part in version.split(".")], default="")
"""The server of the longest variants of the tests."""

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


def fill(spool: Spool, count: int, start: int = 0) -> None:
    """Store events as a watch does, several in a transaction."""
    for begin in range(start, start + count, 500):
        with spool.transaction():
            seq = spool.next_seq()
            rows = []
            for offset in range(min(500, start + count - begin)):
                wire = notice(
                    "file.created", watch="in", time_us=1_000_000, path=f"/in/{begin + offset}"
                )
                wire["scope"] = "inside"
                data = encode(
                    wire, session=spool.session, seq=seq + offset, host="web01", watch="in",
                    flavour="posix",
                )  # fmt: skip
                rows.append(NewRow(seq + offset, SUBJECT, data))
            spool.add(rows)


@contextlib.asynccontextmanager
async def sending(spool: Spool, transport: Any, **settings: Any) -> Any:
    sender = SpoolSender(spool, transport, **settings)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def grows(figure: Callable[[], int]) -> None:
    before = figure()
    await until(lambda: figure() > before)


async def stores(source: AgentSource[Any], count: int) -> None:
    await until(lambda: source.stored >= count)


async def stored(hub: Hub) -> list[str]:
    """Return the ids of all events in the stream, in its order."""
    transport = await hub.connect("auditor")
    reader = await transport.read("LIMPET_EV_web01", after=0)
    found: list[str] = []
    while messages := await reader.fetch(1000, 0.5):
        found += [m.id for m in messages]
    await reader.close()
    return found


def paths(events: list[RemoteEvent]) -> list[str]:
    return [e.path.name for e in events if e.path is not None]


async def test_f1_the_hub_is_killed_three_times_while_events_flow(hub: Hub, tmp_path: Path) -> None:
    count = 4000
    spool = Spool(tmp_path / "s")
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all",
        commit_every=0.2,
    )  # fmt: skip
    async with sending(spool, await hub.connect("web01")) as sender, reader:
        taking = asyncio.create_task(collect(reader, count))
        for part in range(4):
            await asyncio.to_thread(fill, spool, count // 4, part * count // 4)
            sender.wake()
            if part < 3:
                await grows(lambda: sender.health.sent)
                await hub.kill()
                await hub.start()
        events = await taking
    spool.close()
    assert paths(events) == [str(n) for n in range(count)]
    ids = await stored(hub)
    assert len(ids) == len(set(ids)) == count
    assert [int(i.rpartition(".")[2]) for i in ids] == list(range(1, count + 1))


async def test_f2_acknowledgements_are_lost_and_the_connection_cut_twelve_times(
    hub: Hub, tmp_path: Path
) -> None:
    count = 300
    spool = Spool(tmp_path / "s")
    auditor = await hub.connect("auditor2")
    await asyncio.to_thread(fill, spool, count)
    async with Proxy(hub) as proxy:
        transport = await proxy.connect("web01")
        sender = SpoolSender(spool, transport, pause_min=0.01)
        task = asyncio.create_task(sender.run())
        for _ in range(12 if hub.kind in {"memory", NEWEST} else 4):
            await proxy.drop_answers()
            await asyncio.to_thread(fill, spool, 300, count)
            count += 300
            sender.wake()
            await grows(lambda: sender.health.attempts)
            last = (await asyncio.to_thread(spool.waiting, 256))[-1].seq
            await stored_beyond(auditor, "LIMPET_EV_web01", SUBJECT, last - 1)
            await proxy.cut_and_wait()
        await until(lambda: spool.stats().waiting == 0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    spool.close()
    ids = await stored(hub)
    assert len(ids) == len(set(ids)) == count
    assert [int(i.rpartition(".")[2]) for i in ids] == list(range(1, count + 1))
    assert sender.health.duplicates > 0, "nothing was repeated: the test tested nothing"
    assert sender.health.sessions == 0


async def test_f3_the_hub_comes_after_the_agent(hub: Hub, tmp_path: Path) -> None:
    await hub.kill()
    async with running(hub, options(tmp_path)) as agent:
        (tmp_path / "in" / "a").touch()
        await until(lambda: agent.spool is not None and agent.spool.stats().waiting == 1)
        health = agent.health
        await until(lambda: health()["state"] == "spooling")
        await hub.start()
        await until(lambda: health()["waiting"] == 0)
        await until(lambda: health()["state"] == "sending")
    assert len(await stored(hub)) == 1


async def test_f4_a_batch_repeated_after_the_window_is_seen_once(hub: Hub, tmp_path: Path) -> None:
    """The hub stores it twice, for it has forgotten the ids; the reader drops repeated events."""
    spool = Spool(tmp_path / "s")
    fill(spool, 300)
    transport = await hub.connect("web01")
    async with sending(spool, transport) as sender:
        await sender.drained()
    # As if the answers had been lost for longer than the window: the same events under other ids.
    from limpet.remote.transport import Message

    spool.send_again()
    again = [Message(row.subject, row.data, f"late.{row.seq}") for row in spool.waiting(256)]
    await transport.publish(again)
    fill(spool, 1, 300)
    async with sending(spool, transport) as sender:
        await sender.drained()
    assert len(await stored(hub)) == 301 + 256
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    async with reader:
        events = await collect(reader, 301)
    assert paths(events) == [str(n) for n in range(301)]
    assert reader.duplicates == 256
    spool.close()


async def test_f6_the_hub_forgets_what_it_acknowledged(hub: Hub, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    fill(spool, 1000)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    copy = tmp_path / "copy"
    async with reader:
        events = await collect(reader, 1000)
        if hub.server is not None:
            await asyncio.to_thread(hub.server.kill)
            shutil.copytree(hub.server.folder / "js", copy)
            await asyncio.to_thread(hub.server.start)
        fill(spool, 3000, 1000)
        async with sending(spool, await hub.connect("web01b")) as sender:
            await sender.drained()
            events += await collect(reader, 3000)
            if hub.server is None:
                hub.memory.roll_back("LIMPET_EV_web01", 1000)
            else:
                await asyncio.to_thread(hub.server.kill)
                shutil.rmtree(hub.server.folder / "js")
                shutil.copytree(copy, hub.server.folder / "js")
                await asyncio.to_thread(hub.server.start)
            fill(spool, 1, 4000)
            sender.wake()
            events += await collect(reader, 1)
            assert sender.health.resent >= 3000
    assert paths(events) == [str(n) for n in range(4001)]
    ids = await stored(hub)
    assert len(ids) == len(set(ids)) == 4001
    spool.close()


async def test_f7_a_worker_dies_with_a_hundred_events(hub: Hub, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    fill(spool, 300)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    effects: Counter[int] = Counter()
    enough = asyncio.Event()

    async def handler(event: RemoteEvent) -> None:
        effects[event.seq] += 1
        if sum(effects.values()) == 45 and not enough.is_set():
            enough.set()
            await asyncio.sleep(3600)  # it dies while it processes this one

    async def work() -> None:
        transport = await hub.connect("bot")
        await read_events(transport, bot="b", handler=handler, ack_wait=1.0, batch=100)

    first = asyncio.create_task(work())
    await enough.wait()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await first
    second = asyncio.create_task(work())
    await until(lambda: len(effects) == 300)
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
        await second
    assert sum(count - 1 for count in effects.values()) <= 5
    spool.close()


async def test_f7_the_checkpoint_in_the_programs_own_transaction(hub: Hub, tmp_path: Path) -> None:
    """Each effect is there once, even if the reader dies several times."""
    spool = Spool(tmp_path / "s")
    fill(spool, 201)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    database = sqlite3.connect(tmp_path / "effects")
    database.execute("create table effect (seq integer)")
    database.commit()
    for _ in range(4):
        reader = EventReader(
            await hub.connect("bot"), bot="b", hosts=["web01"], store=CheckpointStore(database),
            start="all", commit_every=3600,
        )  # fmt: skip
        async with reader:
            for _ in range(50):
                event = await anext(reader)
                database.execute("insert into effect values (?)", (event.seq,))
                reader.commit_into(database)
                database.commit()
            await anext(reader)  # delivered, and its effect lost with the process
            database.execute("insert into effect values (-1)")
            database.rollback()
    found = [seq for (seq,) in database.execute("select seq from effect order by rowid")]
    assert found == list(range(1, 201))
    database.close()
    spool.close()


async def test_f8_the_stream_is_full(hub: Hub, tmp_path: Path) -> None:
    from dataclasses import replace

    from limpet.remote import Subjects
    from limpet.remote._stream_setup import stream_specs
    from limpet.remote.transport._nats_stores import NatsTransport, stream_config

    spec = replace(stream_specs(Subjects(), ["web01"])[0], max_bytes=64 * 1024)
    admin = await hub.connect("admin")

    async def limit(count: int) -> None:
        changed = replace(spec, max_bytes=count)
        if isinstance(admin, NatsTransport):
            await admin.request("$JS.API.STREAM.UPDATE.LIMPET_EV_web01", stream_config(changed))
        else:
            hub.memory.make(changed)

    await limit(64 * 1024)
    spool = Spool(tmp_path / "s")
    fill(spool, 500)
    async with sending(spool, await hub.connect("web01")) as sender:
        await until(lambda: sender.health.state == "hub full")
        attempts = sender.health.attempts
        await asyncio.sleep(1.5)  # repeated attempts would show only in time
        assert sender.health.attempts - attempts <= 2
        assert spool.stats().waiting > 0
        assert "raise its bound" in sender.health.trouble
        await limit(64 << 20)
        await until(lambda: spool.stats().waiting == 0)
    ids = await stored(hub)
    assert len(ids) == len(set(ids)) == 500
    spool.close()


@pytest.mark.parametrize("when_full", ["block", "collapse"])
async def test_f9_the_spool_is_full(hub: Hub, tmp_path: Path, when_full: Any) -> None:
    await hub.kill()
    given = options(tmp_path, spool_options={"max_events": 50, "when_full": when_full})
    async with running(hub, given) as agent:
        spool, source = agent.spool, agent.sources[0]
        assert spool is not None
        for number in range(200):
            (tmp_path / "in" / f"{number:03}").touch()
            if number % 10 == 9:
                if when_full == "block" and number > 50:
                    await until(lambda: source.blocked)
                else:
                    await stores(source, number + 1)
        assert spool.stats().waiting <= 50
        await hub.start()
        reader = EventReader(
            await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
        )
        async with reader:
            (tmp_path / "in" / "last").touch()
            events: list[RemoteEvent] = []
            while not events or events[-1].path is None or events[-1].path.name != "last":
                events += await collect(reader, 1)
    names = {name for name in paths(events) if name != "in"}
    if when_full == "block":
        assert names == {f"{number:03}" for number in range(200)} | {"last"}
    else:
        lost: set[int] = set()
        for event in events:
            if event.type == "watch.overflow":
                found = event.data["lost"]
                assert isinstance(found, dict)
                lost |= set(range(found["first"], found["last"] + 1))
        assert lost
        missing = {f"{number:03}" for number in range(200)} - names
        assert len(missing) == len(lost)
        assert not any(event.type == "watch.gap" for event in events)


async def test_f10_a_subject_that_is_not_allowed(
    memory: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One clear error, no series of attempts, and the other watches continue.

    With the permissions of a real hub: ``test_permissions.py``.
    """
    hub = memory
    hub.memory.denied.add("limpet.v1.ev.web01.bad.>")
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
    watches = [WatchSpec(name=name, path=str(tmp_path / name)) for name in ("bad", "good")]
    with caplog.at_level(logging.ERROR, "limpet.agent"):
        async with running(hub, options(tmp_path, watches=watches)) as agent:
            (tmp_path / "bad" / "x").touch()
            sender = agent.sender
            assert sender is not None
            await until(lambda: sender.health.state == "refused")
            (tmp_path / "good" / "y").touch()
            await asyncio.sleep(0)
            assert "may not publish" in sender.health.trouble
            await until(lambda: stored(hub))
    assert len([r for r in caplog.records if "may not publish" in r.message]) <= 2


async def test_f11_the_stream_is_deleted_and_made_again(hub: Hub, tmp_path: Path) -> None:
    from limpet.remote.transport._nats_stores import NatsTransport

    admin = await hub.connect("admin2")
    async with running(hub, options(tmp_path)) as agent:
        (tmp_path / "in" / "a").touch()
        await until(lambda: agent.health()["sent"] == 1)
        if isinstance(admin, NatsTransport):
            await admin.request("$JS.API.STREAM.DELETE.LIMPET_EV_web01")
        else:
            del hub.memory.streams["LIMPET_EV_web01"]
        (tmp_path / "in" / "b").touch()
        await until(lambda: agent.health()["state"] == "spooling")
        assert "limpet hub init" in str(agent.health()["trouble"])
        await hub.open()
        await until(lambda: agent.health()["waiting"] == 0)
    assert len(await stored(hub)) >= 1


async def test_f12_an_event_whose_handler_always_fails(hub: Hub, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    fill(spool, 20)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    done: set[int] = set()
    tries: Counter[int] = Counter()

    async def handler(event: RemoteEvent) -> None:
        tries[event.seq] += 1
        if event.seq == 7:
            message = "poison"
            raise ValueError(message)
        done.add(event.seq)

    transport = await hub.connect("bot")
    task = asyncio.create_task(
        read_events(transport, bot="b", handler=handler, tries=3, retry_delay=0.05, ack_wait=5.0)
    )
    await until(lambda: len(done) == 19 and tries[7] == 3)
    await stored_beyond(transport, "LIMPET_DEAD_b", "limpet.v1.dead.b", 0)
    task.cancel()
    found = await transport.latest("LIMPET_DEAD_b", "limpet.v1.dead.b")
    assert found is not None
    dead_letter = json.loads(found.data)
    assert dead_letter["attempts"] == 3
    assert dead_letter["error"] == {"type": "ValueError", "message": "poison"}
    assert "ValueError: poison" in dead_letter["traceback"]
    assert dead_letter["event"]["data"]["seq"] == 7
    spool.close()


async def test_f13_a_large_content_is_there_before_its_event(hub: Hub, tmp_path: Path) -> None:
    content = limpet.ContentOptions(mode="rb", max_bytes=8 << 20)
    spec = WatchSpec(name="in", path=str(tmp_path / "in"), content=content, options={"settle": 0.1})
    given = options(tmp_path, watches=[spec])
    data = os.urandom(5 << 20)
    await hub.kill()
    async with running(hub, given) as agent:
        (tmp_path / "in" / "big").write_bytes(data)
        await until(lambda: agent.spool is not None and agent.spool.stats().waiting == 1)
        assert agent.spool is not None
        assert agent.spool.stats().waiting_bytes > 5 << 20
    # The agent ended between storing and sending; the file is deleted.
    (tmp_path / "in" / "big").unlink()
    await hub.start()
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    async with running(hub, given) as agent, reader:
        event, gone = await collect(reader, 2)
        assert event.object is not None
        assert await reader.content(event) == data
        assert gone.type == "file.deleted"
        await until(lambda: agent.spool is not None and agent.spool.stats().waiting == 0)


def test_f14_a_windows_path_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wire = notice("file.created", watch="in", time_us=1, path="C:\\in\\a.csv")
    raw = encode(wire, session="0" * 32, seq=1, host="win", watch="in", flavour="windows")
    path = decode(raw, host="win").path
    assert path is not None
    assert path.pure.name == "a.csv"
    uses: list[Any] = [open, os.stat, Path, os.path.join]
    for use in uses:
        with pytest.raises(RemotePathError, match="win"):
            use(path)
    with pytest.raises(RemotePathError, match="and this is"):
        path.local(on="web01")
    with pytest.raises(RemotePathError, match="windows"):
        path.local(on="win")
    assert f"{path}" == "win:C:\\in\\a.csv"
    assert os.listdir(tmp_path) == []


def test_f14_a_path_is_mapped_by_a_table_alone() -> None:
    path = RemotePath("nas", "posix", b"/srv/in/a.csv")
    assert path.map({("nas", "/srv"): "/mnt/nas", ("nas", "/srv/in"): "/mnt/in"}) == Path(
        "/mnt/in/a.csv"
    )
    with pytest.raises(RemotePathError, match="not mounted"):
        path.map({("web01", "/srv"): "/mnt"})
    with pytest.raises(RemotePathError):
        RemotePath("nas", "posix", b"/srv/../etc/passwd").map({("nas", "/srv"): "/mnt"})
    assert path.local(on="nas") == Path("/srv/in/a.csv")
    assert path != RemotePath("web01", "posix", b"/srv/in/a.csv")


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\nb", b"x" * 255, "grüß 🐚".encode(), b"a.b*>c"])
async def test_f15_any_file_name_arrives_exactly(hub: Hub, tmp_path: Path, name: bytes) -> None:
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    async with running(hub, options(tmp_path)), reader:
        Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name)).touch()
        (event,) = await collect(reader, 1)
    assert event.path is not None
    assert event.path.raw == os.fsencode(tmp_path / "in") + b"/" + name
    assert os.fsencode(event.path.local(on="web01")) == event.path.raw
    json.dumps(dict(event.data)).encode()


def test_f16_a_host_name_that_is_not_a_slug() -> None:
    with pytest.raises(limpet.UsageError, match="web-01-buro"):
        RemoteOutput(None, bot="b", host="web.01 Büro", output="o")  # type: ignore[arg-type]


async def test_f16_two_agents_with_one_name(hub: Hub, tmp_path: Path) -> None:
    first = tmp_path / "1"
    second = tmp_path / "2"
    first.mkdir()
    second.mkdir()
    transport = await hub.connect("bot")
    async with running(hub, options(first)):
        await until(lambda: transport.get_value("LIMPET_AT_web01", "agent"))

        async def twin() -> Any:
            return await hub.connect("web01")

        with pytest.raises((AgentError, BaseExceptionGroup)) as caught:
            await Agent(options(second), twin).run()
        error: BaseException = caught.value
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, AgentError)
        assert error.code == "host-taken"


async def test_f17_a_command_that_waited_too_long(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
        asked = asyncio.create_task(
            out.perform(limpet.AppendToFile(name="log", content="late\n"), expires=0.5, timeout=30)
        )
        subject = "limpet.v1.cmd.web01.reports.append.b"
        await stored_beyond(bot, "LIMPET_CMD_web01", subject, 0)
        stored = await bot.latest("LIMPET_CMD_web01", subject)
        assert stored is not None
        await until(lambda: time.time() > stored.time + 0.6)
        async with running(hub, options(tmp_path)):
            result = await asked
    assert (result.ok, result.code) == (False, "expired")
    assert not (tmp_path / "out" / "log").exists()


@pytest.mark.parametrize("ahead", [7200.0, -7200.0])
async def test_a_clock_that_is_wrong_expires_no_command(
    hub: Hub, tmp_path: Path, ahead: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A command's age is counted by the hub's clock, and so is an agent's presence."""
    bot = await hub.connect("bot")
    async with (
        running(hub, options(tmp_path), clock=lambda: time.time() + ahead) as agent,
        RemoteOutput(bot, bot="b", host="web01", output="reports", require_online=True) as out,
    ):
        await until(lambda: agent.presence is not None and agent.presence.reported.is_set())
        result = await out.perform(limpet.AppendToFile(name="log", content="x"), timeout=30)
        assert result.ok, result
        assert agent.presence is not None
        assert abs(agent.presence.offset + ahead) < 2
        assert abs(agent.presence.hub_time() - time.time()) < 2
    assert any("7200" in record.message and "NTP" in record.message for record in caplog.records)


class Killed(BaseException):
    """The end of the process."""


async def executor_once(hub: Hub, journal: CommandJournal, output: Output) -> CommandExecutor:
    transport = await hub.connect("web01")
    return CommandExecutor(
        transport, journal, {"reports": CommandOutput(output)}, host="web01", subjects=hub.subjects
    )


async def test_f18_killed_between_the_record_and_the_answer(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    spool = Spool(tmp_path / "s")
    bot = await hub.connect("bot")

    class Dying(CommandJournal):
        def end(self, key: str, result: bytes) -> None:
            super().end(key, result)
            raise Killed

    with Output(tmp_path / "out") as output:
        async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
            asked = asyncio.create_task(
                out.perform(limpet.AppendToFile(name="log", content="one\n"), timeout=60)
            )
            dying = await executor_once(hub, Dying(spool), output)
            with pytest.raises(Killed):
                await dying.run()
            assert (tmp_path / "out" / "log").read_text() == "one\n"
            worker = asyncio.create_task(
                (await executor_once(hub, CommandJournal(spool), output)).run()
            )
            result = await asked
            worker.cancel()
    assert result.ok
    assert (tmp_path / "out" / "log").read_text() == "one\n"
    spool.close()


@pytest.mark.parametrize("written", [0, 1, 500, 1000])
async def test_f19_killed_in_the_middle_of_an_append(
    hub: Hub, tmp_path: Path, written: int
) -> None:
    (tmp_path / "out").mkdir()
    log = tmp_path / "out" / "log"
    log.write_text("before\n")
    spool = Spool(tmp_path / "s")
    bot = await hub.connect("bot")
    record = "x" * 999 + "\n"

    class Torn(Output):
        def perform(self, operation: Any) -> Any:
            with log.open("a") as file:
                file.write(record[:written])
            raise Killed

    async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
        asked = asyncio.create_task(
            out.perform(limpet.AppendToFile(name="log", content=record), timeout=60)
        )
        with Torn(tmp_path / "out") as torn:
            dying = await executor_once(hub, CommandJournal(spool), torn)
            with pytest.raises(Killed):
                await dying.run()
        with Output(tmp_path / "out") as output:
            worker = asyncio.create_task(
                (await executor_once(hub, CommandJournal(spool), output)).run()
            )
            result = await asked
            worker.cancel()
    assert result.ok
    assert log.read_text() == "before\n" + record
    spool.close()


async def test_f19_another_program_wrote_meanwhile(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    log = tmp_path / "out" / "log"
    spool = Spool(tmp_path / "s")
    bot = await hub.connect("bot")
    CommandJournal(spool).begin("b.c1", 0)
    log.write_text("of another program\n")
    async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
        with Output(tmp_path / "out") as output:
            worker = asyncio.create_task(
                (await executor_once(hub, CommandJournal(spool), output)).run()
            )
            result = await out.perform(
                limpet.AppendToFile(name="log", content="one\n"), id="c1", timeout=60
            )
            worker.cancel()
    assert (result.ok, result.code) == (False, "conflict")
    assert log.read_text() == "of another program\n"
    spool.close()


async def test_f20_events_repeated_after_newer_ones_are_not_dropped(
    hub: Hub, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "s")
    fill(spool, 40)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    order: list[int] = []
    refused: set[int] = set()

    async def handler(event: RemoteEvent) -> None:
        if event.seq % 10 == 1 and event.seq not in refused:
            refused.add(event.seq)
            message = "not now"
            raise RuntimeError(message)
        order.append(event.seq)

    transport = await hub.connect("bot")
    task = asyncio.create_task(
        read_events(transport, bot="b", handler=handler, retry_delay=0.3, ack_wait=5.0)
    )
    await until(lambda: len(order) == 40)
    task.cancel()
    assert sorted(order) == list(range(1, 41))
    assert order != sorted(order)
    spool.close()


async def test_f21_an_agent_whose_clock_is_an_hour_wrong(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real = time.time
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    spool = Spool(tmp_path / "s", clock=lambda: real() - 3600)
    async with reader, sending(spool, await hub.connect("web01")) as sender:
        fill(spool, 10)
        sender.wake()
        events = await collect(reader, 10)
        await asyncio.to_thread(spool.send_again)
        sender.wake()
        await until(lambda: sender.health.duplicates == 10)
    assert [e.seq for e in events] == list(range(1, 11))
    assert abs(events[0].server_time - real()) < 600
    assert events[0].time == 1.0
    spool.close()


async def test_f22_a_bot_that_was_away_continues_at_its_checkpoint(
    hub: Hub, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "s")
    transport = await hub.connect("web01")
    store = tmp_path / "c"
    bot = await hub.connect("bot")
    async with sending(spool, transport) as sender:
        async with EventReader(bot, bot="b", hosts=["web01"], store=store, start="all") as reader:
            fill(spool, 100)
            sender.wake()
            events = await collect(reader, 100)
        await hub.kill()
        fill(spool, 1000, 100)
        sender.wake()
        await until(lambda: sender.health.state == "spooling")
        await hub.start()
        async with EventReader(bot, bot="b", hosts=["web01"], store=store, start="all") as reader:
            events += await collect(reader, 1000)
    assert paths(events) == [str(n) for n in range(1100)]
    spool.close()


async def test_two_agents_with_a_copied_spool_are_found(hub: Hub, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    fill(spool, 5)
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    spool.close()
    shutil.copy(tmp_path / "s", tmp_path / "t")
    one, two = Spool(tmp_path / "s"), Spool(tmp_path / "t")
    fill(one, 5, 5)
    fill(two, 5, 100)
    async with sending(one, await hub.connect("web01")) as sender:
        await sender.drained()
    async with sending(two, await hub.connect("web01c")) as sender:
        await sender.drained()
        assert sender.health.sessions == 1
    ids = await stored(hub)
    assert len(ids) == len(set(ids)) == 15
    one.close()
    two.close()


async def test_a_hole_in_the_stream_is_reported(hub: Hub, tmp_path: Path) -> None:
    """An operator has deleted messages: the reader reports the missing numbers."""
    spool = Spool(tmp_path / "s")
    fill(spool, 10)
    with spool.transaction() as db:
        db.execute("delete from spool where seq between 4 and 6")
    async with sending(spool, await hub.connect("web01")) as sender:
        await sender.drained()
    reader = EventReader(
        await hub.connect("bot"), bot="b", hosts=["web01"], store=tmp_path / "c", start="all"
    )
    async with reader:
        events = await collect(reader, 8)
    assert [e.type for e in events].count("watch.gap") == 1
    gap = next(e for e in events if e.type == "watch.gap")
    assert gap.data["lost"] == {"first": 4, "last": 6, "count": 3}
    spool.close()
