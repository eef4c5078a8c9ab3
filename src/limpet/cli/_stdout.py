"""Standard output of commands that print a result: where a write fails, the command ends at once.

A reader that has gone, as after ``| head -1``, has seen enough. A full disk is an error with one
line. The interpreter would report both with a traceback, some of them only while it exits.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from limpet._pipe_errors import pipe_errors


class StdoutError(Exception):
    """Standard output took no more; no ``OSError``, so that no command takes it for its own."""

    def __init__(self, error: OSError) -> None:
        """Keep the reason."""
        super().__init__(f"cannot write to standard output: {error.strerror or error}")
        self.is_closed_pipe = isinstance(error, BrokenPipeError)


class _Checked:
    """A text stream whose failed writes raise ``StdoutError``; the rest is the stream's own."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is None:
            raise StdoutError(OSError("it is closed"))
        with failures_of_stdout():
            return self._stream.write(text)

    def flush(self) -> None:
        if self._stream is not None:
            with failures_of_stdout():
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


class _Quiet:
    """A text stream for messages: one that cannot be written is dropped, for nobody can be told."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.write(text)  # type: ignore[union-attr]  # None has no such method
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream.flush()  # type: ignore[union-attr]  # see above

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


@contextlib.contextmanager
def failures_of_stdout() -> Iterator[None]:
    """Turn a failed write into ``StdoutError``."""
    try:
        with pipe_errors():
            yield
    except OSError as error:
        raise StdoutError(error) from error


@contextlib.contextmanager
def checked_streams(*, prints: bool = True) -> Iterator[None]:
    """Let ``print`` fail by ``StdoutError`` while the block lasts; its end writes what is buffered.

    Without ``prints`` only the end is checked: the block has a way of its own to write. Text that
    the encoding of the stream does not have, such as a name that is not UTF-8, is escaped.

    Raises:
        StdoutError: Something could not be written; nothing more will be tried.
    """
    stdout, stderr = sys.stdout, sys.stderr
    for stream in (stdout, stderr):
        _write_any_text(stream)
    checked: Any = _Checked(stdout)
    quiet: Any = _Quiet(stderr)
    sys.stdout, sys.stderr = checked if prints else stdout, quiet if prints else stderr
    try:
        yield
        checked.flush()
    except StdoutError:
        _give_up(stdout)
        raise
    finally:
        sys.stdout, sys.stderr = stdout, stderr


def _write_any_text(stream: object) -> None:
    """Let a stream take every character.

    Windows writes text into a pipe or a file in a code page that lacks most characters, which no
    reader of another program expects; there it is UTF-8, unless PYTHONIOENCODING says otherwise.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return
    if os.name == "nt" and not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="utf-8")
    if stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _give_up(stream: Any) -> None:  # noqa: ANN401 - a text stream, or none
    """Let the rest of the buffer go nowhere, or the interpreter reports it while it exits."""
    is_of_the_process = stream is sys.__stdout__  # and not of somebody who calls ``main``
    if stream is None or not is_of_the_process:
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
