"""Posting events to a service of our own on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet.bot import WebhookAction
from limpet.bot.actions import WebhookError
from limpet.bot.events._action_result import ActionState
from limpet.errors import UsageError
from tests.bot.factories import created


class Service:
    """Answers with these statuses in order, and then always with the last one."""

    def __init__(self, *statuses: int, headers: str = "") -> None:
        self.statuses = list(statuses)
        self.headers = headers
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.open: set[asyncio.Task[Any]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")[1:]
                fields = {
                    key.lower(): value.strip()
                    for key, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.got.append((fields, body))
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                answer = f"HTTP/1.1 {status} x\r\n{self.headers}content-length: 2\r\n\r\nok"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            await writer.wait_closed()


def serving(service: Service, work: Callable[[str], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        server = await asyncio.start_server(service, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await work(f"http://127.0.0.1:{port}/hook")
        finally:
            server.close()
            if service.open:  # the client has closed its end
                await asyncio.wait(service.open)

    return asyncio.run(main())


async def post(action: WebhookAction) -> None:
    try:
        async for _ in action.act(created("a b.txt"), ActionState(word="hi")):
            pass
    finally:
        await action.aclose()


def test_the_event_is_posted() -> None:
    """As JSON, as a CloudEvent, or as a template; with the configured headers."""
    service = Service(204)

    async def work(url: str) -> None:
        await post(WebhookAction(url=url, headers={"x-mine": "1"}))
        await post(WebhookAction(url=url, body="cloudevent"))
        await post(WebhookAction(url=url, body="text", text='{"word": {{ state.word | json }}}'))
        await post(WebhookAction(url=url, body="text", text="{{ name }}"))

    serving(service, work)
    (head, body), (cloud_head, cloud), (json_head, json_body), (text_head, text) = service.got
    assert json.loads(body)["rel"] == "a b.txt"
    assert head["content-type"] == "application/json"
    assert head["x-mine"] == "1"
    assert head["idempotency-key"] == json.loads(body)["id"]
    assert cloud_head["content-type"] == "application/cloudevents+json"
    assert json.loads(cloud)["type"] == "limpet.file.created"
    assert json.loads(json_body) == {"word": "hi"}
    assert json_head["content-type"] == "application/json"
    assert text == b"a b.txt"
    assert text_head["content-type"].startswith("text/plain")


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the bot's file need not contain it."""
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    service = Service(200)
    serving(service, lambda url: post(WebhookAction(url=url, token_from="HOOK_TOKEN")))  # noqa: S106 (a name)
    assert service.got[0][0]["authorization"] == "Bearer s3cret"


def test_what_may_go_well_later_is_tried_again() -> None:
    """With the same key at each try."""
    service = Service(503, 429, 200, headers="retry-after: 0\r\n")
    serving(service, lambda url: post(WebhookAction(url=url, backoff=0.001)))
    assert len(service.got) == 3
    assert len({head["idempotency-key"] for head, _ in service.got}) == 1


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (302, 1), (500, 3)])
def test_a_failure_has_its_reason(status: int, tries: int) -> None:
    """At once where another try would not help; and limpet's runner does not retry."""
    service = Service(status)
    with pytest.raises(
        WebhookError, match=f"after {tries} tries: it answered with status {status}"
    ):
        serving(service, lambda url: post(WebhookAction(url=url, backoff=0.001, attempts=3)))
    assert not WebhookError.transient


