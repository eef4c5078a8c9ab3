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
