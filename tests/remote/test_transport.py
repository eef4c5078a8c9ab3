"""Each engine keeps the promises of ``Transport``, the one in memory, too."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

import limpet.remote
from limpet.remote import MissingStreamError, TooLargeError
from limpet.remote.transport import DisconnectedError, Message, StoredMessage, WorkMessage

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


LIVE = "limpet.live.ev.web01.>"


def event(number: int, host: str = "web01") -> Message:
    return Message(f"limpet.v1.ev.{host}.in.file.created", b"%d" % number, f"s.{number}")


async def test_a_batch_is_stored_in_order_and_once(hub: Hub) -> None:
    """The same ids again, in any pieces, store nothing twice."""
    transport = await hub.connect("web01")
    batch = [event(n) for n in range(300)]
    acks = await transport.publish(batch)
    assert [ack.seq for ack in acks] == list(range(1, 301))
    assert not any(ack.duplicate for ack in acks)
    again = await transport.publish([*batch[100:], event(300)])
    assert [ack.duplicate for ack in again] == [True] * 200 + [False]
    reader = await transport.read("LIMPET_EV_web01", live=LIVE)
    found: list[StoredMessage] = []
    while len(found) < 301:
        found += await reader.fetch(64, 2)
    assert [m.data for m in found] == [b"%d" % n for n in range(301)]
    assert [m.id for m in found] == [f"s.{n}" for n in range(301)]
    assert [m.seq for m in found] == list(range(1, 302))
    await reader.close()


async def test_reading_starts_at_the_requested_position(hub: Hub) -> None:
    transport = await hub.connect("bot")
    await transport.publish([event(n, "web01" if n % 2 else "nas") for n in range(20)])
    reader = await transport.read("LIMPET_EV_nas", after=5)
    found = await reader.fetch(100, 2)
    assert [m.data for m in found] == [b"10", b"12", b"14", b"16", b"18"]
    assert await reader.fetch(100, 0.1) == []
    await transport.publish([event(20, "nas")])
    assert [m.data for m in await reader.fetch(100, 5)] == [b"20"]
    await reader.close()
    other = await transport.read("LIMPET_EV_nas", since=0.0)
    assert len(await other.fetch(100, 2)) == 11
    await other.close()


async def test_work_is_shared_and_delivered_again(hub: Hub) -> None:
    transport = await hub.connect("bot")
    first = await transport.work(
        "LIMPET_EV_web01", "work-x", "limpet.v1.ev.web01.>", ack_wait=0.5, limit=10
    )
    second = await transport.work(
        "LIMPET_EV_web01", "work-x", "limpet.v1.ev.web01.>", ack_wait=0.5, limit=10
    )
    await transport.publish([event(n) for n in range(6)])
    mine = await first.fetch(4, 2)
    yours = await second.fetch(4, 2)
    assert len(mine) + len(yours) == 6
    await mine[0].ack()
    await mine[1].term()
    await mine[2].nak(0.05)
    for delivery in yours:
        await delivery.ack()
    again: list[WorkMessage] = []
    while len(again) < 2:
        for delivery in await second.fetch(4, 2):
            await delivery.ack()
            again.append(delivery)
    assert sorted(d.message.data for d in again) == sorted(
        [mine[2].message.data, mine[3].message.data]
    )
    assert {d.attempt for d in again} == {2}
    await first.close()
    await second.close()


async def test_a_message_is_found_by_number_and_by_subject(hub: Hub) -> None:
    transport = await hub.connect("bot")
    await transport.publish([event(1), event(2)])
    found = await transport.at("LIMPET_EV_web01", 2)
    assert found is not None
    assert (found.data, found.id, found.seq) == (b"2", "s.2", 2)
    assert await transport.at("LIMPET_EV_web01", 3) is None
    subject = "limpet.v1.res.web01.bot.c1"
    assert await transport.latest("LIMPET_RES_web01", subject) is None
    await transport.publish([Message(subject, b"yes", "res.c1")])
    stored = await transport.latest("LIMPET_RES_web01", subject)
    assert stored is not None
    assert stored.data == b"yes"
    newest = await transport.newest("LIMPET_RES_web01")
    assert newest == stored
    assert await transport.newest("LIMPET_EV_nas") is None


async def test_listening_yields_messages_at_once(hub: Hub) -> None:
    transport = await hub.connect("bot")
    received: list[bytes] = []

    async def listen() -> None:
        async for message in transport.listen("limpet.live.res.web01.bot.*"):
            received.append(message.data)

    task = asyncio.create_task(listen())
    for number in range(100):
        await transport.publish([Message(f"limpet.v1.res.web01.bot.{number}", b"x")])
        if received:
            break
    assert received
    task.cancel()


async def test_large_and_small_values(hub: Hub) -> None:
    transport = await hub.connect("web01")
    data = os.urandom(3 << 20)
    assert await transport.get_object("LIMPET_C_web01", "abc", len(data)) is None
    await transport.put_object("LIMPET_C_web01", "abc", data)
    await transport.put_object("LIMPET_C_web01", "abc", data)
    assert await transport.get_object("LIMPET_C_web01", "abc", len(data)) == data
    assert await transport.get_object("LIMPET_C_web01", "abc", 5) is None
    assert await transport.get_value("LIMPET_AT_web01", "agent") is None
    await transport.put_value("LIMPET_AT_web01", "agent", b"{}")
    await transport.put_value("LIMPET_AT_web01", "agent", b"{1}")
    assert await transport.get_value("LIMPET_AT_web01", "agent") == b"{1}"


async def test_a_message_that_is_too_large_is_refused_before_it_is_sent(hub: Hub) -> None:
    transport = await hub.connect("web01")
    large = Message("limpet.v1.ev.web01.in.file.created", bytes(2 << 20), "s.2")
    with pytest.raises(TooLargeError):
        await transport.publish([event(1), large])
    assert (await transport.publish([event(1)]))[0].duplicate is False


async def test_a_stream_that_does_not_exist(hub: Hub) -> None:
    transport = await hub.connect("web01")
    with pytest.raises(MissingStreamError, match="limpet hub init"):
        await transport.publish([Message("other.v1.ev.x", b"", "1")])
    with pytest.raises(MissingStreamError):
        await transport.read("OTHER_EV", after=0)


async def test_a_hub_that_goes_ends_every_wait_and_comes_back(hub: Hub) -> None:
    """nats-py's own futures would wait for ever."""
    transport = await hub.connect("web01")
    before = await transport.identity()
    await transport.publish([event(1)])
    reader = await transport.read("LIMPET_EV_web01", live=LIVE)
    assert len(await reader.fetch(10, 2)) == 1
    waiting = asyncio.create_task(reader.fetch(10, 30))
    await asyncio.sleep(0)
    await hub.kill()
    with pytest.raises(DisconnectedError):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(DisconnectedError):
        await transport.publish([event(2)])
    await hub.start()
    while True:
        try:
            acks = await transport.publish([event(1), event(2)])
            break
        except DisconnectedError:
            continue
    assert acks[0].duplicate
    assert acks[1].seq == 2
    assert (await transport.identity()).server != before.server


async def test_a_connection_that_drops_its_cancellation_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """nats-py tries again for ever, and ``wait_for`` of Python 3.11 drops what comes at its end."""
    client = pytest.importorskip("nats.aio.client").Client
    asked = 0

    async def connect(*_: object, **__: object) -> None:
        nonlocal asked
        while asked < 3:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                asked += 1

    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr("limpet.remote.transport._nats_connection._CONNECT_S", 0.01)
    async with asyncio.timeout(20):
        with pytest.raises(DisconnectedError, match="no hub answers"):
            await limpet.remote.connect("nats://127.0.0.1:1", name="reader")
    assert asked == 3
