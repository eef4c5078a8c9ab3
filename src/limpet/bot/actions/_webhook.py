"""The action that posts an event to a web service."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from mewbot.api.v1 import InputEvent, OutputEvent
from pydantic import AfterValidator

from limpet._backoff import Backoff
from limpet._require_extra import need
from limpet._setting_types import MadeBy, PositiveCount, PositiveSeconds, Text
from limpet._surrogates import writable
from limpet._wire import Json, cloudevent_of, dump_line, wire_time
from limpet.bot._dry_run import report_dry_run
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.events._input_events import FileSystemInputEvent, LinesAddedInputEvent
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template_fields import wire_of
from limpet.bot.settings._types import TemplateText
from limpet.errors import UsageError

if TYPE_CHECKING:
    import httpx2

_RETRIED: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which another try may succeed (RFC 9110, section 15; RFC 6585, RFC 8470)."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
"""RFC 9110, section 5.1 and 5.5: what every service understands."""

_LONGEST_S: Final = 60.0
"""Longest delay between two tries, even if the service asks for a longer one."""


class WebhookError(RuntimeError):
    """The service could not be reached, or refused the request, at every try."""

    transient = False
    """It was retried already."""


def _url(given: str) -> str:
    import urllib.parse

    try:
        parts = urllib.parse.urlsplit(given)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # the port, or brackets
        good = False
    if not good or not given.isprintable() or " " in given:
        message = f"{given!r} is not an http or https URL"
        raise ValueError(message)
    return given


def _header_name(given: str) -> str:
    if not _HEADER_NAME.fullmatch(given):
        message = f"{given!r:.80} is not the name of a header"
        raise ValueError(message)
    return given


def _header_value(given: str) -> str:
    if not _HEADER_VALUE.fullmatch(given):
        message = f"must be text of printable ASCII characters, not {given!r:.80}"
        raise ValueError(message)
    return given


_Url: TypeAlias = Annotated[str, MadeBy(_url, form="uri")]
_Headers: TypeAlias = dict[
    Annotated[str, AfterValidator(_header_name)], Annotated[str, AfterValidator(_header_value)]
]


class WebhookAction(LimpetAction):
    """Posts the event, or a template, to a URL; retries with growing delays if that may help.

    ``body: event`` sends the event as JSON, ``cloudevent`` as a CloudEvent in structured mode. The
    ``Idempotency-Key`` header is the same for each try of one event.
    """

    url: _Url = Setting(description="URL to post to.")
    body: Literal["event", "cloudevent", "text"] = Setting("event", description="What to send.")
    text: TemplateText | None = Setting(
        None, description="With body: text, the text to send, as a template."
    )
    headers: _Headers = Setting({}, description="Additional headers.")
    token_from: Text | None = Setting(
        None,
        description=(
            "Environment variable with a bearer token, so that the file need not contain it."
        ),
    )
    timeout: PositiveSeconds = Setting(
        10.0,
        description=(
            "Seconds one try may take, from the look-up of the host to the status and headers."
        ),
    )
    attempts: PositiveCount = Setting(5, description="Most tries.")
    backoff: PositiveSeconds = Setting(
        0.5, description="Seconds before the second try, doubled for each further one."
    )

    _client: httpx2.AsyncClient | None = None
    _client_loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Check that httpx2 is installed."""
        need("httpx2", "limpet.bot.WebhookAction")

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        data, kind, key = self._payload(event, state)
        if report_dry_run(f"post {len(data)} bytes to {self.url}"):
            return
        headers = {"content-type": kind, "idempotency-key": key, **self.headers}
        if self.token_from is not None and (token := os.environ.get(self.token_from)):
            if not _HEADER_VALUE.fullmatch(token):
                message = (
                    f"the token in the environment variable {self.token_from} cannot be sent: it "
                    "has characters that are not printable ASCII, such as a line end"
                )
                raise UsageError(message)
            headers["authorization"] = f"Bearer {token}"
        backoff = Backoff(self.backoff, _LONGEST_S)
        for attempt in range(1, self.attempts + 1):
            why, again, asked = await self._post(data, headers)
            if not why:
                return
            if not again or attempt == self.attempts:
                message = f"posting to {self.url} failed after {attempt} tries: {why}"
                raise WebhookError(message)
            await asyncio.sleep(min(max(asked, backoff.next()), _LONGEST_S))
        return
        yield

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _payload(self, event: InputEvent, state: dict[str, Any]) -> tuple[bytes, str, str]:
        """Return what to send, its media type, and a key that is the same at each try."""
        wire = wire_of(event)
        key = str(wire.get("id") or "")
        if not key or not _HEADER_VALUE.fullmatch(key):
            key = uuid.uuid4().hex
        if self.body == "text":
            words = ""
            if self.text is not None:
                words = writable(self.text.text(self.fields(event, state)))
            kind = "application/json" if _is_json(words) else "text/plain; charset=utf-8"
            return words.encode(), kind, key
        if self.body == "event":
            return dump_line(wire).rstrip(b"\n"), "application/json", key
        data = dump_line(_cloudevent(event, wire, key)).rstrip(b"\n")
        return data, "application/cloudevents+json", key

    async def _post(self, data: bytes, headers: dict[str, str]) -> tuple[str, bool, float]:
        """Try once.

        Returns:
            Why it failed (empty on success), whether another try may help, and the seconds that the
            service asks to wait.
        """
        import httpx2

        loop = asyncio.get_running_loop()
        if self._client is None or self._client_loop is not loop:
            limits = httpx2.Limits(max_connections=8)
            self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False)
            self._client_loop = loop
        try:
            # httpx2 limits each read and write by itself: a server that sends a header now and then
            # would keep the try for ever.
            async with asyncio.timeout(self.timeout):
                status, asked = await self._answer(self._client, data, headers)
        except TimeoutError:
            return f"no whole answer came within {self.timeout:g} s", True, 0.0
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}".removesuffix(": "), True, 0.0
        except httpx2.InvalidURL as error:
            return f"the URL is invalid: {error}", False, 0.0
        if 200 <= status < 300:
            return "", False, 0.0
        seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        return f"it answered with status {status}", status in _RETRIED, seconds

    async def _answer(
        self, client: httpx2.AsyncClient, data: bytes, headers: dict[str, str]
    ) -> tuple[int, str]:
        """Return the status and what ``Retry-After`` says; the body is not read."""
        async with client.stream(
            "POST", self.url, content=data, headers=headers, timeout=self.timeout
        ) as answer:
            return answer.status_code, answer.headers.get("retry-after", "")


def _is_json(words: str) -> bool:
    try:
        json.loads(words)
    except ValueError:
        return False
    return True


def _cloudevent(event: InputEvent, wire: Json, key: str) -> Json:
    if isinstance(event, FileSystemInputEvent) and not isinstance(event, LinesAddedInputEvent):
        return cloudevent_of(wire, event.event.location)
    return {
        "specversion": "1.0",
        "id": key,
        "source": "urn:limpet:bot",
        "type": str(wire["type"]),
        "time": wire_time(time.time_ns() // 1000),
        "datacontenttype": "application/json",
        "data": dict(wire),
    }
