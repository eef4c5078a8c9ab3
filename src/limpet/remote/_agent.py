"""The agent of one host: its watches fill the spool, and it executes commands in its outputs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from limpet._backoff import Backoff
from limpet._wire import Json
from limpet.errors import LimpetError
from limpet.output import Output
from limpet.remote._agent_follow import AgentFollow, FollowSpec
from limpet.remote._agent_presence import PRESENCE_S, AgentError, AgentPresence
from limpet.remote._agent_source import AgentSource
from limpet.remote._agent_watch import AgentWatch, WatchSpec
from limpet.remote._command_executor import CommandExecutor, CommandOutput
from limpet.remote._command_journal import CommandJournal
from limpet.remote._spool import Spool
from limpet.remote._spool_sender import SpoolSender
from limpet.remote._subjects import Subjects, check_slug, repeated
from limpet.remote.transport import Transport

_DRAIN_S: Final = 5.0
_RESTART_MAX_S: Final = 30.0

_log = logging.getLogger("limpet.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """A directory that other hosts may write into."""

    name: str
    """A slug; part of the subject."""
    path: str
    allow: frozenset[str] | None = None
    """Operations that are allowed, such as ``append``; ``None`` is all."""
    options: dict[str, object] = field(default_factory=dict)
    """Those of ``limpet.Output``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """The sources, the outputs and the spool of an agent."""

    host: str
    """A slug: the name of this host on the hub."""
    spool: str
    """File of the spool."""
    watches: Sequence[WatchSpec] = ()
    follows: Sequence[FollowSpec] = ()
    outputs: Sequence[OutputSpec] = ()
    prefix: str = "limpet"
    spool_options: dict[str, Any] = field(default_factory=dict)
    """Those of ``Spool``."""


