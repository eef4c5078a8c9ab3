"""Server-sent events: the snapshot once a second, and what happened meanwhile.

Nothing is queued for a client. One that reads slowly gets the newest when it is ready for more, and
how many it has missed.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

from limpet.web._feed import MOST, TICK_S, Feed, compact, status_json

if TYPE_CHECKING:
    from starlette.types import Receive, Send

MOST_CLIENTS: Final = 16
_BACK: Final = 100
"""What has happened before: so much of it is sent to a client that begins."""
_SEND_S: Final = 30.0
"""How long a client may not read at all."""
_RETRY_MS: Final = 1000
"""After how long a browser connects again."""
_MOST_BYTES: Final = 256 * 1024
"""Of one batch: names may be 4 KB long."""
_STATUS_S: Final = 1.0


class Stream:
    """The clients that listen; everything in the loop of the server."""

    def __init__(self, feed: Feed, closing: asyncio.Event) -> None:
        self._feed, self._closing = feed, closing
        self.clients = 0

    async def serve(self, receive: Receive, send: Send, last_id: str) -> None:
        """Send events to one client until it goes, or the server ends.

        Args:
            receive: Of the request; says when the client is gone.
            send: Of the request.
            last_id: What it has got last, as it says; a browser remembers it.
        """
        self.clients += 1
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await self._send_all(send, gone, last_id)
        except TimeoutError:
            pass  # it does not read; the connection ends with the answer
        finally:
            self.clients -= 1
            gone.cancel()

    async def _send_all(self, send: Send, gone: asyncio.Task[None], last_id: str) -> None:
        async def put(text: str) -> None:
            body = text.encode("utf-8", "replace")
            async with asyncio.timeout(_SEND_S):
                await send({"type": "http.response.body", "body": body, "more_body": True})

        await put(f"retry: {_RETRY_MS}\n\n")
        instance = self._feed.shown.status.instance
        number, due = _begin(last_id, instance), 0.0
        while not gone.done() and not self._closing.is_set():
            shown = self._feed.shown
            if (now := time.monotonic()) >= due:
                due = now + _STATUS_S - TICK_S / 2
                await put(f"event: status\ndata: {status_json(shown)}\n\n")
            if not shown.stalled_s:
                batch = await self._feed.after(number)
                if batch.items or batch.left_out:
                    text = _batch_json(batch.items, batch.left_out, number < 0)
                    ident = f"{instance}-{batch.number}"
                    await put(f"id: {ident}\nevent: happenings\ndata: {text}\n\n")
                number = max(number, batch.number)
            await self._until_next_tick(gone)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_next_tick(self, gone: asyncio.Task[None]) -> None:
        """Wait for the moment at which all clients ask, so that they share the answer."""
        now = time.monotonic()
        closing = asyncio.create_task(self._closing.wait())
        await asyncio.wait(
            {gone, closing},
            timeout=TICK_S - now % TICK_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        closing.cancel()


def _begin(last_id: str, instance: str) -> int:
    known, _, number = last_id.rpartition("-")
    if known == instance and number.isascii() and number.isdigit() and len(number) <= 18:
        return int(number)
    return -_BACK


def _batch_json(items: list[dict[str, object]], left_out: int, is_first: bool) -> str:  # noqa: FBT001
    taken: list[str] = []
    size = 0
    for one in reversed(items[-MOST:]):
        text = compact(one)
        size += len(text)
        if size > _MOST_BYTES:
            break
        taken.append(text)
    missing = left_out + len(items) - len(taken)
    counted = json.dumps(0 if is_first else missing)
    return f'{{"left_out":{counted},"items":[{",".join(reversed(taken))}]}}'


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
