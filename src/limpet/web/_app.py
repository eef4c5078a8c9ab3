"""The addresses of the server, and what each answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from limpet.errors import LimpetError, UsageError
from limpet.status import Status, StatusSource, status_to_wire
from limpet.web import _gate
from limpet.web._feed import MOST, Feed, status_json
from limpet.web._gate import Gate, Refusal
from limpet.web._health import health_of
from limpet.web._http import (
    HEADERS,
    MOST_BODY,
    MOST_HEAD,
    RequestError,
    answer,
    number_of,
    read_object,
    refuse,
)
from limpet.web._program import Program, ProgramEndedError, TooManyActsError
from limpet.web._static import TYPES, content_of
from limpet.web._stream import MOST_CLIENTS, Stream

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

ACT_S: Final = 60.0
"""How long a request waits for what it has asked the program to do; that goes on afterwards."""
STORY_S: Final = 10.0
"""How long it waits for a dead letter's story."""
ANSWER_S: Final = 90.0
"""How long an answer may take with all that; the connection of one that is not read ends then."""
MOST_IDS: Final = 500
_STREAM: Final = "/api/v1/stream"
_LONGEST_ID: Final = 200
_MOST_STORY: Final = 1000


class App:
    """An ASGI application; everything in the loop of the server."""

    def __init__(
        self,
        source: StatusSource,
        program: Program,
        feed: Feed,
        gate: Gate,
        metrics: Callable[[Status], bytes],
        closing: asyncio.Event,
    ) -> None:
        self._source, self._program, self._feed = source, program, feed
        self._gate, self._metrics = gate, metrics
        self._stream = Stream(feed, closing)
        self._collecting: asyncio.Future[bytes] | None = None
        """The metrics that are being made: collectors of the user take part, and may hang."""
        self._routes = self._make_routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, if it may be made."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {key.lower() for key, _ in message["headers"]}
                fixed = [(key.lower().encode(), one.encode()) for key, one in HEADERS.items()]
                message["headers"] += [pair for pair in fixed if pair[0] not in have]
            await send(message)

        size = len(scope["raw_path"]) + len(scope["query_string"])
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:
            headers.setdefault(key.decode("latin-1"), value.decode("latin-1"))
            size += len(key) + len(value)
        request = _gate.Request(scope["method"], scope["path"], headers)
        refusal = self._gate.check(request)
        length = headers.get("content-length", "0")
        if size > MOST_HEAD:  # the protocol bounds what is incomplete
            refusal = Refusal(431, "too-long", f"the head may have {MOST_HEAD} bytes")
        elif refusal is None and length.isdigit() and int(length[:12]) > MOST_BODY:
            refusal = Refusal(413, "too-long", f"the content may have {MOST_BODY} bytes")
        if refusal is not None:
            await refuse(refusal)(scope, receive, send_with_headers)
        elif request.path == _STREAM:
            await self._routes(scope, receive, send_with_headers)  # it has bounds of its own
        else:
            with contextlib.suppress(TimeoutError):  # a client that does not read
                async with asyncio.timeout(ANSWER_S):
                    await self._routes(scope, receive, send_with_headers)

    def _make_routes(self) -> ASGIApp:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        get: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
            ("/", self._page),
            ("/static/{name}", self._static),
            ("/health", self._health),
            ("/healthz", self._health),
            ("/metrics", self._all_metrics),
            ("/api/v1/status", self._status),
            ("/api/v1/history", self._history),
            ("/api/v1/happenings", self._happenings),
            ("/api/v1/dead-letters", self._dead_letters),
            ("/api/v1/dead-letters/{ident}", self._dead_letter),
            (_STREAM, self._events),
        ]
        post: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
            ("/api/v1/dead-letters/retry", self._retry),
            ("/api/v1/dead-letters/discard", self._discard),
            ("/api/v1/session", self._open_session),
        ]
        routes = [Route(path, one, methods=["POST"]) for path, one in post]
        routes += [Route(path, one, methods=["GET"]) for path, one in get]
        return Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: _http_error,
                RequestError: _request_error,
                Exception: _any_error,
            },
        )

    async def _page(self, request: Request) -> Response:
        return self._file("index.html")

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        from starlette.responses import Response

        if name not in TYPES:
            raise RequestError(404, "missing", "there is nothing at this address")
        return Response(content_of(name), media_type=TYPES[name])

    async def _health(self, request: Request) -> Response:
        found = health_of(await self._feed.refreshed())
        return answer(found, 503 if found["status"] == "failing" else 200)

    async def _all_metrics(self, request: Request) -> Response:
        from starlette.responses import Response

        if self._collecting is None or self._collecting.done():
            shown = await self._feed.refreshed()
            self._collecting = _in_thread(self._metrics, shown.status)
        done, _ = await asyncio.wait({self._collecting}, timeout=STORY_S)
        if not done:
            raise RequestError(503, "busy", "a collector of the program's own does not return")
        text = self._collecting.result()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _status(self, request: Request) -> Response:
        return answer(status_json(await self._feed.refreshed()))

    async def _history(self, request: Request) -> Response:
        return answer({"instance": self._instance, "points": self._feed.history})

    async def _happenings(self, request: Request) -> Response:
        number = number_of(request, "after", 0, 2**62)
        most = number_of(request, "limit", MOST, _MOST_STORY)
        path = request.query_params.get("path", "")
        if path:
            batch = await self._feed.about(path, number, most)
        else:
            batch = await self._feed.after(number, most)
        return answer(
            {
                "instance": self._instance,
                "number": batch.number,
                "left_out": batch.left_out,
                "items": batch.items,
            }
        )

    async def _events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        if self._stream.clients >= MOST_CLIENTS:
            text = f"{MOST_CLIENTS} pages are open already"
            raise RequestError(503, "too-many", text)
        last = request.headers.get("last-event-id", "") or request.query_params.get("after", "")
        serve = self._stream.serve

        class Events(StreamingResponse):
            """An answer that goes on."""

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                """Send it."""
                start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                await send(start)
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                else:
                    await serve(receive, send, last)

        return Events(iter(()), media_type="text/event-stream")

    async def _dead_letters(self, request: Request) -> Response:
        shown = await self._feed.refreshed()
        found = status_to_wire(shown.status)["dead_letters"]
        return answer({"instance": self._instance, "dead_letters": found})

    async def _dead_letter(self, request: Request) -> Response:
        ident = request.path_params["ident"]
        if not _is_id(ident):
            raise RequestError(404, "missing", "there is no such dead letter")
        found = await self._asked(lambda: self._source.dead_letter(ident), STORY_S)
        if found is None:
            raise RequestError(404, "missing", "there is no such dead letter")
        if found is _LATER:
            raise RequestError(503, "busy", "the program does not answer; try again later")
        return answer(found)

    async def _retry(self, request: Request) -> Response:
        idents = await _idents(request)
        found = await self._asked(lambda: self._source.retry(idents), ACT_S)
        if found is _LATER:
            return answer({"pending": True}, 202)
        return answer({"result": found})

    async def _discard(self, request: Request) -> Response:
        idents = await _idents(request)
        found = await self._asked(lambda: self._source.discard(idents), ACT_S)
        if found is _LATER:
            return answer({"pending": True}, 202)
        return answer({"discarded": found})

    async def _open_session(self, request: Request) -> Response:
        given = (await read_object(request)).get("token")
        refusal = self._gate.is_token(given if isinstance(given, str) else "")
        if refusal is not None:
            return refuse(refusal)
        return answer({"csrf": self._gate.csrf}, headers={"Set-Cookie": self._gate.set_cookie})

    @property
    def _instance(self) -> str:
        return self._feed.shown.status.instance

    async def _asked(self, function: Callable[[], Any], patience: float) -> object:
        """Return what the program answers, or ``_LATER``.

        Raises:
            RequestError: It has refused, or cannot.
        """
        future = self._program.act(function)
        done, _ = await asyncio.wait({future}, timeout=patience)
        if not done:
            return _LATER
        try:
            return future.result()
        except UsageError as error:
            raise RequestError(404, error.code, str(error)) from error
        except LimpetError as error:
            raise RequestError(409, error.code, str(error)) from error
        except TooManyActsError:
            raise RequestError(429, "busy", "enough is going on already; try again") from None
        except ProgramEndedError:
            raise RequestError(503, "ended", "the program is ending") from None


