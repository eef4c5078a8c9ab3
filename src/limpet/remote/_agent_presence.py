"""The presence of an agent on the hub: one agent for a host, and its clock beside the hub's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import secrets
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from limpet._backoff import Backoff
from limpet._wire import Json
from limpet.errors import LimpetError
from limpet.remote._agent_report import KEY, PRESENCE_S, report_of
from limpet.remote._subjects import Subjects
from limpet.remote.transport import HubError, StoredMessage, Transport

CLOCK_S: Final = 2.0
"""Seconds by which a clock may differ from the hub's before it is reported."""
_log = logging.getLogger("limpet.agent")


class AgentError(LimpetError):
    """The agent cannot run as it is configured: the message says what to change."""

    default_code = "agent"


class AgentPresence:
    """Reports that an agent runs, and ends it if another agent has its name.

    The report of an agent that was killed stays for a minute. So one that may be left over is
    watched: an agent that runs renews it.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        host: str,
        subjects: Subjects,
        session: str,
        health: Callable[[], Json],
        every_s: float = PRESENCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create it; ``health`` returns what the report contains, and may read the disk.

        Args:
            transport: The connection to the hub.
            host: The host's name on the hub.
            subjects: The fleet's subjects.
            session: That of the spool: a restarted agent is known by it.
            health: The agent's state, in plain values.
            every_s: Seconds between two reports.
            clock: Unix seconds, by this system.
        """
        self._transport, self._host = transport, host
        self._bucket = subjects.presence(host)
        self._session, self._health, self._every_s = session, health, every_s
        self._clock = clock
        self._instance = secrets.token_hex(8)
        self._process = _process_here()
        self._second: object = None
        """The agent that was found to report too."""
        self._since = 0.0
        """Hub's time of the first report."""
        self.offset = 0.0
        """Seconds to add to this system's clock for the hub's time."""
        self._is_clock_reported = False
        self.reported = asyncio.Event()
        """Set once the hub has a report, and so this is the only agent of its host."""

    def hub_time(self) -> float:
        """Return the hub's time, unix seconds; this system's before the first report."""
        return self._clock() + self.offset

    async def run(self) -> None:
        """Report until cancelled.

        Raises:
            AgentError: Another agent has the name of this host.
        """
        # With jitter: two agents that report in step would each find only its own report.
        regular, backoff = Backoff(self._every_s, self._every_s), Backoff(0.25, self._every_s)
        while True:
            try:
                if not self.reported.is_set():
                    await self._refuse_twin()
                await self._report()
                self.reported.set()
                backoff.reset()
                pause = regular.next()
            except HubError as error:
                _log.debug("presence: %s", error)
                pause = backoff.next()
            await asyncio.sleep(pause)

    async def leave(self) -> None:
        """Report that the agent has stopped, if it can be done at once."""
        if not (self.reported.is_set() and self._transport.connected):
            return
        value = {**self._identity(), "stopped": True}
        with contextlib.suppress(HubError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._transport.put_value(self._bucket, KEY, _dumped(value))

    def _identity(self) -> Json:
        return {
            "v": 1,
            "host": self._host,
            "session": self._session,
            "instance": self._instance,
            "since": self._since,
            **self._process,
        }

    async def _report(self) -> None:
        if self.reported.is_set():
            await self._refuse_second()
        health = await asyncio.to_thread(self._health)
        value = {**health, **self._identity(), "os": platform.system(), "clock": self.offset}
        before = self._clock()
        await self._transport.put_value(self._bucket, KEY, _dumped(value))
        stored = await self._transport.get_stored(self._bucket, KEY)
        if stored is not None and report_of(stored.data).get("instance") == self._instance:
            self._measure(before, stored.time, self._clock())
            self._since = self._since or stored.time

    async def _refuse_second(self) -> None:
        """Check that nobody else has reported since this agent did; of two, the older goes on.

        Raises:
            AgentError: The other one is older.
        """
        stored = await self._transport.get_stored(self._bucket, KEY)
        report = {} if stored is None else report_of(stored.data)
        other, since = report.get("instance"), report.get("since")
        if not isinstance(other, str) or other == self._instance or report.get("stopped"):
            return
        theirs = (since if isinstance(since, int | float) else 0.0) or float("inf")
        ours = self._since or float("inf")
        if (theirs, other) < (ours, self._instance):
            raise self._taken(report)
        if other != self._second:
            _log.warning("another agent %r reports too (%s)", self._host, _place_of(report))
        self._second = other

    def _measure(self, before: float, stored: float, after: float) -> None:
        """Note how far the clock is from the hub's, which stored a report in between."""
        low, high = stored - after, stored - before
        if low <= self.offset <= high:
            return
        self.offset = (low + high) / 2
        is_off = abs(self.offset) > CLOCK_S
        if is_off and not self._is_clock_reported:
            _log.warning(
                "the clock of this host is %.1f s %s the hub's, and events carry its time: use NTP",
                abs(self.offset),
                "behind" if self.offset > 0 else "ahead of",
            )
        self._is_clock_reported = is_off

    async def _refuse_twin(self) -> None:
        """Check that no other agent reports under this host's name.

        Raises:
            AgentError: One does.
        """
        first = await self._other()
        if first is None:
            return
        report = report_of(first.data)
        if _is_gone(report):
            return
        _log.warning(
            "an agent %r has reported (%s): waiting up to %.0f s to see whether it still runs",
            self._host,
            _place_of(report),
            2.5 * self._every_s,
        )
        end = time.monotonic() + 2.5 * self._every_s
        while time.monotonic() < end:
            await asyncio.sleep(min(0.5, self._every_s / 4))
            now = await self._other()
            if now is None or _is_gone(report_of(now.data)):
                return
            if now.seq != first.seq:
                raise self._taken(report_of(now.data))
        _log.warning("the other agent %r has reported nothing more: going on", self._host)

    async def _other(self) -> StoredMessage | None:
        """Return the report under this host's name, if it is of an agent with another spool."""
        stored = await self._transport.get_stored(self._bucket, KEY)
        if stored is None:
            return None
        report = report_of(stored.data)
        if report.get("stopped") or report.get("session") == self._session:
            return None
        return stored

    def _taken(self, other: Json) -> AgentError:
        message = (
            f"another agent is {self._host!r} on the hub ({_place_of(other)}): give one of the two "
            "another host name"
        )
        return AgentError(message, code="host-taken")


def _dumped(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _place_of(report: Json) -> str:
    return f"process {report.get('pid', '?')} on {report.get('node', 'an unknown system')}"


def _process_here() -> Json:
    """Return what tells this process from all others: system, process space, number and start."""
    return {
        "node": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _start_of(os.getpid()),
    }


def _machine() -> str:
    """Return the id of this boot of this system, and of its space of process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{uuid.getnode():012x}"


def _start_of(pid: int) -> str:
    """Return when a process began, in a form to compare; empty where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # proc(5): field 22, counted from the third


def _is_gone(report: Json) -> bool:
    """Return whether the process that made a report ran here and has ended."""
    pid = report.get("pid")
    if report.get("machine") != _machine() or type(pid) is not int or pid <= 0:
        return False
    if not Path("/proc/self/stat").exists():
        return False  # whether a process runs cannot be asked without a signal
    return _start_of(pid) != report.get("started")
