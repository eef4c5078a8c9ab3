"""A bot as a program: obeys signals, tells systemd, and swaps a changed file in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from limpet.bot.config import ConfigError
from limpet.bot.runner._dead_letters import DeadLetter, Letters
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._runner import Runner
from limpet.bot.runner._sd_notify import Notifier
from limpet.bot.runner._work_journal import Entry
from limpet.errors import LimpetError, UsageError

__all__ = ["default_state_dir", "replay", "serve"]

_LOG: Final = logging.getLogger("limpet.bot")


def default_state_dir(file: str | os.PathLike[str]) -> Path:
    """Give the folder for a bot's journal: the same for the same file, another for another.

    ``STATE_DIRECTORY``, as systemd sets it, or a folder of its own below ``XDG_STATE_HOME``.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    import hashlib

    whole = os.path.abspath(file)
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    mark = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return Path(home) / "limpet" / f"{Path(whole).stem}-{mark}"


def serve(file: str, options: RunOptions) -> int:
    """Run a bot's file until it is told to end; gives the exit code.

    0: it ended in order, also by a signal. 128 + n: a second signal n ended it at once.

    Raises:
        ConfigError: The file is wrong; nothing was started.
        UsageError: Another bot runs with this state folder.
        OSError: The state folder, or the address for health, cannot be used.
    """
    return asyncio.run(_Program(file, Runner(file, options)).run())


def replay(file: str, options: RunOptions, *, only: Sequence[str] = ()) -> tuple[int, int]:
    """Have the dead letters of a bot done again; gives how many were, and how many are left.

    What fails again becomes a dead letter again. No input is started.

    Args:
        file: The bot's file.
        options: As for ``serve``; ``state_dir`` says where the letters are.
        only: The ids of those that are meant; all, if there are none.

    Raises:
        ConfigError: The file is wrong.
        UsageError: There is no state folder, or another bot runs with it.
        OSError: The letters cannot be read.
    """
    if options.state_dir is None:
        message = "there is no state folder to take dead letters from"
        raise UsageError(message)
    runner = Runner(file, replace(options, until_done=True, listen=None), entries=())
    idents = [ident for _, ident in runner.parts.active()]
    letters = Letters(Path(options.state_dir))
    aside = letters.take()
    if aside is None:
        return 0, 0
    found = letters.read(aside)
    meant, rest = _sort(found, idents, only)
    runner.entries = [Entry(one.ident, one.behaviour, one.event) for one in meant if one.event]
    if not options.dry_run and rest:
        letters.add([one.line for one in rest])
    asyncio.run(_Program(file, runner).run())
    if options.dry_run:
        aside.replace(letters.path)
        return 0, len(found)
    aside.unlink()
    return len(meant) - runner.keep.buried, len(rest) + runner.keep.buried


def _sort(
    found: list[DeadLetter], idents: list[str], only: Sequence[str]
) -> tuple[list[DeadLetter], list[DeadLetter]]:
    """Part those that can be done from those that stay, and say why they do."""
    meant, rest = [], []
    for one in found:
        if only and one.ident not in only:
            rest.append(one)
        elif one.event is None:
            _LOG.error("the dead letter %s stays: %s", one.ident, one.error)
            rest.append(one)
        elif one.behaviour not in idents:
            _LOG.error(
                "the dead letter %s stays: there is no behaviour %s", one.ident, one.behaviour
            )
            rest.append(one)
        else:
            meant.append(one)
    return meant, rest


class _Program:
    """One run as a program."""

    def __init__(self, file: str, runner: Runner) -> None:
        self._file = file
        self._runner = runner
        self._notifier = Notifier()
        self._code = 0
        self._signals = 0
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                self._obey(loop, stack, name)
            watching = asyncio.create_task(self._tell_manager())
            try:
                await self._runner.run()
            finally:
                watching.cancel()
                for job in self._jobs:
                    job.cancel()
                await asyncio.wait({watching, *self._jobs})
        return self._code

    def _obey(
        self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack, name: str
    ) -> None:
        number = getattr(signal, name, None)
        if number is None:
            return
        if signal.getsignal(number) is signal.SIG_IGN and name != "SIGHUP":
            return  # the parent ignores it for us
        react = self._hang_up if name == "SIGHUP" else self._end
        try:
            loop.add_signal_handler(number, react, number)
        except (NotImplementedError, RuntimeError, ValueError):
            # Windows, or no main thread: there Ctrl-C cancels the run, and what is left is kept.
            return
        stack.callback(loop.remove_signal_handler, number)

    def _end(self, number: int) -> None:
        self._signals += 1
        name = signal.Signals(number).name
        if self._signals == 1:
            _LOG.info("%s: stopping; a second one ends at once", name)
        else:
            _LOG.warning("%s again: ending at once; what is not done is kept", name)
            self._code = 128 + number
        self._notifier.send("STOPPING=1", f"STATUS=stopping, by {name}")
        self._runner.stop()

    def _hang_up(self, _: int) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _reload(self) -> None:
        self._notifier.send("RELOADING=1")
        try:
            await self._runner.reload(self._file)
        except ConfigError as error:
            _LOG.error("the changed file is wrong, so the bot goes on as it is:\n%s", error)
        except LimpetError as error:
            _LOG.error("the bot goes on as it is: %s", error)
        except Exception:  # noqa: BLE001 - anybody's code was imported
            _LOG.exception("the bot goes on as it is, for the changed file cannot be loaded")
        else:
            _LOG.info("%s was read again, and swapped in", self._file)
        self._notifier.send("READY=1", "STATUS=running")

    async def _tell_manager(self) -> None:
        await self._runner.ready.wait()
        self._notifier.send("READY=1", "STATUS=running")
        pause = self._notifier.watchdog
        while pause is not None:
            await asyncio.sleep(pause)
            stats = self._runner.stats
            self._notifier.send("WATCHDOG=1", f"STATUS={self._runner.state}, {stats.events} events")
