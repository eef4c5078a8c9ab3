"""``limpet agent``: runs an agent until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Final

from limpet._process_end import StopDeadline, end_now
from limpet._run_loop import run_loop
from limpet._signal_handlers import SIGHUP, SignalHandlers
from limpet.cli._color import LOG_RULES, painted
from limpet.errors import LimpetError
from limpet.remote import Transport
from limpet.remote.admin import Agent, AgentConfig, load_agent

_STOP_S: Final = 15.0
"""How long a stop may take: five seconds for sending, the rest for closing. A longer stop hangs."""

_AT_ONCE_S: Final = 2.0
"""How long it may take after a second signal."""


def run(path: str, *, check: bool, verbose: bool) -> int:
    """Run the agent of a configuration.

    Raises:
        ConfigError: It has mistakes.
        LimpetError: The agent cannot run.
    """
    config = load_agent(path)
    config.hub.context()
    if check:
        options = config.options
        count = len(options.watches) + len(options.follows)
        print(
            f"{path}: host {options.host}, {count} watches, {len(options.outputs)} outputs, "
            f"hub {config.hub.url}"
        )
        return 0
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Painted())
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # the sender reports what matters of it
    try:
        return _AgentRun(config).run()
    except BaseExceptionGroup as group:
        found = group.subgroup(LimpetError)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]  # type: ignore[assignment]
        if found is None:
            raise
        raise found from None


class _Painted(logging.Formatter):
    """A line in colours, where standard error gets them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return painted(sys.stderr, super().format(record), LOG_RULES)


class _AgentRun:
    """One run: the agent, and what ends it."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._agent: Agent | None = None
        self._running: asyncio.Task[None] | None = None
        self._signals = SignalHandlers(self._on_signal)
        self._deadline = StopDeadline(self._give_up)
        self._count = 0
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
        self._agent = Agent(config.options, to_hub)
        if self._count:  # before the loop could take it
            self._agent.stop()
        ready = asyncio.create_task(_report_ready(self._agent))
        self._running = asyncio.create_task(self._agent.run())
        try:
            await self._running
        finally:
            ready.cancel()

    def _on_signal(self, number: int) -> None:
        """Stop cleanly, and at a second signal at once; called in the main thread."""
        if number != SIGHUP or not self._count:  # a terminal that closes may send it twice
            self._count += 1
        if self._count == 1:
            self._deadline.set(_STOP_S)
        else:
            self._code = 128 + number
            self._deadline.set(_AT_ONCE_S)
        self._signals.in_loop(self._stop, self._count)

    def _stop(self, count: int) -> None:
        if self._agent is not None:
            self._agent.stop()
        if count > 1 and self._running is not None:
            self._running.cancel()

    def _give_up(self) -> None:
        """End although something hangs: what was not sent is in the spool."""
        logging.getLogger("limpet").warning("ending without waiting for what hangs")
        end_now(self._code)


async def _report_ready(agent: Agent) -> None:
    await agent.ready.wait()
    options = agent.options
    count = len(options.watches) + len(options.follows)
    print(
        f"limpet agent: {options.host} watches {count} places and offers "
        f"{len(options.outputs)} outputs",
        file=sys.stderr,
        flush=True,
    )
