"""Asks other hosts to write, and waits for what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from types import TracebackType
from typing import Final, Self

from limpet.output import AppendToFile, CreateFile, Operation, OverwriteFile, verb_of
from limpet.remote._command_codec import RemoteResult, encode_command, read_answer
from limpet.remote._envelope import ObjectRef
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import DisconnectedError, HubError, Message, Transport

__all__ = ["INLINE_LIMIT", "RemoteOutput"]

INLINE_LIMIT: Final = 128 * 1024
"""Bytes of content that travel in the message; larger ones go through the object store."""
_ASK_AGAIN_S: Final = 2.0
"""Seconds after which the stored answer is asked for, in case that it was missed as it came."""


class RemoteOutput:
    """One output of one host: the operations of ``limpet.open_output``, done by that host's agent.

    A command that was accepted is done once, however often it, or its answer, was lost on the way;
    who asks again with the same ``id`` gets the same answer. Of asyncio.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        bot: str,
        host: str,
        output: str,
        subjects: Subjects | None = None,
        require_online: bool = False,
    ) -> None:
        """Say who asks whom.

        Args:
            transport: The connection to the hub.
            bot: Who asks; the hub's permissions name it.
            host: Whom.
            output: The output's name in that agent's configuration.
            subjects: For a fleet with a prefix of its own.
            require_online: Refuse at once (``host-away``) while that agent is not there, instead of
                leaving the command for when it comes.

        Raises:
            UsageError: A name is no slug.
        """
        self.transport = transport
        self.bot = check_slug(bot, "bot")
        self.host = check_slug(host, "host")
        self.output = check_slug(output, "output")
        self.subjects = subjects or Subjects()
        self._require_online = require_online
        self._waiting: dict[str, asyncio.Future[RemoteResult]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen for answers."""
        self._listener = asyncio.create_task(self._listen())
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening; what was accepted is done all the same."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def perform(
        self,
        operation: Operation,
        *,
        id: str | None = None,
        expires: float = 3600.0,
        timeout: float | None = None,
    ) -> RemoteResult:
        """Have it done, and give the answer.

        Args:
            operation: What is to be done.
            id: Of the command; given again, the command is not done again. Random if left out.
            expires: Seconds after which it is not to be done any more.
            timeout: Seconds to wait for the answer; ``None`` for as long as it may still come.

        Raises:
            TimeoutError: No answer came in time; the command may still be done.
            HubError: The hub did not accept the command: it will not be done.
        """
        command = id or uuid.uuid4().hex
        if self._require_online and await self.presence() is None:
            message = f"the agent of {self.host!r} is not there; start it, or let the command wait"
            return RemoteResult(
                id=command,
                ok=False,
                code="host-away",
                message=message,
                path=None,
                bytes=0,
                existed=None,
                stat=None,
            )
        future: asyncio.Future[RemoteResult] = asyncio.get_running_loop().create_future()
        self._waiting[command] = future
        try:
            await self._send(operation, command, expires)
            # What an agent is about to do when the time is up is still answered a moment later.
            limit = timeout if timeout is not None else expires + 60.0
            return await self._answer(command, future, limit)
        finally:
            self._waiting.pop(command, None)

    async def presence(self) -> dict[str, object] | None:
        """Give what the host's agent last said of itself; ``None`` if it is not there."""
        raw = await self.transport.get_value(self.subjects.hosts, self.host)
        if raw is None:
            return None
        found: dict[str, object] = json.loads(raw)
        until = found.get("until")
        if isinstance(until, int | float) and until < time.time():
            return None
        return found

    async def _send(self, operation: Operation, command: str, expires: float) -> None:
        verb = verb_of(operation)
        content = None
        if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
            data = operation.data()
            if len(data) > INLINE_LIMIT:
                content = ObjectRef.of(self.subjects.content(self.host), data)
                await self.transport.put_object(content.bucket, content.name, data)
        raw = encode_command(operation, id=command, expires_s=expires, content=content)
        subject = self.subjects.command(self.host, self.output, verb, self.bot)
        message = Message(subject, raw, f"{self.bot}.{self.host}.{self.output}.{command}")
        pause = 0.1
        end = time.monotonic() + max(5.0, min(expires, 30.0))
        while True:
            try:
                await self.transport.publish([message])
            except DisconnectedError:
                # With its id, a command that was stored already is not stored again.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
            else:
                return

    async def _answer(
        self, command: str, future: asyncio.Future[RemoteResult], limit: float
    ) -> RemoteResult:
        end = time.monotonic() + limit
        subject = self.subjects.result(self.bot, self.host, command)
        pause = 0.25
        while True:
            left = end - time.monotonic()
            if left <= 0:
                message = (
                    f"{self.host!r} has not answered command {command} within {limit:g} s; it may "
                    "still be done: ask again with the same id"
                )
                raise TimeoutError(message)
            done, _ = await asyncio.wait({future}, timeout=min(left, pause))
            if done:
                return future.result()
            pause = min(_ASK_AGAIN_S, pause * 2)
            with contextlib.suppress(HubError):
                stored = await self.transport.latest(self.subjects.results, subject)
                if stored is not None:
                    return read_answer(stored.data, self.host)

    async def _listen(self) -> None:
        """Take answers as they come; those that are missed are asked for."""
        while True:
            try:
                async for message in self.transport.listen(self.subjects.results_of(self.bot)):
                    command = message.subject.rpartition(".")[2]
                    future = self._waiting.get(command)
                    if future is not None and not future.done():
                        future.set_result(read_answer(message.data, self.host))
            except HubError:
                await asyncio.sleep(0.25)
