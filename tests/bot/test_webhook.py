"""Posting events to a service of our own on loopback."""

from __future__ import annotations

import asyncio
import json
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
        await post(WebhookAction(url=url, body="text", text='{{"word": {state.word|json}}}'))
        await post(WebhookAction(url=url, body="text", text="{name}"))

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


@pytest.mark.parametrize("url", ["ftp://x/y", "no url", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """When the action is created."""
    with pytest.raises(UsageError, match="not an http or https URL"):
        WebhookAction(url=url)
