"""``limpet watch``: takes events from the watches, writes them or runs commands, ends cleanly."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

from limpet._error_text import reason_of
from limpet._printable import escape
from limpet.cli._event_text import Ready, describe
from limpet.cli._progress import progress
from limpet.cli._render import renderer_for, stats_line
from limpet.cli._run_session import RunSession, run_session
from limpet.cli._shown_paths import ShownPaths
from limpet.cli._watch_plan import Plan, Target
from limpet.config import WatchOptions
from limpet.errors import LimpetError
from limpet.events import (
    DirCreated,
    DirDeleted,
    DirSettled,
    DirUpdated,
    EntryEvent,
    Event,
    FileCreated,
    FileUpdated,
    event_name,
)

if TYPE_CHECKING:
    from limpet.cli._exec import Runner
    from limpet.cli._exec_batch import BatchRunner
    from limpet.status import ProgramStatus
    from limpet.watching import MultiWatch, Watch, WatchStats


CHUNK: Final = 1 << 16
"""Bytes of lines gathered for one write: what a Linux pipe holds (pipe(7))."""

TIMED_OUT: Final = 124
"""Exit code of ``--timeout``: that of timeout(1). The 2 of inotifywait is that of a wrong call."""

_OF_FOLDERS: Final = (DirCreated, DirUpdated, DirDeleted, DirSettled)
"""What ``--ext`` leaves out."""

AnyWatch: TypeAlias = "Watch | MultiWatch"

Opener = Callable[[Sequence[Target], WatchOptions], AnyWatch]
"""Returns the watch of all targets, not yet entered."""


def run(
    plan: Plan,
    *,
    open_watch: Opener | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Carry out the plan and return the exit code; the streams are the process's if not given."""

    async def serve(session: RunSession) -> int:
        return await _WatchRun(plan, open_watch or _open, session).serve()

    return run_session(serve, stdout, stderr, name="limpet.watch", log_format=plan.log_format)


def _open(targets: Sequence[Target], options: WatchOptions) -> AnyWatch:
    import limpet

    given: Any = {one.name: getattr(options, one.name) for one in dataclasses.fields(options)}
    if len(targets) > 1:
        places = [
            limpet.File(one.path) if one.kind == "file" else limpet.Dir(one.path) for one in targets
        ]
        return limpet.watch(*places, **given)
    start = limpet.watch_file if targets[0].kind == "file" else limpet.watch_dir
    return start(targets[0].path, **given)


def _figures(watch: AnyWatch) -> dict[Path, WatchStats]:
    """Return the figures of each place, in the order in which they were given."""
    stats = watch.stats()
    if isinstance(stats, dict):
        return stats
    return {watch.location: stats}  # type: ignore[union-attr]  # it watches one place


