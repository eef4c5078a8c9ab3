"""A cluster of three servers keeps the promises of ``Transport``, as each engine does."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.remote import HubError, NatsTransport, Subjects, Transport
from limpet.remote._stream_setup import HubLayout, init_nats
from limpet.remote.admin import FleetConfig
from limpet.remote.transport import Message, StoredMessage
from limpet.remote.transport._nats_reader import get_direct, get_newest
from tests.remote.cluster import Cluster, on_loopback
from tests.remote.conftest import ACK_WAIT_S, HOSTS, NATS, SERVERS, Hub
from tests.remote.test_transport import (
    test_a_batch_is_stored_in_order_and_once,
    test_a_hub_that_goes_ends_every_wait_and_comes_back,
    test_a_message_is_found_by_number_and_by_subject,
    test_a_message_that_is_too_large_is_refused_before_it_is_sent,
    test_a_stream_that_does_not_exist,
    test_large_and_small_values,
    test_listening_yields_messages_at_once,
    test_reading_starts_at_the_requested_position,
    test_work_is_shared_and_delivered_again,
)
from tests.waiting import until

__all__ = [
    "test_a_batch_is_stored_in_order_and_once",
    "test_a_hub_that_goes_ends_every_wait_and_comes_back",
    "test_a_message_is_found_by_number_and_by_subject",
    "test_a_message_that_is_too_large_is_refused_before_it_is_sent",
    "test_a_stream_that_does_not_exist",
    "test_large_and_small_values",
    "test_listening_yields_messages_at_once",
    "test_reading_starts_at_the_requested_position",
    "test_work_is_shared_and_delivered_again",
]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


NEWEST = max(NATS, key=lambda one: [int(part) for part in str(one.values[0]).split(".") if part])
"""Each test begins with new streams, which takes an older cluster ten seconds."""


async def _delete_all(admin: NatsTransport) -> bool:
    """Delete the streams, and return whether there were none."""
    with contextlib.suppress(HubError):
        names = (await admin.request("$JS.API.STREAM.NAMES")).get("streams") or ()
        for name in names:
            await admin.request(f"$JS.API.STREAM.DELETE.{name}")
        return not names
    return False


class ClusterHub(Hub):
    """A cluster whose users may do everything, as those of the other hubs here."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("cluster", None, Subjects())
        self.cluster = cluster

    async def open(self) -> None:
        admin = await self.connect("admin")
        assert isinstance(admin, NatsTransport)
        await until(lambda: self.cluster.is_up(admin), "the servers do not agree on a leader")
        await until(lambda: _delete_all(admin), "the streams of the test before are not deleted")
        layout = HubLayout(HOSTS)
        await init_nats(admin, layout, max_bytes=256 << 20, ack_wait=ACK_WAIT_S, replicas=3)

    async def connect(self, name: str, **options: Any) -> Transport:
        from limpet.remote import connect

        secret = self.cluster.passwords["admin"]
        found = await connect(
            self.cluster.url, name=name, user="admin", password=secret, **{"wait": True, **options}
        )
        self.transports.append(found)
        return found

    async def kill(self) -> None:
        for one in self.cluster.members:
            await asyncio.to_thread(one.kill)

    async def start(self) -> None:
        for one in self.cluster.members:
            await asyncio.to_thread(one.start)


@pytest.fixture(scope="module", params=[NEWEST])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Run three servers for the tests of this module."""
    folder = Path(tempfile.mkdtemp(prefix="limpet-cluster-"))
    fleet = FleetConfig(
        hosts=HOSTS, replicas=3, cluster=on_loopback(), store=str(folder / "js"), sync="default"
    )
    found = Cluster(SERVERS[request.param], folder, fleet, request.param)
    try:
        for one in found.members:
            one.start()
        yield found
    finally:
        for one in found.members:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def hub(cluster: Cluster) -> AsyncIterator[Hub]:
    """Open the cluster with new streams of a fleet."""
    found = ClusterHub(cluster)
    try:
        await found.open()
        yield found
    finally:
        await found.close()


async def test_a_replica_that_is_behind_is_asked_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client reads what it has stored, and a reader does not take the stream for another."""
    web01 = await hub.connect("web01")
    assert isinstance(web01, NatsTransport)
    subject = "limpet.v1.ev.web01.in.file.created"
    for at in range(3):
        await web01.publish([Message(subject, b"%d" % at, f"s.{at}")])
    reader = await web01.read("LIMPET_EV_web01", after=0)
    read = 0
    while read < 3:
        read += len(await reader.fetch(10, 2))
    behind = 3

    async def from_one_behind(*args: Any, **kwargs: Any) -> list[StoredMessage | None]:
        nonlocal behind
        found = await get_direct(*args, **kwargs)
        behind -= 1
        if behind < 0:
            return found
        return [None if one is None or one.seq > 1 else one for one in found]

    monkeypatch.setattr("limpet.remote.transport._nats_stores.get_direct", from_one_behind)
    found = await web01.latest("LIMPET_EV_web01", subject)
    assert found is not None
    assert (found.seq, behind) == (3, -1)
    behind = 2
    found = await web01.at("LIMPET_EV_web01", 3)
    assert found is not None
    assert (found.data, behind) == (b"2", -1)
    assert await web01.at("LIMPET_EV_web01", 4) is None

    old = StoredMessage(subject, b"0", "s.0", 1, 0.0)
    answers = [old, old]

    async def newest(*args: Any) -> StoredMessage | None:
        return answers.pop() if answers else await get_newest(*args)

    monkeypatch.setattr("limpet.remote.transport._nats_reader.get_newest", newest)
    await web01.publish([Message(subject, b"3", "s.3")])
    assert [one.seq for one in await reader.fetch(10, 5)] == [4]
    assert not answers
    await reader.close()
