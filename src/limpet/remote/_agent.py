"""The agent of one host: its watches fill the spool, and it executes commands in its outputs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from limpet._backoff import Backoff
from limpet._wire import Json
from limpet.errors import LimpetError, UsageError
from limpet.output import Output
from limpet.remote._agent_changes import changes_of
from limpet.remote._agent_follow import AgentFollow, FollowSpec
from limpet.remote._agent_options import AgentOptions, OutputSpec
from limpet.remote._agent_presence import AgentError, AgentPresence
from limpet.remote._agent_report import PRESENCE_S
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
_START_S: Final = 5.0
"""How long a reload waits at most until what is new reports every later change, and before that
until a command has ended."""

_log = logging.getLogger("limpet.agent")


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
        _check_names(options)
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
        self.on_event: Callable[[str, Json], None] | None = None
        """Is called in a worker thread with the name of a source and each of its events."""
        self.ready = asyncio.Event()
        """Set once every watch reports every later change."""
        self._stop = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        """What all parts run in, while they do."""
        self._outputs: dict[str, CommandOutput] = {}
        """The outputs that are open, by their names."""
        self._parts: dict[str, asyncio.Task[None]] = {}
        """The name of each part of the agent -> what runs it."""
        self._reloading = asyncio.Lock()
        """Held while parts are ended and started, and while all are."""

    @property
    def outputs(self) -> dict[str, CommandOutput]:
        """The outputs that are open, by their names."""
        return self._outputs

    @property
    def is_stopping(self) -> bool:
        """Return whether it was asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop ``run``: end the watches, and send what the spool has, for some seconds at most."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Return whether every part runs, or waits to be started again after a failure."""
        return not any(task.done() for task in self._parts.values())

    async def reload(self, options: AgentOptions) -> tuple[str, ...]:
        """Go on with other watches, follows and outputs; those that are unchanged have no gap.

        What is gone ends, what is new starts, and what has other options is started again: a watch
        compares with its snapshots, a follow goes on at its checkpoint.

        Returns:
            What has changed in vain, since it needs a restart: of ``host``, ``prefix``, ``spool``.

        Raises:
            UsageError: The agent does not run, or a name is not a slug; nothing was changed.
            AgentError: Two have the same name, or a command does not end; nothing was changed.
            OutputError: An output cannot be opened; nothing was changed.
        """
        _check_names(options)
        async with self._reloading:
            if self._tasks is None or self._stop.is_set():
                message = "nothing was reloaded: the agent does not run"
                raise UsageError(message)
            changes = changes_of(self.options, options)
            opened = await _opened(changes.outputs)
            await self._exchange_outputs(opened, changes.closed)
            await self._end([f"watch {name!r}" for name in changes.ended])
            self.sources = [one for one in self.sources if one.spec.name not in changes.ended]
            self.options = replace(
                self.options,
                watches=options.watches,
                follows=options.follows,
                outputs=options.outputs,
            )
            new = self._make_sources(changes.watches, changes.follows)
            self._start_sources(new)
            waits = {asyncio.create_task(one.ready.wait()) for one in new}
            if waits:  # a place that cannot be watched yet must not hold up the rest
                await asyncio.wait(waits, timeout=_START_S)
            for wait in waits:
                wait.cancel()
        return changes.fixed

    async def _end(self, names: Iterable[str]) -> None:
        """Cancel parts of the agent, and wait until they have ended."""
        found = {name: self._parts.pop(name) for name in list(names) if name in self._parts}
        for task in found.values():
            task.cancel()
        await asyncio.gather(*found.values(), return_exceptions=True)
        for name in found:
            self.failures.pop(name, None)

    async def _exchange_outputs(
        self, opened: dict[str, CommandOutput], closed: frozenset[str]
    ) -> None:
        """Take new outputs in use, and close the old ones, none in the middle of a command.

        Raises:
            AgentError: A command does not end; nothing was changed.
        """
        old: list[CommandOutput] = []

        def exchange() -> None:
            old.extend(self._outputs.pop(name) for name in closed)
            self._outputs.update(opened)

        if self.executor is None:
            exchange()
            if self._outputs:
                self._start_executor()
        elif closed or opened:
            try:
                async with asyncio.timeout(_START_S):
                    await self.executor.performing.acquire()
            except TimeoutError:
                await _close(opened.values())
                message = (
                    f"nothing was reloaded: a command is being executed for {_START_S:g} s; try "
                    "again once it has ended"
                )
                raise AgentError(message) from None
            try:
                exchange()
            finally:
                self.executor.performing.release()
        await _close(old)

    async def run(self) -> None:
        """Run until ``stop``.

        Raises:
            SpoolError: The spool cannot be opened.
            OutputError: An output cannot be opened.
            AgentError: Another agent has this host's name.
        """
        options = self.options
        spool = self.spool = await asyncio.to_thread(self._open_spool)
        try:
            self._outputs = await _opened(options.outputs)
            transport = self.transport = await self._connect()
            try:
                await self._run(spool, transport)
            finally:
                self._tasks = None
                await transport.close()
        finally:
            await _close(self._outputs.values())
            await asyncio.to_thread(spool.close)

    async def _run(self, spool: Spool, transport: Transport) -> None:
        options, subjects = self.options, self.subjects
        self.sender = sender = SpoolSender(spool, transport, bucket=subjects.content(options.host))
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
            self._tasks = tasks
            self._start("sender", sender.run)
            self._start("presence", presence.run)
            if self._outputs:
                self._start_executor()
            sources = self._make_sources(options.watches, options.follows)
            self._start_sources(sources)
            for source in sources:
                await source.ready.wait()
            self.ready.set()
            await self._stop.wait()
            async with self._reloading:
                self._tasks = None
            await self._end(f"watch {one.spec.name!r}" for one in self.sources)
            if transport.connected and not sender.refused:
                sender.wake()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_S):
                        await sender.drained()
            await self._end(list(self._parts))
            await presence.leave()

    def _make_sources(
        self, watches: Sequence[WatchSpec], follows: Sequence[FollowSpec]
    ) -> list[AgentSource[Any]]:
        assert self.spool is not None  # noqa: S101 - the agent runs
        assert self.sender is not None  # noqa: S101 - the agent runs
        kinds: list[tuple[type[AgentSource[Any]], Sequence[Any]]] = [
            (AgentWatch, watches),
            (AgentFollow, follows),
        ]
        return [
            kind(
                spec,
                self.spool,
                host=self.options.host,
                subjects=self.subjects,
                wake=self.sender.wake,
            )
            for kind, specs in kinds
            for spec in specs
        ]

    def _start_sources(self, sources: Sequence[AgentSource[Any]]) -> None:
        self.sources += sources
        for one in sources:
            one.on_event = self.on_event
            self._start(f"watch {one.spec.name!r}", one.run)

    def _start_executor(self) -> None:
        """Start to execute commands: there is an output."""
        assert self.spool is not None  # noqa: S101 - the agent runs
        assert self.transport is not None  # noqa: S101 - the agent runs
        assert self.presence is not None  # noqa: S101 - the agent runs
        self.executor = CommandExecutor(
            self.transport,
            CommandJournal(self.spool),
            self._outputs,
            host=self.options.host,
            subjects=self.subjects,
            clock=self.presence.hub_time,
        )
        self._start("executor", partial(self._execute, self.executor, self.presence))

    def _start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a part of the agent."""
        assert self._tasks is not None  # noqa: S101 - the agent runs
        self._parts[name] = self._tasks.create_task(self._supervise(name, run))

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
                _log.error("the %s failed: %s; it is started again", name, self.failures[name])
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


def _check_names(options: AgentOptions) -> None:
    """Raise unless each watch, follower and output has a name of its own, which is a slug."""
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


async def _opened(specs: Sequence[OutputSpec]) -> dict[str, CommandOutput]:
    """Return outputs by their names, opened.

    Raises:
        OutputError: One cannot be opened; none is open.
    """
    opened: dict[str, CommandOutput] = {}
    try:
        for spec in specs:
            output = Output(spec.path, **spec.options)  # type: ignore[arg-type]
            await asyncio.to_thread(output.open, warns=False)
            opened[spec.name] = CommandOutput(output, spec.allow)
    except BaseException:
        await _close(opened.values())
        raise
    return opened


async def _close(outputs: Iterable[CommandOutput]) -> None:
    for one in outputs:
        await asyncio.to_thread(one.output.close)
