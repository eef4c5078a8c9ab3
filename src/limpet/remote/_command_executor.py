"""Executes commands of bots on other hosts, only inside the outputs of this agent's configuration.

Each command leaves a row in the spool's file before anything is written, and its answer after. When
it is delivered again after a crash, it is compared with that row and with the disk, so that its
effect is there once: nothing was written (perform it), a part (write the rest), all (answer), or
another program wrote meanwhile (``conflict``).
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
from limpet.output import AppendToFile, Done, Operation, Output, Result
from limpet.remote._command_codec import (
    Command,
    CommandError,
    CommandRefused,
    decode_command,
    encode_refusal,
    encode_result,
)
from limpet.remote._command_journal import CommandJournal, CommandRecord
from limpet.remote._command_recovery import resume
from limpet.remote._message_decoding import keep_in_progress
from limpet.remote._path import flavour_here
from limpet.remote._subjects import Subjects
from limpet.remote.transport import (
    HubError,
    Message,
    NotPermittedError,
    StoredMessage,
    Transport,
    WorkMessage,
)

_ACK_WAIT_S: Final = 30.0
_log = logging.getLogger("limpet.agent")


@dataclass(slots=True)
class CommandOutput:
    """An output that other hosts may use."""

    output: Output
    allow: frozenset[str] | None = None
    """Operations that are allowed; ``None`` is all."""


@dataclass(slots=True)
class CommandStats:
    """Figures since the start."""

    done: int = 0
    refused: int = 0
    again: int = 0
    """Commands that were delivered again and answered from the journal, or resumed."""
    trouble: str = ""


class CommandExecutor:
    """Executes the commands for one host, one after the other."""

    def __init__(
        self,
        transport: Transport,
        journal: CommandJournal,
        outputs: Mapping[str, CommandOutput],
        *,
        host: str,
        subjects: Subjects,
        clock: Callable[[], float] = time.time,
        ack_wait: float = _ACK_WAIT_S,
    ) -> None:
        """Create an executor; ``outputs`` are the open outputs by name."""
        self._transport, self._journal, self._outputs = transport, journal, outputs
        self._host, self._subjects, self._clock, self._ack_wait = host, subjects, clock, ack_wait
        self.stats = CommandStats()

    async def run(self) -> None:
        """Execute commands until cancelled."""
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
                # A command that could not be noted was not performed, and is delivered again.
                if str(error) != self.stats.trouble:
                    _log.warning("command executor: error, reconnecting: %s", error)
                self.stats.trouble = str(error)
                worker = None
                await asyncio.sleep(5.0 if isinstance(error, NotPermittedError) else 0.25)

    async def _handle(self, delivery: WorkMessage) -> None:
        keeper = asyncio.create_task(keep_in_progress([delivery], self._ack_wait))
        try:
            answer = await self._answer(delivery.message)
            if answer is not None:
                await self._transport.publish([answer])
            await delivery.ack()
        finally:
            keeper.cancel()

    async def _answer(self, message: StoredMessage) -> Message | None:
        """Return the answer to a command, which is executed first unless it was answered before."""
        try:
            output, verb, bot = self._subjects.command_parts(message.subject)
            command = decode_command(message.data, verb)
        except ValueError as error:
            _log.error("discarding an invalid command on %s: %s", message.subject, error)
            return None
        key = f"{bot}.{command.id}"
        record = await asyncio.to_thread(self._journal.find, key)
        if record is not None and record.result is not None:
            self.stats.again += 1
            data = record.result
        else:
            age = self._clock() - message.time
            data, done = await self._executed(key, command, output, age, record)
            await asyncio.to_thread(self._journal.end, key, data)
            self.stats.done += done
            self.stats.refused += not done
        subject = self._subjects.result(bot, self._host, command.id)
        return Message(subject, data, f"res.{subject}")

    async def _executed(
        self, key: str, command: Command, output: str, age: float, record: CommandRecord | None
    ) -> tuple[bytes, bool]:
        """Execute a command, and return the bytes of its answer and whether it is done."""
        try:
            result = await self._execute(key, command, output, age, record)
        except CommandRefused as error:
            return encode_refusal(command.id, error.code, str(error)), False
        except CommandError as error:
            return encode_refusal(command.id, "bad-command", str(error)), False
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # An option of a wrong type must end neither the agent nor the commands after it.
            _log.exception("refusing command %s", key)
            return encode_refusal(command.id, "bad-command", f"it is invalid: {error!r}"), False
        return encode_result(command.id, result, flavour_here()), isinstance(result, Done)

    async def _execute(
        self, key: str, command: Command, name: str, age: float, record: CommandRecord | None
    ) -> Result:
        """Execute a command.

        Raises:
            CommandRefused: It is not allowed, or cannot be executed any more.
            CommandError: It is not a valid operation.
        """
        if record is None and age > command.expires_s:
            text = f"it waited {age:.0f} s, and expired after {command.expires_s:g} s"
            raise CommandRefused(text, code="expired")
        found = self._outputs.get(name)
        if found is None:
            known = ", ".join(sorted(self._outputs)) or "none"
            text = f"host {self._host!r} has no output {name!r}; it has {known}"
            raise CommandRefused(text, code="unknown-output")
        if found.allow is not None and command.verb not in found.allow:
            text = f"the output {name!r} of host {self._host!r} does not allow {command.verb!r}"
            raise CommandRefused(text, code="not-allowed")
        content, ref = None, command.ref
        if ref is not None:
            content = await self._transport.get_object(ref.bucket, ref.name)
            if content is None or hashlib.sha256(content).hexdigest() != ref.name:
                text = f"the content of {ref.size:,} bytes is not on the hub, or is damaged"
                raise CommandRefused(text, code="content-gone")
        operation = command.operation(content)
        if record is None:
            return await asyncio.to_thread(self._perform, key, operation, found.output)
        self.stats.again += 1
        return await asyncio.to_thread(resume, record, operation, found.output)

    def _perform(self, key: str, operation: Operation, output: Output) -> Result:
        """Note the size of the file before an append, and perform the operation."""
        size: int | None = None
        if isinstance(operation, AppendToFile):
            try:
                tail = output.tail(operation.name, 0)
            except OutputError:
                tail = None  # the operation itself reports what is wrong there
            size = 0 if tail is None else tail.size
        self._journal.begin(key, size)
        return output.perform(operation)
