"""Hands output events to the outputs that take them, each once, in the order of the file."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from mewbot.core import OutputEvent, OutputInterface

from limpet.bot._dry_run import would
from limpet.bot.events._output_events import FileSystemOutputEvent, PutAwayOutputEvent
from limpet.bot.io._filesystem_output import FileSystemOutput, NotMeantError
from limpet.bot.runner._retry import GaveUpError, Patience, helps
from limpet.bot.runner._stats import Stats

__all__ = ["OutputRefusedError", "Sender"]

_LOG: Final = logging.getLogger("limpet.bot.runner")


class OutputRefusedError(RuntimeError):
    """An output answered that it did not send the event; it does not say why."""


class Sender:
    """Knows which outputs there are. Belongs to one loop."""

    def __init__(
        self,
        outputs: Iterable[OutputInterface],
        *,
        patience: Patience,
        timeout: float,
        stats: Stats,
    ) -> None:
        """Use these outputs, in this order."""
        self.outputs: list[OutputInterface] = []
        for output in outputs:
            if all(output is not other for other in self.outputs):
                self.outputs.append(output)
        self._patience = patience
        self._timeout = timeout
        self._stats = stats
        self._takers: dict[type, tuple[OutputInterface, ...]] = {}

    async def send(self, event: OutputEvent) -> None:
        """Send it to all that take it; who fails is tried again, and does not stop the others.

        Raises:
            GaveUpError: One of them failed for good, or nobody takes it.
        """
        takers = self._takers.get(type(event))
        if takers is None:
            takers = self._takers[type(event)] = self._find(event)
        meant = [
            one for one in takers if not isinstance(one, FileSystemOutput) or one.is_meant(event)
        ]
        if not meant:
            self._nobody(event)
            return
        if would(describe(event)):
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

    async def close(self) -> None:
        """Close the outputs that can be."""
        for output in self.outputs:
            await close(output)

    def _find(self, event: OutputEvent) -> tuple[OutputInterface, ...]:
        takers = tuple(
            output for output in self.outputs if isinstance(event, tuple(output.consumes_outputs()))
        )
        if not takers:
            _LOG.warning("no output takes %s; such events are dropped", type(event).__name__)
        return takers

    def _nobody(self, event: OutputEvent) -> None:
        self._stats.unwanted += 1
        if isinstance(event, FileSystemOutputEvent):
            named = f"is called {event.io!r}" if event.io is not None else "has an output_path"
            message = f"no FileSystem {named}"
            raise GaveUpError(event, 1) from NotMeantError(message)

    async def _deliver(self, output: OutputInterface, event: OutputEvent) -> None:
        attempt = 1
        while True:
            try:
                if isinstance(output, FileSystemOutput):
                    assert isinstance(event, FileSystemOutputEvent)  # noqa: S101 - it takes no other
                    await output.send(event)
                else:
                    await self._ask(output, event)
            except Exception as error:
                if attempt >= self._patience.attempts or not helps(error):
                    raise GaveUpError(event, attempt) from error
                _LOG.warning(
                    "%s by %s failed (try %d): %s",
                    type(event).__name__,
                    type(output).__name__,
                    attempt,
                    error,
                )
            else:
                return
            self._stats.retries += 1
            await asyncio.sleep(self._patience.wait(attempt))
            attempt += 1

    async def _ask(self, output: OutputInterface, event: OutputEvent) -> None:
        async with asyncio.timeout(self._timeout):
            done = await output.output(event)
        if done is False:
            message = f"{type(output).__name__} did not send it"
            raise OutputRefusedError(message)


async def close(component: object) -> None:
    """Close a component that has ``aclose``; what goes wrong is logged."""
    closing: Callable[[], Any] | None = getattr(component, "aclose", None)
    if closing is None:
        return
    try:
        await closing()
    except Exception:  # noqa: BLE001 - the others are to be closed too
        _LOG.exception("closing %s failed", type(component).__name__)


def describe(event: OutputEvent) -> str:
    """Say what would be done, for a dry run; contents by their size."""
    if isinstance(event, PutAwayOutputEvent):
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
