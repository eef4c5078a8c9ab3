"""The output of a ``FileSystem``: does what output events ask for, below its folder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from mewbot.api.v1 import Output, OutputEvent

from limpet.bot.events._output_events import FileSystemOutputEvent, PutAwayOutputEvent
from limpet.bot.io._archive_file import put_away
from limpet.bot.io._desired_state import WantedOutput
from limpet.errors import LimpetError, OutputError, UsageError
from limpet.output import AsyncOutput, Done, Refused

__all__ = ["FileSystemOutput", "NotMeantError", "is_transient"]

_TRANSIENT: Final = frozenset(("busy", "closed", "durability", "io", "no-space", "root-gone"))
"""Refusals that another try may find gone; the rest are about the name or what stands there."""

_LOG = logging.getLogger("limpet.bot.output")


class NotMeantError(UsageError):
    """No ``FileSystem`` takes it: none has an output folder, or none is called so."""


def is_transient(error: BaseException) -> bool:
    """Whether it may help to try again."""
    if isinstance(error, OutputError):
        return error.code in _TRANSIENT
    return not isinstance(error, UsageError)


class FileSystemOutput(Output):
    """Made by ``FileSystem``; the folder is opened with the first event."""

    def __init__(
        self,
        wanted: Callable[[], WantedOutput | None],
        is_named: Callable[[str], bool],
        label: Callable[[], str],
    ) -> None:
        """Know whom to ask for what is wanted."""
        self._wanted = wanted
        self._is_named = is_named
        self._label = label
        self._open: AsyncOutput | None = None
        self._open_for: tuple[WantedOutput, asyncio.AbstractEventLoop] | None = None
        self._turn: tuple[asyncio.Lock, asyncio.AbstractEventLoop] | None = None

    @staticmethod
    def consumes_outputs() -> set[type[OutputEvent]]:
        """Take everything that is meant for a ``FileSystem``."""
        return {FileSystemOutputEvent}

    def is_meant(self, event: OutputEvent) -> bool:
        """Whether an event is for this one: named, or unnamed and there is a folder."""
        io = getattr(event, "io", None)
        if io is not None:
            return self._is_named(io)
        return self._wanted() is not None or isinstance(event, PutAwayOutputEvent)

    async def output(self, event: OutputEvent) -> bool:
        """Do it; False if it was not meant for this one, or was refused, which is logged.

        Raises nothing, and does not take longer than ``output_timeout``: mewbot's own runner would
        end the bot, or wait for ever.
        """
        if not isinstance(event, FileSystemOutputEvent) or not self.is_meant(event):
            return False
        try:
            await self.send(event)
            return True
        except Exception as error:  # noqa: BLE001 - whatever it is, the bot goes on
            known = isinstance(error, LimpetError | OSError)
            _LOG.error("%s: %s", self._label(), error, exc_info=None if known else error)
            if event.outcome is not None:
                event.outcome.fail(error)
            return False
        finally:
            if event.outcome is not None and not event.__dict__.get("_is_counted"):
                event.__dict__["_is_counted"] = True  # another FileSystem may get it, too
                event.outcome.open -= 1

    async def send(self, event: FileSystemOutputEvent) -> Done | None:
        """Do it, for limpet's runner, which knows what to do with what is raised.

        Raises:
            OutputError: It was refused; the code says why.
            UsageError: It cannot be done at all; another try will not help.
            TimeoutError: It took longer than ``output_timeout``.
        """
        if isinstance(event, PutAwayOutputEvent):
            await put_away(event)
            return None
        wanted = self._wanted()
        if wanted is None:
            message = f"{self._label()} has no output_path to write into"
            raise NotMeantError(message)
        operation = event.operation()
        try:
            async with asyncio.timeout(wanted.timeout):
                answer = await (await self._opened(wanted)).perform(operation)
        except TimeoutError as error:
            message = (
                f"{self._label()}: writing {operation.name!r} took more than {wanted.timeout:g} s"
            )
            raise TimeoutError(message) from error
        if isinstance(answer, Refused):
            raise answer.error()
        return answer

    async def aclose(self) -> None:
        """Close the folder once all that was begun is done; the next event opens it again."""
        output, self._open = self._open, None
        if output is not None:
            await output.__aexit__(None, None, None)

    async def _opened(self, wanted: WantedOutput) -> AsyncOutput:
        """Give the output, opened in this loop and as it is wanted now."""
        loop = asyncio.get_running_loop()
        if self._open is not None and self._open_for == (wanted, loop):
            return self._open
        if self._turn is None or self._turn[1] is not loop:
            self._turn = (asyncio.Lock(), loop)
        async with self._turn[0]:
            if self._open is not None and self._open_for == (wanted, loop):
                return self._open
            if self._open_for is not None and self._open_for[1] is loop:
                await self.aclose()
            self._open = None
            output = wanted.open()
            await output.__aenter__()
            self._open, self._open_for = output, (wanted, loop)
            return output