_LATER: Final = object()


def _in_thread(function: Callable[[Status], T], status: Status) -> asyncio.Future[T]:
    """Return what a function will return in a daemon thread, which nothing waits for at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def end(value: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
            future.exception()  # it may be that nobody waits any more
        else:
            future.set_result(value)  # type: ignore[arg-type]  # there was no error

    def run() -> None:
        try:
            value, error = function(status), None
        except Exception as raised:  # noqa: BLE001 - it is raised where it is awaited
            value, error = None, raised
        with contextlib.suppress(RuntimeError):  # the server is closed
            loop.call_soon_threadsafe(end, value, error)

    threading.Thread(target=run, name="limpet-metrics", daemon=True).start()
    return future


async def _idents(request: Request) -> list[str]:
    found = (await read_object(request)).get("ids")
    if (
        not isinstance(found, list)
        or not 1 <= len(found) <= MOST_IDS
        or not all(isinstance(one, str) and _is_id(one) for one in found)
    ):
        raise RequestError(400, "ids", f"ids must be a list of 1 to {MOST_IDS} ids")
    return list(dict.fromkeys(found))


def _is_id(text: str) -> bool:
    """Return whether it may be the id of a dead letter; none leads out of a directory."""
    return (
        0 < len(text) <= _LONGEST_ID
        and text.isprintable()
        and not text.startswith(".")
        and not set(text) & set("/\\:")
    )


async def _http_error(request: Request, error: Exception) -> Response:
    status: int = getattr(error, "status_code", 500)
    codes = {404: "missing", 405: "method"}
    texts = {
        404: "there is nothing at this address",
        405: "this address is not for that method",
    }
    allow = tuple((getattr(error, "headers", None) or {}).items())
    text = texts.get(status, "the request cannot be answered")
    return refuse(Refusal(status, codes.get(status, "request"), text, allow))


async def _request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 - for the type checker
    return refuse(error.refusal)


async def _any_error(request: Request, error: Exception) -> Response:
    return refuse(Refusal(500, "fault", f"the request failed with {type(error).__name__}"))
