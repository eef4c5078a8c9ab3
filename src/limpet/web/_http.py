"""Answers and requests, as all parts of the server make and read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from limpet.web._feed import compact
from limpet.web._gate import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BODY: Final = 64 * 1024
"""Bytes of a request's content."""
MOST_HEAD: Final = 16 * 1024
"""Bytes of its head."""
_BODY_S: Final = 10.0
"""How long it may take to come."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""What every answer has."""


class RequestError(Exception):
    """A request that cannot be answered as it was meant."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, code, message)


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON."""
    from starlette.responses import Response

    body = (value if isinstance(value, str) else compact(value)) + "\n"
    return Response(body.encode("utf-8", "replace"), status, headers, "application/json")


def refuse(refusal: Refusal) -> Response:
    """Return an error; the connection ends with it, whatever else was sent."""
    error = {"code": refusal.code, "message": refusal.message}
    headers = {"Connection": "close", **dict(refusal.headers)}
    return answer({"error": error}, refusal.status, headers)


async def read_object(request: Request) -> dict[str, Any]:
    """Return the content of a request.

    Raises:
        RequestError: It is too long, too slow, or not an object of JSON.
    """
    from starlette.requests import ClientDisconnect

    body = bytearray()
    too_long = RequestError(413, "too-long", f"the content may have {MOST_BODY} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BODY:
        raise too_long
    try:
        async with asyncio.timeout(_BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY:
                    raise too_long
    except ClientDisconnect:
        raise RequestError(400, "gone", "the client went before its content had come") from None
    except TimeoutError:
        raise RequestError(408, "too-slow", "the content did not come in time") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(400, "json", "the content is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError(400, "json", "the content is not an object")
    return found


def number_of(request: Request, name: str, default: int, most: int) -> int:
    """Return a number of the query.

    Raises:
        RequestError: It is none.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RequestError(400, "query", f"{name} must be a number")
    return min(int(text), most)
