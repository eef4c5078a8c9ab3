"""``limpet watch``: pulls from the watches, hands on what was asked for, and ends in order."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, TextIO

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from limpet._wire import to_json_line
from limpet.cli._event_text import Ready, describe, escape
from limpet.cli._render import renderer_for, stats_line
from limpet.cli._std_streams import PATIENCE_S, Streams, obey_signals
from limpet.cli._watch_plan import Command, Plan, Target
from limpet.cli._watching import Watching
from limpet.cli._writer import reader_gone
from limpet.config import WatchOptions
from limpet.errors import LimpetError, UsageError
from limpet.events import EntryEvent, Event, FileCreated, FileUpdated, event_name

if TYPE_CHECKING:
    from limpet.cli._exec import Job, Runner

__all__ = ["Opener", "run"]

CHUNK: Final = 1 << 16
"""Bytes of lines gathered for one write: what a Linux pipe holds (pipe(7))."""

Opener = Callable[[Target, WatchOptions], Watching]
"""Makes the watch of one target; it is entered by the one who asked."""


def run(
    plan: Plan,
    *,
    open_watch: Opener | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Carry the plan out and give the exit code; the streams are the process's if not given."""
    with Streams(stdout or sys.stdout, stderr or sys.stderr) as streams:
        serve = partial(_serve, plan, open_watch=open_watch or _open, streams=streams)
        try:
            return anyio.run(serve, backend="asyncio")
        except KeyboardInterrupt:  # where the loop cannot take signals, as on Windows
            return 128 + signal.SIGINT


def _open(target: Target, options: WatchOptions) -> Watching:
    import limpet

    start = limpet.watch_file if target.kind == "file" else limpet.watch_dir
    names = [field.name for field in dataclasses.fields(options)]
    return start(target.path, **{name: getattr(options, name) for name in names})


async def _serve(plan: Plan, *, open_watch: Opener, streams: Streams) -> int:
    return await _Session(plan, open_watch=open_watch, streams=streams).serve()


def _runner(plan: Plan, command: Command, streams: Streams) -> Runner:
    from limpet.cli._exec import Runner  # only now: most runs start no commands

    # With events on standard output, what commands print goes to standard error.
    beside = None if plan.format is None else 2
    return Runner(command, report=streams.say, stdout=beside)


def _job(event: Event, session: str) -> Job:
    from limpet.cli._exec import job_for

    return job_for(event, to_json_line(event, session=session))