class _WatchRun:
    """One run: its watch, and where the events go."""

    def __init__(self, plan: Plan, open_watch: Opener, session: RunSession) -> None:
        self._plan = plan
        self._open = open_watch
        self._session = session
        self._streams = session.streams
        stdout = session.streams.stdout
        self._paths = ShownPaths(absolute=plan.absolute)
        self._renderer = (
            None
            if plan.format is None
            else renderer_for(plan.format, stdout, self._paths, quiet=plan.quiet)
        )
        self._is_batch = plan.command is not None and plan.command.batch
        self._runner: Runner | BatchRunner | None = None
        if plan.command is not None:
            from limpet._wire import to_json_line  # only now: most runs start no commands
            from limpet.cli._exec import Runner, job_for
            from limpet.cli._exec_batch import BatchRunner

            clears = plan.command.clear and stdout is not None and stdout.isatty()
            self._runner = (BatchRunner if plan.command.batch else Runner)(
                plan.command,
                report=session.streams.log,
                # With events on standard output, what commands print goes to standard error.
                stdout=None if plan.format is None else 2,
                quiet=plan.quiet,
                before=self._clear_screen if clears else None,
            )
            self._job_for, self._to_line = job_for, to_json_line
        self._reported = 0
        self._last_report = 0.0
        """When an event was reported last, or when the watch was ready."""
        self._is_timed_out = False
        self._ready_lines: list[bytes] = []
        self._session_id = os.urandom(8).hex()
        self._turn = asyncio.Lock()
        self._shown: ProgramStatus | None = None
        """What is shown of the run, with ``--listen``."""
        self._pull_task: asyncio.Task[None] | None = None
        self._listed = 0
        """Entries in the index when they were counted last."""

    async def serve(self) -> int:
        """Watch until something ends it, end what was started, and return the exit code."""
        runner = self._runner
        code = await self._session.serve(
            self._watch_all if runner is None else self._watch_and_run,
            has_reader=self._renderer is not None,
            hurry=None if runner is None else runner.hurry,
        )
        if self._session.code is not None:
            return code
        if self._is_timed_out:
            return TIMED_OUT
        return 1 if runner is not None and runner.failed else code

    async def _watch_and_run(self) -> None:
        """Watch, with the workers that run commands, until the last command has ended."""
        runner, command = self._runner, self._plan.command
        assert runner is not None  # noqa: S101 - serve chooses this way
        assert command is not None  # noqa: S101
        import anyio

        try:
            async with anyio.create_task_group() as workers:
                for _ in range(command.jobs):
                    workers.start_soon(runner.work)
                await self._watch_all()
                await runner.drain()
                workers.cancel_scope.cancel()
        finally:
            if runner.waiting:
                await self._session.log_last(f"{runner.waiting} events were left without a command")

    async def _watch_all(self) -> None:
        """Start the watch, announce it, and pull until the last event asked for is delivered."""
        async with AsyncExitStack() as stack:
            try:
                watch = self._open(self._plan.targets, self._plan.options)
                stream = None if self._plan.quiet else self._streams.stderr
                with progress(stream, partial(self._progress_text, watch)):
                    await stack.enter_async_context(watch)
            except (LimpetError, OSError) as error:
                await self._session.fail_start(error)
                return
            if self._plan.stats:
                stack.push_async_callback(self._print_stats, watch)
            figures = _figures(watch)
            for (root, stats), target in zip(figures.items(), self._plan.targets, strict=True):
                await self._announce(root, stats.backend, target)
            await self._run_at_start(tuple(figures))
            if not await self._show(stack, watch):
                return
            timer = asyncio.create_task(self._end_when_quiet())
            stack.callback(timer.cancel)
            async with asyncio.TaskGroup() as pulls:
                self._pull_task = pulls.create_task(self._pull(watch))

    async def _show(self, stack: AsyncExitStack, watch: AnyWatch) -> bool:
        """Serve the status, if that is asked for; return whether the run goes on."""
        if self._plan.listen is None:
            return True
        from limpet.cli._listen import listening, name_of
        from limpet.status import ProgramStatus

        paths = tuple(one.path for one in self._plan.targets)
        shown = self._shown = ProgramStatus(name_of(paths), program="watch")
        shown.show(
            lambda: [
                shown.watch(typed, root, stats)
                for (root, stats), typed in zip(_figures(watch).items(), paths, strict=True)
            ]
        )
        if (runner := self._runner) is not None:
            shown.queued = lambda: runner.waiting
            shown.counters = lambda: {"commands_failed": runner.failed}
        return await listening(self._plan.listen, shown, self._session, stack)

    def _progress_text(self, watch: AnyWatch) -> str:
        """Return how many entries are in the index so far; called in a thread."""
        with suppress(RuntimeError):  # the index grew meanwhile
            self._listed = watch.entry_count()
        return f"limpet: listing {self._typed()}: {self._listed:,} entries"

    def _typed(self) -> str:
        return " ".join(escape(target.path) for target in self._plan.targets)

    async def _run_at_start(self, roots: Sequence[Path]) -> None:
        """Run the command for the PATHs themselves, if that is asked for."""
        command, runner = self._plan.command, self._runner
        if command is None or runner is None or not command.on_start:
            return
        from limpet.cli._exec import start_job

        paths = [self._paths.argument(root, root) for root in roots]
        await runner.submit(start_job(roots, paths, b"".join(self._ready_lines)))

    async def _end_when_quiet(self) -> None:
        """End the run once nothing was reported for the time of ``--timeout``."""
        clock = asyncio.get_running_loop().time
        self._last_report = clock()
        if self._plan.timeout is None:
            return
        while not self._is_timed_out:
            await asyncio.sleep(max(0.0, self._last_report + self._plan.timeout - clock()))
            async with self._turn:  # what is being delivered is delivered
                self._is_timed_out = clock() >= self._last_report + self._plan.timeout
        self._end_pull()

    def _end_pull(self) -> None:
        if self._pull_task is not None:
            self._pull_task.cancel()

    async def _clear_screen(self) -> None:
        """Write what clears a terminal and puts its cursor home (ECMA-48: ED, CUP)."""
        await self._session.write(b"\x1b[2J\x1b[H")

    async def _announce(self, root: Path, backend: str, target: Target) -> None:
        ready = Ready(
            root=root,
            kind=target.kind,
            backend=backend,
            session=self._session_id,
            time=time.time(),
        )
        self._paths.add(root, target.path)
        if self._plan.command is not None and self._plan.command.on_start:
            from limpet.cli._render_json import JsonLines

            self._ready_lines.append(JsonLines().ready(ready))
        line = b"" if self._renderer is None else self._renderer.ready(ready)
        if line:
            await self._session.write(line)
        elif not self._plan.quiet:
            text = f"watch.ready {escape(str(ready.root))} ({ready.backend})"
            await self._streams.log(text, logging.INFO)

    async def _pull(self, watch: AnyWatch) -> None:
        """Deliver the events, batch by batch; each is delivered before the next is taken.

        With ``--count`` one by one, so that with ``--state`` an event after the last one counted is
        not taken, and is reported at the next start.
        """
        try:
            if self._plan.count is None:
                async for batch in watch.batches():
                    async with self._turn:
                        await self._deliver(batch)
            else:
                async for event in watch:
                    async with self._turn:
                        await self._deliver([event])
                    if self._reported == self._plan.count:
                        return  # the next step would take an event that is not reported
        except (LimpetError, OSError) as error:
            await self._session.fail(f"the watch of {self._typed()} ended: {reason_of(error)}")

    async def _deliver(self, batch: Sequence[Event]) -> None:
        """Write and run for each event what the plan asks for."""
        lines = bytearray()
        if self._shown is not None:
            self._note(self._shown, batch)
        for event in batch:
            if self._reported == self._plan.count or self._is_our_output(event):
                continue
            named = event_name(type(event)) in self._plan.only
            if self._plan.only_files and not named and isinstance(event, _OF_FOLDERS):
                continue
            about_disk = isinstance(event, EntryEvent)
            selected = named or (about_disk and not self._plan.only)
            line = b""
            if self._renderer is not None and (
                selected or (self._renderer.structured and not self._plan.only)
            ):
                line = self._renderer.event(event, self._session_id)
            lines += line
            if not about_disk and not line and (self._runner is None or not selected):
                await self._streams.log(describe(event))
            if selected:
                self._reported += 1
                self._last_report = asyncio.get_running_loop().time()
                if self._runner is not None:
                    session = self._session_id
                    wire = b"" if self._is_batch else self._to_line(event, session=session)
                    await self._runner.submit(self._job_for(event, wire, self._paths.argument))
            if len(lines) >= CHUNK:
                await self._session.write(bytes(lines))
                lines.clear()
        await self._session.write(bytes(lines))
        if self._reported == self._plan.count:
            self._end_pull()

    @staticmethod
    def _note(shown: ProgramStatus, batch: Sequence[Event]) -> None:
        """Keep the events for those who look at the status."""
        for event in batch:
            shown.degraded.note(event)
            about_disk = isinstance(event, EntryEvent)
            shown.happenings.add("event" if about_disk else "problem", event)

    def _is_our_output(self, event: Event) -> bool:
        return (
            bool(self._streams.files)
            and isinstance(event, FileCreated | FileUpdated)
            and (event.stat.device, event.stat.inode) in self._streams.files
        )

    async def _print_stats(self, watch: AnyWatch) -> None:
        structured = self._renderer is not None and self._renderer.structured
        figures = _figures(watch).items()
        lines = [stats_line(root, stats, structured=structured) for root, stats in figures]
        if structured:
            await self._session.last(self._streams.write_error("".join(lines).encode()))
        else:
            await self._session.log_last(*lines)