class Agent:
    """Watches, sends and executes until it is stopped; runs on asyncio."""

    def __init__(
        self,
        options: AgentOptions,
        connect: Callable[[], Awaitable[Transport]],
        *,
        presence_s: float = PRESENCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check the names; open nothing.

        Args:
            options: The configuration.
            connect: Connects to the hub; it should return even if no hub is there yet.
            presence_s: Seconds between two reports of its presence.
            clock: Unix seconds.

        Raises:
            UsageError: The name of a host, watch or output is not a slug.
            AgentError: Two have the same name.
        """
        check_slug(options.host, "host")
        checks: list[tuple[str, str, Sequence[Any]]] = [
            ("watch", "watches", [*options.watches, *options.follows]),
            ("output", "outputs", options.outputs),
        ]
        for what, plural, specs in checks:
            names = [spec.name for spec in specs]
            for name in names:
                check_slug(name, what)
            if twice := repeated(names):
                message = f"two {plural} are named {twice[0]!r}: give each its own name"
                raise AgentError(message)
        self.options = options
        self.subjects = Subjects(options.prefix)
        self._connect = connect
        self._presence_s, self._clock = presence_s, clock
        self.spool: Spool | None = None
        self.sender: SpoolSender | None = None
        self.executor: CommandExecutor | None = None
        self.sources: list[AgentSource[Any]] = []
        self.presence: AgentPresence | None = None
        self.transport: Transport | None = None
        self.failures: dict[str, str] = {}
        """The parts that have failed and wait to be started again, with their errors."""
        self.ready = asyncio.Event()
        """Set once every watch reports every later change."""
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Stop ``run``: end the watches, and send what the spool has, for some seconds at most."""
        self._stop.set()

    async def run(self) -> None:
        """Run until ``stop``.

        Raises:
            SpoolError: The spool cannot be opened.
            OutputError: An output cannot be opened.
            AgentError: Another agent has this host's name.
        """
        options = self.options
        spool = self.spool = await asyncio.to_thread(self._open_spool)
        outputs: dict[str, CommandOutput] = {}
        try:
            for spec in options.outputs:
                output = Output(spec.path, **spec.options)  # type: ignore[arg-type]
                await asyncio.to_thread(output.open, warns=False)
                outputs[spec.name] = CommandOutput(output, spec.allow)
            transport = self.transport = await self._connect()
            try:
                await self._run(spool, transport, outputs)
            finally:
                await transport.close()
        finally:
            for one in outputs.values():
                await asyncio.to_thread(one.output.close)
            await asyncio.to_thread(spool.close)

    async def _run(
        self, spool: Spool, transport: Transport, outputs: dict[str, CommandOutput]
    ) -> None:
        options, subjects = self.options, self.subjects
        self.sender = sender = SpoolSender(spool, transport, bucket=subjects.content(options.host))
        kinds: list[tuple[type[AgentSource[Any]], Sequence[Any]]] = [
            (AgentWatch, options.watches),
            (AgentFollow, options.follows),
        ]
        self.sources = [
            kind(spec, spool, host=options.host, subjects=subjects, wake=sender.wake)
            for kind, specs in kinds
            for spec in specs
        ]
        async with asyncio.TaskGroup() as tasks:
            presence = self.presence = AgentPresence(
                transport,
                host=options.host,
                subjects=subjects,
                session=spool.session,
                health=self.health,
                every_s=self._presence_s,
                clock=self._clock,
            )
            background = [
                tasks.create_task(self._supervise("sender", sender.run)),
                tasks.create_task(self._supervise("presence", presence.run)),
            ]
            if outputs:
                self.executor = CommandExecutor(
                    transport,
                    CommandJournal(spool),
                    outputs,
                    host=options.host,
                    subjects=subjects,
                    clock=presence.hub_time,
                )
                execute = partial(self._execute, self.executor, presence)
                background.append(tasks.create_task(self._supervise("executor", execute)))
            watching = [
                tasks.create_task(self._supervise(f"watch {one.spec.name!r}", one.run))
                for one in self.sources
            ]
            for source in self.sources:
                await source.ready.wait()
            self.ready.set()
            await self._stop.wait()
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            if transport.connected and not sender.refused:
                sender.wake()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await sender.drained()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await presence.leave()

    async def _execute(self, executor: CommandExecutor, presence: AgentPresence) -> None:
        """Execute commands, once this is known to be the only agent of its host."""
        await presence.reported.wait()
        await executor.run()

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part of the agent; after a failure, log it and run the part again.

        Raises:
            AgentError: The agent cannot go on.
        """
        backoff = Backoff(1.0, _RESTART_MAX_S)
        while True:
            started = time.monotonic()
            try:
                await run()
            except (asyncio.CancelledError, AgentError):
                raise
            except (sqlite3.Error, OSError, LimpetError) as error:
                self.failures[name] = str(error)
                _log.error("the %s failed: %s; it is started again", name, error)
            except Exception as error:  # noqa: BLE001 - no failure ends a part for good
                self.failures[name] = repr(error)
                _log.exception("the %s failed; it is started again", name)
            if time.monotonic() - started > _RESTART_MAX_S:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            self.failures.pop(name, None)

    def _open_spool(self) -> Spool:
        path = Path(self.options.spool)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Spool(path, **self.options.spool_options)

    # -- presence --------------------------------------------------------------------------------

    def health(self) -> Json:
        """Return the state of the agent in plain values."""
        assert self.spool is not None  # noqa: S101 - for the type checker
        assert self.sender is not None  # noqa: S101 - for the type checker
        stats, sending = self.spool.stats(), self.sender.health
        return {
            "host": self.options.host,
            "state": sending.state,
            "trouble": sending.trouble,
            "waiting": stats.waiting,
            "waiting_bytes": stats.waiting_bytes,
            "collapsed": stats.collapsed,
            "sent": sending.sent,
            "blocked": [one.spec.name for one in self.sources if one.blocked],
            "watches": {one.spec.name: one.spec.path for one in self.sources},
            "outputs": [spec.name for spec in self.options.outputs],
            "failed": dict(self.failures),
            "commands": None if self.executor is None else asdict(self.executor.stats),
        }
