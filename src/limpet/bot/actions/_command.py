"""The action that runs a program for an event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from mewbot.api.v1 import InputEvent, OutputEvent

from limpet._setting_types import FilePath, OneOrMore, PositiveCount, PositiveSeconds, Text
from limpet._surrogates import system_text, writable
from limpet._wire import dump_line
from limpet.bot._dry_run import report_dry_run
from limpet.bot._run_command import CommandResult, run_command
from limpet.bot.actions._base import LimpetAction
from limpet.bot.events._action_result import Outcome
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import FIELDS, wire_of
from limpet.bot.settings._types import TemplateOrEmpty
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
    ``{{ state.command.output }}`` and ``{{ state.command.status }}``. A status other than 0 is a
    failure.

    A program that takes too long, or is ended for a newer event (``busy: restart``), gets SIGTERM,
    and five seconds later SIGKILL; the next one starts once it is gone. Meanwhile only the newest
    events wait, as many as there are ``jobs``; those before them are skipped.
    """

    command: OneOrMore[TemplateOrEmpty] = Setting(
        min_length=1,
        description=(
            "Program and arguments, each a template of its own; a value is never split into words."
        ),
    )
    timeout: PositiveSeconds | None = Setting(
        60.0, description="Seconds it may take; null is unlimited."
    )
    busy: Literal["queue", "skip", "restart"] = Setting(
        "queue",
        description=(
            "While the most allowed run: wait, skip the event, or end the one that started first."
        ),
    )
    jobs: PositiveCount = Setting(
        1, description="How many may run at once, within the bound of the behaviour."
    )
    folder: FilePath | None = Setting(
        None, description="Its working folder; by default that of the bot."
    )
    keep: OneOrMore[Text] = Setting(
        (), description="More variables that it inherits from our environment."
    )
    max_output: PositiveCount = Setting(65536, description="Bytes of its output that are kept.")

    def __init__(self, **unknown: object) -> None:
        super().__init__(**unknown)
        self._running: dict[asyncio.Task[CommandResult | None], asyncio.Event] = {}
        """Running program -> what ends it for a newer event, oldest first."""
        self._waiting: dict[object, None] = {}
        """Events that wait for a program to be ended, oldest first."""
        self.skipped = 0
        """Events that were skipped."""

    async def steps(
        self, event: InputEvent, state: dict[str, Any], outcome: Outcome
    ) -> AsyncIterator[OutputEvent | None]:
        """Run the program to its end."""
        fields = self.fields(event, state)
        argv = [_argument(one, fields) for one in self.command]
        shown = writable(shlex.join(argv))
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
        if self.busy == "restart":
            return await self._supersede(shown)
        while len(self._running) >= self.jobs:
            if self.busy == "skip":
                return self._skip("skipped, because another one is running", shown)
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _supersede(self, shown: str) -> bool:
        """End as many programs as events wait; each of them once, so that it has its grace."""
        me = object()
        self._waiting[me] = None
        while len(self._waiting) > self.jobs:
            del self._waiting[next(iter(self._waiting))]
        try:
            while len(self._running) >= self.jobs and me in self._waiting:
                for superseded in list(self._running.values())[: len(self._waiting)]:
                    superseded.set()
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return me in self._waiting or self._skip("skipped for a newer event", shown)
        finally:
            self._waiting.pop(me, None)

    def _skip(self, why: str, shown: str) -> bool:
        self.skipped += 1
        _LOG.info("%s: %s", why, shown)
        return False

    async def _run(self, argv: list[str], event: InputEvent, shown: str) -> CommandResult | None:
        """Run the program; return ``None`` if it was ended for another one."""
        superseded = asyncio.Event()
        program = run_command(
            argv,
            payload=dump_line(wire_of(event)),
            environment=self._environment(event),
            directory=self.folder,
            timeout=self.timeout,
            max_output=self.max_output,
            superseded=superseded,
        )
        task = asyncio.ensure_future(program)
        self._running[task] = superseded
        try:
            result = await asyncio.shield(task)
        except TimeoutError as error:
            message = f"{shown} took more than {self.timeout:g} s, and was ended"
            raise CommandFailedError(message) from error
        except (OSError, ValueError) as error:
            message = f"cannot start {shown}: {getattr(error, 'strerror', None) or error}"
            raise CommandFailedError(message) from error
        finally:
            while not task.done():  # it ends with the program, however often we are cancelled
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            del self._running[task]
        if result is None:
            self._skip("ended for a newer event", shown)
        return result

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
                found[variable] = system_text(str(value))
        return found


def _argument(one: Template, fields: Any) -> str:  # noqa: ANN401 - Fields
    value = one.text(fields)
    if "\0" in value:
        message = f"the argument {one.source!r} expands to a text with a NUL"
        raise UsageError(message)
    return system_text(value)
