"""The permissions of users on a hub that runs with the file of ``limpet hub config``."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.remote import (
    EventReader,
    HubError,
    NatsTransport,
    NotPermittedError,
    RemoteOutput,
    Subjects,
    connect,
    read_events,
)
from limpet.remote.admin import (
    Agent,
    BotGrant,
    FleetConfig,
    HubLayout,
    OutputSpec,
    WatchSpec,
    examine,
    init_nats,
    server_file,
)
from limpet.remote.transport import Message
from tests.remote.conftest import NATS, SERVERS, Server
from tests.remote.helpers import collect, options
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
"""Keys that are created quickly."""

CONFIG = FleetConfig(
    hosts=("web01", "nas"),
    bots=(
        BotGrant(name="reports", read=("web01",), write=(("nas", "out", "append"),)),
        BotGrant(name="other"),
    ),
    listen="127.0.0.1:-1",
)


class Fleet:
    """A hub with users."""

    def __init__(self, server: Server, passwords: dict[str, str], version: str = "") -> None:
        self.server, self.passwords, self.version = server, passwords, version
        self.transports: list[NatsTransport] = []

    async def connect(self, name: str, **more: Any) -> NatsTransport:
        transport = await connect(
            self.server.url, name=name, user=name, password=self.passwords.get(name), **more
        )
        self.transports.append(transport)
        return transport


@contextlib.asynccontextmanager
async def fleet_of(version: str, config: FleetConfig) -> AsyncIterator[Fleet]:
    """Run a hub with the file and the streams of a fleet."""
    folder = Path(tempfile.mkdtemp(prefix="limpet-hub-"))
    config = replace(config, store=str(folder / "js"))
    text, passwords = server_file(config, version=version)
    server = Server(SERVERS[version], folder, config=text)
    await asyncio.to_thread(server.start)
    found = Fleet(server, passwords, version)
    try:
        admin = await found.connect("admin")
        await init_nats(admin, config.layout, max_bytes=64 << 20)
        yield found
    finally:
        for transport in found.transports:
            await transport.close()
        await asyncio.to_thread(server.kill)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=NATS)
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    async with fleet_of(request.param, CONFIG) as found:
        yield found


async def test_an_agent_publishes_under_its_own_name_only(fleet: Fleet) -> None:
    agent = await fleet.connect("web01")
    own = Message("limpet.v1.ev.web01.in.file.created", b"{}", "a.1")
    assert (await agent.publish([own]))[0].seq == 1
    for subject in (
        "limpet.v1.ev.nas.in.file.created",
        "limpet.v1.cmd.nas.out.append.reports",
        "limpet.v1.res.nas.reports.c1",
        "limpet.v1.dead.reports",
    ):
        with pytest.raises(NotPermittedError, match="web01"):
            await agent.publish([Message(subject, b"{}")])
    for subject in (
        "$JS.API.STREAM.DELETE.LIMPET_EV_web01",
        "$JS.API.STREAM.INFO.LIMPET_EV_nas",
        "$JS.API.CONSUMER.CREATE.LIMPET_EV_web01.x.limpet.v1.ev.web01.>",
        "$JS.API.CONSUMER.MSG.NEXT.LIMPET_CMD_nas.nas",
    ):
        with pytest.raises(NotPermittedError):
            await agent.request(subject, {})


async def test_a_bot_reads_and_writes_only_what_it_was_granted(fleet: Fleet) -> None:
    agent, bot = await fleet.connect("web01"), await fleet.connect("reports")
    await agent.publish([Message("limpet.v1.ev.web01.in.file.created", b"{}", "a.1")])
    reader = await bot.read("LIMPET_EV_web01", live="limpet.live.ev.web01.>", after=0)
    assert len(await reader.fetch(10, 2)) == 1
    await agent.publish([Message("limpet.v1.ev.web01.in.file.created", b"{}", "a.2")])
    assert [m.seq for m in await reader.fetch(10, 5)] == [2]  # by a hint: asking takes longer
    await reader.close()
    with pytest.raises(NotPermittedError):
        await bot.read("LIMPET_EV_nas", after=0)
    with pytest.raises(NotPermittedError):
        await bot.request(
            "$JS.API.CONSUMER.CREATE.LIMPET_EV_web01.x",
            {"stream_name": "LIMPET_EV_web01", "config": {"name": "x", "ack_policy": "none"}},
        )
    await bot.publish([Message("limpet.v1.cmd.nas.out.append.reports", b"{}", "c.1")])
    for subject in (
        "limpet.v1.cmd.nas.out.delete.reports",
        "limpet.v1.cmd.nas.out.append.other",
        "limpet.v1.cmd.web01.out.append.reports",
        "limpet.v1.ev.web01.in.file.created",
    ):
        with pytest.raises(NotPermittedError, match="reports"):
            await bot.publish([Message(subject, b"{}")])


async def test_the_whole_way_with_permissions(fleet: Fleet, tmp_path: Path) -> None:
    """The permissions suffice: events, large contents, commands, answers, work mode."""
    for host in ("web01", "nas"):
        (tmp_path / host).mkdir()
    content = limpet.ContentOptions(mode="rb", max_bytes=4 << 20)
    spec = WatchSpec(
        name="in", path=str(tmp_path / "web01" / "in"), content=content, options={"settle": 0.1}
    )
    web = options(tmp_path / "web01", watches=[spec], outputs=[])
    out = OutputSpec(name="out", path=str(tmp_path / "nas" / "out"))
    nas = options(tmp_path / "nas", "nas", watches=[], outputs=[out])

    def connecting(name: str) -> Any:
        async def to_hub() -> Any:
            return await fleet.connect(name, wait=True)

        return to_hub

    agents = [Agent(given, connecting(given.host)) for given in (web, nas)]
    tasks = [asyncio.create_task(agent.run()) for agent in agents]
    bot = await fleet.connect("reports")
    store = tmp_path / "c"
    try:
        async with (
            EventReader(bot, bot="reports", hosts=["web01"], store=store) as reader,
            RemoteOutput(bot, bot="reports", host="nas", output="out") as output,
        ):
            await agents[0].ready.wait()
            (tmp_path / "web01" / "in" / "big").write_bytes(bytes(3 << 20))
            (event,) = await collect(reader, 1)
            data = await reader.content(event)
            assert data == bytes(3 << 20)
            assert isinstance(data, bytes)
            answer = await output.perform(limpet.AppendToFile(name="log", content=data))
            assert answer.ok, answer
            refused = asyncio.create_task(output.perform(limpet.DeleteFile(name="log")))
            with pytest.raises(NotPermittedError):
                await refused
        done: list[str] = []

        async def handler(event: Any) -> None:
            done.append(event.path.name)

        working = asyncio.create_task(
            read_events(bot, bot="reports", hosts=["web01"], handler=handler)
        )
        await until(lambda: "big" in done)
        working.cancel()
    finally:
        for agent in agents:
            agent.stop()
        await asyncio.gather(*tasks)
    assert (tmp_path / "nas" / "out" / "log").stat().st_size == 3 << 20


async def test_f10_a_watch_that_may_not_publish(fleet: Fleet, tmp_path: Path) -> None:
    """The error names user and subject, comes at once, and no further attempts are made."""
    given = options(tmp_path, "elsewhere", outputs=[])

    async def as_another() -> Any:
        return await fleet.connect("web01", wait=True)

    agent = Agent(given, as_another)
    task = asyncio.create_task(agent.run())
    await agent.ready.wait()
    (tmp_path / "in" / "x").touch()
    sender = agent.sender
    assert sender is not None
    await until(lambda: sender.health.state == "refused")
    assert "web01" in sender.health.trouble
    assert "limpet.v1.ev.elsewhere.in.file.created" in sender.health.trouble
    attempts = sender.health.attempts
    await asyncio.sleep(1)  # repeated attempts would show only in time
    assert sender.health.attempts == attempts
    agent.stop()
    await task


async def test_a_wrong_password_is_reported(fleet: Fleet) -> None:
    fleet.passwords["web01"] = "wrong"
    with pytest.raises(NotPermittedError, match="authorization"):
        await fleet.connect("web01")


@pytest.mark.parametrize("user", ["web01", "reports", "other"])
async def test_the_doctor_attacks_the_hub_and_is_refused(fleet: Fleet, user: str) -> None:
    found = await examine(await fleet.connect(user), Subjects(), ["nas"])
    assert any("15 of 15 attacks were refused" in f.text for f in found), found
    assert not [f for f in found if f.grade == "bad"]


async def test_the_doctor_as_admin_examines_everything_but_the_rights(fleet: Fleet) -> None:
    as_admin = await examine(await fleet.connect("admin"), Subjects(), ["nas"])
    assert any("rights of hosts and bots were not examined" in f.text for f in as_admin)
    assert any("agent of nas does not run" in f.text for f in as_admin)
    assert sum(f.text.startswith("stream LIMPET") for f in as_admin) == 6
    assert any("the hub stores messages" in f.text for f in as_admin)
    assert not [f for f in as_admin if f.grade == "bad"]


@pytest.mark.parametrize("version", NATS)
async def test_the_doctor_finds_a_hub_with_one_account_for_all(version: str) -> None:
    """The subjects are those of the file, but replies and consumers go around them."""
    folder = Path(tempfile.mkdtemp(prefix="limpet-hub-"))
    users = (
        '{user: web01, password: w, permissions: {publish: ["limpet.v1.ev.web01.>", '
        '"limpet.api.>", "$JS.API.STREAM.INFO.LIMPET_EV_web01", '
        '"$JS.API.DIRECT.GET.KV_LIMPET_AT_web01.$KV.LIMPET_AT_web01.agent"], '
        'subscribe: ["_INBOX_web01.>"]}}, {user: admin, password: a}'
    )
    text = (
        f'jetstream {{ store_dir: "{folder / "js"}" }}\n'
        f"accounts {{ A {{ jetstream: enabled, users: [{users}] }} }}\n"
    )
    server = Server(SERVERS[version], folder, config=text)
    await asyncio.to_thread(server.start)
    fleet = Fleet(server, {"web01": "w", "admin": "a"})
    try:
        admin = await fleet.connect("admin")
        await init_nats(admin, HubLayout(["web01"]), max_bytes=64 << 20)
        await admin.put_value("LIMPET_AT_web01", "agent", b"{}")
        found = await examine(await fleet.connect("web01"), Subjects())
        assert [f.text for f in found if f.grade == "bad" and "subject of a reply" in f.text]
    finally:
        for transport in fleet.transports:
            await transport.close()
        await asyncio.to_thread(server.kill)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("version", NATS)
async def test_with_certificates(version: str, tmp_path: Path) -> None:
    """TLS: the certificate names the user; none, or another authority's, is refused."""
    import ssl

    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed: apt-get install openssl"
    ca, key = tmp_path / "ca.pem", tmp_path / "ca.key"

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], check=True, capture_output=True, cwd=tmp_path)

    def certificate(name: str, signer: str = "ca") -> None:
        (tmp_path / "ext").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
        run("req", *EC, "-nodes", "-keyout", f"{name}.key", "-out", "r",
            "-subj", f"/CN={name}")  # fmt: skip
        run("x509", "-req", "-in", "r", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", "ext")  # fmt: skip

    for authority in ("ca", "evil"):
        run("req", "-x509", *EC, "-nodes", "-days", "2", "-subj",
            f"/CN={authority}", "-keyout", f"{authority}.key",
            "-out", f"{authority}.pem")  # fmt: skip
    for name in ("hub", "web01", "nas"):
        certificate(name)
    config = replace(
        CONFIG,
        store=str(tmp_path / "js"),
        ca=str(ca),
        cert=str(tmp_path / "hub.pem"),
        key=str(tmp_path / "hub.key"),
    )
    text, passwords = server_file(config, version=version)
    assert passwords == {}
    server = Server(SERVERS[version], tmp_path / "server", config=text)
    await asyncio.to_thread(server.start)
    del key

    def context(name: str | None, authority: str = "ca") -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=tmp_path / f"{authority}.pem")
        if name:
            made.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        return made

    try:
        agent = await connect(server.url, name="web01", tls=context("web01"))
        with pytest.raises(NotPermittedError):
            await agent.publish([Message("limpet.v1.ev.nas.in.file.created", b"{}")])
        await agent.close()
        with pytest.raises(HubError):
            await connect(server.url, name="web01", tls=context(None))
        with pytest.raises(HubError, match=r"verify failed|unable to get") as caught:
            await connect(server.url, name="web01", tls=context("web01", "evil"))
        assert caught.value.code == "hub-tls"
        assert "check ca, cert and key" in str(caught.value)
    finally:
        await asyncio.to_thread(server.kill)


