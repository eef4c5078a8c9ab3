"""A host and a bot that speak NATS by hand get no further than what they were granted."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet import AppendToFile
from limpet.remote import (
    EventReader,
    HubError,
    NatsTransport,
    NotPermittedError,
    RemoteEvent,
    RemoteOutput,
    Subjects,
    read_events,
)
from limpet.remote._hub_accounts import BotGrant, bot_rights, host_rights
from limpet.remote.admin import Agent, FleetConfig, OutputSpec
from limpet.remote.transport import Message
from tests.remote.conftest import NATS
from tests.remote.helpers import options
from tests.remote.test_hostile import messages
from tests.remote.test_permissions import Fleet, fleet_of
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

BOTS = (
    BotGrant(name="reports", read=("web01",), write=(("nas", "out", "append"),)),
    BotGrant(name="all", read=("*",)),
    BotGrant(name="other", write=(("nas", "out", "append"),)),
)
CONFIG = FleetConfig(hosts=("web01", "nas"), bots=BOTS, listen="127.0.0.1:-1")
SUBJECTS = Subjects()
RIGHTS = {
    one.user: one
    for one in (
        *(host_rights(SUBJECTS, host, BOTS) for host in CONFIG.hosts),
        *(bot_rights(SUBJECTS, bot, CONFIG.hosts) for bot in BOTS),
    )
}
ATTACKERS = ["web01", "reports", "all", "other"]
STREAMS = (
    "LIMPET_EV_web01",
    "LIMPET_EV_nas",
    "LIMPET_CMD_web01",
    "LIMPET_CMD_nas",
    "LIMPET_RES_web01",
    "LIMPET_RES_nas",
    "LIMPET_DEAD_reports",
    "LIMPET_DEAD_other",
    "KV_LIMPET_AT_web01",
    "KV_LIMPET_AT_nas",
    "KV_LIMPET_FLEET",
    "KV_LIMPET_DOCTOR",
    "OBJ_LIMPET_C_web01",
    "OBJ_LIMPET_C_nas",
    "OBJ_LIMPET_CC_reports_TO_nas",
    "OBJ_LIMPET_CC_other_TO_nas",
)
ENDPOINTS = (
    *(
        f"STREAM.{verb}.{{stream}}"
        for verb in (
            "CREATE", "UPDATE", "DELETE", "INFO", "PURGE", "SNAPSHOT", "RESTORE", "MSG.GET",
            "MSG.DELETE", "LEADER.STEPDOWN", "PEER.REMOVE", "TEMPLATE.DELETE",
        )
    ),
    "STREAM.NAMES",
    "STREAM.LIST",
    "CONSUMER.CREATE.{stream}",
    "CONSUMER.CREATE.{stream}.x",
    "CONSUMER.CREATE.{stream}.x.>",
    "CONSUMER.DURABLE.CREATE.{stream}.x",
    "CONSUMER.DELETE.{stream}.x",
    "CONSUMER.NAMES.{stream}",
    "CONSUMER.LIST.{stream}",
    "CONSUMER.INFO.{stream}.nas",
    "CONSUMER.MSG.NEXT.{stream}.nas",
    "CONSUMER.PAUSE.{stream}.nas",
    "CONSUMER.UNPIN.{stream}.nas",
    "CONSUMER.LEADER.STEPDOWN.{stream}.nas",
    "DIRECT.GET.{stream}",
    "DIRECT.GET.{stream}.>",
    "INFO",
    "ACCOUNT.PURGE.LIMPET",
    "SERVER.REMOVE",
    "META.LEADER.STEPDOWN",
)  # fmt: skip
BODY = {
    "seq": 1,
    "name": "x",
    "stream_name": "LIMPET_EV_web01",
    "deliver_subject": "limpet.v1.cmd.nas.out.delete.reports",
    "config": {
        "name": "x",
        "durable_name": "x",
        "deliver_subject": "limpet.v1.cmd.nas.out.delete.reports",
        "ack_policy": "none",
    },
}
FORGED = (
    "limpet.v1.ev.nas.in.file.created",
    "limpet.v1.ev.web01.in.file.created",
    "limpet.v1.cmd.nas.out.delete.reports",
    "limpet.v1.cmd.web01.out.delete.other",
    "limpet.v1.res.nas.reports.c1",
    "limpet.v1.res.web01.reports.c1",
    "limpet.v1.dead.reports",
    "limpet.live.ev.nas.in.file.created",
    "limpet.live.res.nas.reports.c1",
    "$KV.LIMPET_AT_nas.agent",
    "$KV.LIMPET_FLEET.hosts",
    "$O.LIMPET_C_nas.C.x",
    "$O.LIMPET_CC_reports_TO_nas.M.x",
    "$JS.API.STREAM.PURGE.LIMPET_EV_nas",
    "$JS.API.STREAM.DELETE.LIMPET_DEAD_other",
    "$JS.API.CONSUMER.CREATE.LIMPET_EV_nas.x",
    "$JS.ACK.LIMPET_CMD_nas.nas.1.1.1.1795925938559666195.1",
    "_INBOX_admin.x",
    "_INBOX_nas.x",
)


@pytest.fixture(params=NATS)
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    async with fleet_of(request.param, CONFIG) as found:
        await fill(await found.connect("admin"))
        yield found


async def fill(admin: NatsTransport) -> None:
    """Store something of everybody."""
    await admin.publish(
        [
            Message(subject, b'{"secret": 1}')
            for subject in FORGED
            if not subject.startswith(("$JS", "_INBOX", "limpet.live", "$KV.LIMPET_FLEET"))
        ]
    )


async def contents(admin: NatsTransport) -> dict[str, list[tuple[str, bytes]]]:
    """Return all messages of all streams."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for stream in STREAMS:
        reader = await admin.read(stream, after=0)
        messages = await reader.fetch(1000, 0.05)
        found[stream] = [(m.subject, m.data) for m in messages]
        await reader.close()
    return found


