"""Invalid messages end nothing; valid events and commands are neither lost nor mistaken."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limpet
from limpet.remote import EventReader, RemoteEvent, RemoteOutput, Spool, read_events
from limpet.remote._command_codec import CommandError, decode_command
from limpet.remote.transport import Message
from tests.remote.helpers import collect, options, running
from tests.remote.test_faults import fill
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SUBJECT = "limpet.v1.ev.web01.in.file.created"


def command(**more: Any) -> dict[str, Any]:
    body = {"v": 1, "id": "c1", "verb": "create", "expires_s": 60, "name": "a", "b64": ""}
    return {**body, "options": {}, **more}


def messages(tmp_path: Path, count: int) -> list[Message]:
    tmp_path.mkdir(exist_ok=True)
    spool = Spool(tmp_path / "made.spool")
    fill(spool, count)
    rows = spool.waiting(count)
    spool.close()
    return [Message(row.subject, row.data, f"{spool.session}.{row.seq}") for row in rows]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a.b"},
        {"id": "x\r\nPUB\tlimpet.v1.ev.web01.a.b.c\t0\r\n\r\n"},
        {"id": "*"},
        {"id": ""},
        {"expires_s": float("nan")},
        {"expires_s": float("inf")},
        {"content_ref": {"bucket": "b", "name": "n", "size": float("inf")}},
    ],
)
def test_a_command_that_cannot_be_answered_is_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        decode_command(json.dumps(command(**wrong)).encode(), "create")


async def test_commands_after_an_invalid_one_are_performed(memory: Hub, tmp_path: Path) -> None:
    bot = await memory.connect("bot")
    subject = "limpet.v1.cmd.web01.reports.create.bot"
    bodies = [
        json.dumps(command(id="a.b")).encode(),
        b"[" * 100_000,
        json.dumps(command(id="c2", options={"mode": "x", "make_parents": []})).encode(),
        json.dumps(command(id="c3", options={"mode": [1]})).encode(),
        json.dumps(command(id="c4", name="a\0b")).encode(),
        json.dumps(command(id="c5", content_ref={"bucket": 1, "name": 2, "size": 3})).encode(),
    ]
    async with running(memory, options(tmp_path)):
        await bot.publish([Message(subject, body, f"w.{n}") for n, body in enumerate(bodies)])
        async with RemoteOutput(bot, bot="bot", host="web01", output="reports") as out:
            create = limpet.CreateFile(name="good", content="1")
            assert (await out.perform(create, timeout=20)).ok
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


async def test_one_id_for_two_outputs_is_two_commands(memory: Hub, tmp_path: Path) -> None:
    bot = await memory.connect("bot")
    for host in ("web01", "nas"):
        (tmp_path / host).mkdir()
    first, second = (options(tmp_path / host, host) for host in ("web01", "nas"))
    async with running(memory, first), running(memory, second):
        for host in ("web01", "nas"):
            async with RemoteOutput(bot, bot="bot", host=host, output="reports") as out:
                create = limpet.CreateFile(name="a", content="1")
                assert (await out.perform(create, id="c1", timeout=20)).ok
                assert (tmp_path / host / "out" / "a").exists()


async def test_messages_that_are_not_events_are_discarded(memory: Hub, tmp_path: Path) -> None:
    hub = await memory.connect("web01")
    (good,) = messages(tmp_path, 1)
    body = json.loads(good.data)
    wrong = [
        b"[" * 100_000,
        json.dumps({**body, "data": {**body["data"], "observed_us": float("inf")}}).encode(),
        json.dumps(
            {**body, "data": {**body["data"], "type": "watch.overflow", "lost": {"first": "x"}}}
        ).encode(),
    ]
    await hub.publish([Message(SUBJECT, data, f"w.{n}") for n, data in enumerate(wrong)])
    await hub.publish([good])
    async with EventReader(hub, bot="bot", store=tmp_path / "cursor", start="all") as reader:
        assert (await collect(reader, 1))[0].id == good.id


async def test_an_event_that_arrives_after_its_gap_is_delivered(hub: Hub, tmp_path: Path) -> None:
    transport = await hub.connect("web01")
    made = messages(tmp_path, 6)
    late = [made[2], made[3]]
    await transport.publish([m for m in made if m not in late] + late)
    store = tmp_path / "cursor"
    async with EventReader(transport, bot="bot", store=store, start="all") as reader:
        events = await collect(reader, 7)
    ids = [event.id for event in events if event.type != "watch.gap"]
    assert ids == [m.id for m in made if m not in late] + [m.id for m in late]
    assert sum(event.type == "watch.gap" for event in events) == 1
    again = messages_after(made)
    await transport.publish([again])
    async with EventReader(transport, bot="bot", store=store) as reader:
        assert [event.id for event in await collect(reader, 1)] == [again.id]


def messages_after(made: list[Message]) -> Message:
    body = json.loads(made[-1].data)
    session, number = body["fssession"], int(body["sequence"]) + 1
    body |= {"id": f"{session}.{number}", "sequence": f"{number:020d}"}
    return Message(SUBJECT, json.dumps(body).encode(), body["id"])


async def test_a_new_reader_without_an_event_keeps_its_position(hub: Hub, tmp_path: Path) -> None:
    transport = await hub.connect("web01")
    made = messages(tmp_path, 2)
    store = tmp_path / "cursor"
    await transport.publish(made[:1])
    async with EventReader(transport, bot="bot", store=store):
        pass
    await transport.publish(made[1:])
    async with EventReader(transport, bot="bot", store=store) as reader:
        assert [event.id for event in await collect(reader, 1)] == [made[1].id]


async def test_events_that_wait_behind_a_slow_one_go_to_no_other_worker(
    hub: Hub, tmp_path: Path
) -> None:
    transport = await hub.connect("web01")
    made = messages(tmp_path, 6)
    await transport.publish(made)
    done: list[str] = []

    async def slow(event: RemoteEvent) -> None:
        await asyncio.sleep(0.4)  # all six take longer than ack_wait, each one less
        done.append(event.id)

    async def work(name: str) -> None:
        await read_events(await hub.connect(name), bot="bot", handler=slow, ack_wait=0.9, batch=6)

    workers = [asyncio.create_task(work("a"))]
    await until(lambda: done)
    workers.append(asyncio.create_task(work("b")))
    await until(lambda: len(done) >= len(made))
    await asyncio.sleep(1.5)  # a second delivery would be processed by then
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(done) == sorted(message.id for message in made)
