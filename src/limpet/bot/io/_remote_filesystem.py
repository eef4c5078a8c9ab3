"""``RemoteFileSystem``: a ``FileSystem`` whose directories are on other hosts, behind a hub."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output, OutputEvent
from mewbot.core import InputQueue

from limpet._setting_types import FilePath, OneOrMore, PositiveSeconds, Seconds, Text
from limpet.bot._delivery import Delivery
from limpet.bot._restart import FIRST_S
from limpet.bot.compat._mewbot_queue import DeliverySink, sink_for
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.events._output_events import FileSystemOutputEvent, MoveProcessedFileOutputEvent
from limpet.bot.events._remote_input_events import to_local_event
from limpet.bot.io._filesystem_output import FileSystemOutput, NotMeantError
from limpet.bot.io._limpet_input import LimpetInput
from limpet.bot.io._named_component import NamedComponent
from limpet.bot.settings._setting import Setting
from limpet.errors import UsageError
from limpet.output import Done
from limpet.remote import (
    CheckpointStore,
    DeliveredEvent,
    EventReader,
    HubAddress,
    HubError,
    RemoteEvent,
    RemoteOutput,
    Subjects,
    Transport,
    without_password,
)
from limpet.status import AgentStatus, HubStatus

_SAVE_S: Final = 1.0
"""How often the cursor is saved while events are processed."""
_MAX_WAITING: Final = 1000
"""Events that may wait in mewbot's own, unbounded queue."""
_LOG = logging.getLogger("limpet.bot.remote")


class RemoteFileSystem(NamedComponent, IOConfig):
    """Reads events of ``input_host`` from a hub, and sends outputs to ``output_host``.

    When a folder moves to another host, only this block of a bot's YAML changes. Each side may be
    missing. Paths in its events print as ``host:path`` and cannot be opened; an event carries the
    content if that host's agent is configured so.
    """

    hub: OneOrMore[Text] = Setting(
        description="The hub: nats://host:port or tls://host:port; of a cluster all addresses."
    )
    bot: Text = Setting(description="Name of this bot at the hub: a slug.")
    password_file: FilePath | None = Setting(None, description="File with the bot's password.")
    ca: FilePath | None = Setting(
        None, description="Certificate of the authority that signed the hub's."
    )
    cert: FilePath | None = Setting(None, description="Certificate of this bot.")
    key: FilePath | None = Setting(None, description="Its key.")
    prefix: Text = Setting("limpet", description="Prefix of the fleet's subjects.")
    input_host: Text | None = Setting(
        None, description="Host whose events are read; without it, none."
    )
    input_watch: Text | None = Setting(
        None, description="Only events of this watch of that host's agent."
    )
    cursor: FilePath | None = Setting(
        None, description="File with the checkpoint: the last acknowledged event."
    )
    start: Literal["new", "all"] = Setting(
        "new", description="Without a cursor yet: new events, or all that the hub stores."
    )
    output_host: Text | None = Setting(
        None, description="Host that writes; without it nothing is written."
    )
    output_name: Text | None = Setting(None, description="Name of the output of that host's agent.")
    output_expires: Seconds = Setting(
        3600.0, ge=1, description="Seconds a write may wait for its host before it expires."
    )
    output_timeout: PositiveSeconds = Setting(
        60.0, description="Seconds one write may take before it counts as failed."
    )

    _input: RemoteInput | None = None
    _output: RemoteFileSystemOutput | None = None

    def check(self) -> None:
        """Check that the values go together."""
        if self.input_host is not None and self.cursor is None:
            message = "RemoteFileSystem: input_host needs a cursor, the file of its checkpoint"
            raise UsageError(message)
        if (self.output_host is None) != (self.output_name is None):
            message = "RemoteFileSystem: output_host and output_name go together"
            raise UsageError(message)

    def get_inputs(self) -> Sequence[Input]:
        """Return the input: always one, and always the same."""
        if self._input is None:
            self._input = RemoteInput(self)
        return [self._input]

    def get_outputs(self) -> Sequence[Output]:
        """Return the output: always one, and always the same."""
        if self._output is None:
            self._output = RemoteFileSystemOutput(self)
        return [self._output]

    async def to_hub(self) -> Transport:
        """Connect to the hub; a broken connection is restored by itself.

        Raises:
            HubError: The hub refuses this bot.
            UsageError: A certificate or the password file cannot be read.
        """
        found = {
            "url": self.hub,
            "password_file": self.password_file,
            "ca": self.ca,
            "cert": self.cert,
            "key": self.key,
        }
        address = await asyncio.to_thread(HubAddress.read, found)
        return await address.connect(self.bot, wait=True)


