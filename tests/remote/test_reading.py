"""Reading a stream by numbers: holes, other streams of the same name, hosts that are added."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from limpet.remote import EventReader, NatsTransport, Subjects, read_events
from limpet.remote._stall_check import StallCheck
from limpet.remote._stream_setup import HubLayout, init_nats, stream_specs
from limpet.remote.transport import DisconnectedError, Message
from tests.remote.conftest import HOSTS
from tests.remote.helpers import collect
from tests.remote.test_hostile import messages
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
STREAM = "LIMPET_EV_web01"
LIVE = "limpet.live.ev.web01.>"
SUBJECT = "limpet.v1.ev.web01.in.file.created"


async def put(transport: Any, *numbers: int) -> None:
    await transport.publish([Message(SUBJECT, b"%d" % n, f"r.{n}") for n in numbers])


async def read_all(reader: Any, count: int) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += [m.data for m in await reader.fetch(7, 1.0)]
    return found


async def test_messages_that_were_removed_are_passed_over(nats: Hub) -> None:
    """Single ones, and many: each message that is left comes once and in order."""
    transport = await nats.connect("admin")
    assert isinstance(transport, NatsTransport)
    await put(transport, *range(1, 601))
    gone = {1, 2, 17, 18, 299, *range(301, 580), 600}
    for seq in sorted(gone):
        await transport.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", {"seq": seq})
    reader = await transport.read(STREAM, live=LIVE, after=0)
    left = [b"%d" % n for n in range(1, 601) if n not in gone]
    assert await read_all(reader, len(left)) == left
    await put(transport, 601)
    assert await read_all(reader, 1) == [b"601"]
    await reader.close()


async def test_large_messages_are_asked_for_a_few_at_a_time(nats: Hub) -> None:
    transport = await nats.connect("admin")
    size = 600_000
    for n in range(60):
        await transport.publish([Message(SUBJECT, b"%3d" % n + bytes(size), f"r.{n}")])
    reader = await transport.read(STREAM, live=LIVE, after=0)
    largest = 0
    found: list[bytes] = []
    while len(found) < 60:
        batch = await reader.fetch(256, 2.0)
        largest = max(largest, sum(len(m.data) for m in batch[1:]))
        found += [m.data[:3] for m in batch]
    assert found == [b"%3d" % n for n in range(60)]
    assert reader._window < 32  # type: ignore[attr-defined]
    await reader.close()


@pytest.mark.parametrize("kind", ["hint", "question"])
async def test_a_stream_that_was_made_again_is_noticed(nats: Hub, kind: str) -> None:
    """Its numbers begin again: the messages up to the old position would be passed over."""
    transport = await nats.connect("admin")
    assert isinstance(transport, NatsTransport)
    await put(transport, *range(1, 51))
    live = LIVE if kind == "hint" else ""
    reader = await transport.read(STREAM, live=live, after=0)
    assert len(await read_all(reader, 50)) == 50
    await put(transport, 51)
    assert await read_all(reader, 1) == [b"51"]
    await transport.request(f"$JS.API.STREAM.DELETE.{STREAM}")
    await init_nats(transport, HubLayout(HOSTS), max_bytes=256 << 20)
    await put(transport, *range(100, 110))

    async def noticed() -> bool:
        try:
            return bool(await reader.fetch(10, 1.0)) and False
        except DisconnectedError as error:
            return "made again" in str(error)

    await until(noticed)
    await reader.close()


async def test_reading_since_a_time_begins_at_the_first_message_of_it(nats: Hub) -> None:
    transport = await nats.connect("admin")
    times = []
    for n in range(1, 10):
        await put(transport, n)
        stored = await transport.newest(STREAM)
        assert stored is not None
        times.append(stored.time)
    for index, moment in enumerate(times):
        reader = await transport.read(STREAM, since=moment)
        expected = [b"%d" % n for n in range(index + 1, 10)]
        assert await read_all(reader, len(expected)) == expected
        await reader.close()
    reader = await transport.read(STREAM, since=times[-1] + 1)
    assert await reader.fetch(10, 0.1) == []
    await reader.close()


async def test_a_reader_of_every_host_can_be_opened_again(hub: Hub, tmp_path: Path) -> None:
    """It goes on after its checkpoint, and reads each host once."""
    transport = await hub.connect("admin")
    reader = EventReader(transport, bot="all", store=tmp_path / "c.db", start="all")
    for _ in range(3):
        assert await reader.aopen() is reader
        assert len(reader._subscriptions) == len(HOSTS)
        await reader.aclose()


async def test_a_host_that_is_added_is_read_from_its_first_event(hub: Hub, tmp_path: Path) -> None:
    """By a reader of all hosts, which runs, and by one that comes back."""
    admin = await hub.connect("admin")
    web = messages(tmp_path, 1)
    async with EventReader(admin, bot="bot", store=tmp_path / "c") as reader:
        assert reader._hosts is not None
        reader._hosts._ask_s = 0.05
        await admin.publish(web)
        assert [e.host for e in await collect(reader, 1)] == ["web01"]
        await add_host(hub, "mail")
        await admin.publish([as_host(web[0], "mail")])
        assert [e.host for e in await collect(reader, 1)] == ["mail"]
    await admin.publish([as_host(messages(tmp_path, 2)[-1], "mail")])
    async with EventReader(admin, bot="bot", store=tmp_path / "c") as reader:
        assert [e.host for e in await collect(reader, 1)] == ["mail"]


async def test_what_a_loop_acknowledged_is_saved_when_the_reader_is_closed(
    hub: Hub, tmp_path: Path
) -> None:
    """Also if the task was cancelled while it asked for the next event."""
    admin = await hub.connect("admin")
    await admin.publish(messages(tmp_path, 2))
    store = tmp_path / "c"

    def reader() -> EventReader:
        return EventReader(admin, bot="b", store=store, start="all", commit_every=3600)

    async with reader() as first:
        seen = [e.seq for e in await collect(first, 2)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(first), 0.01)  # asking is what acknowledges
    await admin.publish(messages(tmp_path, 3)[2:])
    async with reader() as second:
        assert [e.seq for e in await collect(second, 1)] == [seen[-1] + 1]


async def add_host(hub: Hub, host: str) -> None:
    from limpet.remote._stream_setup import init_memory

    admin = await hub.connect("admin")
    if isinstance(admin, NatsTransport):
        await init_nats(admin, HubLayout([*HOSTS, host]), max_bytes=256 << 20)
    else:
        init_memory(hub.memory, [*HOSTS, host], hub.subjects)


def as_host(message: Message, host: str) -> Message:
    return Message(
        message.subject.replace("web01", host),
        message.data.replace(b"//web01/", b"//%s/" % host.encode()),
        f"{host}.{message.id}",
    )


async def test_a_consumer_beyond_its_stream_is_reported(
    memory: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a crash, servers before 2.12 pass over new messages in silence."""
    transport = await memory.connect("web01")
    made = messages(tmp_path, 6)
    await transport.publish(made[:3])
    done: list[str] = []

    async def handler(event: Any) -> None:
        done.append(event.id)

    working = asyncio.create_task(
        read_events(transport, bot="bot", hosts=["web01"], handler=handler)
    )
    await until(lambda: len(done) == 3)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    memory.memory.roll_back(STREAM, 1)
    check = StallCheck(transport, STREAM, "work-bot", quiet_s=0.0)
    await check.after(0)
    assert "after the last one, 1" in check.reason
    assert "limpet hub init" in check.reason
    await check.after(0)
    assert sum("no more events" in r.message for r in caplog.records) == 1
    assert caplog.records[-1].levelno == logging.ERROR
    await transport.publish(made[3:])
    await check.after(0)
    assert check.reason == ""


