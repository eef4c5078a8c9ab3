"""A hub of three servers: its file, the files of its servers, and the servers themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limpet.bot import RemoteFileSystem
from limpet.errors import UsageError
from limpet.remote import (
    ConfigError,
    DisconnectedError,
    NatsTransport,
    NotPermittedError,
    connect,
    without_password,
)
from limpet.remote.admin import (
    BotGrant,
    FleetConfig,
    HubLayout,
    RouteCertificates,
    cluster_files,
    init_nats,
    load_agent,
    load_fleet,
    server_file,
)
from limpet.remote.transport import Message, WorkConsumer
from limpet.remote.transport._addresses import addresses_of
from tests.remote.cluster import check_file, cluster_of, free_ports, on_loopback
from tests.remote.conftest import NATS, SERVERS, Server
from tests.waiting import until

NEWEST = NATS[-1:]
"""What takes long is tried with one server."""

pytestmark = pytest.mark.anyio

BOTS = (BotGrant(name="reports", read=["web01"], write=[("nas", "out", "append")]),)
FLEET = """\
hosts: [web01, nas]
bots: [{name: reports, read: [web01], write: [nas/out/append]}]
store: /srv/js
cluster:
  name: hubs
  servers:
    - {name: hub1, address: 'h.example.com:4222', route: 'h.example.com:6222', tags: ['zone:a']}
    - {name: hub2, address: '192.0.2.2:4222', route: '192.0.2.2:6222', tags: ['zone:a']}
    - {name: hub3, address: '[2001:db8::3]:4222', route: '[2001:db8::3]:6222', tags: ['zone:a']}
  tls: {ca: ca.pem, cert: hub.pem, key: hub.key}
  placement: ['zone:a']