class RemoteInput(LimpetInput):
    """Made by ``RemoteFileSystem``; nothing is read before ``run``."""

    def __init__(self, owner: RemoteFileSystem) -> None:
        super().__init__()
        self._owner = owner
        self._sink: DeliverySink | None = None
        self._reader: EventReader | None = None
        self._unacked: deque[_Read] = deque()
        """Events that were read and are not acknowledged to the reader, oldest first."""
        self._saver: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self.agents: tuple[AgentStatus, ...] = ()
        """Those of the hosts that it reads, as ``refresh`` found them last."""

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Return the base of all its events."""
        return {FileSystemInputEvent}

    @property
    def label(self) -> str:
        """The name of the ``RemoteFileSystem``."""
        return self._owner.label

    async def refresh(self) -> None:
        """Ask the hub what the agents that it reads have reported last."""
        reader = self._reader
        if reader is not None and reader.transport.connected:
            try:
                self.agents = await reader.agents()
            except HubError as error:
                _LOG.debug("%s: the agents of the hub: %s", self.label, error)

    def hub(self) -> HubStatus | None:
        """Return the connection to the hub; ``None`` if nothing is read from it."""
        owner, reader = self._owner, self._reader
        if owner.input_host is None:
            return None
        connected = reader is not None and reader.transport.connected
        return HubStatus(
            url=without_password(owner.hub),
            state="connected" if connected else "connecting",
            trouble="" if reader is None else reader.trouble,
            lag=0 if reader is None else reader.lag,
        )

    def bind(self, queue: InputQueue) -> None:
        """Put events into this queue from now on."""
        self.queue = queue
        self._sink = sink_for(queue, lambda: _MAX_WAITING)
        self._open.set()

    def quiesce(self) -> None:
        """Deliver no more events; the next start delivers those that were not."""
        self._open.clear()

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            Exception: The hub or the cursor failed. The input may be run again, and goes on at its
                cursor. Under mewbot's own runner it is restarted instead.
        """
        assert self._sink is not None  # noqa: S101 - bound before ``run``
        await self._sink.supervise(self._run, self.label)

    async def _run(self) -> None:
        if self._owner.input_host is None:
            await asyncio.Event().wait()
        while True:
            await self._read()
            await asyncio.sleep(FIRST_S)

    async def _read(self) -> None:
        owner = self._owner
        transport = await owner.to_hub()
        reader = EventReader(
            transport,
            bot=owner.bot,
            hosts=[owner.input_host or ""],
            store=CheckpointStore(str(owner.cursor)),  # used until the last event is acknowledged
            start=owner.start,
            subjects=Subjects(owner.prefix),
        )
        try:
            async with reader:
                self._reader = reader
                self._unacked.clear()
                self._saver = asyncio.create_task(self._save_regularly(reader))
                async for event in reader:
                    await self._deliver(reader, event)
        finally:
            if self._saver is not None:
                self._saver.cancel()
            await asyncio.shield(asyncio.create_task(_finish(reader, transport)))
            self._reader = None

    async def _deliver(self, reader: EventReader, event: RemoteEvent) -> None:
        owner, one = self._owner, _Read(reader.take())
        if owner.input_watch is not None and event.watch != owner.input_watch:
            one.is_acknowledged = True
            self._unacked.append(one)
            self._acknowledge_first()
            return
        try:
            made = to_local_event(event, owner.label, await _content_of(reader, event))
        except Exception:  # noqa: BLE001 - what a host sends may be wrong in any way
            # An event that cannot be understood stays the only one that is not delivered.
            _LOG.exception("%s: setting aside event %s of %s", self.label, event.id, event.host)
            one.is_acknowledged = True
            self._unacked.append(one)
            self._acknowledge_first()
            return
        await self._open.wait()
        self._unacked.append(one)
        assert self._sink is not None  # noqa: S101 - bound before ``run``
        await self._sink.put(Delivery(made, self, one))

    def acknowledge(self, delivery: Delivery) -> None:
        """Note that the event was processed; the cursor follows once all before it are."""
        assert isinstance(delivery.token, _Read)  # noqa: S101 - it was put in ``_deliver``
        delivery.token.is_acknowledged = True
        self._acknowledge_first()

    def will_redeliver(self, delivery: Delivery) -> bool:
        """Return whether the next start delivers it: it does while the cursor is before it."""
        return any(one is delivery.token for one in self._unacked)

    def _acknowledge_first(self) -> None:
        reader = self._reader
        while reader is not None and self._unacked and self._unacked[0].is_acknowledged:
            reader.acknowledge(self._unacked.popleft().delivered)

    async def _save_regularly(self, reader: EventReader) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            if self._sink is not None:
                self._sink.collect()
            try:
                await reader.save()
            except sqlite3.Error as error:  # a full disk, for example: it is tried again
                _LOG.error("%s: cannot save the cursor: %s", self.label, error)


