"""Does what bots of other hosts ask for: inside the outputs of this agent's own configuration only.

Each command leaves a row in the spool's file before anything is written, and its answer after. What
comes again after a crash is compared with that row and with the disk, so that its effect is there
once: nothing was written (do it), a part (write the rest), all (say so), or somebody else wrote
meanwhile (``conflict``).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from limpet.errors import OutputError
from limpet.output import AppendToFile, Operation, Output, Result
from limpet.remote._command_codec import (
    CommandError,
    answer_of,
    decode_command,
    operation_of,
    refusal,
)
from limpet.remote._command_journal import Intent, Intents
from limpet.remote._command_recovery import redo
from limpet.remote._message_decoding import keep
from limpet.remote._path import flavour_here
from limpet.remote._subjects import Subjects
from limpet.remote.transport import Delivery, HubError, Message, NotPermittedError, Transport

__all__ = ["Executor", "Target"]

_ACK_WAIT_S: Final = 30.0
_log = logging.getLogger("limpet.agent")


@dataclass(slots=True)
class Target:
    """An output that others may use."""

    output: Output
    allow: frozenset[str] | None = None
    """Operations that may be asked for; ``None`` is all."""


@dataclass(slots=True)
class ExecutorStats:
    """What was done since the start."""

    done: int = 0
    refused: int = 0
    again: int = 0
    """Commands that came again and were answered from the journal."""
    trouble: str = ""


class Executor:
    """Works through the commands for one host, one after the other."""

    def __init__(
        self,
        transport: Transport,
        intents: Intents,
        targets: Mapping[str, Target],
        *,
        host: str,
        subjects: Subjects,
        clock: Callable[[], float] = time.time,
        ack_wait: float = _ACK_WAIT_S,
    ) -> None:
        """Know the parts; ``targets`` are the outputs by name, open."""
        self._transport, self._intents, self._targets = transport, intents, targets
        self._host, self._subjects, self._clock, self._ack_wait = host, subjects, clock, ack_wait
        self.stats = ExecutorStats()

    async def run(self) -> None:
        """Work until cancelled."""
        worker = None
        while True:
            try:
                if worker is None:
                    worker = await self._transport.work(
                        self._subjects.commands,
                        self._host,
                        None,
                        ack_wait=self._ack_wait,
                        limit=1,
                    )
                for delivery in await worker.fetch(1, 2.0):
                    await self._handle(delivery)
                self.stats.trouble = ""
            except (HubError, sqlite3.Error) as error:
                # A command whose note could not be written was not done: it comes again.
                if str(error) != self.stats.trouble:
                    _log.warning("commands: %s", error)
                self.stats.trouble = str(error)
                worker = None
                await asyncio.sleep(5.0 if isinstance(error, NotPermittedError) else 0.25)

    async def _handle(self, delivery: Delivery) -> None:
        keeper = asyncio.create_task(keep([delivery], self._ack_wait))
        try:
            subject, answer = await self._answer(delivery)
            if subject:
                await self._transport.publish([Message(subject, answer, f"res.{subject}")])
            await delivery.ack()
        finally:
            keeper.cancel()

    async def _answer(self, delivery: Delivery) -> tuple[str, bytes]:
        """Give the answer to a command and the subject it belongs to, having done it if need be."""
        message = delivery.message
        try:
            name, verb, bot = self._subjects.bot_of(message.subject)
            body, ref = decode_command(message.data, verb)
        except (ValueError, CommandError) as error:
            _log.error("a command is left out: %s: %s", message.subject, error)
            return "", b""
        command = str(body["id"])
        subject = self._subjects.result(bot, self._host, command)
        key = f"{bot}.{command}"
        intent = await asyncio.to_thread(self._intents.find, key)
        if intent is not None and intent.result is not None:
            self.stats.again += 1
            return subject, intent.result
        age = self._clock() - message.time
        if intent is None and age > float(body["expires_s"]):
            text = f"it waited {age:.0f} s, and was to be done within {body['expires_s']:g} s"
            return subject, await self._end(key, refusal(command, "expired", text))
        target = self._targets.get(name)
        if target is None:
            known = ", ".join(sorted(self._targets)) or "none"
            text = f"host {self._host!r} has no output {name!r}; it has {known}"
            return subject, await self._end(key, refusal(command, "unknown-output", text))
        if target.allow is not None and verb not in target.allow:
            text = f"the output {name!r} of host {self._host!r} does not allow {verb!r}"
            return subject, await self._end(key, refusal(command, "not-allowed", text))
        content = None
        if ref is not None:
            content = await self._transport.get_object(ref.bucket, ref.name)
            if content is None or hashlib.sha256(content).hexdigest() != ref.name:
                text = f"the content of {ref.size:,} bytes is not on the hub, or is damaged"
                return subject, await self._end(key, refusal(command, "content-gone", text))
        try:
            operation = operation_of(body, content)
        except CommandError as error:
            return subject, await self._end(key, refusal(command, "bad-command", str(error)))
        try:
            result = await asyncio.to_thread(self._do, key, intent, operation, target.output)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # An option of a wrong kind: it must end neither the agent nor the commands after it.
            _log.exception("a command is refused: %s", message.subject)
            text = f"it cannot be done: {error!r}"
            return subject, await self._end(key, refusal(command, "bad-command", text))
        if isinstance(result, bytes):
            answer = refusal(command, "conflict", result.decode())
        else:
            answer = answer_of(command, result, flavour_here())
        return subject, await self._end(key, answer)

    async def _end(self, key: str, answer: bytes) -> bytes:
        await asyncio.to_thread(self._intents.end, key, answer)
        if b'"ok":true' in answer:
            self.stats.done += 1
        else:
            self.stats.refused += 1
        return answer

    def _do(
        self, key: str, intent: Intent | None, operation: Operation, output: Output
    ) -> Result | bytes:
        """Do it for the first time, or find out how far it came; bytes say what conflicts."""
        if intent is not None:
            self.stats.again += 1
            return redo(intent, operation, output)
        size: int | None = None
        data = b""
        if isinstance(operation, AppendToFile):
            data = operation.data()
            try:
                tail = output.tail(operation.name, 0)
            except OutputError:
                tail = None  # what is wrong there, the operation itself says
            size = 0 if tail is None else tail.size
        self._intents.begin(key, size, len(data), hashlib.sha256(data).hexdigest())
        return output.perform(operation)
