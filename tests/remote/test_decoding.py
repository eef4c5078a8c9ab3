"""No message, whatever is in it, ends a reader, a worker, an executor or an agent."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limpet
from limpet.bot.events._remote_input_events import to_local_event
from limpet.output import Operation, Output
from limpet.remote import (
    EnvelopeError,
    EventReader,
    RemoteEvent,
    RemoteOutput,
    Subjects,
    read_events,
)
from limpet.remote._agent_report import report_of
from limpet.remote._command_codec import (
    CommandError,
    decode_answer,
    decode_command,
    encode_command,
    encode_result,
    id_of,
)
from limpet.remote._envelope import ObjectRef, decode
from limpet.remote._fleet_hosts import FleetHosts
from limpet.remote.transport import HubError, MemoryHub, MemoryTransport, Message
from tests.remote.helpers import options, running
from tests.remote.test_hostile import SUBJECT, messages
from tests.waiting import until

if TYPE_CHECKING:
    from tests.remote.conftest import Hub

pytestmark = [pytest.mark.timeout(60)]
T = TypeVar("T")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2, 1 << 63, 1 << 70, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["", "..", "a\0b", "\udcff", "*", ">", "a.b", "NaN", "0" * 64, "utf-16", "x" * 300]
    ),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
"""Any JSON, with numbers that no field can take."""


def outcome(call: Callable[[], T], *errors: type[Exception]) -> T | Exception:
    """Return what a call returns, or one of these errors if it raises it."""
    try:
        return call()
    except errors as error:
        return error


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of each value in a document."""
    found = [at] if at else []
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    for key, inner in inside:
        found += places(inner, (*at, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, good: Any) -> bytes:
    """Draw a message with up to three values replaced, removed or added."""
    body = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        spots = places(body)
        if not spots:
            break
        *way, last = draw(st.sampled_from(spots))
        inside = body
        for key in way:
            inside = inside[key]
        what = draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "replace":
            inside[last] = draw(JUNK)
        elif what == "remove":
            del inside[last]
        elif isinstance(inside, dict):
            inside[draw(st.text(max_size=6))] = draw(JUNK)
    raw = json.dumps(body).encode()
    cut = draw(st.sampled_from([0, 0, 0, 0, 1, len(raw) // 2]))
    return raw[: len(raw) - cut]


def an_event(tmp: Path, **more: Any) -> dict[str, Any]:
    (made,) = messages(tmp, 1)
    body: dict[str, Any] = json.loads(made.data)
    body["data"].update(more)
    return body


@pytest.fixture(scope="module")
def event_bodies(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    tmp = tmp_path_factory.mktemp("made")
    ref = ObjectRef(bucket="LIMPET_C_web01", name="0" * 64, size=3).to_json()
    stat = {"size": 1, "mtime_us": 1, "ino": "1", "dev": "1", "mode": 33188}
    return [
        an_event(
            tmp,
            stat=stat,
            content={"included": True, "mode": "r", "encoding": "utf-8", "errors": "strict",
                     "b64": "eA=="},
            content_ref=ref,
        ),
        an_event(tmp, type="file.lines", lines={"text": ["a"], "generation": 1, "first": 1}),
        an_event(tmp, type="watch.overflow", lost={"first": 1, "last": 3, "count": 3}),
    ]  # fmt: skip


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_an_event_is_decoded_or_refused_with_a_reason(
    data: st.DataObject, event_bodies: list[dict[str, Any]]
) -> None:
    raw = data.draw(damaged(data.draw(st.sampled_from(event_bodies))))
    event = outcome(lambda: decode(raw, host="web01", server_time=1.0), EnvelopeError)
    if isinstance(event, Exception):
        assert 0 < len(str(event)) < 2100
        return
    assert isinstance(event.lines, list)
    assert event.content is None or isinstance(event.content, str | bytes)
    for path in (event.path, event.source, event.root):
        if path is not None:
            assert str(path).startswith("web01:")
            _ = path.pure, path.name
    assert event.id == f"{event.session}.{event.seq}"
    made = to_local_event(event, "io", event.content)
    assert made.remote is event


COMMANDS: list[Operation] = [
    limpet.CreateFile(name="a", content="x", mode=0o600),
    limpet.AppendToFile(name="a/b", content=b"x"),
    limpet.MoveFile(name="a", target="b"),
    limpet.DeleteFile(name="a", missing_ok=True),
]


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_command_is_performed_or_refused_with_a_reason(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    operation = data.draw(st.sampled_from(COMMANDS))
    body = json.loads(encode_command(operation, id="c1", expires_s=60))
    raw = data.draw(damaged(body))
    assert id_of(raw) is None or isinstance(id_of(raw), str)

    def made() -> Operation:
        command = decode_command(raw, body["verb"])
        return command.operation(b"x" if command.ref else None)

    found = outcome(made, CommandError)
    if isinstance(found, Exception):
        assert str(found)
        return
    with Output(tmp_path_factory.mktemp("out")) as output:
        # The executor answers with such an error.
        result = outcome(lambda: output.perform(found), limpet.LimpetError, TypeError, ValueError)
    assert isinstance(result, Exception) or encode_result("c1", result, "posix")


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_answer_is_decoded_or_refused_with_a_reason(data: st.DataObject) -> None:
    stat = {"size": 1, "mtime": 1.0, "ctime": 1.0, "birthtime": None, "mode": 1, "uid": 0,
            "gid": 0, "inode": 1, "device": 1, "kind": "file"}  # fmt: skip
    good = {"v": 1, "id": "c1", "ok": True, "code": "done", "message": "", "flavour": "posix",
            "bytes": 1, "existed": False, "stat": stat, "path": "/a"}  # fmt: skip
    raw = data.draw(damaged(good))
    answer = outcome(lambda: decode_answer(raw, "web01"), CommandError)
    if isinstance(answer, Exception):
        assert 0 < len(str(answer)) < 2100
        return
    assert isinstance(answer.ok, bool)
    assert isinstance(answer.code, str)
    assert isinstance(answer.bytes, int)
    assert answer.path is None or str(answer.path).startswith("web01:")


@given(raw=st.one_of(st.binary(max_size=40), JUNK.map(lambda v: json.dumps(v).encode())))
@settings(max_examples=200, deadline=None)
def test_a_report_and_the_list_of_hosts_may_be_anything(raw: bytes) -> None:
    assert isinstance(report_of(raw), dict)
    hub = MemoryHub()
    hub.put_value("LIMPET_FLEET", "hosts", raw)

    async def ask() -> list[str]:
        return await FleetHosts(MemoryTransport(hub), Subjects()).names()

    names = outcome(lambda: asyncio.run(ask()), HubError)
    if isinstance(names, Exception):
        assert "limpet hub init" in str(names)
    else:
        assert all(isinstance(name, str) for name in names)


@pytest.mark.parametrize("version", [2, "1", 1.0, True, None])
def test_another_version_is_not_taken_for_this_one(
    version: object, event_bodies: list[dict[str, Any]]
) -> None:
    body = copy.deepcopy(event_bodies[0])
    body["data"]["v"] = version
    with pytest.raises(EnvelopeError, match="version"):
        decode(json.dumps(body).encode(), host="web01")
    command = json.loads(encode_command(COMMANDS[0], id="c1", expires_s=60))
    with pytest.raises(CommandError, match="version"):
        decode_command(json.dumps({**command, "v": version}).encode(), "create")
    answer = {"v": version, "id": "c1", "ok": True, "code": "done", "message": ""}
    with pytest.raises(CommandError, match="version"):
        decode_answer(json.dumps(answer).encode(), "web01")


@pytest.mark.parametrize("where", ["type", "origin", "lines", "content"])
def test_half_a_character_is_no_text(where: str, event_bodies: list[dict[str, Any]]) -> None:
    """It passes JSON, and cannot be written anywhere."""
    body = copy.deepcopy(event_bodies[0])
    body["data"].pop("content")
    body["data"] |= {
        "lines": {"lines": {"text": ["\ud800"]}},
        "content": {"content": {"mode": "r", "text": "\udfff"}},
    }.get(where, {where: "a\udc80"})
    with pytest.raises(EnvelopeError, match="surrogates"):
        decode(json.dumps(body).encode(), host="web01")


@pytest.mark.anyio
async def test_a_large_content_that_is_not_its_text_is_an_error_of_the_hub(
    memory: Hub, tmp_path: Path, event_bodies: list[dict[str, Any]]
) -> None:
    transport = await memory.connect("web01")
    raw = b"\xff\xfe" * 10
    ref = ObjectRef.of("LIMPET_C_web01", raw)
    await transport.put_object(ref.bucket, ref.name, raw)
    body = copy.deepcopy(event_bodies[0])
    body["data"]["content"].pop("b64")
    body["data"]["content_ref"] = ref.to_json()
    event = decode(json.dumps(body).encode(), host="web01")
    reader = EventReader(transport, bot="bot", hosts=["web01"], store=tmp_path / "c")
    with pytest.raises(HubError, match="not the text"):
        await reader.content(event)


def some_damaged(body: Any, count: int, seed: int) -> list[bytes]:
    """Return damaged messages: each value in turn replaced by each kind of junk."""
    junk: list[Any] = [None, True, -1, 10**400, 1.5, "", "\udcff", "a\0b", [], {}, [[]], {"v": 2}]
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        wrong = copy.deepcopy(body)
        *way, last = chance.choice(places(wrong))
        inside = wrong
        for key in way:
            inside = inside[key]
        inside[last] = chance.choice(junk)
        made.append(json.dumps(wrong).encode())
    return [*made, b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"1" * 5_000]


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(3))
async def test_the_event_after_any_number_of_damaged_ones_arrives(
    memory: Hub, tmp_path: Path, event_bodies: list[dict[str, Any]], seed: int
) -> None:
    """Of a reader, and of a worker; none of the damaged ones is delivered twice."""
    transport = await memory.connect("web01")
    (good,) = messages(tmp_path, 1)
    wrong = some_damaged(event_bodies[seed], 80, seed)
    await transport.publish([Message(SUBJECT, raw, f"w.{n}") for n, raw in enumerate(wrong)])
    await transport.publish([good])
    found: list[RemoteEvent] = []
    async with EventReader(transport, bot="bot", store=tmp_path / "c", start="all") as reader:
        async with asyncio.timeout(20):
            async for event in reader:
                found.append(event)
                if event.id == good.id:
                    break
    done: list[str] = []

    async def handler(event: RemoteEvent) -> None:
        done.append(event.id)

    worker = asyncio.create_task(read_events(transport, bot="w", hosts=["web01"], handler=handler))
    await until(lambda: good.id in done)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


@pytest.mark.anyio
@pytest.mark.parametrize("operation", COMMANDS, ids=lambda one: type(one).__name__)
async def test_the_command_after_any_number_of_damaged_ones_is_performed(
    memory: Hub, tmp_path: Path, operation: Any
) -> None:
    bot = await memory.connect("bot")
    body = json.loads(encode_command(operation, id="c1", expires_s=60))
    body["content_ref"] = ObjectRef(bucket="LIMPET_CMD_web01", name="0" * 64, size=1).to_json()
    subject = f"limpet.v1.cmd.web01.reports.{body['verb']}.bot"
    wrong = some_damaged(body, 60, 1)
    given = options(tmp_path, watches=[])
    async with running(memory, given) as agent:
        await bot.publish([Message(subject, raw) for raw in wrong])
        async with RemoteOutput(bot, bot="bot", host="web01", output="reports") as out:
            create = limpet.CreateFile(name="good", content="1")
            assert (await out.perform(create, timeout=30)).ok
        assert agent.executor is not None
        assert agent.executor.stats.set_aside >= 6


@pytest.mark.anyio
@pytest.mark.parametrize("bucket", ["LIMPET_C_nas", "NO_SUCH", "x y.>", "LIMPET_CC_b_TO_nas"])
async def test_a_content_is_taken_from_the_senders_bucket_alone(
    hub: Hub, tmp_path: Path, bucket: str
) -> None:
    """A reference to another bucket is answered at once, and blocks no other command."""
    bot = await hub.connect("bot")
    ref = ObjectRef(bucket=bucket, name="0" * 64, size=200_000)
    operation = limpet.CreateFile(name="a", content="")
    raw = encode_command(operation, id="c1", expires_s=60, content=ref)
    async with running(hub, options(tmp_path, watches=[])):
        await bot.publish([Message("limpet.v1.cmd.web01.reports.create.bot", raw)])
        async with RemoteOutput(bot, bot="bot", host="web01", output="reports") as out:
            data = bytes(200_000)
            create = limpet.CreateFile(name="good", content=data)
            assert (await out.perform(create, timeout=30)).ok
        stored = await bot.latest("LIMPET_RES_web01", "limpet.v1.res.web01.bot.c1")
        assert stored is not None
        answer = decode_answer(stored.data, "web01")
        assert (answer.ok, answer.code) == (False, "content-gone")
        assert bucket in answer.message
    assert (tmp_path / "out" / "good").read_bytes() == data
