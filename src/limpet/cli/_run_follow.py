"""``limpet follow``: takes lines, writes them and commits them when they are written."""

from __future__ import annotations

import dataclasses
import os
from contextlib import AsyncExitStack
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import anyio.to_thread

from limpet._printable import escape
from limpet._wire import Json, dump_line, put_path, wire_time
from limpet.cli._color import painter
from limpet.cli._event_text import encoding_of
from limpet.cli._run_session import RunSession, run_session
from limpet.errors import LimpetError
from limpet.following import (
    Appended,
    CheckpointCorrupt,
    Follower,
    FollowEvent,
    Gap,
    Inaccessible,
    Replaced,
    Rotated,
    Truncated,
    WatchDegraded,
    follow,
)

if TYPE_CHECKING:
    from limpet.status import Happenings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FollowPlan:
    """Everything that one run needs."""

    paths: tuple[str, ...]
    options: dict[str, Any]
    """Keyword arguments of ``limpet.follow``."""
    format: Literal["text", "jsonl"]
    prefix: bool
    """Write the file's name before each line of text."""
    stats: bool
    listen: str | None = None
    log_format: str | None = None


def run(plan: FollowPlan, *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """Carry out the plan and return the exit code; the streams are the process's if not given.

    Raises:
        UsageError: An option is out of its range; nothing was started.
    """
    follower = follow(*plan.paths, **plan.options)

    async def serve(session: RunSession) -> int:
        return await session.serve(_FollowRun(plan, follower, session).work)

    return run_session(serve, stdout, stderr, name="limpet.follow", log_format=plan.log_format)


class _FollowRun:
    """One run: the follower, and how its lines are written."""

    def __init__(self, plan: FollowPlan, follower: Follower, session: RunSession) -> None:
        self._plan = plan
        self._follower = follower
        self._session = session
        self._encoding = encoding_of(session.streams.stdout)
        self._place = ", ".join(os.path.abspath(one) for one in plan.paths)
        self._happenings: Happenings | None = None
        """What is shown of the last events, with ``--listen``."""
        self._is_incomplete = False
        """A file could not be read: a run that ends by itself has failed."""

    async def work(self) -> None:
        """Follow until the end, and save the checkpoint."""
        for path in self._plan.paths:
            if path == "-":
                note = "-: standard input is read; a file of that name is ./-"
                await self._session.streams.log(note)
            elif message := await anyio.to_thread.run_sync(
                _missing,
                path,
                abandon_on_cancel=True,  # a disk may not answer
            ):
                self._is_incomplete = True
                await self._session.streams.log(f"{escape(path)}: {message}")
        try:
            await self._follower.__aenter__()
        except (LimpetError, OSError) as error:
            await self._session.fail_start(error)
            return
        try:
            async with AsyncExitStack() as stack:
                if await self._show(stack):
                    await self._deliver()
        finally:
            stats = self._follower.stats()
            try:
                await self._follower.aclose()
            except OSError as error:
                await self._session.fail(f"cannot save the state: {error}")
            if self._plan.stats:
                figures = dataclasses.asdict(stats).items()
                await self._session.log_last(" ".join(f"{key}={n}" for key, n in figures if n))

    async def _show(self, stack: AsyncExitStack) -> bool:
        """Serve the status, if that is asked for; return whether the run goes on."""
        if self._plan.listen is None:
            return True
        from limpet.cli._listen import listening, name_of
        from limpet.status import ProgramStatus, follow_status

        name = name_of(self._plan.paths)
        shown = ProgramStatus(name, program="follow")
        shown.show(
            lambda: [
                follow_status(name, self._place, self._follower.stats(), shown.rates, shown.lags)
            ]
        )
        self._happenings = shown.happenings
        return await listening(self._plan.listen, shown, self._session, stack)

    async def _deliver(self) -> None:
        async for event in self._follower.events():
            if self._happenings is not None:
                self._note(self._happenings, event)
            if isinstance(event, Appended):
                await self._write(event)
            else:
                self._is_incomplete |= isinstance(event, Inaccessible)
                await self._report(event)
        if self._is_incomplete:
            self._session.end(1)

    @staticmethod
    def _note(happenings: Happenings, event: FollowEvent) -> None:
        """Keep what came for those who look at the status: not the lines themselves."""
        if isinstance(event, Appended):
            count = len(event.lines)
            happenings.add("line", event.path, "", f"{count} line{'s' * (count != 1)}")
        elif text := _describe(event):
            is_plain = isinstance(event, Rotated | Replaced)
            happenings.add("event" if is_plain else "problem", event, "", text)

    async def _write(self, batch: Appended) -> None:
        if files := self._session.streams.files:
            position = batch.position
            if (position.device, position.inode) in files:
                return
        data = self._json(batch) if self._plan.format == "jsonl" else self._text(batch)
        if await self._session.write(data):
            batch.commit()  # only now: what is not written comes again at the next start

    def _text(self, batch: Appended) -> bytes:
        plain = batch.encoding == "utf-8" and (batch.start or not batch.data.startswith(b"\xef"))
        if plain and not self._plan.prefix and self._encoding == "utf-8":
            return batch.data if batch.complete else batch.data + b"\n"
        before = ""
        if self._plan.prefix:
            name = f"{escape(_shown(batch.path))}:"
            before = painter(self._session.streams.stdout)([(name, "magenta"), (" ", "")])
        text = "".join(f"{before}{line}\n" for line in batch.lines)
        return text.encode(self._encoding, "backslashreplace")

    def _json(self, batch: Appended) -> bytes:
        common: Json = {"v": 1, "type": "follow.line"}
        common["observed_at"] = wire_time(round(batch.time * 1e6))
        put_path(common, "path", batch.path)
        lines = []
        for line in batch:
            wire = common | {
                "generation": line.generation,
                "start": line.start,
                "end": line.end,
                "text": line.text,
            }
            if not line.complete:
                wire["complete"] = False
            if line.truncated:
                wire["truncated"] = True
            lines.append(dump_line(wire))
        return b"".join(lines)

    async def _report(self, event: FollowEvent) -> None:
        if self._plan.format == "jsonl":
            await self._session.write(dump_line(_wire(event)))
        elif text := _describe(event):
            await self._session.streams.log(text)


def _missing(path: str) -> str:
    """Return what to say about a FILE that cannot be read yet; empty if it can."""
    if path == "-":
        return ""
    if os.path.isdir(path):
        return "it is a folder: give the files in it, as a glob in quotes"
    if os.path.lexists(path):
        return ""
    if has_magic(path):
        return "" if glob(path, recursive=True) else "no file matches yet"
    return "there is no such file yet"


def _shown(path: Path) -> str:
    """Return the path relative to the working directory, if it is below it."""
    if str(path) == "-":
        return "standard input"
    try:
        return str(path.relative_to(os.getcwd()))
    except (ValueError, OSError):
        return str(path)


def _wire(event: FollowEvent) -> Json:
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(event).__name__)
    wire: Json = {"v": 1, "type": f"follow.{name.removeprefix('-')}"}
    for field in dataclasses.fields(event):  # type: ignore[arg-type]  # all but Appended are
        value = getattr(event, field.name)
        if field.name == "time":
            wire["observed_at"] = wire_time(round(value * 1e6))
        elif isinstance(value, Path):
            put_path(wire, field.name, value)
        elif not isinstance(value, bytes):
            wire[field.name] = value
    return wire


def _describe(event: FollowEvent) -> str:
    """Return a message about what the lines themselves do not show; empty if they do."""
    path = escape(_shown(getattr(event, "path", Path())))
    match event:
        case Truncated(kind=kind, lost=lost):
            return f"{path}: {kind}" + (f", {lost} bytes had not been read" if lost else "")
        case Gap(kind=kind):
            return f"{path}: {event.missing} ({kind})"
        case Rotated():
            return f"{path}: rotated, continuing with the new file"
        case Replaced():
            return f"{path}: replaced by a copy, continuing where it was"
        case Inaccessible(message=message):
            return f"{path}: cannot be read, will be tried again: {message}"
        case CheckpointCorrupt(message=message, kept_as=kept):
            return f"{path}: {message}" + (f"; kept as {escape(str(kept))}" if kept else "")
        case WatchDegraded(message=message):
            return message
        case _:
            return ""
