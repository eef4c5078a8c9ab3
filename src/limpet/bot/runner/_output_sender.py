"""Send output events to the outputs that take them, each once, in the order of the file."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from mewbot.core import OutputEvent, OutputInterface

from limpet._dead_letter import failed_try
from limpet._error_text import error_text
from limpet.bot._containment import ends_task
from limpet.bot._dry_run import report_dry_run
from limpet.bot._returned import classes_of
from limpet.bot.events._output_events import FileSystemOutputEvent, MoveProcessedFileOutputEvent
from limpet.bot.io._filesystem_output import FileSystemOutput, NotMeantError
from limpet.bot.runner._retry import GaveUpError, RetryPolicy, is_worth_retrying
from limpet.bot.runner._stats import Stats

_LOG: Final = logging.getLogger("limpet.bot.runner")


class OutputRefusedError(RuntimeError):
    """An output returned False: it did not send the event, without a reason."""


class OutputSender:
    """Sends to the outputs of one bot. Belongs to one loop."""

    def __init__(
        self,
        outputs: Iterable[OutputInterface],
        *,
        retry: RetryPolicy,
        timeout: float,
        stats: Stats,
    ) -> None:
        """Send to these outputs, in this order, each listed once."""
        self.outputs: list[OutputInterface] = []
        for output in outputs:
            if all(output is not other for other in self.outputs):
                self.outputs.append(output)
        self._retry = retry
        self._timeout = timeout
        self._stats = stats
        self._takers: dict[type, tuple[OutputInterface, ...]] = {}

    async def send(self, event: OutputEvent) -> None:
        """Send an event to all outputs that take it; each is retried without regard to the others.

        Raises:
            GaveUpError: One of them failed for good, or no ``FileSystem`` takes the event.
        """
        takers = self._takers.get(type(event))
        if takers is None:
            takers = self._takers[type(event)] = self._find(event)
        meant = [
            one for one in takers if not isinstance(one, FileSystemOutput) or one.is_meant(event)
        ]
        if not meant:
            self._refuse(event)
            return
        if report_dry_run(describe(event)):
            return
        failure: GaveUpError | None = None
        for output in meant:
            try:
                await self._deliver(output, event)
            except GaveUpError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        self._stats.outputs += 1

    def _find(self, event: OutputEvent) -> tuple[OutputInterface, ...]:
        takers = tuple(
            output
            for output in self.outputs
            if isinstance(event, classes_of(output, "consumes_outputs"))
        )
        if not takers:
            _LOG.warning("no output takes %s; dropping such events", type(event).__name__)
        return takers

    def _refuse(self, event: OutputEvent) -> None:
        self._stats.unwanted += 1
        if isinstance(event, FileSystemOutputEvent):
            which = f"is named {event.io!r}" if event.io is not None else "has an output_path"
            error = NotMeantError(f"no FileSystem {which}")
            raise GaveUpError(event, [failed_try(type(event).__name__, error)]) from error

    async def _deliver(self, output: OutputInterface, event: OutputEvent) -> None:
        tries: list[dict[str, str]] = []
        while True:
            try:
                if isinstance(output, FileSystemOutput):
                    assert isinstance(event, FileSystemOutputEvent)  # noqa: S101 - it takes no other
                    await output.send(event)
                else:
                    await self._send_to(output, event)
            except BaseException as error:
                if ends_task(error):
                    raise
                tries.append(
                    failed_try(f"{type(event).__name__} by {type(output).__name__}", error)
                )
                if len(tries) >= self._retry.attempts or not is_worth_retrying(error):
                    raise GaveUpError(event, tries) from error
                _LOG.warning(
                    "%s by %s failed (try %d): %s",
                    type(event).__name__,
                    type(output).__name__,
                    len(tries),
                    error_text(error),
                )
            else:
                return
            self._stats.retries += 1
            await asyncio.sleep(self._retry.delay_after(len(tries)))

    async def _send_to(self, output: OutputInterface, event: OutputEvent) -> None:
        async with asyncio.timeout(self._timeout):
            done = await output.output(event)
        if done is False:
            message = f"{type(output).__name__} did not send it"
            raise OutputRefusedError(message)


async def close(component: object) -> None:
    """Close a component that has ``aclose``; a failure is logged."""
    try:
        closing: Callable[[], Any] | None = getattr(component, "aclose", None)
        if closing is not None:
            await closing()
    except BaseException as error:
        if ends_task(error):
            raise
        _LOG.exception("closing %s failed", type(component).__name__)


def describe(event: OutputEvent) -> str:
    """Return a line about an event for a dry run, with the size of its content."""
    if isinstance(event, MoveProcessedFileOutputEvent):
        failed = event.outcome is not None and event.outcome.error is not None
        return f"move {event.path} to {event.failed if failed else event.done}"
    if not isinstance(event, FileSystemOutputEvent):
        return f"send {event!r}"[:500]
    operation = event.operation()
    words = [type(operation).__name__]
    for item in dataclasses.fields(operation):
        value = getattr(operation, item.name)
        if item.name == "content":
            words.append(f"({len(value)} {'bytes' if isinstance(value, bytes) else 'characters'})")
        elif item.name in {"name", "target"}:
            words.append(repr(str(value)))
    where = f" in {event.io}" if event.io is not None else ""
    return " ".join(words) + where