async def test_init_makes_a_stalled_consumer_again(
    nats: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on with the first message that was not passed over."""
    admin = await nats.connect("admin")
    assert isinstance(admin, NatsTransport)
    layout = HubLayout(HOSTS, reads=[("w", "web01")])
    await init_nats(admin, layout, max_bytes=256 << 20)
    await put(admin, 1, 2, 3)

    async def stalled(stream: str, name: str) -> str:
        return "beyond" if name == "work-w" else ""

    monkeypatch.setattr(admin, "stalled", stalled)
    lines = await init_nats(admin, layout, max_bytes=256 << 20)
    assert f"consumer work-w of {STREAM}: made again after the last message" in lines
    await put(admin, 4)
    worker = await admin.work(STREAM, "work-w", None, ack_wait=5, limit=10)
    found = [d.message.data for d in await worker.fetch(5, 1.0)]
    assert found == [b"4"]
    await worker.close()


def test_the_shares_of_the_store_fit_into_it() -> None:
    """A server refuses streams whose bounds together are more than its store."""
    for total in (64 << 20, 1 << 30, 20 << 30, 1 << 40):
        for hosts in (n for n in (1, 3, 20) if n * (16 << 20) <= total):
            names = [f"h{n}" for n in range(hosts)]
            specs = stream_specs(Subjects(), names, max_bytes=total // 2)
            assert sum(spec.max_bytes for spec in specs) <= total * 3 // 4
            assert all(spec.max_bytes > 0 for spec in specs)
