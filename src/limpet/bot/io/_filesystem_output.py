"""The output of a ``FileSystem``: performs output events below its directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from mewbot.api.v1 import Output, OutputEvent

from limpet.bot.compat._mewbot_failures import contained_output
from limpet.bot.events._output_events import FileSystemOutputEvent, MoveProcessedFileOutputEvent
from limpet.bot.io._archive_file import move_processed_file
from limpet.bot.io._desired_state import DesiredOutput
from limpet.errors import OutputError, UsageError
from limpet.output import AsyncOutput, Done, OutputStats, Refused, added

_TRANSIENT: Final = frozenset(("busy", "closed", "durability", "io", "no-space", "root-gone"))
"""Refusals that may be gone at the next try; the others are about the name or the entry there."""


class NotMeantError(UsageError):
    """No ``FileSystem`` takes the event: none has an output directory, or none has that name."""


def is_transient(error: BaseException) -> bool:
    """Return whether another try may succeed."""
    if isinstance(error, OutputError):
        return error.code in _TRANSIENT
    return not isinstance(error, UsageError)


class FileSystemOutput(Output):
    """Made by ``FileSystem``; the directory is opened with the first event."""

    def __init__(
        self,
        desired: Callable[[], DesiredOutput | None],
        is_named: Callable[[str], bool],
        label: Callable[[], str],
    ) -> None:
        self._desired = desired
        self._is_named = is_named
        self._label = label
        self._open: AsyncOutput | None = None
        self._open_for: tuple[DesiredOutput, asyncio.AbstractEventLoop] | None = None
        self._turn: tuple[asyncio.Lock, asyncio.AbstractEventLoop] | None = None
        self._before: OutputStats | None = None
        """Figures of the outputs that were open before this one."""

    @staticmethod
    def consumes_outputs() -> set[type[OutputEvent]]:
        """Return the base of all output events for a ``FileSystem``."""
        return {FileSystemOutputEvent}

    def is_meant(self, event: OutputEvent) -> bool:
        """Return whether an event is for this output: addressed, or to all with a directory."""
        io = getattr(event, "io", None)
        if io is not None:
            return self._is_named(io)
        return self._desired() is not None or isinstance(event, MoveProcessedFileOutputEvent)

    async def output(self, event: OutputEvent) -> bool:
        """Perform an event for mewbot's own runner, and return whether that succeeded.

        It is False for an event that is not for this output, or was refused, which is logged.
        Raises nothing, and does not take longer than ``output_timeout``.
        """
        if not isinstance(event, FileSystemOutputEvent) or not self.is_meant(event):
            return False
        return await contained_output(self.send, event, self._label())

    async def send(self, event: FileSystemOutputEvent) -> Done | None:
        """Perform an event for limpet's runner, which handles the exceptions.

        Raises:
            OutputError: It was refused; the code is the reason.
            UsageError: It is impossible; another try does not help.
            TimeoutError: It took longer than ``output_timeout``.
        """
        if isinstance(event, MoveProcessedFileOutputEvent):
            moved = await move_processed_file(event)
            if event.outcome is not None:
                event.outcome.moved = moved
            return None
        desired = self._desired()
        if desired is None:
            message = f"{self._label()} has no output_path to write to"
            raise NotMeantError(message)
        operation = event.operation()
        try:
            async with asyncio.timeout(desired.timeout):
                answer = await (await self._opened(desired)).perform(operation)
        except TimeoutError as error:
            message = (
                f"{self._label()}: writing {operation.name!r} took more than {desired.timeout:g} s"
            )
            raise TimeoutError(message) from error
        if isinstance(answer, Refused):
            raise answer.error()
        return answer

    async def aclose(self) -> None:
        """Close the directory once all started operations are done; the next event reopens it."""
        output, self._open = self._open, None
        if output is not None:
            await output.aclose()
            self._keep_figures(output)

    def figures(self) -> tuple[str, OutputStats] | None:
        """Return its root and figures; ``None`` if it has written nothing yet."""
        desired, output, before = self._desired(), self._open, self._before
        found = None if output is None else output.stats()
        if before is not None:
            found = before if found is None else added(before, found)
        root = "" if desired is None else os.path.abspath(desired.path)
        return None if found is None else (root, found)

    @property
    def label(self) -> str:
        """The name of the ``FileSystem``."""
        return self._label()

    def _keep_figures(self, output: AsyncOutput) -> None:
        found = output.stats()
        self._before = found if self._before is None else added(self._before, found)

    async def _opened(self, desired: DesiredOutput) -> AsyncOutput:
        """Return the output, opened in this loop as it is desired now."""
        loop = asyncio.get_running_loop()
        if self._open is not None and self._open_for == (desired, loop):
            return self._open
        if self._turn is None or self._turn[1] is not loop:
            self._turn = (asyncio.Lock(), loop)
        async with self._turn[0]:
            if self._open is not None and self._open_for == (desired, loop):
                return self._open
            before = None if self._open_for is None else self._open_for[1]
            if before is loop or (before is not None and before.is_closed()):
                await self.aclose()
            elif self._open is not None:
                self._keep_figures(self._open)
            self._open = None
            output = desired.open()
            output.says_so = False  # mewbot's own runner closes nothing
            await output.aopen()
            self._open, self._open_for = output, (desired, loop)
            return output
