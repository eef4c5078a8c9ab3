"""Sends commands to other hosts, and waits for their answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import Final, Self

from limpet._backoff import Backoff
from limpet._tracing import tracing
from limpet.errors import UsageError
from limpet.output import AppendToFile, CreateFile, Operation, OverwriteFile, verb_of
from limpet.remote._agent_report import report_of
from limpet.remote._command_codec import CommandError, RemoteResult, decode_answer, encode_command
from limpet.remote._envelope import ObjectRef
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import DisconnectedError, HubError, Message, Transport

INLINE_LIMIT: Final = 128 * 1024
"""Maximum bytes of a content in a message; a larger one goes through the object store."""
_ASK_AGAIN_S: Final = 2.0
"""Maximum seconds between two requests for the stored answer, in case its message was missed."""


class RemoteOutput:
    """One output of one host: the operations of ``limpet.open_output``, performed by its agent.

    A command that the hub stored is performed once, even if it or its answer is lost on the way; a
    command with the same ``id`` gets the same answer. Runs on asyncio.
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
        """Create an output; ``async with`` subscribes to its answers.

        Args:
            transport: The connection to the hub.
            bot: Name of the sender; the hub's permissions name it.
            host: The host that writes.
            output: The output's name in the configuration of that host's agent.
            subjects: For a fleet with a prefix of its own.
            require_online: Refuse at once (``host-away``) if that agent does not run, instead of
                leaving the command for its next start.

        Raises:
            UsageError: A name is not a slug.
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
        """Subscribe to the answers; see ``aopen``."""
        return await self.aopen()

    async def __aexit__(self, *_: object) -> None:
        """Unsubscribe; see ``aclose``."""
        await self.aclose()

    async def aopen(self) -> Self:
        """Subscribe to the answers without a block; ``aclose`` is due later.

        Raises:
            UsageError: It is open already.
        """
        if self._listener is not None:
            message = f"the output {self.output!r} of host {self.host!r} is open already"
            raise UsageError(message)
        self._listener = asyncio.create_task(self._listen())
        await asyncio.sleep(0)
        return self

    async def aclose(self) -> None:
        """Unsubscribe; commands that the hub stored are still performed. May be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait({listener})

    async def perform(
        self,
        operation: Operation,
        *,
        id: str | None = None,
        expires: float = 3600.0,
        timeout: float | None = None,
    ) -> RemoteResult:
        """Send an operation to the host, and return its answer.

        Args:
            operation: The operation.
            id: The id of the command; a second one with it is not performed again. Random if not
                given.
            expires: Seconds after which it must not be performed any more.
            timeout: Seconds to wait for the answer; ``None`` for as long as it may still come.

        Raises:
            TimeoutError: No answer came in time; the command may still be performed.
            HubError: The hub did not store the command: it is not performed.
        """
        command = id or uuid.uuid4().hex
        if self._require_online and await self.presence() is None:
            message = f"the agent of {self.host!r} does not run; start it, or let the command wait"
            return RemoteResult(id=command, ok=False, code="host-away", message=message)
        future: asyncio.Future[RemoteResult] = asyncio.get_running_loop().create_future()
        self._waiting[command] = future
        try:
            await self._send(operation, command, expires)
            # A command that is performed when it expires is answered a moment later.
            limit = timeout if timeout is not None else expires + 60.0
            return await self._answer(command, future, limit)
        finally:
            self._waiting.pop(command, None)

    async def presence(self) -> dict[str, object] | None:
        """Return the last report of the host's agent; ``None`` if it does not run."""
        raw = await self.transport.get_value(self.subjects.presence(self.host), "agent")
        if raw is None:
            return None
        report = report_of(raw)  # the hub removes it by its own clock
        return None if report.get("stopped") else report

    async def _send(self, operation: Operation, command: str, expires: float) -> None:
        verb = verb_of(operation)
        content = None
        if isinstance(operation, CreateFile | OverwriteFile | AppendToFile):
            data = operation.data()
            if len(data) > INLINE_LIMIT:
                bucket = self.subjects.command_content(self.bot, self.host)
                content = ObjectRef.of(bucket, data)
                await self.transport.put_object(content.bucket, content.name, data)
        raw = encode_command(operation, id=command, expires_s=expires, content=content)
        subject = self.subjects.command(self.host, self.output, verb, self.bot)
        # Without a message id: the stream is shared, and another bot could use up an id before. The
        # host recognises a command that comes twice.
        found = tracing()
        message = Message(subject, raw, trace=None if found is None else found.headers())
        backoff = Backoff(0.1, 1.0)
        end = time.monotonic() + max(5.0, min(expires, 30.0))
        while True:
            try:
                await self.transport.publish([message])
            except DisconnectedError:
                # A command that was stored already is performed once, because of its id.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _answer(
        self, command: str, future: asyncio.Future[RemoteResult], limit: float
    ) -> RemoteResult:
        end = time.monotonic() + limit
        subject = self.subjects.result(self.bot, self.host, command)
        backoff = Backoff(0.25, _ASK_AGAIN_S)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                message = (
                    f"{self.host!r} has not answered command {command} within {limit:g} s; it may "
                    "still be performed: send it again with the same id"
                )
                raise TimeoutError(message)
            done, _ = await asyncio.wait({future}, timeout=min(left, backoff.next()))
            if done:
                return future.result()
            with contextlib.suppress(HubError):
                stored = await self.transport.latest(self.subjects.results(self.host), subject)
                if stored is not None:
                    _resolve(future, stored.data, self.host, command)

    async def _listen(self) -> None:
        """Receive answers as they come; ``_answer`` requests those that are missed."""
        live = self.subjects.live_result(self.bot, self.host, "")
        while True:
            try:
                async for message in self.transport.listen(live + "*"):
                    command = message.subject.removeprefix(live)
                    future = self._waiting.get(command)
                    if future is not None:
                        _resolve(future, message.data, self.host, command)
            except HubError:
                await asyncio.sleep(0.25)


def _resolve(future: asyncio.Future[RemoteResult], raw: bytes, host: str, command: str) -> None:
    """Set the answer of a command; one that cannot be understood is its error, and of no other."""
    if future.done():
        return
    try:
        answer = decode_answer(raw, host)
        if answer.id != command:
            text = f"host {host!r} answered command {answer.id!r} in place of {command!r}"
            raise CommandError(text)
    except CommandError as error:
        message = f"{error}; whether the command was performed is unknown"
        future.set_exception(HubError(message, code="hub-answer"))
    else:
        future.set_result(answer)
