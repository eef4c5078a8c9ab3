"""A bot whose directories are on other hosts: the same behaviours, another block in the YAML."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import limpet
from limpet.bot import FileCreatedInputEvent, Runner, RunOptions, run
from limpet.bot.events._remote_input_events import to_local_event
from limpet.bot.settings._template_fields import FIELDS, wire_of
from limpet.remote import RemotePathError
from limpet.remote._envelope import decode, encode
from limpet.remote.admin import WatchSpec
from tests.remote.helpers import options, running
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

BEHAVIOUR = """
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: 00000000-0000-4000-8000-000000000002
properties: {name: copy}
triggers:
  - kind: Trigger
    implementation: limpet.bot.GlobTrigger
    uuid: 00000000-0000-4000-8000-000000000003
    properties: {events: [file.created, file.updated], globs: ['*.txt']}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: 00000000-0000-4000-8000-000000000004
    properties: {name: 'log.txt', content: "{{ path }} {{ content }}\\n"}
"""

LOCAL = """
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: 00000000-0000-4000-8000-000000000001
properties:
  input_path: IN
  output_path: OUT
  content: {mode: r}
  settle: 0.1
"""

REMOTE = """
kind: IOConfig
implementation: limpet.bot.RemoteFileSystem
uuid: 00000000-0000-4000-8000-000000000001
properties:
  hub: HUB
  bot: copier
  input_host: web01
  cursor: CURSOR
  start: all
  output_host: nas
  output_name: reports
"""


async def test_one_block_changes_when_the_directory_moves(nats: Hub, tmp_path: Path) -> None:
    assert nats.server is not None
    spec = WatchSpec(
        name="in",
        path=str(tmp_path / "web" / "in"),
        content=limpet.ContentOptions(mode="r"),
        options={"settle": 0.1},
    )
    (tmp_path / "web").mkdir()
    (tmp_path / "nas").mkdir()
    (tmp_path / "local").mkdir()
    web = options(tmp_path / "web", watches=[spec], outputs=[])
    nas = options(tmp_path / "nas", "nas", watches=[])
    local = tmp_path / "local.yaml"
    local.write_text(
        LOCAL.replace("IN", str(tmp_path / "web" / "in")).replace("OUT", str(tmp_path / "local"))
        + BEHAVIOUR
    )
    remote = tmp_path / "remote.yaml"
    remote.write_text(
        REMOTE.replace("HUB", nats.server.url).replace("CURSOR", str(tmp_path / "cursor"))
        + BEHAVIOUR
    )
    here, there = tmp_path / "local" / "log.txt", tmp_path / "nas" / "out" / "log.txt"

    def lines(path: Path) -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    async with running(nats, web), running(nats, nas):
        runners = [
            Runner(str(path), RunOptions(state_dir=tmp_path / path.stem))
            for path in (local, remote)
        ]
        bots = [asyncio.create_task(runner.run()) for runner in runners]
        await until(lambda: any(getattr(i, "backend", "") for i in runners[0].supervisor.inputs))
        for number in range(20):
            (tmp_path / "web" / "in" / f"{number}.txt").write_text(f"content {number}")
        (tmp_path / "web" / "in" / "no.csv").write_text("no")
        await until(lambda: len(lines(here)) >= 20 and len(lines(there)) >= 20)
        for runner in runners:
            runner.stop()
        await asyncio.gather(*bots)
        # A bot that is started again continues after its checkpoint, without loss or repetition.
        again = asyncio.create_task(run(str(remote), state_dir=tmp_path / "remote"))
        (tmp_path / "web" / "in" / "last.txt").write_text("content last")
        await until(lambda: any("last" in line for line in lines(there)))
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
    base = tmp_path / "web" / "in"
    assert sorted(lines(here)) == sorted(f"{base / f'{n}.txt'} content {n}" for n in range(20))
    assert sorted(lines(there)) == sorted(
        [f"web01:{base / f'{n}.txt'} content {n}" for n in range(20)]
        + [f"web01:{base / 'last.txt'} content last"]
    )


def test_an_event_of_another_host_has_the_same_class_and_cannot_be_opened(tmp_path: Path) -> None:
    from limpet._wire import to_wire

    (tmp_path / "a.txt").write_text("hello")
    with limpet.watch_dir(tmp_path, existing=True).sync() as watch:
        (event,) = [e for e in watch.fence() if isinstance(e, limpet.FileCreated)]
    wire = to_wire(event, session="x", name="in")
    raw = encode(wire, session="0" * 32, seq=7, host="web01", watch="in", flavour="posix")
    made = to_local_event(decode(raw, host="web01"), "io", "hello")
    assert isinstance(made, FileCreatedInputEvent)
    assert str(FIELDS["rel"](made)) == "a.txt"
    assert FIELDS["name"](made) == "a.txt"
    assert FIELDS["suffix"](made) == ".txt"
    assert str(FIELDS["path"](made)) == f"web01:{tmp_path / 'a.txt'}"
    assert made.stat is not None
    assert made.stat.size == 5
    assert wire_of(made)["seq"] == 7
    with pytest.raises(RemotePathError, match="another host"):
        open(made.path)
    with pytest.raises(RemotePathError):
        os.stat(made.path)
    with pytest.raises(RemotePathError):
        os.stat(made.path.parent / "b")