class _Session:
    """One run: who pulls, who is told, and what ends it first."""

    def __init__(self, plan: Plan, *, open_watch: Opener, streams: Streams) -> None:
        self._plan = plan
        self._open = open_watch
        self._streams = streams
        self._renderer = None if plan.format is None else renderer_for(plan.format, streams.stdout)
        self._runner = None if plan.command is None else _runner(plan, plan.command, streams)
        self._code: int | None = None
        self._reported = 0
        self._give_up = math.inf
        self._writing = anyio.CancelScope()
        self._turn = anyio.Lock()
        self._work = anyio.CancelScope()
        self._pulls = anyio.CancelScope()

    async def serve(self) -> int:
        """Watch until something ends it, end what was started, and give the exit code."""
        async with anyio.create_task_group() as around:
            await around.start(self._obey_signals)
            if self._renderer is not None:
                around.start_soon(self._end_with_reader)
            with self._work:
                async with anyio.create_task_group() as commands:
                    if self._runner is not None and self._plan.command is not None:
                        for _ in range(self._plan.command.jobs):
                            commands.start_soon(self._runner.work)
                    await self._watch_all()
                    if self._runner is not None:
                        await self._runner.drain()
                    commands.cancel_scope.cancel()
            if self._runner is not None and self._runner.waiting:
                await self._streams.say(
                    f"{self._runner.waiting} events were not handed to a command any more"
                )
            around.cancel_scope.cancel()
        if self._code is not None:
            return self._code
        return 1 if self._runner is not None and self._runner.failed else 0

    async def _watch_all(self) -> None:
        """Start every watch, say so, and pull until the last event asked for is handed on."""
        async with AsyncExitStack() as stack:
            watches: list[tuple[Watching, str]] = []
            try:
                for target in self._plan.targets:
                    watch = self._open(target, self._plan.options)
                    watches.append((await stack.enter_async_context(watch), os.urandom(8).hex()))
            except UsageError as error:
                await self._fail(str(error), code=2)
                return
            except (LimpetError, OSError) as error:
                await self._fail(str(error))
                return
            if self._plan.stats:
                stack.push_async_callback(self._print_stats, [watch for watch, _ in watches])
            for (watch, session), target in zip(watches, self._plan.targets, strict=True):
                await self._announce(watch, session, target)
            with self._pulls:
                async with anyio.create_task_group() as pulls:
                    for watch, session in watches:
                        pulls.start_soon(self._pull, watch, session)

    async def _announce(self, watch: Watching, session: str, target: Target) -> None:
        ready = Ready(
            root=watch.location,
            kind=target.kind,
            backend=watch.stats().backend,
            session=session,
            time=time.time(),
        )
        line = b"" if self._renderer is None else self._renderer.ready(ready)
        if line:
            await self._put(line)
        else:
            await self._streams.say(f"watch.ready {escape(str(ready.root))} ({ready.backend})")

    async def _pull(self, watch: Watching, session: str) -> None:
        """Hand on what one watch has, batch by batch; the next is pulled when this one is gone.

        With ``--count`` one by one, so that with ``--state`` what comes after the last one counted
        is not taken, and told the next time.
        """
        try:
            if self._plan.count is None:
                async for batch in watch.batches():
                    async with self._turn:
                        await self._deliver(batch, session)
            else:
                async for event in watch:
                    async with self._turn:
                        await self._deliver([event], session)
                    if self._reported == self._plan.count:
                        return  # the next step would take an event that nobody is told
        except (LimpetError, OSError) as error:
            await self._fail(f"the watch of {escape(str(watch.location))} ended: {error}")

    async def _deliver(self, batch: Sequence[Event], session: str) -> None:
        """Write and run for each event what the plan says."""
        lines = bytearray()
        for event in batch:
            if self._reported == self._plan.count or self._is_our_output(event):
                continue
            named = event_name(type(event)) in self._plan.only
            about_disk = isinstance(event, EntryEvent)
            selected = named or (about_disk and not self._plan.only)
            line = b""
            if self._renderer is not None and (
                selected or (self._renderer.structured and not self._plan.only)
            ):
                line = self._renderer.event(event, session)
            lines += line
            if not about_disk and not line and (self._runner is None or not selected):
                await self._streams.say(describe(event))
            if selected:
                self._reported += 1
                if self._runner is not None:
                    await self._runner.submit(_job(event, session))
            if len(lines) >= CHUNK:
                await self._put(bytes(lines))
                lines.clear()
        await self._put(bytes(lines))
        if self._reported == self._plan.count:
            self._pulls.cancel()

    def _is_our_output(self, event: Event) -> bool:
        """Say whether it is about the file our own lines go to, which would never come to rest."""
        return (
            bool(self._streams.files)
            and isinstance(event, FileCreated | FileUpdated)
            and (event.stat.device, event.stat.inode) in self._streams.files
        )

    async def _put(self, data: bytes) -> None:
        """Write lines; once the run ends, what was pulled is still written if that is quickly done.

        A watch with a state file takes what it gave away for told: it must not be dropped here.
        """
        with anyio.CancelScope(shield=True, deadline=self._give_up) as self._writing:
            try:
                await self._streams.out.write(data)
                return
            except BrokenPipeError:
                self._end(0)
            except OSError as error:
                await self._fail(f"cannot write to standard output: {error.strerror or error}")
        await checkpoint()

    async def _print_stats(self, watches: Sequence[Watching]) -> None:
        structured = self._renderer is not None and self._renderer.structured
        with anyio.move_on_after(PATIENCE_S, shield=True):
            for watch in watches:
                line = stats_line(watch.location, watch.stats(), structured=structured)
                if structured:
                    await self._streams.put_aside(line.encode())
                else:
                    await self._streams.say(line)

    async def _obey_signals(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """End in order at the first signal, and without patience at the second."""

        def obey(number: int) -> None:
            if self._runner is not None and self._code is not None:
                self._runner.hurry()
            self._end(128 + number)

        await obey_signals(obey, task_status=task_status)

    async def _end_with_reader(self) -> None:
        await reader_gone(self._streams.stdout)
        self._end(0)

    async def _fail(self, message: str, *, code: int = 1) -> None:
        await self._streams.say(message)
        self._end(code)

    def _end(self, code: int) -> None:
        """End the run with this code, unless something has ended it already."""
        if self._code is None:
            self._code = code
            self._give_up = anyio.current_time() + PATIENCE_S
            self._writing.deadline = self._give_up
        self._work.cancel()
