"""The log of a long-running program: lines of text or JSON, written by a thread."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import queue
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from limpet._error_text import error_text, safe_repr
from limpet._printable import printable
from limpet._process_end import holds_exit
from limpet._surrogates import json_text

LogFormat = Literal["text", "json"]

_BOUND: Final = 10_000
"""Lines that may wait to be written; further ones are dropped and counted."""

_REPEATS: Final = 20
_WINDOW_S: Final = 60.0
"""The same message is logged 20 times a minute; the next one reports how many were left out."""

_MAX_KEYS: Final = 1000

_FLUSH_S: Final = 1.0
"""How long the end of a run waits for the reader of the log."""


class _Repeats(logging.Filter):
    """Limits repeated messages: a file that fails for ever must not fill a disk."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[tuple[str, int, str], list[float]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.args:  # a complete message, such as an action's line: it is data
            return True
        key = (record.name, record.levelno, str(record.msg))
        now = time.monotonic()
        started, count, left_out = self._seen.setdefault(key, [now, 0, 0])
        self._seen.move_to_end(key)
        if len(self._seen) > _MAX_KEYS:
            self._seen.popitem(last=False)
        if now - started > _WINDOW_S:
            if left_out:
                record.msg = f"{record.msg} ({left_out:.0f} similar messages were left out)"
            self._seen[key] = [now, 1, 0]
            return True
        self._seen[key] = [started, count + 1, left_out + (count >= _REPEATS)]
        return count < _REPEATS


class _Handler(logging.handlers.QueueHandler):
    """Passes records to a thread; when too many wait, they are counted and dropped."""

    def __init__(self, records: queue.Queue[Any]) -> None:
        super().__init__(records)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        try:
            record.message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a foreign value whose text cannot be made
            why = error_text(error)
            record.message = f"{safe_repr(record.msg)} (a value in it cannot be shown: {why})"
        if record.exc_info:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.msg, record.args, record.exc_info = record.message, None, None
        return record


class _Text(logging.Formatter):
    def __init__(self, paint: Callable[[str], str] | None) -> None:
        super().__init__()
        self._paint = paint or str

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        message = printable(record.getMessage()).replace("\n", "\n    ")
        line = f"{moment}Z {record.levelname:<7} {record.name}: {message}"
        line = self._paint(line)
        return line if not record.exc_text else f"{line}\n{printable(record.exc_text)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        wire = {
            "ts": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            wire["exception"] = record.exc_text
        return json_text(wire)


class _Stream(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):  # the stream is closed
            line = self.format(record) + "\n"
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            self.stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
            self.stream.flush()


@contextlib.contextmanager
def logging_to(
    stream: TextIO | None = None,
    *,
    form: LogFormat = "text",
    level: str = "info",
    paint: Callable[[str], str] | None = None,
    formatter: logging.Formatter | None = None,
) -> Iterator[None]:
    """Log to a stream, by default standard error, while the block lasts.

    It replaces the existing configuration meanwhile: importing ``mewbot.bot`` configures the root
    logger. A thread writes; when 10,000 lines wait, further ones are dropped and counted.

    Args:
        stream: Where the lines go.
        form: How they are written.
        level: The lowest that is logged.
        paint: Returns a line of text as a terminal is to show it.
        formatter: In place of the one of ``form``. The thread that writes calls it.
    """
    writer = _Stream(stream if stream is not None else sys.stderr)
    writer.setFormatter(formatter or (_Json() if form == "json" else _Text(paint)))
    records: queue.Queue[Any] = queue.Queue(_BOUND)
    handler = _Handler(records)
    handler.addFilter(_Repeats())
    root = logging.getLogger()
    before, level_before = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet = [logging.getLogger(name) for name in ("httpx2", "httpcore2", "asyncio")]
    levels = [one.level for one in quiet]
    for one in quiet:
        one.setLevel(max(logging.WARNING, root.level))
    ended = threading.Event()

    def write() -> None:
        while (record := records.get()) is not None:
            with contextlib.suppress(Exception):  # one record that cannot be written
                writer.handle(record)
            records.task_done()
        ended.set()

    thread = threading.Thread(target=write, name="limpet log", daemon=True)
    # While it writes it holds the lock of the stream, which the interpreter wants at its exit.
    holds_exit(thread)
    thread.start()
    _current[:] = [records]
    try:
        yield
    finally:
        _current.clear()
        with contextlib.suppress(queue.Full):
            records.put(None, timeout=_FLUSH_S)
        if ended.wait(_FLUSH_S) and handler.dropped:
            writer.stream.write(f"limpet: {handler.dropped} log lines were dropped\n")
        root.handlers[:] = before
        root.setLevel(level_before)
        for one, old in zip(quiet, levels, strict=True):
            one.setLevel(old)


_current: list[queue.Queue[Any]] = []
"""The lines that wait to be written, while a log is written."""


def flush_log() -> None:
    """Wait until the log is written, for a second: the process is about to end."""
    end = time.monotonic() + _FLUSH_S
    while any(one.unfinished_tasks for one in _current) and time.monotonic() < end:
        time.sleep(0.005)
