"""Actions that write a line to standard output or to the log."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet._pipe_errors import pipe_errors
from limpet._setting_types import Text
from limpet._surrogates import writable
from limpet._wire import dump_line
from limpet.bot._closed_pipe import stop_for_closed_pipe
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import wire_of
from limpet.bot.settings._types import TemplateText

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class PrintAction(LimpetAction):
    """Writes a line to standard output: a template or, without one, the event as JSON."""

    text: TemplateText | None = Setting(None, description="The line, as a template.")

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Write the line, in a thread: a pipe may be full."""
        if self.text is None:
            line = dump_line(wire_of(event)).decode()
        else:
            line = self.text.text(self.fields(event, state)) + "\n"
        try:
            await asyncio.to_thread(_print, line)
        except BrokenPipeError:
            # As programs do whose reader has gone, such as ``| head``; the event is kept.
            if not stop_for_closed_pipe():
                raise
            await asyncio.Event().wait()
        return
        yield


def _print(line: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with pipe_errors():
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


class LogAction(LimpetAction):
    """Writes a line to the log."""

    text: TemplateText = Setting(
        Template("{{ type }} {{ path | default('') }}"), description="The line, as a template."
    )
    level: Literal["debug", "info", "warning", "error"] = Setting(
        "info", description="Level: debug, info, warning or error."
    )
    logger: Text = Setting("limpet.bot.log", description="The logger's name.")

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        line = writable(self.text.text(self.fields(event, state)))
        logging.getLogger(self.logger).log(_LEVELS[self.level], "%s", line)
        return
        yield
