"""A host and a bot that speak NATS by hand get no further than what they were granted."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from limpet.remote import NatsTransport, NotPermittedError, Subjects
from limpet.remote._hub_accounts import BotGrant, bot_rights, host_rights
from limpet.remote.admin import FleetConfig
from limpet.remote.transport import Message
from tests.remote.conftest import NATS
from tests.remote.test_permissions import Fleet, fleet_of

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
    "LIMPET_CMD",
    "LIMPET_RES",
    "LIMPET_DEAD",
    "KV_LIMPET_HOSTS",
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
    "limpet.v1.res.reports.nas.c1",
    "limpet.v1.res.reports.web01.c1",
    "limpet.v1.dead.reports",
    "limpet.live.ev.nas.in.file.created",
    "limpet.live.res.reports.nas.c1",
    "$KV.LIMPET_HOSTS.nas",
    "$KV.LIMPET_FLEET.hosts",
    "$O.LIMPET_C_nas.C.x",
    "$O.LIMPET_CC_reports_TO_nas.M.x",
    "$JS.API.STREAM.PURGE.LIMPET_EV_nas",
    "$JS.API.STREAM.DELETE.LIMPET_DEAD",
    "$JS.API.CONSUMER.CREATE.LIMPET_EV_nas.x",
    "$JS.ACK.LIMPET_CMD.nas.1.1.1.1795925938559666195.1",
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
            if not subject.startswith(("$JS", "_INBOX", "limpet.live"))
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
        "LIMPET_CMD": "limpet.v1.cmd.",
        "LIMPET_RES": "limpet.v1.res.",
        "LIMPET_DEAD": "limpet.v1.dead.",
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
    own = {"limpet.live.ev." + host for host in (user,)}
    assert not [s for s in heard if s == "_INBOX_admin.x"]
    assert all(any(s.startswith(o) for o in own) or allowed(user, s.replace("live", "v1", 1))
               for s in heard), heard  # fmt: skip


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
                    "limpet.live.res.nobody.>"):  # fmt: skip
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
        await send(web, "$KV.LIMPET_HOSTS.web01", **{"Nats-Rollup": rollup})
        await send(web, "limpet.v1.res.reports.web01.c9", **{"Nats-Rollup": rollup})
        await send(other, "$O.LIMPET_CC_other_TO_nas.C.x", **{"Nats-Rollup": rollup})
    after = await contents(admin)
    for stream in STREAMS:
        kept = [m for m in before[stream] if not m[0].startswith(("$KV.LIMPET_HOSTS.web01",))]
        assert set(kept) <= set(after[stream]), stream
    # Ids are guessed, or read: what uses them first hides nothing of another's.
    for guess in ("reports.nas.out.c7", "res.limpet.v1.res.reports.nas.c7", "c7", "dead.x"):
        await send(other, "limpet.v1.cmd.nas.out.append.other", **{"Nats-Msg-Id": guess})
        await send(web, "limpet.v1.res.reports.web01.c7", **{"Nats-Msg-Id": guess})
    from limpet import AppendToFile
    from limpet.remote import RemoteOutput

    async with RemoteOutput(reports, bot="reports", host="nas", output="out") as output:
        asked = asyncio.create_task(output.perform(AppendToFile(name="a", content="x"), id="c7"))
        worker = await nas.work("LIMPET_CMD", "nas", None, ack_wait=5, limit=1)
        mine = None
        while mine is None:
            for delivery in await worker.fetch(1, 1.0):
                if delivery.message.subject.endswith(".reports"):
                    mine = delivery
                await delivery.ack()
        answer = {"v": 1, "id": "c7", "ok": True, "code": "done", "message": ""}
        await nas.publish([Message("limpet.v1.res.reports.nas.c7", json.dumps(answer).encode())])
        assert (await asked).ok
        await worker.close()
