"""``RemoteFileSystem``: a ``FileSystem`` whose folders lie on other hosts, behind a hub."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mewbot.api.v1 import Input, InputEvent, IOConfig, Output, OutputEvent
from mewbot.core import InputQueue

from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.events._output_events import FileSystemOutputEvent, PutAwayOutputEvent
from limpet.bot.events._remote_input_events import local_form
from limpet.bot.io._filesystem_output import FileSystemOutput, NotMeantError
from limpet.bot.io._limpet_input import OwnInput
from limpet.bot.io._named_component import Labelled
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._validators import choice, maybe, number, path, text
from limpet.errors import LimpetError, UsageError
from limpet.output import Done
from limpet.remote import EventReader, HubError, RemoteOutput, Subjects, Transport
from limpet.remote._connection_config import HubAddress
from limpet.remote._event_reader import Handle

__all__ = ["RemoteFileSystem"]

_FIRST_S, _LAST_S = 0.5, 60.0
"""Wait before the second try, and the longest; each is twice the one before."""
_SAVE_S: Final = 1.0
"""How often the cursor is saved while events are dealt with."""
_LOG = logging.getLogger("limpet.bot.remote")


class RemoteFileSystem(Labelled, IOConfig):
    """Takes events of ``input_host`` from a hub, and has ``output_host`` write.

    A bot's YAML changes in this block alone when its folder moves to another host. Each side may
    be missing. Paths in its events print as ``host:path`` and cannot be opened; the content comes
    with the event if that host's agent is told so.
    """

    hub = Setting(text(), "", "The hub: nats://host:port or tls://host:port.", required=True)
    bot = Setting(text(), "", "Who this bot is to the hub: a slug.", required=True)
    password_file = Setting(maybe(path()), None, "File with the bot's password.")
    ca = Setting(maybe(path()), None, "Certificate of who signed the hub's.")
    cert = Setting(maybe(path()), None, "Certificate of this bot.")
    key = Setting(maybe(path()), None, "Its key.")
    prefix = Setting(text(), "limpet", "Prefix of the fleet's subjects.")
    input_host = Setting(maybe(text()), None, "Host whose events come in; without it, none.")
    input_watch = Setting(maybe(text()), None, "Only events of this watch of that host's agent.")
    cursor = Setting(maybe(path()), None, "File that keeps how far the events were dealt with.")
    start = Setting(
        choice("new", "all"), "new", "Without a cursor yet: new events, or all the hub has."
    )
    output_host = Setting(maybe(text()), None, "Host that writes; without it nothing is written.")
    output_name = Setting(maybe(text()), None, "Which output of that host's agent.")
    output_expires = Setting(
        number(least=1), 3600.0, "Seconds a write may wait for its host before it is given up."
    )
    output_timeout = Setting(
        number(least=0.001), 60.0, "Seconds one write may take before it counts as failed."
    )

    _input: RemoteInput | None = None
    _output: RemoteFileSystemOutput | None = None

    def check(self) -> None:
        """Look at how the values go together."""
        if self.input_host is not None and self.cursor is None:
            message = "RemoteFileSystem: input_host needs a cursor, a file that keeps the place"
            raise UsageError(message)
        if (self.output_host is None) != (self.output_name is None):
            message = "RemoteFileSystem: output_host and output_name go together"
            raise UsageError(message)

    def get_inputs(self) -> Sequence[Input]:
        """Give the input: always one, and always the same."""
        if self._input is None:
            self._input = RemoteInput(self)
        return [self._input]

    def get_outputs(self) -> Sequence[Output]:
        """Give the output: always one, and always the same."""
        if self._output is None:
            self._output = RemoteFileSystemOutput(self)
        return [self._output]

    async def to_hub(self) -> Transport:
        """Connect; the connection is made again by itself whenever it breaks.

        Raises:
            HubError: The hub does not let this bot in.
            UsageError: A certificate or the password's file cannot be read.
        """
        found = {
            "url": self.hub,
            "password_file": self.password_file,
            "ca": self.ca,
            "cert": self.cert,
            "key": self.key,
        }
        address = await asyncio.to_thread(HubAddress.read, found, Path())
        return await address.connect(self.bot, wait=True)


class RemoteInput(OwnInput):
    """Made by ``RemoteFileSystem``; nothing is read before ``run``."""

    def __init__(self, owner: RemoteFileSystem) -> None:
        """Know whose it is."""
        super().__init__()
        self._owner = owner
        self._reader: EventReader | None = None
        self._given: deque[list[Any]] = deque()
        """Events that were handed out, oldest first: the event, its place, whether it is done."""
        self._saver: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._open.set()

    @staticmethod
    def produces_inputs() -> set[type[InputEvent]]:
        """Everything it tells is one of these."""
        return {FileSystemInputEvent}

    def bind(self, queue: InputQueue) -> None:
        """Put events into this queue from now on."""
        self.queue = queue

    def quiesce(self) -> None:
        """Hand out no more events: those not handed out come again with the next start."""
        self._open.clear()

    async def run(self) -> None:
        """Read for ever; raises nothing but its cancellation."""
        owner, wait = self._owner, _FIRST_S
        self._open.set()
        if owner.input_host is None:
            await asyncio.Event().wait()
        while True:
            try:
                await self._read()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the bot goes on
                known = isinstance(error, LimpetError | OSError)
                _LOG.error("%s: %s", owner.label, error, exc_info=None if known else error)
            await asyncio.sleep(wait)
            wait = min(_LAST_S, 2 * wait)

    async def _read(self) -> None:
        owner = self._owner
        transport = await owner.to_hub()
        reader = EventReader(
            transport,
            bot=owner.bot,
            hosts=[owner.input_host or ""],
            store=str(owner.cursor),
            start=owner.start,
            subjects=Subjects(owner.prefix),
        )
        try:
            async with reader:
                self._reader = reader
                self._given.clear()
                self._saver = asyncio.create_task(self._save_now_and_then(reader))
                async for event in reader:
                    handle = reader.handle()
                    if owner.input_watch is not None and event.watch != owner.input_watch:
                        self._given.append([None, handle, True])
                        self._settle_first()
                        continue
                    content = None
                    with contextlib.suppress(HubError):
                        content = await reader.content(event)
                    made = local_form(event, owner.label, content)
                    made.__dict__["_teller"] = self
                    await self._open.wait()
                    self._given.append([made, handle, False])
                    assert self.queue is not None  # noqa: S101 - mewbot binds it before ``run``
                    await self.queue.put(made)
        finally:
            if self._saver is not None:
                self._saver.cancel()
            await asyncio.shield(asyncio.create_task(_finish(reader, transport)))
            self._reader = None

    def settle(self, event: FileSystemInputEvent) -> None:
        """An event was dealt with: the place moves behind it once all before it are."""
        for item in self._given:
            if item[0] is event:
                item[2] = True
                break
        self._settle_first()

    def tells_again(self, event: FileSystemInputEvent) -> bool:
        """Whether the next start tells of it by itself: it does, for the place is before it."""
        return any(item[0] is event for item in self._given)

    def _settle_first(self) -> None:
        reader = self._reader
        while reader is not None and self._given and self._given[0][2]:
            handle: Handle = self._given.popleft()[1]
            reader.settle(handle)

    async def _save_now_and_then(self, reader: EventReader) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            try:
                await reader.save()
            except sqlite3.Error as error:  # a full disk, say: it is tried again
                _LOG.error("%s: cannot save the cursor: %s", self._owner.label, error)


async def _finish(reader: EventReader, transport: Transport) -> None:
    try:
        await reader.save()
    finally:
        await transport.close()


class RemoteFileSystemOutput(FileSystemOutput):
    """Made by ``RemoteFileSystem``; the hub is asked for with the first event."""

    def __init__(self, owner: RemoteFileSystem) -> None:
        """Know whose it is."""
        super().__init__(lambda: None, owner.is_named, lambda: owner.label)
        self._owner = owner
        self._remote: tuple[RemoteOutput, Transport, asyncio.AbstractEventLoop] | None = None

    def is_meant(self, event: OutputEvent) -> bool:
        """Whether an event is for this one: named, or unnamed and there is an output."""
        io = getattr(event, "io", None)
        if io is not None:
            return self._owner.is_named(io)
        return self._owner.output_host is not None and not isinstance(event, PutAwayOutputEvent)

    async def send(self, event: FileSystemOutputEvent) -> Done | None:
        """Have it done by the other host.

        Raises:
            RemoteRefusedError: It was refused; the code says why.
            HubError: The hub did not take it.
            TimeoutError: No answer came in time; asked again, it is not done twice.
        """
        owner = self._owner
        if isinstance(event, PutAwayOutputEvent) or owner.output_host is None:
            message = f"{owner.label} cannot: the file is on another host, or no output is named"
            raise NotMeantError(message)
        # The same event, tried again, has the same id: it is done once.
        command = event.__dict__.setdefault("_command", uuid.uuid4().hex)
        output = await self._asked()
        result = await output.perform(
            event.operation(),
            id=command,
            expires=owner.output_expires,
            timeout=owner.output_timeout,
        )
        result.check()
        return None

    async def aclose(self) -> None:
        """Let go of the hub; the next event asks for it again."""
        found, self._remote = self._remote, None
        if found is not None:
            await found[0].__aexit__(None, None, None)
            await found[1].close()

    async def _asked(self) -> RemoteOutput:
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
