"""The agent of one host: watches into the spool, spool into the hub, commands into the outputs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import platform
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from limpet._wire import Json
from limpet.errors import LimpetError
from limpet.output import Output
from limpet.remote._agent_follow import FollowSpec, LineObserver
from limpet.remote._agent_watch import Observer, WatchSpec
from limpet.remote._command_executor import Executor, Target
from limpet.remote._command_journal import Intents
from limpet.remote._spool import Spool, WhenFull
from limpet.remote._spool_sender import Sender
from limpet.remote._subjects import Subjects, check_slug
from limpet.remote.transport import HubError, Transport

__all__ = ["Agent", "AgentError", "AgentOptions", "OutputSpec"]

_PRESENCE_S: Final = 10.0
"""Seconds between two times an agent says that it is there."""
_GONE_S: Final = 60.0
"""Seconds after which an agent that says nothing counts as gone."""
_DRAIN_S: Final = 5.0
_RESTART_MAX_S: Final = 30.0

_log = logging.getLogger("limpet.agent")


class AgentError(LimpetError):
    """The agent cannot run as it is configured: the message says what to change."""

    def __init__(self, message: str, *, code: str = "agent") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """A folder that others may have written into."""

    name: str
    """A slug; part of the subject."""
    path: str
    allow: frozenset[str] | None = None
    """Operations that may be asked for, such as ``append``; ``None`` is all."""
    options: dict[str, object] = field(default_factory=dict)
    """Of ``limpet.Output``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What an agent does."""

    host: str
    """A slug: what this host is called on the hub."""
    spool: str
    """File of the spool."""
    watches: Sequence[WatchSpec] = ()
    follows: Sequence[FollowSpec] = ()
    outputs: Sequence[OutputSpec] = ()
    prefix: str = "limpet"
    max_bytes: int = 512 << 20
    max_events: int = 2_000_000
    when_full: WhenFull = "block"
    durability: Literal["normal", "full"] = "normal"
    retain_s: float = 300.0


class Agent:
    """Runs until it is told to stop; of asyncio."""

    def __init__(
        self,
        options: AgentOptions,
        connect: Callable[[], Awaitable[Transport]],
        *,
        presence_s: float = _PRESENCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check the names; nothing is opened.

        Args:
            options: What it does.
            connect: Makes the connection; one that waits for a hub that is not there yet.
            presence_s: Seconds between two times it says that it is there.
            clock: Unix seconds.

        Raises:
            UsageError: A host, watch or output has no slug for a name.
            AgentError: Two have the same name.
        """
        check_slug(options.host, "host")
        seen = [spec.name for spec in options.watches] + [spec.name for spec in options.follows]
        for what, names in (
            ("watch", seen),
            ("output", [spec.name for spec in options.outputs]),
        ):
            for name in names:
                check_slug(name, what)
            if twice := {name for name in names if names.count(name) > 1}:
                message = f"two of the {what}es are called {min(twice)!r}: give each its own name"
                raise AgentError(message)
        self.options = options
        self.subjects = Subjects(options.prefix)
        self._connect = connect
        self._presence_s, self._clock = presence_s, clock
        self._instance = secrets.token_hex(8)
        self.spool: Spool | None = None
        self.sender: Sender | None = None
        self.executor: Executor | None = None
        self.observers: list[Observer | LineObserver] = []
        self.transport: Transport | None = None
        self.ready = asyncio.Event()
        """Set once every watch sees every later change."""
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Have ``run`` end: it takes no more, and sends what it can within some seconds."""
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
        targets: dict[str, Target] = {}
        try:
            for spec in options.outputs:
                output = Output(spec.path, **spec.options)  # type: ignore[arg-type]
                await asyncio.to_thread(output.open_quietly)
                targets[spec.name] = Target(output, spec.allow)
            transport = self.transport = await self._connect()
            try:
                await self._run(spool, transport, targets)
            finally:
                await transport.close()
        finally:
            for target in targets.values():
                await asyncio.to_thread(target.output.close)
            await asyncio.to_thread(spool.close)

    async def _run(self, spool: Spool, transport: Transport, targets: dict[str, Target]) -> None:
        options, subjects = self.options, self.subjects
        self.sender = sender = Sender(spool, transport, bucket=subjects.content(options.host))
        self.observers = [
            Observer(spec, spool, host=options.host, subjects=subjects, wake=sender.wake)
            for spec in options.watches
        ]
        self.observers += [
            LineObserver(spec, spool, host=options.host, subjects=subjects, wake=sender.wake)
            for spec in options.follows
        ]
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(sender.run()), tasks.create_task(self._presence())]
            if targets:
                self.executor = Executor(
                    transport,
                    Intents(spool),
                    targets,
                    host=options.host,
                    subjects=subjects,
                    clock=self._clock,
                )
                background.append(tasks.create_task(self.executor.run()))
            watching = [tasks.create_task(self._watch(observer)) for observer in self.observers]
            for observer in self.observers:
                await observer.ready.wait()
            self.ready.set()
            await self._stop.wait()
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            if transport.connected and not sender.refused:
                sender.wake()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(sender.drained(), _DRAIN_S)
            for task in background:
                task.cancel()

    async def _watch(self, observer: Observer | LineObserver) -> None:
        """Watch; whatever ends it but a stop is said, and it is begun again."""
        pause = 1.0
        while True:
            begun = time.monotonic()
            try:
                await observer.run()
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001 (no watch ends for good)
                _log.exception("the watch %r ended; it is begun again", observer.spec.name)
            if time.monotonic() - begun > _RESTART_MAX_S:
                pause = 1.0
            await asyncio.sleep(pause)
            pause = min(_RESTART_MAX_S, 2 * pause)

    def _open_spool(self) -> Spool:
        options = self.options
        path = Path(options.spool)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Spool(
            path,
            max_bytes=options.max_bytes,
            max_events=options.max_events,
            when_full=options.when_full,
            durability=options.durability,
            retain_s=options.retain_s,
        )

    # -- presence ------------------------------------------------------------------------------

    def health(self) -> Json:
        """Say how it stands, in plain values."""
        assert self.spool is not None  # noqa: S101 (for the type checker)
        assert self.sender is not None  # noqa: S101 (for the type checker)
        stats, sending = self.spool.stats(), self.sender.health
        return {
            "host": self.options.host,
            "state": sending.state,
            "trouble": sending.trouble,
            "waiting": stats.waiting,
            "waiting_bytes": stats.waiting_bytes,
            "collapsed": stats.collapsed,
            "sent": sending.sent,
            "blocked": [o.spec.name for o in self.observers if o.blocked],
            "watches": {o.spec.name: o.spec.path for o in self.observers},
            "outputs": [spec.name for spec in self.options.outputs],
        }

    async def _presence(self) -> None:
        """Say now and then that this agent is there; end it if another one has its name."""
        options, transport = self.options, self.transport
        assert transport is not None  # noqa: S101 (for the type checker)
        bucket, first = self.subjects.hosts, True
        while True:
            try:
                if first:
                    await self._refuse_twin(transport, bucket)
                    first = False
                health = await asyncio.to_thread(self.health)
                value: Json = {
                    **health,
                    "v": 1,
                    "session": self.spool.session if self.spool else "",
                    "instance": self._instance,
                    "os": platform.system(),
                    "until": self._clock() + _GONE_S,
                }
                data = json.dumps(value, separators=(",", ":")).encode()
                await transport.put_value(bucket, options.host, data)
            except HubError as error:
                _log.debug("presence: %s", error)
            await asyncio.sleep(self._presence_s if not first else 0.25)

    async def _refuse_twin(self, transport: Transport, bucket: str) -> None:
        raw = await transport.get_value(bucket, self.options.host)
        if raw is None or self.spool is None:
            return
        other = json.loads(raw)
        alive = float(other.get("until", 0)) > self._clock()
        if alive and other.get("session") != self.spool.session:
            message = (
                f"another agent is {self.options.host!r} on the hub (last heard of less than "
                f"{_GONE_S:.0f} s ago): give one of the two another host name"
            )
            raise AgentError(message, code="host-taken")
