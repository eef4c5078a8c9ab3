"""A bot as a program: handles signals, notifies systemd, and reloads a changed file."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mewbot.core import InputEvent

from limpet._error_text import error_text
from limpet._hangup import hangup
from limpet._logging import flush_log
from limpet._process_end import StopDeadline, end_now, wait_for_threads
from limpet._run_loop import run_loop
from limpet._sd_notify import Notifier
from limpet._signal_handlers import SIGHUP, SignalHandlers
from limpet.bot._closed_pipe import stopping_by
from limpet.bot._containment import ends_task
from limpet.bot.runner._dead_letters import DeadLetters
from limpet.bot.runner._replay import Replay, ReplayReport
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._runner import Runner
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._stats import Stats
from limpet.errors import LimpetError, UsageError

_EXTEND_S: Final = 30.0
"""How much time a start that takes long asks for, each time."""

_HANG_S: Final = 5.0
"""How much longer than ``drain`` a stop may take before the process ends without it. In order it
needs no more: two seconds for inputs, two for components, one for what it cancels."""

_AT_ONCE_S: Final = 2.0
"""How long the event loop has to take a signal, whatever ``drain`` is, and to end at a second."""

_STORE_S: Final = 2.0
"""How long the disk may take to store events at such an end."""

_LOG: Final = logging.getLogger("limpet.bot")


def serve(
    file: str, options: RunOptions, *, on_event: Callable[[InputEvent], None] | None = None
) -> int:
    """Run a bot's file until a signal, and return the exit code.

    0: it stopped cleanly, also by a signal. 1: events are lost, for which the log has the reason.
    128 + n: a second signal n stopped it at once.

    A stop ends the process, even if a thread or the event loop hangs: then this does not return.

    Args:
        file: The bot's file.
        options: How it is run.
        on_event: Gets each event that the bot takes.

    Raises:
        BotConfigError: The file is wrong; nothing was started.
        UsageError: Another bot runs with this state directory.
        OSError: The state directory, or the address for health, cannot be used.
    """
    return _Program(file, Runner(file, options, on_event=on_event)).serve()


def replay(file: str, options: RunOptions, *, only: Sequence[str] = ()) -> tuple[int, ReplayReport]:
    """Process the dead letters of a bot again; return as ``serve`` does, and what became of them.

    What was processed is removed from the dead letters; all others stay. No input is started.

    Args:
        file: The bot's file.
        options: As for ``serve``; ``state_dir`` holds the dead letters.
        only: The ids of the dead letters to process; empty for all.

    Raises:
        BotConfigError: The file is wrong.
        UsageError: There is no state directory or no dead letter of an id, or another bot runs
            with this state directory.
        OSError: The dead letters cannot be read.
    """
    if options.state_dir is None:
        message = "there is no state directory to take dead letters from"
        raise UsageError(message)
    replaying = Replay(Path(options.state_dir), only=only, dry=options.dry_run)
    runner = Runner(file, replace(options, until_done=True, listen=None), replay=replaying)
    if not Path(options.state_dir).is_dir() and not only:
        return 0, replaying.report
    code = _Program(file, runner).serve()
    return code, replaying.report


def drop(state_dir: Path, idents: Collection[str]) -> int:
    """Drop dead letters, and return how many there were of these ids.

    Raises:
        UsageError: A bot runs with this state directory.
        OSError: They cannot be dropped.
    """
    with StateDir(state_dir, Stats()):
        return DeadLetters(state_dir).drop(idents)


class _Program:
    """One run as a program."""

    def __init__(self, file: str, runner: Runner) -> None:
        self._file = file
        self._runner = runner
        self._notifier = Notifier()
        self._code = 0
        self._signals = SignalHandlers(self._on_signal, takes_ignored=True)
        self._count = 0
        """Signals that ask for the end."""
        self._is_answered = False
        """Whether the event loop has taken the first signal."""
        self._reloads: set[asyncio.Task[None]] = set()
        self._is_late = False
        self._hangup = hangup()
        self._deadline = StopDeadline(self._give_up)
        self._drain = runner.options.drain

    def serve(self) -> int:
        """Run to the end, and return the exit code."""
        with self._signals:
            try:
                run_loop(self._run(), takes_interrupt=bool(self._signals.taken))
            finally:
                self._deadline.cancel()
                # Threads of components may have work to end: without a signal, without a limit.
                moment = self._deadline.moment
                wait_for_threads(pool=min(moment, time.monotonic() + self._drain), others=moment)
        return self._exit_code()

    def _exit_code(self) -> int:
        return self._code or int(self._runner.stats.lost > 0)

    async def _run(self) -> None:
        self._signals.attach()
        if self._count:  # before the loop could take it
            self._on_stop(signal.SIGTERM, self._count)
        if self._hangup.came and SIGHUP is not None:
            self._on_signal(SIGHUP)
        notifying = asyncio.create_task(self._notify_manager())
        try:
            with stopping_by(self._on_closed_pipe):
                await self._runner.run()
        finally:
            self._notifier.send("STOPPING=1")
            notifying.cancel()
            for reload_task in self._reloads:
                reload_task.cancel()
            await asyncio.wait({notifying, *self._reloads})

    # -- signals -------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        """Start what the signal asks for; called in the main thread, between two instructions."""
        if number == SIGHUP and not self._hangup.is_end:
            self._signals.in_loop(self._on_hangup)
            return
        if number != SIGHUP or not self._count:  # a terminal that closes may send it twice
            self._count += 1
        if self._count == 1:
            self._deadline.set(max(self._drain, _AT_ONCE_S))
        else:
            self._code = 128 + number
            self._deadline.set(_AT_ONCE_S)
        self._signals.in_loop(self._on_stop, number, self._count)

    def _on_stop(self, number: int, count: int) -> None:
        self._is_answered = True
        name = signal.Signals(number).name
        if count == 1:
            _LOG.info("%s: stopping; a second signal stops at once", name)
        else:
            _LOG.warning("%s again: stopping at once; unprocessed events are stored", name)
        self._notifier.extend(
            self._drain + 2 * _HANG_S, "STOPPING=1", f"STATUS=stopping, by {name}"
        )
        self._runner.stop()

    def _on_closed_pipe(self) -> None:
        _LOG.info("nobody reads standard output any more: stopping; unprocessed events are stored")
        self._runner.stop()
        self._runner.stop()  # at once: what waits cannot be printed either

    def _give_up(self) -> float | None:
        """End the process although the stop has not ended; called in the deadline's thread.

        If the event loop answers, the stop gets a little longer first.
        """
        if self._is_answered and self._count == 1 and not self._is_late:
            self._is_late = True
            return _HANG_S
        storing = threading.Thread(target=self._store_now, name="limpet store", daemon=True)
        storing.start()
        storing.join(_STORE_S)
        if storing.is_alive():
            _LOG.error("the disk does not answer: what was not processed may be lost")
            self._code = self._code or 1
        _LOG.error("ending without waiting for what hangs")
        flush_log()
        end_now(self._exit_code())
        return None

    def _store_now(self) -> None:
        try:
            self._runner.store_now()
        except Exception:  # noqa: BLE001 - the loop may still change what is read here
            _LOG.exception("what was not processed may be lost")
            self._code = self._code or 1

    def _on_hangup(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        self._notifier.reloading()
        try:
            await self._runner.reload(self._file)
            _LOG.info("reloaded %s", self._file)
        except LimpetError as error:  # of a wrong file each problem has a line
            _LOG.error("the reload failed; the bot goes on as it is:\n%s", error)
        except BaseException as error:
            if ends_task(error):
                raise
            message = "the changed file cannot be loaded; the bot goes on as it is: %s"
            _LOG.error(message, error_text(error), exc_info=error)
        finally:  # systemd waits for it, however the reload ended
            self._notifier.send("READY=1", "STATUS=running")

    async def _notify_manager(self) -> None:
        ready = asyncio.create_task(self._runner.ready.wait())
        await asyncio.wait({ready}, timeout=_EXTEND_S / 6)
        while not ready.done():
            # The journal may hold the work of hours, which is queued before the bot is ready.
            status = f"STATUS=starting, {self._runner.stats.replayed} stored events are queued"
            self._notifier.extend(_EXTEND_S, status)
            await asyncio.wait({ready}, timeout=_EXTEND_S / 3)
        self._notifier.send("READY=1", "STATUS=running")
        pause = self._notifier.watchdog
        while pause is not None:
            await asyncio.sleep(pause)
            if not self._runner.is_alive:  # the manager kills it, and starts it anew
                continue
            stats = self._runner.stats
            self._notifier.send("WATCHDOG=1", f"STATUS={self._runner.state}, {stats.events} events")