class _Read:
    """An event that was read, and whether it is acknowledged."""

    __slots__ = ("delivered", "is_acknowledged")

    def __init__(self, delivered: DeliveredEvent) -> None:
        self.delivered = delivered
        self.is_acknowledged = False


async def _content_of(reader: EventReader, event: RemoteEvent) -> str | bytes | None:
    """Return an event's content; ``None``, and a line in the log, if it cannot be had."""
    try:
        return await reader.content(event)
    except HubError as error:
        _LOG.warning("an event is delivered without its content: %s", error)
        return None


async def _finish(reader: EventReader, transport: Transport) -> None:
    try:
        await reader.save()
    finally:
        await asyncio.to_thread(reader.store.close)
        await transport.close()


class RemoteFileSystemOutput(FileSystemOutput):
    """Made by ``RemoteFileSystem``; it connects to the hub with the first event."""

    def __init__(self, owner: RemoteFileSystem) -> None:
        super().__init__(lambda: None, owner.is_named, lambda: owner.label)
        self._owner = owner
        self._remote: tuple[RemoteOutput, Transport, asyncio.AbstractEventLoop] | None = None

    def is_meant(self, event: OutputEvent) -> bool:
        """Return whether an event is for this output: addressed, or to all with an output."""
        io = getattr(event, "io", None)
        if io is not None:
            return self._owner.is_named(io)
        return self._owner.output_host is not None and not isinstance(
            event, MoveProcessedFileOutputEvent
        )

    async def send(self, event: FileSystemOutputEvent) -> Done | None:
        """Send an event to the other host, and wait until it is performed.

        Raises:
            RemoteRefusedError: It was refused; the code is the reason.
            HubError: The hub did not store it.
            TimeoutError: No answer arrived in time; sent again, it is not performed twice.
        """
        owner = self._owner
        if isinstance(event, MoveProcessedFileOutputEvent) or owner.output_host is None:
            message = f"{owner.label} has no output_host, or the file is on another host"
            raise NotMeantError(message)
        output = await self._connected()
        result = await output.perform(
            event.operation(),
            id=event.command_id,
            expires=owner.output_expires,
            timeout=owner.output_timeout,
        )
        result.check()
        return None

    async def aclose(self) -> None:
        """Disconnect from the hub; the next event connects again."""
        found, self._remote = self._remote, None
        if found is not None:
            await found[0].__aexit__(None, None, None)
            await found[1].close()

    async def _connected(self) -> RemoteOutput:
        loop = asyncio.get_running_loop()
        if self._remote is not None and self._remote[2] is loop:
            return self._remote[0]
        owner = self._owner
        transport = await owner.to_hub()
        output = RemoteOutput(
            transport,
            bot=owner.bot,
            host=owner.output_host or "",
            output=owner.output_name or "",
            subjects=Subjects(owner.prefix),
        )
        await output.__aenter__()
        self._remote = (output, transport, loop)
        return output
