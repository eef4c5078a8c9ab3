"""A bot as a program: handles signals, notifies systemd, and reloads a changed file."""

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

from limpet.bot._closed_pipe import stopping_by
from limpet.bot.runner._dead_letters import DeadLetter, DeadLetters
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._runner import Runner
from limpet.bot.runner._sd_notify import Notifier
from limpet.bot.runner._work_journal import JournalEntry
from limpet.errors import LimpetError, UsageError

_LOG: Final = logging.getLogger("limpet.bot")


def default_state_dir(file: str | os.PathLike[str]) -> Path:
    """Return the state directory of a bot: the same for the same file, another for another.

    It is ``STATE_DIRECTORY``, as systemd sets it, or a directory below ``XDG_STATE_HOME``.
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
    """Run a bot's file until a signal, and return the exit code.

    0: it stopped in order, also by a signal. 128 + n: a second signal n stopped it at once.

    Raises:
        BotConfigError: The file is wrong; nothing was started.
        UsageError: Another bot runs with this state directory.
        OSError: The state directory, or the address for health, cannot be used.
    """
    return asyncio.run(_Program(file, Runner(file, options)).run())


def replay(file: str, options: RunOptions, *, only: Sequence[str] = ()) -> tuple[int, int]:
    """Process the dead letters of a bot again; return how many succeeded, and how many are left.

    What fails again becomes a dead letter again. No input is started.

    Args:
        file: The bot's file.
        options: As for ``serve``; ``state_dir`` holds the dead letters.
        only: The ids of the dead letters to process; empty for all.

    Raises:
        BotConfigError: The file is wrong.
        UsageError: There is no state directory, or another bot runs with it.
        OSError: The dead letters cannot be read.
    """
    if options.state_dir is None:
        message = "there is no state directory to take dead letters from"
        raise UsageError(message)
    runner = Runner(file, replace(options, until_done=True, listen=None), entries=())
    idents = [ident for _, ident in runner.components.active()]
    dead_letters = DeadLetters(Path(options.state_dir))
    taken = dead_letters.take()
    if taken is None:
        return 0, 0
    found = dead_letters.read(taken)
    chosen, rest = _sort(found, idents, only)
    runner.entries = [
        JournalEntry(one.ident, one.behaviour, one.event) for one in chosen if one.event
    ]
    if not options.dry_run and rest:
        dead_letters.add([one.line for one in rest])
    asyncio.run(_Program(file, runner).run())
    if options.dry_run:
        taken.replace(dead_letters.path)
        return 0, len(found)
    taken.unlink()
    return len(chosen) - runner.state_dir.dead_letters, len(rest) + runner.state_dir.dead_letters


def _sort(
    found: list[DeadLetter], idents: list[str], only: Sequence[str]
) -> tuple[list[DeadLetter], list[DeadLetter]]:
    """Separate those to process from those that stay, and log the reason of the latter."""
    chosen, rest = [], []
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
            chosen.append(one)
    return chosen, rest


class _Program:
    """One run as a program."""

    def __init__(self, file: str, runner: Runner) -> None:
        self._file = file
        self._runner = runner
        self._notifier = Notifier()
        self._code = 0
        self._signals = 0
        self._reloads: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                self._handle_signal(loop, stack, name)
            notifying = asyncio.create_task(self._notify_manager())
            try:
                with stopping_by(self._on_closed_pipe):
                    await self._runner.run()
            finally:
                notifying.cancel()
                for reload_task in self._reloads:
                    reload_task.cancel()
                await asyncio.wait({notifying, *self._reloads})
        return self._code

    def _handle_signal(
        self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack, name: str
    ) -> None:
        number = getattr(signal, name, None)
        if number is None:
            return
        if signal.getsignal(number) is signal.SIG_IGN and name != "SIGHUP":
            return  # the parent process ignores it for us
        react = self._on_hangup if name == "SIGHUP" else self._on_stop
        try:
            loop.add_signal_handler(number, react, number)
        except (NotImplementedError, RuntimeError, ValueError):
            # Windows, or not the main thread: Ctrl-C cancels the run, which stores what is left.
            return
        stack.callback(loop.remove_signal_handler, number)

    def _on_stop(self, number: int) -> None:
        self._signals += 1
        name = signal.Signals(number).name
        if self._signals == 1:
            _LOG.info("%s: stopping; a second signal stops at once", name)
        else:
            _LOG.warning("%s again: stopping at once; unprocessed events are stored", name)
            self._code = 128 + number
        self._notifier.send("STOPPING=1", f"STATUS=stopping, by {name}")
        self._runner.stop()

    def _on_closed_pipe(self) -> None:
        _LOG.info("nobody reads standard output any more: stopping; unprocessed events are stored")
        self._runner.stop()
        self._runner.stop()  # at once: what waits cannot be printed either

    def _on_hangup(self, _: int) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        self._notifier.send("RELOADING=1")
        try:
            await self._runner.reload(self._file)
        except LimpetError as error:  # of a wrong file each problem has a line
            _LOG.error("the reload failed; the bot goes on as it is:\n%s", error)
        except Exception:  # noqa: BLE001 - foreign code was imported
            _LOG.exception("the changed file cannot be loaded; the bot goes on as it is")
        else:
            _LOG.info("reloaded %s", self._file)
        self._notifier.send("READY=1", "STATUS=running")

    async def _notify_manager(self) -> None:
        await self._runner.ready.wait()
        self._notifier.send("READY=1", "STATUS=running")
        pause = self._notifier.watchdog
        while pause is not None:
            await asyncio.sleep(pause)
            stats = self._runner.stats
            self._notifier.send("WATCHDOG=1", f"STATUS={self._runner.state}, {stats.events} events")
