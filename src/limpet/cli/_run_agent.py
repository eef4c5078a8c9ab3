"""``limpet agent``: runs an agent until a signal ends it, and reloads its file at SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet._error_text import error_text
from limpet._hangup import hangup
from limpet._logging import flush_log
from limpet._process_end import StopDeadline, end_now
from limpet._run_loop import run_loop
from limpet._sd_notify import Notifier
from limpet._signal_handlers import SIGHUP, SignalHandlers
from limpet.errors import LimpetError
from limpet.remote import Transport
from limpet.remote.admin import Agent, AgentConfig, load_agent

if TYPE_CHECKING:
    from limpet.web import Listening

_STOP_S: Final = 15.0
"""How long a stop may take: five seconds for sending, the rest for closing. A longer stop hangs."""

_AT_ONCE_S: Final = 2.0
"""How long it may take after a second signal."""

_EXTEND_S: Final = 30.0
"""How much time a start that takes long asks for, each time: a watch may list a million files."""

_LOG: Final = logging.getLogger("limpet.agent")


def check(path: str) -> int:
    """Report what the configuration of an agent has.

    Raises:
        ConfigError: It has mistakes.
    """
    config = load_agent(path)
    config.hub.context()
    options = config.options
    count = len(options.watches) + len(options.follows)
    print(
        f"{path}: host {options.host}, {count} watches, {len(options.outputs)} outputs, "
        f"hub {config.hub.shown}"
    )
    return 0


def run(
    path: str, logs: Callable[[], AbstractContextManager[None]], *, listen: str | None = None
) -> int:
    """Run the agent of a configuration.

    Args:
        path: The file.
        logs: Returns the block that writes the log.
        listen: Where it shows itself.

    Raises:
        ConfigError: It has mistakes.
        LimpetError: The agent cannot run.
    """
    config = load_agent(path)
    config.hub.context()
    # The sender reports what matters of it.
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    with logs():
        try:
            return _AgentRun(path, config, listen).run()
        except OSError as error:
            raise _refused(error) from error
        except BaseExceptionGroup as group:
            found = group.subgroup(LimpetError)
            while isinstance(found, BaseExceptionGroup):
                found = found.exceptions[0]  # type: ignore[assignment]
            if found is None:
                raise
            raise found from None


def _refused(error: OSError) -> LimpetError:
    """Return the error for what the system refuses, such as an address that is taken."""
    what = "run" if error.filename is None else f"use {str(error.filename)!r}"
    return LimpetError(f"cannot {what}: {error.strerror or error}")


class _AgentRun:
    """One run: the agent, and what ends and reloads it."""

    def __init__(self, path: str, config: AgentConfig, listen: str | None = None) -> None:
        self._path = path
        self._listen = listen
        self._config = config
        self._agent: Agent | None = None
        self._running: asyncio.Task[None] | None = None
        self._notifier = Notifier()
        self._hangup = hangup()
        self._signals = SignalHandlers(self._on_signal, takes_ignored=True)
        self._deadline = StopDeadline(self._give_up)
        self._reloads: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        """Held by one of them: the file that is read last counts."""
        self._count = 0
        """Signals that ask for the end."""
        self._code = 0

    def run(self) -> int:
        """Run to the end, and return the exit code."""
        with self._signals:
            try:
                run_loop(self._serve(), takes_interrupt=bool(self._signals.taken))
            except asyncio.CancelledError:  # a second signal, or Ctrl-C where it is an exception
                self._code = self._code or 128 + signal.SIGINT
            finally:
                self._deadline.cancel()
        return self._code

    async def _serve(self) -> None:
        config = self._config

        async def to_hub() -> Transport:
            return await config.hub.connect(config.options.host, wait=True)

        self._signals.attach()
        agent = self._agent = Agent(config.options, to_hub)
        if self._count:  # before the loop could take it
            self._stop(signal.SIGTERM, self._count)
        if self._hangup.came and SIGHUP is not None:
            self._on_signal(SIGHUP)
        listening = await self._show(agent)
        notifying = asyncio.create_task(self._notify_manager(self._agent))
        self._running = asyncio.create_task(self._agent.run())
        try:
            await self._running
        finally:
            self._notifier.send("STOPPING=1")
            tasks = {notifying, *self._reloads}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if listening is not None:
                await listening.aclose()

    async def _show(self, agent: Agent) -> Listening | None:
        """Serve the status, if that is asked for; the record is in the folder of the spool.

        Raises:
            LimpetError: The address is wrong, or the extra is missing.
            OSError: It cannot listen there.
        """
        if self._listen is None:
            return None
        from limpet.remote.admin import AgentShown
        from limpet.web import Listening

        shown = AgentShown(agent, url=self._config.hub.shown)
        spool = Path(self._config.options.spool)
        listening = Listening(
            shown,
            self._listen,
            state_dir=spool.parent,
            prefix=f"{spool.name}.",
            file=self._path,
        )
        await listening.start()
        _LOG.info("%s", listening.text)
        return listening

    # -- signals -------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        """Start what the signal asks for; called in the main thread, between two instructions."""
        if number == SIGHUP and not self._hangup.is_end:
            self._signals.in_loop(self._on_hangup)
            return
        if number != SIGHUP or not self._count:  # a terminal that closes may send it twice
            self._count += 1
        if self._count == 1:
            self._deadline.set(_STOP_S)
        else:
            self._code = 128 + number
            self._deadline.set(_AT_ONCE_S)
        self._signals.in_loop(self._stop, number, self._count)

    def _stop(self, number: int, count: int) -> None:
        name = signal.Signals(number).name
        if count == 1:
            _LOG.info("%s: stopping; a second signal stops at once", name)
        self._notifier.extend(_STOP_S, "STOPPING=1", f"STATUS=stopping, by {name}")
        if self._agent is not None:
            self._agent.stop()
        if count > 1 and self._running is not None:
            self._running.cancel()

    def _give_up(self) -> None:
        """End although something hangs: what was not sent is in the spool."""
        _LOG.warning("ending without waiting for what hangs")
        flush_log()
        end_now(self._code)

    def _on_hangup(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    # -- reloading -----------------------------------------------------------------------------

    async def _reload(self) -> None:
        """Take the changed file; a wrong one leaves the agent as it is."""
        agent = self._agent
        assert agent is not None  # noqa: S101 - it is made before any signal is taken
        await agent.ready.wait()
        async with self._reloading:
            await self._reload_file(agent)

    async def _reload_file(self, agent: Agent) -> None:
        self._notifier.reloading()
        try:
            config = await asyncio.to_thread(load_agent, self._path)
            await asyncio.to_thread(config.hub.context)
            fixed = [*await agent.reload(config.options)]
            if config.hub != self._config.hub:
                fixed.append("hub")
            if fixed:
                message = "%s of %s cannot change while the agent runs: restart it"
                _LOG.warning(message, ", ".join(fixed), self._path)
            _LOG.info("reloaded %s: %s", self._path, _summary(agent))
        except LimpetError as error:  # of a wrong file each problem has a line
            _LOG.error("the reload failed; the agent goes on as it is:\n%s", error)
        except Exception as error:  # noqa: BLE001 - a file may be wrong in any way
            message = "the changed file cannot be loaded; the agent goes on as it is: %s"
            _LOG.exception(message, error_text(error))
        finally:  # systemd waits for it, however the reload ended
            if not self._count:
                self._notifier.send("READY=1", f"STATUS={_summary(agent)}")

    async def _notify_manager(self, agent: Agent) -> None:
        ready = asyncio.create_task(agent.ready.wait())
        try:
            await asyncio.wait({ready}, timeout=_EXTEND_S / 6)
            while not ready.done():
                self._notifier.extend(_EXTEND_S, "STATUS=starting, the watches list what is there")
                await asyncio.wait({ready}, timeout=_EXTEND_S / 3)
        finally:
            ready.cancel()
        _LOG.info("limpet agent: %s", _summary(agent))
        self._notifier.send("READY=1", f"STATUS={_summary(agent)}")
        pause = self._notifier.watchdog
        while pause is not None:
            await asyncio.sleep(pause)
            # One that has lost a part is killed by the manager, and started anew.
            if agent.is_alive:
                self._notifier.send("WATCHDOG=1", f"STATUS={_status(agent)}")


def _summary(agent: Agent) -> str:
    options = agent.options
    count = len(options.watches) + len(options.follows)
    return f"{options.host} watches {count} places and offers {len(options.outputs)} outputs"


def _status(agent: Agent) -> str:
    """Return the state in one line; the disk is not asked."""
    sent = 0 if agent.sender is None else agent.sender.health.sent
    failed = f", failed: {', '.join(sorted(agent.failures))}" if agent.failures else ""
    if agent.is_stopping:
        return f"stopping, {sent} events sent{failed}"
    return f"running, {sent} events sent{failed}"
