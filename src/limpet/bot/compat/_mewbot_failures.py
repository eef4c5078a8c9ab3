"""Failures under mewbot's own runner, where an exception would end the bot: logged and noted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from mewbot.core import InputEvent, OutputEvent

from limpet._error_text import error_text
from limpet.bot._containment import ends_task
from limpet.bot.compat._mewbot_queue import output_done, output_requested
from limpet.bot.events._action_result import Outcome
from limpet.bot.events._output_events import FileSystemOutputEvent
from limpet.errors import LimpetError

_LOG = logging.getLogger("limpet.bot.action")


async def contained_steps(
    steps: AsyncIterator[OutputEvent | None], name: str, event: InputEvent, outcome: Outcome
) -> AsyncIterator[OutputEvent | None]:
    """Yield what the steps of an action yield; an exception goes to log and outcome instead."""
    is_closed = False
    """Whether the consumer has ended the iteration."""
    try:
        async for output in steps:
            if isinstance(output, FileSystemOutputEvent) and output.outcome is outcome:
                output_requested(event, output)  # mewbot puts it into a queue
            try:
                yield output
            except GeneratorExit:
                is_closed = True
                raise
    except BaseException as error:
        if is_closed or ends_task(error):
            raise
        outcome.fail(error)
        known = isinstance(error, LimpetError | OSError)
        _LOG.error("%s failed: %s", name, error_text(error), exc_info=None if known else error)


async def contained_output(
    send: Callable[[FileSystemOutputEvent], Awaitable[object]],
    event: FileSystemOutputEvent,
    label: str,
) -> bool:
    """Send an output event, and return whether that succeeded; an exception is logged."""
    try:
        await send(event)
        return True
    except BaseException as error:
        if ends_task(error):
            raise
        known = isinstance(error, LimpetError | OSError)
        _LOG.error("%s: %s", label, error_text(error), exc_info=None if known else error)
        if event.outcome is not None:
            event.outcome.fail(error)
        return False
    finally:
        output_done(event)