def carriers(user: str) -> Iterator[str]:
    """Return the subjects on which a user may publish, made concrete, and those of its aliases."""
    rights = RIGHTS[user]
    aliases = [question.replace("$JS.API", "limpet.api") for question in rights.questions]
    for subject in (*rights.services, *aliases):
        yield subject.replace("*", "reports").replace(">", "x.y.z")


def allowed(user: str, subject: str) -> bool:
    from limpet.remote.transport._memory import matches

    return any(matches(pattern, subject) for pattern in RIGHTS[user].services)


def is_lost(stream: str, subject: str) -> bool:
    """Return whether nobody finds a message: all reading is by the stream's own subjects.

    A user may have the answer to its own request for work stored where it may publish anyway. The
    server keeps the subject that the message had in the stream it comes from.
    """
    own = {
        "LIMPET_EV_web01": "limpet.v1.ev.web01.",
        "LIMPET_EV_nas": "limpet.v1.ev.nas.",
        "LIMPET_CMD_web01": "limpet.v1.cmd.web01.",
        "LIMPET_CMD_nas": "limpet.v1.cmd.nas.",
        "LIMPET_RES_web01": "limpet.v1.res.web01.",
        "LIMPET_RES_nas": "limpet.v1.res.nas.",
        "LIMPET_DEAD_reports": "limpet.v1.dead.reports",
        "LIMPET_DEAD_other": "limpet.v1.dead.other",
    }
    return not subject.startswith(own.get(stream, "$"))


@pytest.mark.parametrize("user", ATTACKERS)
async def test_a_reply_subject_reaches_nothing_of_others(fleet: Fleet, user: str) -> None:
    """The server checks a message's subject alone; each question may name any reply."""
    admin, attacker = await fleet.connect("admin"), await fleet.connect(user)
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    await admin.client.subscribe("_INBOX_admin.x", cb=hear)
    await admin.client.subscribe("limpet.live.>", cb=hear)
    await admin.client.flush()
    before = await contents(admin)
    bodies = (b"", b'{"seq":1}', b'{"last_by_subj":">"}', b'{"batch":1,"expires":100000000}')
    for carrier, reply, body in itertools.product(carriers(user), FORGED, bodies):
        if "DIRECT" in carrier or "NEXT" in carrier or "api" in carrier or body == b"":
            await attacker.client.publish(carrier, body, reply=reply)
    await attacker.client.flush()
    await asyncio.sleep(0.4)  # what the hub was made to publish would arrive only in time
    after = await contents(admin)
    for stream in STREAMS:
        new = [m for m in after[stream] if m not in before[stream]]
        assert [m for m in new if not (allowed(user, m[0]) or is_lost(stream, m[0]))] == []
        kept = {m for m in before[stream] if not allowed(user, m[0])}
        assert kept <= set(after[stream]), stream
    assert "_INBOX_admin.x" not in heard
    assert [s for s in heard if not allowed(user, s.replace("live", "v1", 1))] == []


