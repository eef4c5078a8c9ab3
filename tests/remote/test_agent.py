"""From a directory on one host to a program on another, and into a directory of a third."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import limpet
from limpet.remote import EventReader, RemoteOutput
from limpet.remote.admin import OutputSpec, WatchSpec
from tests.remote.helpers import collect, options, running
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def test_a_file_created_there_is_reported_here(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    async with running(hub, options(tmp_path)):
        async with EventReader(bot, bot="b", hosts=["web01"], store=tmp_path / "c.db") as reader:
            (tmp_path / "in" / "a.csv").write_text("1")
            (tmp_path / "in" / "sub").mkdir()
            (tmp_path / "in" / "a.csv").rename(tmp_path / "in" / "sub" / "b.csv")
            events = await collect(reader, 1, only=lambda e: e.type != "file.updated")
            first = events[0]
            assert first.path is not None
            assert first.host == "web01"
            assert first.watch == "in"
            (tmp_path / "in" / "last").touch()
            events += await collect(
                reader, 1, only=lambda e: e.path is not None and e.path.name == "last"
            )
    assert events[-1].type == "file.created"
    assert events[-1].data["watch"] == {"name": "in"}


async def test_a_write_is_requested_here_and_performed_there(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    async with (
        running(hub, options(tmp_path)),
        RemoteOutput(bot, bot="b", host="web01", output="reports") as out,
    ):
        made = await out.perform(limpet.CreateFile(name="2026/a.txt", content="hello\n"))
        assert made.ok, made
        assert str(made.path) == f"web01:{tmp_path / 'out' / '2026' / 'a.txt'}"
        assert made.stat is not None
        assert made.stat.size == 6
        again = await out.perform(limpet.CreateFile(name="2026/a.txt", content="hello\n"))
        assert (again.ok, again.code) == (False, "exists")
        await out.perform(limpet.AppendToFile(name="log.txt", content="one\n"))
        await out.perform(limpet.AppendToFile(name="log.txt", content="two\n"))
        await out.perform(limpet.MoveFile(name="2026/a.txt", target="done/a.txt"))
        escaped = await out.perform(limpet.CreateFile(name="../x", content=""))
        assert escaped.code == "escape"
        big = await out.perform(limpet.OverwriteFile(name="big", content=b"x" * 3_000_000))
        assert big.ok, big
        presence = await out.presence()
        assert presence is not None
        assert presence["outputs"] == ["reports"]
    assert (tmp_path / "out" / "log.txt").read_text() == "one\ntwo\n"
    assert (tmp_path / "out" / "done" / "a.txt").read_text() == "hello\n"
    assert (tmp_path / "out" / "big").stat().st_size == 3_000_000
    assert not (tmp_path / "x").exists()


async def test_a_command_with_the_same_id_is_performed_once(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    append = limpet.AppendToFile(name="log", content="one\n")
    async with (
        running(hub, options(tmp_path)),
        RemoteOutput(bot, bot="b", host="web01", output="reports") as out,
    ):
        results = [await out.perform(append, id="c1") for _ in range(3)]
    assert [r.ok for r in results] == [True] * 3
    assert (tmp_path / "out" / "log").read_text() == "one\n"


async def test_a_command_that_is_not_allowed_is_refused_with_its_reason(
    hub: Hub, tmp_path: Path
) -> None:
    bot = await hub.connect("bot")
    given = options(
        tmp_path,
        outputs=[
            OutputSpec(name="reports", path=str(tmp_path / "out"), allow=frozenset({"append"}))
        ],
    )
    async with running(hub, given):
        async with RemoteOutput(bot, bot="b", host="web01", output="reports") as out:
            refused = await out.perform(limpet.DeleteFile(name="x"))
            assert refused.code == "not-allowed"
        async with RemoteOutput(bot, bot="b", host="web01", output="nothing") as out:
            refused = await out.perform(limpet.MakeDir(name="x"))
            assert refused.code == "unknown-output"
            assert "reports" in refused.message
    async with RemoteOutput(bot, bot="b", host="nas", output="reports", require_online=True) as out:
        diff_offline = await out.perform(limpet.MakeDir(name="x"))
        assert diff_offline.code == "host-away"


async def test_own_writes_are_not_reported(hub: Hub, tmp_path: Path) -> None:
    """O5: also after a restart, which lists the directory again."""
    bot = await hub.connect("bot")
    given = options(tmp_path, outputs=[OutputSpec(name="reports", path=str(tmp_path / "in"))])
    async with EventReader(
        bot, bot="b", hosts=["web01"], store=tmp_path / "c.db", start="all"
    ) as reader:
        async with (
            running(hub, given),
            RemoteOutput(bot, bot="b", host="web01", output="reports") as out,
        ):
            assert (await out.perform(limpet.CreateFile(name="mine", content="x"))).ok
            (tmp_path / "in" / "yours").touch()
            assert [e.path and e.path.name for e in await collect(reader, 1)] == ["yours"]
        async with running(hub, given):
            (tmp_path / "in" / "last").touch()
            assert [e.path and e.path.name for e in await collect(reader, 1)] == ["last"]


async def test_changes_while_no_agent_ran_are_reported_once(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    base = tmp_path / "in"
    base.mkdir()
    for name in ("stays", "goes", "grows", "moves"):
        (base / name).write_text("1")
    (base / "d" / "e").mkdir(parents=True)
    (base / "d" / "e" / "f").write_text("1")
    given = options(tmp_path)
    async with EventReader(
        bot, bot="b", hosts=["web01"], store=tmp_path / "c.db", start="all"
    ) as reader:
        async with running(hub, given):
            (base / "first").touch()
            assert [e.type for e in await collect(reader, 1)] == ["file.created"]
        (base / "goes").unlink()
        (base / "grows").write_text("22")
        (base / "moves").rename(base / "moved")
        (base / "d").rename(base / "d2")
        (base / "new").touch()
        async with running(hub, given):
            events = await collect(reader, 5)
            (base / "last").touch()
            events += await collect(reader, 1)
    reported = {
        (e.type, e.path.name if e.path else "", e.source.name if e.source else "", e.origin)
        for e in events
    }
    assert reported == {
        ("file.deleted", "goes", "", "offline"),
        ("file.updated", "grows", "", "offline"),
        ("file.renamed", "moved", "moves", "offline"),
        ("dir.renamed", "d2", "d", "offline"),
        ("file.created", "new", "", "offline"),
        ("file.created", "last", "", "live"),
    }


async def test_content_comes_with_the_event(hub: Hub, tmp_path: Path) -> None:
    bot = await hub.connect("bot")
    content = limpet.ContentOptions(mode="r", max_bytes=8 << 20)
    watches = [
        WatchSpec(name="in", path=str(tmp_path / "in"), content=content, options={"settle": 0.2})
    ]
    async with EventReader(
        bot, bot="b", hosts=["web01"], store=tmp_path / "c.db", start="all"
    ) as reader:
        async with running(hub, options(tmp_path, watches=watches)):
            (tmp_path / "in" / "small").write_text("grüß\n")
            (event,) = await collect(reader, 1)
            assert await reader.content(event) == "grüß\n"
            large = "ß" * (2 << 20)
            (tmp_path / "in" / "large").write_text(large)
            (event,) = await collect(reader, 1)
            assert event.object is not None
            assert event.content is None
            assert await reader.content(event) == large


async def test_every_envelope_is_a_cloudevent_and_every_body_fits_the_schema(
    hub: Hub, tmp_path: Path
) -> None:
    import jsonschema

    from limpet._wire import schema

    transport = await hub.connect("bot")
    async with running(hub, options(tmp_path)) as agent:
        sender = agent.sender
        assert sender is not None
        (tmp_path / "in" / "a").write_text("1")
        await until(lambda: sender.health.sent >= 1)
        (tmp_path / "in" / "a").rename(tmp_path / "in" / "b")
        await until(lambda: sender.health.sent >= 2)
        (tmp_path / "in" / "b").unlink()
        await until(lambda: sender.health.sent >= 3)
    reader = await transport.read("LIMPET_EV_web01", after=0)
    for message in await reader.fetch(100, 2):
        envelope = json.loads(message.data)
        assert envelope["specversion"] == "1.0"
        assert envelope["id"] == message.id
        assert set(envelope) <= {
            "specversion", "id", "source", "type", "time", "subject", "datacontenttype",
            "sequence", "fssession", "fsflavour", "data",
        }  # fmt: skip
        jsonschema.validate(envelope["data"], schema())
    await reader.close()
    await asyncio.sleep(0)


async def test_a_part_that_fails_is_reported_and_started_again(
    memory: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it fails with; the others go on, and the report on the hub says so meanwhile."""
    from limpet.remote._spool_sender import SpoolSender

    send, fails = SpoolSender.run, 1

    async def fail_once(self: SpoolSender) -> None:
        nonlocal fails
        if fails:
            fails -= 1
            message = "not foreseen"
            raise KeyError(message)
        await send(self)

    monkeypatch.setattr(SpoolSender, "run", fail_once)
    transport = await memory.connect("bot")
    async with running(memory, options(tmp_path)) as agent:

        async def failure() -> bool:
            raw = await transport.get_value("LIMPET_AT_web01", "agent")
            return raw is not None and "not foreseen" in str(json.loads(raw)["failed"])

        await until(failure)
        (tmp_path / "in" / "a").touch()
        await until(lambda: agent.health()["sent"] == 1)
        assert agent.health()["failed"] == {}
    assert any("the sender failed" in record.message for record in caplog.records)
