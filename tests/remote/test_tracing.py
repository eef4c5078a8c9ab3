"""One trace from an agent over the hub through a bot and back into an agent's output."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan

import limpet
from limpet.bot import Runner, RunOptions
from limpet.remote import EventReader, RemoteOutput
from limpet.remote.admin import WatchSpec
from tests.remote.helpers import collect, options, running
from tests.remote.test_bot import BEHAVIOUR, REMOTE
from tests.spans import Spans, attribute, is_below, kept
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


def about(spans: Spans, name: str, *, trace: int) -> list[ReadableSpan]:
    return [one for one in spans.named(name) if one.context and one.context.trace_id == trace]


async def test_a_trace_goes_over_the_hub_and_back(nats: Hub, tmp_path: Path) -> None:
    """The bot's span has the agent's as its parent, and a link to it with the event's id."""
    assert nats.server is not None
    for name in ("web", "nas"):
        (tmp_path / name).mkdir()
    spec = WatchSpec(
        name="in", path=str(tmp_path / "web" / "in"), content=limpet.ContentOptions(mode="r")
    )
    bot = tmp_path / "bot.yaml"
    text = REMOTE.replace("HUB", nats.server.url).replace("CURSOR", str(tmp_path / "cursor"))
    bot.write_text(text + BEHAVIOUR)
    with kept() as spans:
        async with (
            running(nats, options(tmp_path / "web", watches=[spec], outputs=[])),
            running(nats, options(tmp_path / "nas", "nas", watches=[])),
        ):
            runner = Runner(str(bot), RunOptions(state_dir=tmp_path / "state"))
            task = asyncio.create_task(runner.run())
            (tmp_path / "web" / "in" / "a.txt").write_text("x")
            await until(lambda: spans.named("command") and spans.named("behaviour copy"))
            runner.stop()
            await task
    command = spans.named("command")[0]
    assert command.context is not None
    trace = command.context.trace_id
    way, *_ = about(spans, "behaviour copy", trace=trace)
    (sent,) = about(spans, "send ", trace=trace)
    (output,) = about(spans, "output RemoteFileSystemOutput", trace=trace)
    assert is_below(command, output)
    assert is_below(way, sent)
    ident = attribute(sent, "cloudevents.event_id")
    assert attribute(way, "cloudevents.event_id") == ident
    (link,) = way.links
    assert sent.context is not None
    assert link.context.span_id == sent.context.span_id
    assert (link.attributes or {})["cloudevents.event_id"] == ident
    assert attribute(way, "cloudevents.event_source") == "//web01/in"


async def test_headers_of_a_trace_come_with_events_and_commands(hub: Hub, tmp_path: Path) -> None:
    """In memory too; without a provider there are none."""
    bot = await hub.connect("bot")
    append = limpet.AppendToFile(name="log", content="x")
    with kept() as spans:
        async with (
            running(hub, options(tmp_path)),
            RemoteOutput(bot, bot="b", host="web01", output="reports") as out,
            EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader,
        ):
            (tmp_path / "in" / "a").touch()
            (event,) = await collect(reader, 1)
            assert event.trace is not None
            sent = spans.named("send file.created")[0]
            assert sent.context is not None
            assert f"{sent.context.trace_id:032x}" in event.trace["traceparent"]
            assert (await out.perform(append)).ok
            await until(lambda: spans.named("command"))
    async with (
        running(hub, options(tmp_path)),
        EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader,
    ):
        (tmp_path / "in" / "b").touch()
        (event,) = await collect(
            reader, 1, only=lambda one: one.path is not None and one.path.name == "b"
        )
        assert event.trace is None