@pytest.mark.parametrize("user", ATTACKERS)
async def test_no_endpoint_of_the_interface_answers_but_those_granted(
    fleet: Fleet, user: str
) -> None:
    admin, attacker = await fleet.connect("admin"), await fleet.connect(user)
    before = await contents(admin)
    answered = []
    for endpoint, stream in itertools.product(ENDPOINTS, STREAMS):
        for prefix in ("$JS.API.", "limpet.api."):
            subject = prefix + endpoint.format(stream=stream)
            try:
                (answer,) = await attacker.gather(
                    [await attacker.ask(subject, json.dumps(BODY).encode())]
                )
            except NotPermittedError:
                continue
            answered.append((subject, answer.data))
    granted = {*RIGHTS[user].services}
    granted |= {q.replace("$JS.API", "limpet.api") for q in RIGHTS[user].questions}
    assert {subject for subject, _ in answered} <= granted
    assert await contents(admin) == before


@pytest.mark.parametrize("user", ATTACKERS)
async def test_nothing_of_others_can_be_subscribed_to(fleet: Fleet, user: str) -> None:
    attacker = await fleet.connect(user)
    for subject in (">", "limpet.>", "limpet.v1.>", "limpet.live.>", "$JS.>", "$KV.>", "$SYS.>",
                    "_INBOX_admin.>", "_INBOX.>", "_R_.>", "limpet.live.ev.*.>",
                    "limpet.live.res.>", "limpet.live.res.*.reports.*"):  # fmt: skip
        if subject not in RIGHTS[user].streams:
            assert not await attacker.may_subscribe(subject), subject


async def test_headers_remove_and_hide_nothing_of_others(fleet: Fleet) -> None:
    """``Nats-Rollup`` on a shared bucket, and message ids used up before their owner."""
    admin = await fleet.connect("admin")
    web, nas, other, reports = [
        await fleet.connect(name) for name in ("web01", "nas", "other", "reports")
    ]

    async def send(who: NatsTransport, subject: str, **headers: str) -> None:
        await who.gather([await who.ask(subject, b"{}", headers)])

    before = await contents(admin)
    for rollup in ("all", "sub"):
        await send(web, "$KV.LIMPET_AT_web01.agent", **{"Nats-Rollup": rollup})
        await send(web, "limpet.v1.res.web01.reports.c9", **{"Nats-Rollup": rollup})
        await send(other, "$O.LIMPET_CC_other_TO_nas.C.x", **{"Nats-Rollup": rollup})
    after = await contents(admin)
    for stream in STREAMS:
        kept = [m for m in before[stream] if not m[0].startswith(("$KV.LIMPET_AT_web01.agent",))]
        assert set(kept) <= set(after[stream]), stream
    # Ids are guessed, or read: what uses them first hides nothing of another's.
    for guess in ("reports.nas.out.c7", "res.limpet.v1.res.nas.reports.c7", "c7", "dead.x"):
        await send(other, "limpet.v1.cmd.nas.out.append.other", **{"Nats-Msg-Id": guess})
        await send(web, "limpet.v1.res.web01.reports.c7", **{"Nats-Msg-Id": guess})
    async with RemoteOutput(reports, bot="reports", host="nas", output="out") as output:
        asked = asyncio.create_task(output.perform(AppendToFile(name="a", content="x"), id="c7"))
        worker = await nas.work("LIMPET_CMD_nas", "nas", None, ack_wait=5, limit=1)
        mine = None
        while mine is None:
            for delivery in await worker.fetch(1, 1.0):
                if delivery.message.subject.endswith(".reports"):
                    mine = delivery
                await delivery.ack()
        answer = {"v": 1, "id": "c7", "ok": True, "code": "done", "message": ""}
        await nas.publish([Message("limpet.v1.res.nas.reports.c7", json.dumps(answer).encode())])
        assert (await asked).ok
        await worker.close()


