"""``limpet follow``: pulls lines, writes them, and says that they are written; ends in order."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

import anyio
import anyio.abc

from limpet._wire import Json, dump_line, put_path, wire_time
from limpet.cli._event_text import encoding_of, escape
from limpet.cli._follow_plan import FollowPlan
from limpet.cli._std_streams import PATIENCE_S, Streams, obey_signals
from limpet.cli._writer import reader_gone
from limpet.errors import LimpetError, UsageError
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

__all__ = ["run"]


def run(plan: FollowPlan, *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """Carry the plan out and give the exit code; the streams are the process's if not given.

    Raises:
        UsageError: An option is out of its range; nothing was started.
    """
    follower = follow(plan.paths[0], *plan.paths[1:], **plan.options)
    with Streams(stdout or sys.stdout, stderr or sys.stderr) as streams:
        try:
            return anyio.run(partial(_serve, plan, follower, streams), backend="asyncio")
        except KeyboardInterrupt:  # where the loop cannot take signals, as on Windows
            return 128 + signal.SIGINT


async def _serve(plan: FollowPlan, follower: Follower, streams: Streams) -> int:
    return await _Session(plan, follower, streams).serve()


class _Session:
    """One run: who pulls, and what ends it first."""

    def __init__(self, plan: FollowPlan, follower: Follower, streams: Streams) -> None:
        self._plan = plan
        self._follower = follower
        self._streams = streams
        self._encoding = encoding_of(streams.stdout)
        self._code: int | None = None
        self._give_up = math.inf
        self._writing = anyio.CancelScope()
        self._work = anyio.CancelScope()
        self._ours: dict[tuple[Path, int], bool] = {}
        """Path and generation -> whether it is the file that our lines go to."""

    async def serve(self) -> int:
        """Follow until something ends it, and give the exit code."""
        async with anyio.create_task_group() as around:
            await around.start(partial(obey_signals, self._obey))
            around.start_soon(self._end_with_reader)
            with self._work:
                await self._follow()
            around.cancel_scope.cancel()
        return self._code or 0

    async def _follow(self) -> None:
        try:
            await self._follower.__aenter__()
        except UsageError as error:
            await self._fail(str(error), code=2)
            return
        except (LimpetError, OSError) as error:
            await self._fail(str(error))
            return
        try:
            async for event in self._follower.events():
                if isinstance(event, Appended):
                    await self._write(event)
                else:
                    await self._tell(event)
        finally:
            stats = self._follower.stats()
            try:
                await self._follower.aclose()
            except OSError as error:
                await self._fail(f"cannot save the state: {error.strerror or error}")
            if self._plan.stats:
                with anyio.move_on_after(PATIENCE_S, shield=True):
                    figures = dataclasses.asdict(stats)
                    await self._streams.say(
                        " ".join(f"{name}={value}" for name, value in figures.items() if value)
                    )

    async def _write(self, batch: Appended) -> None:
        if self._is_our_output(batch):
            return
        data = self._json(batch) if self._plan.format == "jsonl" else self._text(batch)
        with anyio.CancelScope(shield=True, deadline=self._give_up) as self._writing:
            try:
                await self._streams.out.write(data)
            except BrokenPipeError:
                self._end(0)
            except OSError as error:
                await self._fail(f"cannot write to standard output: {error.strerror or error}")
            else:
                batch.commit()  # only now: what is not written comes again next time

    def _text(self, batch: Appended) -> bytes:
        plain = batch.encoding == "utf-8" and (batch.start or not batch.data.startswith(b"\xef"))
        if plain and not self._plan.prefix and self._encoding == "utf-8":
            return batch.data if batch.complete else batch.data + b"\n"
        before = f"{escape(self._shown(batch.path))}: " if self._plan.prefix else ""
        text = "".join(f"{before}{line}\n" for line in batch.lines)
        return text.encode(self._encoding, "backslashreplace")

    def _shown(self, path: Path) -> str:
        """Give the name as it was asked for: relative, if it is below the working folder."""
        try:
            return str(path.relative_to(os.getcwd()))
        except (ValueError, OSError):
            return str(path)

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

    async def _tell(self, event: FollowEvent) -> None:
        if self._plan.format == "jsonl":
            await self._streams.out.write(dump_line(_wire(event)))
            return
        said = _in_words(event, self._shown)
        if said:
            await self._streams.say(said)

    def _is_our_output(self, batch: Appended) -> bool:
        """Say whether it is the file our own lines go to, which would never come to rest."""
        if not self._streams.files:
            return False
        key = (batch.path, batch.generation)
        if key not in self._ours:
            position = batch.position
            self._ours[key] = (position.device, position.inode) in self._streams.files
        return self._ours[key]

    def _obey(self, number: int) -> None:
        self._end(128 + number)

    async def _end_with_reader(self) -> None:
        await reader_gone(self._streams.stdout)
        self._end(0)

    async def _fail(self, message: str, *, code: int = 1) -> None:
        with anyio.CancelScope(shield=True, deadline=self._give_up):
            await self._streams.say(message)
        self._end(code)

    def _end(self, code: int) -> None:
        """End the run with this code, unless something has ended it already."""
        if self._code is None:
            self._code = code
            self._give_up = anyio.current_time() + PATIENCE_S
            self._writing.deadline = self._give_up
        self._work.cancel()


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


def _in_words(event: FollowEvent, shown: Callable[[Path], str]) -> str:
    """Say what somebody who reads lines should know; nothing of what he sees anyway."""
    path = escape(shown(getattr(event, "path", Path())))
    match event:
        case Truncated(kind=kind, lost=lost):
            return f"{path}: {kind}" + (f", {lost} bytes were not read before" if lost else "")
        case Gap(kind=kind, bytes=size):
            return f"{path}: {size} bytes are missing ({kind})"
        case Rotated():
            return f"{path}: another file stands there now"
        case Replaced():
            return f"{path}: replaced, gone on where it was"
        case Inaccessible(message=message):
            return f"{path}: cannot be read: {message}; tried again until it can"
        case CheckpointCorrupt(message=message, kept_as=kept):
            return f"{path}: {message}" + (f"; kept as {escape(str(kept))}" if kept else "")
        case WatchDegraded(message=message):
            return message
        case _:
            return ""
