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

from limpet._tracing import tracing
from limpet.errors import OutputError
from limpet.output import AppendToFile, Done, Operation, Output, Result
from limpet.remote._command_codec import (
    Command,
    CommandError,
    CommandRefused,
    decode_command,
    encode_refusal,
    encode_result,
    id_of,
)
from limpet.remote._command_journal import CommandJournal, CommandRecord
from limpet.remote._command_recovery import resume
from limpet.remote._envelope import ObjectRef
from limpet.remote._message_decoding import handle_each
from limpet.remote._path import flavour_here
from limpet.remote._stream_setup import ACK_WAIT_S
from limpet.remote._subjects import Subjects, is_slug
from limpet.remote.transport import (
    DisconnectedError,
    HubError,
    Message,
    NotPermittedError,
    StoredMessage,
    Transport,
    WorkConsumer,
    WorkMessage,
)

_WAIT_S: Final = 1.0
"""Seconds that a request for a command is open at the hub, and that a stop may take: a command that
comes meanwhile is given back."""
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
    set_aside: int = 0
    """Messages that are not commands, or could not be answered; the log has the reason of each."""
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
        ack_wait: float = ACK_WAIT_S,
    ) -> None:
        """Create an executor; ``outputs`` are the open outputs by name."""
        self._transport, self._journal, self._outputs = transport, journal, outputs
        self._host, self._subjects, self._clock, self._ack_wait = host, subjects, clock, ack_wait
        self.stats = CommandStats()
        self._tracing = tracing()
        self.performing = asyncio.Lock()
        """Held while a command is executed: no output may be closed meanwhile."""

    async def run(self) -> None:
        """Execute commands until cancelled."""
        worker: WorkConsumer | None = None
        try:
            while True:
                try:
                    if worker is None:
                        worker = await self._open()
                    found = await worker.fetch(1, _WAIT_S)
                    await handle_each(worker, found, self._ack_wait, self._handle)
                    self.stats.trouble = ""
                except (HubError, sqlite3.Error) as error:
                    # A command that could not be noted was not performed, and is delivered again.
                    if str(error) != self.stats.trouble:
                        _log.warning("command executor: error, reconnecting: %s", error)
                    self.stats.trouble = str(error)
                    worker = None
                    await asyncio.sleep(5.0 if isinstance(error, NotPermittedError) else 0.25)
        finally:
            if worker is not None:
                await worker.close()

    async def _open(self) -> WorkConsumer:
        return await self._transport.work(
            self._subjects.commands(self._host), self._host, None, ack_wait=self._ack_wait, limit=1
        )

    async def _handle(self, delivery: WorkMessage) -> None:
        """Execute a command and answer it; one that fails in a way of its own stops no other.

        Raises:
            DisconnectedError: The hub is away; the command is delivered again.
            sqlite3.Error: The journal cannot be written; the same.
        """
        message = delivery.message
        try:
            if self._tracing is None:
                answer = await self._answer(message)
            else:
                with self._tracing.span(
                    "command",
                    {"messaging.destination.name": message.subject},
                    kind="consumer",
                    sent=message.trace,
                ):
                    answer = await self._answer(message)
            if answer is not None:
                await self._transport.publish([answer])
            await delivery.ack()
        except (DisconnectedError, sqlite3.Error):
            raise
        except Exception:  # noqa: BLE001 - whatever a command causes is its own failure
            self.stats.set_aside += 1
            _log.exception("setting aside command %d on %s", message.seq, message.subject)
            await delivery.term()

    async def _answer(self, message: StoredMessage) -> Message | None:
        """Return the answer to a command, which is executed first unless it was answered before."""
        try:
            output, verb, bot = self._parts_of(message)
            command = decode_command(message.data, verb)
        except ValueError as error:
            self.stats.set_aside += 1
            _log.error("setting aside an invalid command on %s: %s", message.subject, error)
            return self._refusal(message, error)
        key = f"{bot}.{command.id}"
        record = await asyncio.to_thread(self._journal.find, key)
        if record is not None and record.result is not None:
            self.stats.again += 1
            data = record.result
        else:
            age = self._clock() - message.time
            data, done = await self._executed(key, command, bot, output, age, record)
            await asyncio.to_thread(self._journal.end, key, data)
            self.stats.done += done
            self.stats.refused += not done
        # Without a message id: the stream is shared, and another host could use up an id before.
        return Message(self._subjects.result(bot, self._host, command.id), data)

    def _parts_of(self, message: StoredMessage) -> tuple[str, str, str]:
        """Return output, verb and bot of a command for this host.

        Raises:
            ValueError: It is not such a command, or has names that nobody can have been granted.
        """
        output, verb, bot = self._subjects.command_parts(message.subject)
        expected = self._subjects.command(self._host, output, verb, bot)
        if message.subject != expected or not (is_slug(output) and is_slug(bot)):
            text = f"{message.subject!r} is not the subject of a command for {self._host!r}"
            raise ValueError(text)
        return output, verb, bot

    def _refusal(self, message: StoredMessage, error: ValueError) -> Message | None:
        """Return the answer to an invalid command, if it has a sender and an id to answer to."""
        command = id_of(message.data)
        try:
            _, _, bot = self._parts_of(message)
        except ValueError:
            return None
        if command is None:
            return None
        data = encode_refusal(command, "bad-command", str(error))
        return Message(self._subjects.result(bot, self._host, command), data)

    async def _executed(
        self,
        key: str,
        command: Command,
        bot: str,
        output: str,
        age: float,
        record: CommandRecord | None,
    ) -> tuple[bytes, bool]:
        """Execute a command, and return the bytes of its answer and whether it is done."""
        try:
            async with self.performing:
                result = await self._execute(key, command, bot, output, age, record)
        except CommandRefused as error:
            return encode_refusal(command.id, error.code, str(error)), False
        except CommandError as error:
            return encode_refusal(command.id, "bad-command", str(error)), False
        except (HubError, sqlite3.Error):
            raise
        except Exception as error:  # noqa: BLE001 - it may fail in any way
            # An option of a wrong type must end neither the agent nor the commands after it.
            _log.exception("refusing command %s", key)
            return encode_refusal(command.id, "bad-command", f"it is invalid: {error!r}"), False
        return encode_result(command.id, result, flavour_here()), isinstance(result, Done)

    async def _execute(
        self,
        key: str,
        command: Command,
        bot: str,
        name: str,
        age: float,
        record: CommandRecord | None,
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
        content = None if command.ref is None else await self._content(command.ref, bot)
        operation = command.operation(content)
        if record is None:
            return await asyncio.to_thread(self._perform, key, operation, found.output)
        self.stats.again += 1
        return await asyncio.to_thread(resume, record, operation, found.output)

    async def _content(self, ref: ObjectRef, bot: str) -> bytes:
        """Return the content of a command from the bucket of its sender, whatever it names.

        Raises:
            CommandRefused: It is not there, or is damaged, or may not be read.
            DisconnectedError: The hub is away.
        """
        bucket = self._subjects.command_content(bot, self._host)
        content, reason = None, "is not on the hub, or is damaged"
        if ref.bucket != bucket:
            reason = f"is in the bucket {ref.bucket!r}, not in {bucket!r}, the sender's"
        else:
            try:
                content = await self._transport.get_object(bucket, ref.name, ref.size)
            except DisconnectedError:
                raise
            except HubError as error:
                reason = f"cannot be read: {error}"
        if content is None or hashlib.sha256(content).hexdigest() != ref.name:
            text = f"the content of {ref.size:,} bytes {reason}"
            raise CommandRefused(text, code="content-gone")
        return content

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