async def test_an_acknowledgement_of_ones_own_removes_nothing_of_others(fleet: Fleet) -> None:
    """On 2.9.10 a consumer acknowledges any number of its work stream, filtered or not."""
    web, nas, other = [await fleet.connect(name) for name in ("web01", "nas", "other")]
    await other.publish([Message("limpet.v1.cmd.nas.out.append.other", b"mine")])
    for seq in range(1, 20):
        for answer in (b"+ACK", b"", b"+TERM", b"-NAK"):
            for stream in ("LIMPET_CMD_web01", "LIMPET_CMD_nas"):
                reply = f"$JS.ACK.{stream}.web01.1.{seq}.1.1795925938559666195.0"
                await web.client.publish(reply, answer)
    await web.client.flush()
    worker = await nas.work("LIMPET_CMD_nas", "nas", None, ack_wait=5, limit=1)
    found: list[bytes] = []
    while b"mine" not in found:
        for delivery in await worker.fetch(1, 1.0):
            found.append(delivery.message.data)
            await delivery.ack()
    await worker.close()


async def raw_publish(who: NatsTransport, subject: bytes, headers: bytes, data: bytes) -> None:
    """Publish any bytes as a subject and headers; no client of NATS would."""
    size = len(headers) + len(data)
    if headers:
        line = b"HPUB %b %d %d\r\n%b%b\r\n" % (subject, len(headers), size, headers, data)
    else:
        line = b"PUB %b %d\r\n%b\r\n" % (subject, size, data)
    await who.client._send_command(line)
    await who.client._flush_pending()
    await who.client.flush()


POISONS = [
    (b"", b"NATS/9.9 \xff\xff\xff\r\nA: b\r\n\r\n"),
    (b"", b"NATS/1.0 \xff\xff\r\n\r\n"),
    (b"", b"NATS/1.0\r\nStatus: 404\r\nDescription: gone\r\n\r\n"),
    (b"", b"NATS/1.0\r\nStatus: 503\r\n\r\n"),
    (b"", b"NATS/1.0\r\nNats-Sequence: 999\r\nNats-Subject: limpet.v1.ev.nas.a.b.c\r\n\r\n"),
    (b"", b"NATS/1.0\r\nNats-Sequence: x\r\nNats-Time-Stamp: never\r\n\r\n"),
    (b"", b"NATS/1.0 200\r\nA: \xff\r\n\r\n"),
    (b"", b"NATS/1.0 404 x\r\n\r\n"),
    (b"", b"NATS/1.0 503 x\r\n\r\n"),
    (b"\xff", b""),
    (b"\x0b1", b""),
    (b"\x0c2", b"NATS/1.0\r\nA: \xfe\r\n\r\n"),
]
"""End of the subject, and headers, that nats-py does not read as the server means them."""


async def test_no_message_makes_a_reader_deaf(fleet: Fleet, tmp_path: Path) -> None:
    """Not for the host that sent it, and not for others; in order and in work mode."""
    web, nas = await fleet.connect("web01"), await fleet.connect("nas")
    good = {host: event_of_host(tmp_path, host) for host in ("web01", "nas")}
    for end, headers in POISONS:
        await raw_publish(web, b"limpet.v1.ev.web01.in.file.created" + end, headers, b"{}")
    for host, who in (("web01", web), ("nas", nas)):
        await who.publish([good[host]])
    reading = await fleet.connect("all")
    async with EventReader(reading, bot="all", store=tmp_path / "c", start="all") as reader:
        found: set[str] = set()
        async with asyncio.timeout(20):
            async for event in reader:
                found.add(event.id)
                if {one.id for one in good.values()} <= found:
                    break
        # And while it reads, by the hub's hints.
        for end, headers in POISONS:
            await raw_publish(web, b"limpet.v1.ev.web01.in.file.created" + end, headers, b"{}")
        more = event_of_host(tmp_path, "nas")
        await nas.publish([more])
        async with asyncio.timeout(20):
            async for event in reader:
                if event.id == more.id:
                    break
    done: set[str] = set()

    async def handler(event: RemoteEvent) -> None:
        done.add(event.id)

    working = asyncio.create_task(read_events(reading, bot="all", handler=handler))
    await until(lambda: {one.id for one in good.values()} <= done)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_no_command_and_no_answer_makes_anybody_deaf(fleet: Fleet, tmp_path: Path) -> None:
    web, other = await fleet.connect("web01"), await fleet.connect("other")
    spec = OutputSpec(name="out", path=str(tmp_path / "nas" / "out"))
    (tmp_path / "nas").mkdir()
    given = options(tmp_path / "nas", "nas", watches=[], outputs=[spec])

    async def to_hub() -> Any:
        return await fleet.connect("nas", wait=True)

    agent = Agent(given, to_hub)
    task = asyncio.create_task(agent.run())
    try:
        await agent.ready.wait()
        reports = await fleet.connect("reports")
        async with RemoteOutput(reports, bot="reports", host="nas", output="out") as output:
            for end, headers in POISONS:
                if not end:
                    await raw_publish(other, b"limpet.v1.cmd.nas.out.append.other", headers, b"{}")
                for bot in (b"reports", b"other", b"all"):
                    subject = b"limpet.v1.res.web01." + bot + b".c1" + end
                    await raw_publish(web, subject, headers, b"{}")
            append = AppendToFile(name="log", content="x")
            assert (await output.perform(append, timeout=30)).ok
    finally:
        agent.stop()
        await task