"""


def loaded(tmp_path: Path, text: str) -> FleetConfig:
    (tmp_path / "fleet.yaml").write_text(text)
    return load_fleet(tmp_path / "fleet.yaml")


def test_a_fleet_lists_the_servers_of_its_cluster(tmp_path: Path) -> None:
    """Three replicas are the default; each server has a name and a folder of its own."""
    fleet = loaded(tmp_path, FLEET)
    assert fleet.replicas == 3
    assert fleet.is_in_clear
    assert not fleet.has_routes_in_clear
    files, passwords = cluster_files(fleet)
    assert sorted(files) == ["hub1", "hub2", "hub3"]
    assert {"admin", "web01", "nas", "reports", "cluster.routes"} == set(passwords)
    for name, bound in (
        ("hub1", "0.0.0.0:4222"),
        ("hub2", "192.0.2.2:4222"),
        ("hub3", "[2001:db8::3]:4222"),
    ):
        assert f'server_name: "{name}"' in files[name]
        assert f'store_dir: "/srv/js-{name}"' in files[name]
        assert f'\nlisten: "{bound}"' in files[name]
        assert f"cert_file: {json.dumps(str(tmp_path / 'hub.pem'))}" in files[name]
        assert 'server_tags: ["zone:a"]' in files[name]
        assert files[name].count("nats://routes:") == 2
    assert "@h.example.com" not in files["hub1"]
    rights = {text[text.index("\naccounts {") :] for text in files.values()}
    assert len(rights) == 1
    assert cluster_files(fleet, passwords) == (files, passwords)
    with pytest.raises(UsageError, match="each of its servers"):
        server_file(fleet)
    with pytest.raises(UsageError, match="no cluster"):
        cluster_files(FleetConfig(hosts=["web01"]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: hub2,", "name: hub1,", r"names of their own: hub1"),
        ("route: '192.0.2.2:6222'", "route: '192.0.2.2:4222'", r"addresses of their own: 192"),
        ("192.0.2.2:4222", "192.0.2.2", r"fleet.yaml:8:29: .*servers\[1\].address: .*host:port"),
        ("192.0.2.2:4222", "192.0.2.2:0", "host:port"),
        ("192.0.2.2:4222", "nats://a:4222", "host:port"),
        ("name: hub2", "name: Hub 2", r"servers\[1\].name"),
        ("['zone:a']}\n  tls", "[]}\n  tls", "3 replicas need as many servers with the tags zone"),
        ("placement: ['zone:a']", "placement: ['zone \"a']", "must be a tag"),
        ("store: /srv/js", "listen: 0.0.0.0:4222", "leave out 'listen'"),
        ("store: /srv/js", "replicas: 4", "4 replicas need as many servers"),
        ("store: /srv/js", "store: /srv/js\nreplicas: 0", "replicas"),
        ("  tls: {ca: ca.pem, cert", "  tls: {ca: ca.pem, crt", "did you mean 'cert'"),
    ],
)
def test_mistakes_of_a_cluster_have_positions(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in FLEET
    with pytest.raises(ConfigError, match=message) as refused:
        loaded(tmp_path, FLEET.replace(old, new))
    assert refused.value.problems


def test_two_servers_are_no_cluster(tmp_path: Path) -> None:
    text = "".join(line for line in FLEET.splitlines(True) if "hub3" not in line)
    with pytest.raises(ConfigError, match="3 servers or more, not 2"):
        loaded(tmp_path, text)


def limpet(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    from tests.remote.test_processes import limpet_command

    return limpet_command(*words, cwd=tmp_path)


@pytest.mark.parametrize("version", NATS)
def test_hub_config_writes_a_file_for_each_server(tmp_path: Path, version: str) -> None:
    """The server itself takes them; what is not from this command is not replaced."""
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("store: /srv/js", f"store: {tmp_path}/js"))
    certificates(tmp_path, "hub")
    command = ("hub", "config", "fleet.yaml", "--server-version", version)
    done = limpet(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / f"hub{at}.conf" for at in (1, 2, 3)]
    assert done.stdout.split() == [str(file) for file in files]
    assert "cross the network to h.example.com:4222, 192.0.2.2:4222" in done.stderr
    assert "between the servers" not in done.stderr
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        check_file(SERVERS[version], file)
    before = [file.read_text() for file in files]
    assert limpet(tmp_path, *command).returncode == 0
    assert [file.read_text() for file in files] == before

    files[2].write_text("mine")
    files[0].write_text(before[0] + "# old\n")
    refused = limpet(tmp_path, *command)
    assert refused.returncode == 2
    assert "hub3.conf was not written by 'limpet hub config'" in refused.stderr
    assert (files[2].read_text(), files[0].read_text()) == ("mine", before[0] + "# old\n")


def certificates(folder: Path, *names: str) -> RouteCertificates:
    """Make an authority and certificates of loopback, for servers and clients."""

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-days", "2", "-subj", "/CN=ca",
        "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    for name in names:
        (folder / "ext").write_text(f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1\n")
        run("req", *curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", "ext")  # fmt: skip
    return RouteCertificates(
        ca=str(folder / "ca.pem"), cert=str(folder / "hub.pem"), key=str(folder / "hub.key")
    )


@pytest.mark.parametrize("version", NATS)
async def test_three_servers_are_one_hub(tmp_path: Path, version: str) -> None:
    """Routes have mutual TLS, streams three replicas, and users the same rights at each server."""
    tls = certificates(tmp_path, "hub", "web01")
    fleet = FleetConfig(hosts=["web01", "nas"], bots=BOTS, replicas=3, cluster=on_loopback(tls=tls))
    async with cluster_of(SERVERS[version], fleet, version) as hub:
        admin = hub.transports[0]
        done = await init_nats(admin, fleet.layout, replicas=3, max_bytes=64 << 20)
        assert "LIMPET_EV_web01: created" in done
        config = (await admin.request("$JS.API.STREAM.INFO.LIMPET_EV_web01"))["config"]
        assert config["num_replicas"] == 3
        web01 = await hub.connect("web01", 1)
        own = Message("limpet.v1.ev.web01.in.file.created", b"{}", "a.1")
        assert [ack.seq for ack in await web01.publish([own])] == [1]
        nas = await hub.connect("nas", 2)
        with pytest.raises(NotPermittedError):
            await nas.publish([own])
        reports = await hub.connect("reports", 2)

        async def is_there() -> bool:
            found = await reports.at("LIMPET_EV_web01", 1)
            return found is not None and found.id == "a.1"

        await until(is_there, "the event is not at the other server")
        assert fleet.cluster is not None
        route = int(fleet.cluster.servers[0].route.rpartition(":")[2])
        said = await asyncio.to_thread(connect_as_route, route, tmp_path, "web01")
        assert "Authorization Violation" in said
        said = await asyncio.to_thread(connect_as_route, route, tmp_path, None)
        assert "INFO" not in said


def connect_as_route(port: int, folder: Path, name: str | None) -> str:
    """Return what a server answers to one that would be a server, too; nothing without a trust."""
    import socket
    import ssl

    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if name is not None:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    info: dict[str, Any] = {"verbose": False, "user": "routes", "pass": "guessed", "name": "evil"}
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"CONNECT " + json.dumps(info).encode() + b"\r\nPING\r\n")
            while part := secure.recv(4096):
                said += part
            return said.decode()
    return ""


# -- several addresses -----------------------------------------------------------------------------


def test_addresses_are_a_list_or_separated_by_commas() -> None:
    assert addresses_of("nats://a:1, nats://b:2,nats://a:1") == ("nats://a:1", "nats://b:2")
    assert addresses_of(["tls://a:1", "tls://b:2,tls://c"]) == ("tls://a:1", "tls://b:2", "tls://c")
    shown = "nats://a:1, nats://b:2"
    assert without_password(["nats://me:pw@a:1", "nats://me:p@w@b:2"]) == shown
    assert without_password("nats://me:pw@a:1,nats://b:2") == shown


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "empty"),
        ("", "must begin with"),
        ("nats://a:1,", "must begin with"),
        ("nats://a:1,http://x:pw@b:2", "cannot connect to 'http://b:2': the URL must begin"),
        ("nats://a:1,tls://b:2", "all of a hub's addresses begin with tls://, or none"),
        ("nats://a:99999", "no valid host and port"),
        ("nats://:4222", "no valid host and port"),
        ("nats://[a:1", "no valid host and port"),
        ([b"nats://a:1"], "a list of texts"),
    ],
)
async def test_what_is_no_address_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        await connect(given, name="web01")
    assert "pw" not in str(refused.value)


async def test_an_error_names_all_addresses_and_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limpet.remote.transport._nats_connection._CONNECT_S", 0.2)
    ports = free_ports(2)
    urls = [f"nats://me:secret@127.0.0.1:{port}" for port in ports]
    with pytest.raises(DisconnectedError) as failed:
        await connect(urls, name="web01")
    assert all(f"nats://127.0.0.1:{port}" in str(failed.value) for port in ports)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "url", ["['nats://a:1', 'nats://b:2']", "'nats://a:1,nats://b:2'", "nats://a:1"]
)
def test_an_agent_knows_all_addresses(tmp_path: Path, url: str) -> None:
    (tmp_path / "agent.yaml").write_text(f"host: a\nhub: {{url: {url}}}\nspool: {{path: s}}\n")
    hub = load_agent(tmp_path / "agent.yaml").hub
    assert addresses_of(hub.url) == ("nats://a:1", "nats://b:2")[: 1 + ("b:2" in url)]
    assert hub.shown == ", ".join(addresses_of(hub.url))


def test_a_wrong_address_of_an_agent_has_a_position(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(
        "host: a\nhub: {url: ['nats://a:1', 'tls://b:2']}\nspool: {path: s}\n"
    )
    with pytest.raises(ConfigError, match=r"agent.yaml:2:6: .*agent.hub: .* or none"):
        load_agent(tmp_path / "agent.yaml")


def test_a_bot_knows_all_addresses() -> None:
    urls = ("nats://a:1", "nats://b:2")
    assert RemoteFileSystem(hub=list(urls), bot="b", output_host="a", output_name="o").hub == urls
    one = RemoteFileSystem(hub=",".join(urls), bot="b", output_host="a", output_name="o")
    assert addresses_of(one.hub) == urls


async def test_addresses_that_a_server_sends_are_ignored() -> None:
    """Whoever answers cannot have the password sent to another host."""
    info = {"server_id": "x", "version": "2.10", "headers": True, "max_payload": 1 << 20}
    info["connect_urls"] = ["192.0.2.1:4222"]
    line = b"INFO " + json.dumps(info).encode() + b"\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        while word := await reader.readline():
            if word == b"PING\r\n":
                writer.write(line + b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        transport = await connect(f"nats://127.0.0.1:{port}", name="web01")
        try:
            await transport.client.flush()
            assert [one.netloc for one in transport.client.servers] == [f"127.0.0.1:{port}"]
            assert transport.client.discovered_servers == []
        finally:
            await transport.close()


@pytest.mark.parametrize("version", NEWEST)
async def test_a_client_goes_on_at_another_server(version: str) -> None:
    """Also when its server hangs, with the connection open."""
    fleet = FleetConfig(hosts=["web01"], replicas=3, cluster=on_loopback())
    async with cluster_of(SERVERS[version], fleet, version) as hub:
        admin = hub.transports[0]
        await init_nats(admin, fleet.layout, replicas=3, max_bytes=64 << 20)
        web01 = await hub.connect("web01")
        sent = 0

        async def send() -> bool:
            with contextlib.suppress(DisconnectedError):
                body = Message("limpet.v1.ev.web01.in.file.created", b"{}", f"a.{sent}")
                (ack,) = await web01.publish([body])
                assert ack.seq == sent + 1
                return True
            return False

        for fault in ("kill", "pause"):
            await until(send, "nothing is stored")
            sent += 1
            port = web01.client.connected_url.port
            lost = next(one for one in hub.members if one.url.endswith(f":{port}"))
            await asyncio.to_thread(getattr(lost, fault))
            await until(send, f"nothing is stored after {fault}")
            sent += 1
            assert web01.client.connected_url.port != port
            await asyncio.to_thread(lost.start if fault == "kill" else lost.resume)
            await until(lambda: hub.is_up(admin), "the server is not back")


# -- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", NEWEST)
async def test_init_raises_the_replicas_of_what_is_there(version: str) -> None:
    """While events flow: no stream and no consumer loses its messages or its position."""
    fleet = FleetConfig(hosts=["web01"], bots=BOTS[:0], replicas=3, cluster=on_loopback())
    layout = HubLayout(["web01"], reads=[("reports", "web01")])
    async with cluster_of(SERVERS[version], fleet, version) as hub:
        admin = hub.transports[0]
        await init_nats(admin, layout, replicas=1, max_bytes=64 << 20)
        subject = "limpet.v1.ev.web01.in.file.created"
        await admin.publish([Message(subject, b"%d" % at, f"a.{at}") for at in range(20)])
        worker = await work_of(admin)
        done_with = 0
        while done_with < 5:
            for one in await worker.fetch(5 - done_with, 5.0):
                await one.ack()
                done_with += 1
        await worker.close()
        stopped = asyncio.Event()
        stored: list[int] = []

        async def flow() -> None:
            while not stopped.is_set():
                at = 20 + len(stored)
                with contextlib.suppress(DisconnectedError):  # the leader may change: once more
                    (ack,) = await admin.publish([Message(subject, b"%d" % at, f"a.{at}")])
                    stored.append(ack.seq)

        flowing = asyncio.create_task(flow())
        try:
            await until(lambda: len(stored) > 5, "nothing flows")
            done = await init_nats(admin, layout, replicas=3, max_bytes=64 << 20)
            assert "LIMPET_EV_web01: updated (num_replicas 1 -> 3)" in done
            assert {"KV_LIMPET_FLEET", "OBJ_LIMPET_C_web01"} <= {
                line.partition(":")[0] for line in done if "num_replicas 1 -> 3" in line
            }
            count = len(stored)
            await until(lambda: len(stored) > count + 5, "nothing flows any more")
        finally:
            stopped.set()
            await flowing
        assert stored == list(range(21, 21 + len(stored)))

        async def is_replicated() -> bool:
            info = await admin.request("$JS.API.STREAM.INFO.LIMPET_EV_web01")
            other = info["cluster"].get("replicas", [])
            return len(other) == 2 and all(one["current"] for one in other)

        await until(is_replicated, "the servers do not have it all")
        place = await admin.request("$JS.API.CONSUMER.INFO.LIMPET_EV_web01.work-reports")
        assert place["ack_floor"]["stream_seq"] == 5
        assert len(place["cluster"]["replicas"]) == 2
        worker = await work_of(admin)
        assert next(one.message.seq for one in await worker.fetch(3, 5.0)) == 6
        await worker.close()
        again = await init_nats(admin, layout, replicas=3, max_bytes=64 << 20)
        assert not [line for line in again if "updated" in line or "created" in line]


async def work_of(admin: NatsTransport) -> WorkConsumer:
    return await admin.work("LIMPET_EV_web01", "work-reports", None, ack_wait=30.0, limit=32)


@pytest.mark.parametrize("version", NEWEST)
async def test_init_copies_the_streams_of_a_single_server(tmp_path: Path, version: str) -> None:
    """Messages, contents and positions are on the cluster; a second time changes nothing."""
    single = FleetConfig(hosts=["web01", "nas"], bots=BOTS, store=str(tmp_path / "js"))
    text, passwords = server_file(single, version=version)
    old = Server(SERVERS[version], tmp_path / "old", config=text)
    (tmp_path / "passwords").mkdir()
    for name, password in passwords.items():
        (tmp_path / "passwords" / name).write_text(password)
    fleet = replace(single, replicas=3, cluster=on_loopback(), max_store=128 << 20)
    (tmp_path / "fleet.yaml").write_text(yaml_of(fleet))
    content = os.urandom(700_000)
    try:
        await asyncio.to_thread(old.start)
        admin = await connect(old.url, name="admin", user="admin", password=passwords["admin"])
        await init_nats(admin, single.layout, max_bytes=64 << 20, content_bytes=32 << 20)
        subject = "limpet.v1.ev.web01.in.file.created"
        await admin.publish([Message(subject, b"%d" % at, f"a.{at}") for at in range(300)])
        await admin.put_object("LIMPET_C_web01", "big", content)
        worker = await work_of(admin)
        read = 0
        while read < 7:
            for one in await worker.fetch(7 - read, 5.0):
                await one.ack()
                read += 1
        await worker.close()
        async with cluster_of(SERVERS[version], fleet, version, passwords) as hub:
            words = ["hub", "init", "fleet.yaml", "--hub", hub.url, "--copy", old.url]
            words += ["--user", "admin", "--password-file", "passwords/admin"]
            done = await asyncio.to_thread(limpet, tmp_path, *words)
            assert done.returncode == 0, done.stderr
            said = next(line for line in done.stdout.splitlines() if "EV_web01:" in line)
            assert said.endswith("; 300 messages and 1 consumers copied")
            new = await hub.connect("admin")
            info = await new.request("$JS.API.STREAM.INFO.LIMPET_EV_web01")
            assert (info["config"]["num_replicas"], info["state"]["last_seq"]) == (3, 300)
            place = await new.request("$JS.API.CONSUMER.INFO.LIMPET_EV_web01.work-reports")
            assert place["ack_floor"]["stream_seq"] == 7
            last = await new.at("LIMPET_EV_web01", 300)
            assert last is not None
            assert (last.data, last.id) == (b"299", "a.299")
            assert await new.get_object("LIMPET_C_web01", "big", len(content)) == content
            (ack,) = await new.publish([Message(subject, b"new", "a.300")])
            assert ack.seq == 301
            again = await asyncio.to_thread(limpet, tmp_path, *words)
            assert again.returncode == 0, again.stderr
            assert "copied" not in again.stdout
            info = await new.request("$JS.API.STREAM.INFO.LIMPET_EV_web01")
            assert info["state"]["last_seq"] == 301
        await admin.close()
    finally:
        await asyncio.to_thread(old.kill)


def yaml_of(fleet: FleetConfig) -> str:
    """Return the file of a fleet with the bots of this module."""
    assert fleet.cluster is not None
    servers = [
        {"name": one.name, "address": one.address, "route": one.route}
        for one in fleet.cluster.servers
    ]
    return (
        "hosts: [web01, nas]\nbots: [{name: reports, read: [web01], write: [nas/out/append]}]\n"
        f"max_store: {fleet.max_store}\ncluster: {json.dumps({'servers': servers})}\n"
    )