def test_a_service_that_is_not_there() -> None:
    """It is retried, and then reported."""

    async def main() -> None:
        server = await asyncio.start_server(Service(200), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"http://127.0.0.1:{port}/"
        await post(WebhookAction(url=url, backoff=0.001, attempts=2))

    with pytest.raises(WebhookError, match="after 2 tries: ConnectError"):
        asyncio.run(main())


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "no url", "http://", "http://a:99999/", "http://[1/", "http://a/b c"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """When the action is created."""
    with pytest.raises(UsageError, match="not an http or https URL"):
        WebhookAction(url=url)


class Odd(Service):
    """Answers in a way of its own."""

    def __init__(self, *parts: bytes, pause: float = 0.0, forever: bool = False) -> None:
        super().__init__(200)
        self.parts = parts
        self.pause = pause
        self.forever = forever

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in self.parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(self.pause)
            if self.forever:
                await reader.read()  # until the client goes
                while await reader.read(1000):
                    pass
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize(
    "service",
    [
        Odd(b"HTTP/1.1 200 OK\r\n", *[b"X-%d: a\r\n" % n for n in range(1000)], pause=0.05),
        Odd(forever=True),
        Odd(b"HTTP/1.1 100 Continue\r\n\r\n", *[b"HTTP/1.1 102 x\r\n\r\n"] * 1000, pause=0.05),
    ],
    ids=["drip", "nothing", "interim answers"],
)
def test_a_try_has_one_time_limit(service: Odd) -> None:
    """Over all that it does: a service that sends a little now and then cannot prolong it."""

    async def work(url: str) -> None:
        begun = time.monotonic()
        with pytest.raises(WebhookError, match=r"no whole answer came within 0\.3 s"):
            await post(WebhookAction(url=url, timeout=0.3, attempts=1))
        assert time.monotonic() - begun < 5

    serving(service, work)


def test_a_body_without_an_end_is_not_waited_for() -> None:
    """The status is the answer."""
    head = b"HTTP/1.1 204 OK\r\n\r\n"
    service = Odd(head.replace(b"204", b"200").replace(b"\r\n\r\n", b"\r\n\r\nx"), forever=True)
    serving(service, lambda url: post(WebhookAction(url=url, timeout=20, attempts=1)))


def test_a_slow_look_up_counts_into_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a part of the try."""

    async def main() -> None:
        async def never(*_: object, **__: object) -> list[Any]:
            await asyncio.Event().wait()
            return []

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        with pytest.raises(WebhookError, match=r"within 0\.2 s"):
            await post(WebhookAction(url="http://hook.invalid/", timeout=0.2, attempts=1))

    asyncio.run(main())


def test_text_that_is_no_unicode_is_sent_escaped() -> None:
    """A name that is not UTF-8 is in the text; as JSON it reads back as the same name."""
    service = Service(204)
    text = "{{ name }}"

    async def send(action: WebhookAction) -> None:
        async for _ in action.act(created("evil\udcff"), ActionState()):
            pass
        await action.aclose()

    async def work(url: str) -> None:
        await send(WebhookAction(url=url, body="text", text=text))
        await send(WebhookAction(url=url, body="text", text="{{ name | json }}"))
        await send(WebhookAction(url=url))

    serving(service, work)
    assert service.got[0][1] == rb"evil\udcff"
    assert json.loads(service.got[1][1]) == "evil\udcff"
    assert base64.b64decode(json.loads(service.got[2][1])["path_b64"]).endswith(b"evil\xff")


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"a b": "c"}, "not the name of a header"),
        ({"a\r\nb": "c"}, "not the name of a header"),
        ({"": "c"}, "not the name of a header"),
        ({"a": "b\nc"}, r"\['a'\] must be text of printable ASCII"),
        ({"a": "\u00e9"}, r"\['a'\] must be text of printable ASCII"),
        ({"a": 5}, r"\['a'\] must be text"),
        ([1], "must be keys and values"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: Any, where: str) -> None:
    """When the action is created, not at each event."""
    with pytest.raises(UsageError, match=f"WebhookAction: headers.*{where}"):
        WebhookAction(url="http://x/", headers=headers)


def test_a_token_that_cannot_be_sent_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of its variable; the token itself is in no message."""
    monkeypatch.setenv("HOOK_TOKEN", "s3cret\n")
    service = Service(200)
    with pytest.raises(UsageError, match="HOOK_TOKEN") as caught:
        serving(service, lambda url: post(WebhookAction(url=url, token_from="HOOK_TOKEN")))  # noqa: S106 (a name)
    assert "s3cret" not in str(caught.value)
    assert service.got == []