async def test_the_answer_of_one_host_is_not_taken_for_anothers(fleet: Fleet) -> None:
    """Neither under a subject that nats-py would put into any subscription, nor with the id."""
    web, nas, reports = [await fleet.connect(name) for name in ("web01", "nas", "reports")]
    forged = json.dumps({"v": 1, "id": "c77", "ok": True, "code": "done", "message": ""}).encode()
    async with RemoteOutput(reports, bot="reports", host="nas", output="out") as output:
        asked = asyncio.create_task(
            output.perform(AppendToFile(name="a", content="x"), id="c77", timeout=30)
        )
        await until(lambda: bool(output._waiting))
        for number in range(200):
            await raw_publish(
                web, b"limpet.v1.res.web01.reports.%d\x0b%d" % (number, number % 8 + 1), b"", forged
            )
        await web.publish([Message("limpet.v1.res.web01.reports.c77", forged)])
        wrong = json.dumps({"v": 1, "id": "c2", "ok": True, "code": "done", "message": ""})
        await asyncio.sleep(0.5)  # a forged answer would be there by then
        assert not asked.done()
        await nas.publish([Message("limpet.v1.res.nas.reports.c77", wrong.encode())])
        with pytest.raises(HubError, match="in place of"):
            await asked


async def test_a_content_in_pieces_of_one_byte_is_none(fleet: Fleet) -> None:
    """Each piece is a question to the hub: they would hold whoever asks for hours."""
    import base64

    web, reports = await fleet.connect("web01"), await fleet.connect("reports")
    bucket, name = "LIMPET_C_web01", "0" * 64
    for _ in range(20):
        await web.publish([Message(f"$O.{bucket}.C.abc", b"x")])
    about = {"name": name, "nuid": "abc", "size": 20, "chunks": 20}
    key = base64.urlsafe_b64encode(name.encode()).decode()
    await web.publish([Message(f"$O.{bucket}.M.{key}", json.dumps(about).encode())])
    assert await reports.get_object(bucket, name, 20) is None
    assert await reports.get_object(bucket, name, 5) is None


async def test_the_newest_message_of_one_host_holds_back_no_other(
    fleet: Fleet, tmp_path: Path
) -> None:
    """A reader of all hosts that begins now asks each stream for its newest message."""
    web, nas = await fleet.connect("web01"), await fleet.connect("nas")
    for end, headers in POISONS:
        await raw_publish(web, b"limpet.v1.ev.web01.in.file.created" + end, headers, b"{}")
        reading = await fleet.connect("all")
        store = tmp_path / secrets.token_hex(4)
        async with asyncio.timeout(30):
            async with EventReader(reading, bot="all", store=store) as reader:
                good = event_of_host(tmp_path, "nas")
                await nas.publish([good])
                async for event in reader:
                    if event.id == good.id:
                        break


def event_of_host(tmp_path: Path, host: str) -> Message:
    (made,) = messages(tmp_path / secrets.token_hex(4), 1)
    return Message(
        made.subject.replace("web01", host),
        made.data.replace(b"//web01/", b"//%b/" % host.encode()),
        made.id,
    )
