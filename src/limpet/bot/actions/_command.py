"""The action that runs a program for an event."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet._wire import dump_line
from limpet.bot._dry_run import report_dry_run
from limpet.bot._run_command import CommandResult, run_command
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import FIELDS, template, wire_of
from limpet.bot.settings._validators import (
    choice,
    fitting,
    listed,
    maybe,
    number,
    path,
    text,
    whole,
)
from limpet.errors import UsageError

_INHERITED: Final = (
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR",
    "TZ", "USER", "VIRTUAL_ENV",
)  # fmt: skip
"""Variables that a program inherits from our environment, beside all that start with LC_: tokens
and passwords of the bot are not for every program that it starts."""

_LOG = logging.getLogger("limpet.bot.command")


class CommandFailedError(RuntimeError):
    """A program could not be started, exited with a status other than 0, or took too long."""


class RunCommandAction(LimpetAction):
    """Runs a program: a list of arguments, never a shell; the event as a JSON line on its stdin.

    Its environment has ``LIMPET_EVENT_TYPE``, ``LIMPET_PATH``, ``LIMPET_OLD_PATH`` and
    ``LIMPET_ROOT``, and a few variables of ours. Its output goes into ``state``, as
    ``{state.command.output}`` and ``{state.command.status}``. A status other than 0 is a failure.
    """

    command = Setting(
        listed(fitting(text(empty=True), template), least=1),
        (),
        "Program and arguments, each a template of its own; a value is never split into words.",
        plain=lambda value: [one.source for one in value],
        required=True,
    )
    timeout = Setting(maybe(number(least=0.001)), 60.0, "Seconds it may take; null is unlimited.")
    busy = Setting(
        cast("Any", choice("queue", "skip", "restart")),
        "queue",
        "While the most allowed run: wait, skip the event, or end the one that started first.",
    )
    jobs = Setting(
        whole(least=1), 1, "How many may run at once, within the bound of the behaviour."
    )
    folder = Setting(maybe(path()), None, "Its working folder; by default that of the bot.")
    keep = Setting(listed(text()), (), "More variables that it inherits from our environment.")
    max_output = Setting(whole(least=1), 65536, "Bytes of its output that are kept.")

    def __init__(self, **unknown: object) -> None:
        super().__init__(**unknown)
        self._running: dict[asyncio.Task[CommandResult], bool] = {}
        """Running program -> whether it is being ended for another one."""
        self.skipped = 0
        """Events that were skipped."""

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Run the program to its end."""
        fields = self.fields(event, state)
        argv = [_argument(one, fields) for one in self.command]
        shown = shlex.join(argv)
        if report_dry_run(f"run {shown}"):
            state["command"] = {"status": 0, "output": ""}
            return
        if not await self._admit(shown):
            return
        result = await self._run(argv, event, shown)
        if result is None:
            return
        state["command"] = {
            "status": result.status,
            "output": result.output.decode("utf-8", "replace").rstrip("\n"),
        }
        if result.status != 0:
            lines = result.errors.decode("utf-8", "replace").strip().splitlines()
            message = f"{shown} exited with status {result.status}" + (
                f": {lines[-1][:300]}" if lines else ""
            )
            raise CommandFailedError(message)
        return
        yield

    async def _admit(self, shown: str) -> bool:
        """Wait for room, or make room; return whether to run the program."""
        while len(self._running) >= self.jobs:
            if self.busy == "skip":
                self.skipped += 1
                _LOG.info("skipped, because another one is running: %s", shown)
                return False
            if self.busy == "restart":
                first = next(iter(self._running))
                self._running[first] = True
                first.cancel()
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _run(self, argv: list[str], event: InputEvent, shown: str) -> CommandResult | None:
        """Run the program; return ``None`` if it was ended for another one."""
        program = run_command(
            argv,
            payload=dump_line(wire_of(event)),
            environment=self._environment(event),
            directory=self.folder,
            timeout=self.timeout,
            max_output=self.max_output,
        )
        task = asyncio.ensure_future(program)
        self._running[task] = False
        try:
            await asyncio.wait({task})
            if task.cancelled() and self._running[task]:
                self.skipped += 1
                _LOG.info("ended for a newer event: %s", shown)
                return None
            return task.result()
        except TimeoutError as error:
            message = f"{shown} took more than {self.timeout:g} s, and was ended"
            raise CommandFailedError(message) from error
        except (OSError, ValueError) as error:
            message = f"cannot start {shown}: {getattr(error, 'strerror', None) or error}"
            raise CommandFailedError(message) from error
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            del self._running[task]

    def _environment(self, event: InputEvent) -> dict[str, str]:
        inherited = {*_INHERITED, *self.keep}
        found = {
            key: value
            for key, value in os.environ.items()
            if key in inherited or key.startswith("LC_")
        }
        for variable, field in (
            ("LIMPET_EVENT_TYPE", "type"),
            ("LIMPET_PATH", "path"),
            ("LIMPET_OLD_PATH", "old_path"),
            ("LIMPET_ROOT", "root"),
        ):
            if (value := FIELDS[field](event)) is not None:
                found[variable] = str(value)
        return found


def _argument(one: Template, fields: Any) -> str:  # noqa: ANN401 - Fields
    value = one.text(fields)
    if "\0" in value:
        message = f"the argument {one.source!r} expands to a text with a NUL"
        raise UsageError(message)
    return value