async def test_a_host_and_a_bot_are_added_and_removed_while_the_hub_runs(fleet: Fleet) -> None:
    """``hub config``, two reloads and ``hub init``; who was connected stays so."""
    import signal

    web, admin = await fleet.connect("web01"), await fleet.connect("admin")
    own = Message("limpet.v1.ev.web01.in.file.created", b"{}", "a.1")
    await web.publish([own])
    generation = web.generation

    async def reload(config: FleetConfig) -> None:
        config = replace(config, store=str(fleet.server.folder / "js"))
        text, fleet.passwords = server_file(config, fleet.passwords, version=fleet.version)
        (fleet.server.folder / "server.conf").write_text(text)
        assert fleet.server.process is not None
        log, said = fleet.server.folder / "log", b"Reloaded server configuration"
        before = log.read_bytes().count(said)
        fleet.server.process.send_signal(signal.SIGHUP)
        # Until then users, accounts and imports change one after the other.
        await until(lambda: log.read_bytes().count(said) > before)

    more = replace(
        CONFIG,
        hosts=(*CONFIG.hosts, "mail"),
        bots=(*CONFIG.bots, BotGrant(name="late", read=("mail", "web01"))),
    )
    await reload(more)

    async def connected(name: str) -> bool:
        try:
            await fleet.connect(name)
        except HubError:
            return False
        return True

    await until(lambda: connected("mail"))
    await init_nats(admin, more.layout, max_bytes=64 << 20)
    await reload(more)  # the imports of accounts that the first reload has added
    await until(lambda: connected("late"))  # a reload refuses for a moment
    await until(lambda: connected("mail"))
    mail, late = fleet.transports[-1], fleet.transports[-2]

    async def published() -> bool:
        try:
            await mail.publish([Message("limpet.v1.ev.mail.in.file.created", b"1", "m.1")])
        except HubError:
            return False
        return True

    async def is_readable(stream: str) -> bool:
        try:
            return await late.newest(stream) is not None
        except HubError:
            return False

    await until(published)
    for stream, live in (("LIMPET_EV_mail", "mail"), ("LIMPET_EV_web01", "web01")):
        await until(lambda stream=stream: is_readable(stream))  # type: ignore[misc]
        reader = await late.read(stream, live=f"limpet.live.ev.{live}.>", after=0)
        assert len(await reader.fetch(10, 2)) == 1
        await reader.close()
    assert web.generation == generation
    await web.publish([Message(own.subject, b"{}", "a.2")])
    await reload(CONFIG)

    async def refused() -> bool:
        return not await connected("late")

    await until(refused)
    assert (await web.publish([Message(own.subject, b"{}", "a.3")]))[0].seq == 3
