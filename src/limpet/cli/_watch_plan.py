"""The plan of one ``limpet watch``, checked before anything is started."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from limpet.cli._placeholders import has_placeholder
from limpet.config import WatchOptions
from limpet.errors import UsageError

Format = Literal["text", "jsonl", "cloudevents", "paths0"]
Busy = Literal["queue", "skip", "restart"]
TargetKind = Literal["file", "dir"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
BUSY: Final[tuple[Busy, ...]] = get_args(Busy)
EXEC: Final = "--exec"
EXEC_SHORT: Final = "-x"

_JOINED: Final = re.compile(r"-([bcqrz]*)x")
"""``-x``, with other options that take no value before it: ``-brx``."""

BURST_S: Final = 0.05
"""Quiet time that ends a burst: that of watchexec's ``--debounce``."""


class Target(NamedTuple):
    """One path to watch, as it was typed, and what is expected there."""

    path: str
    kind: TargetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run for each event, or for each burst of events.

    Raises:
        UsageError: There is no program, or the ways of running it do not go together.
    """

    argv: tuple[str, ...]
    jobs: int = 1
    busy: Busy = "queue"
    batch: bool = False
    """Run it once for each burst."""
    burst: float = BURST_S
    """Seconds without an event that end a burst."""
    null: bool = False
    """End each path of a burst with a NUL on its standard input."""
    on_start: bool = False
    """Run it once before any event."""
    clear: bool = False
    """Clear the screen before each run, if standard output is a terminal."""

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            message = f"{EXEC} needs a command after it"
            raise UsageError(message)
        if self.busy == "restart" and self.jobs != 1:
            message = "--busy restart ends the one command that runs: it needs --jobs 1"
            raise UsageError(message)
        if self.batch and self.jobs != 1:
            message = "--batch runs one command at a time: it needs --jobs 1"
            raise UsageError(message)
        if not self.batch and (self.null or self.burst != BURST_S):
            message = "--null and --burst are about the paths of a burst: they need --batch"
            raise UsageError(message)
        if self.batch and has_placeholder(self.argv[0]):
            message = f"{EXEC}: with --batch the program itself has no placeholder"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that one run needs.

    Raises:
        UsageError: Parts of it contradict each other.
    """

    targets: tuple[Target, ...]
    options: WatchOptions
    format: Format | None = None
    """How events are written to standard output; ``None`` does not write them."""
    only: frozenset[str] = frozenset()
    """Types to report; empty means all."""
    count: int | None = None
    """End after this number of reported events."""
    stats: bool = False
    absolute: bool = False
    """Show absolute paths in text; else those below a relative path are relative."""
    quiet: bool = False
    """Write no ready line of text, no progress, and nothing about commands that failed."""
    only_files: bool = False
    """Leave out folders; not one that is renamed, for that is all there is of its files."""
    timeout: float | None = None
    """Seconds without a reported event that end it."""
    command: Command | None = None
    listen: str | None = None
    """Where the run shows itself."""
    log_format: str | None = None
    """Messages are lines of a log in this format; ``None`` is for people."""

    def __post_init__(self) -> None:
        if self.options.state is not None and len(self.targets) > 1:
            message = (
                f"--state is the checkpoint of one PATH, but {len(self.targets)} were given: "
                "run limpet once for each, with a state file of its own"
            )
            raise UsageError(message)


def split_command(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """Return the arguments before the first ``--exec`` or ``-x``, and the command after it.

    After a ``--`` everything is a path, ``--exec`` too. Without ``--exec`` there is no command.
    """
    for at, word in enumerate(argv):
        if word == "--":
            break
        if word == EXEC:
            return list(argv[:at]), tuple(argv[at + 1 :])
        joined = _JOINED.fullmatch(word)
        if joined is not None:
            flags = [f"-{joined[1]}"] if joined[1] else []
            return [*argv[:at], *flags], tuple(argv[at + 1 :])
        if word.startswith(EXEC + "="):
            return list(argv[:at]), (word.removeprefix(EXEC + "="), *argv[at + 1 :])
    return list(argv), None


def target_of(path: str, *, file: bool = False, directory: bool = False) -> Target:
    """Return ``path`` with its kind: what was declared, else what is there.

    Raises:
        UsageError: The path is empty, both kinds were declared, or none was and nothing is there.
    """
    if file and directory:
        message = "--file and --dir exclude each other: a path is watched as one of them"
        raise UsageError(message)
    if not path:
        message = "a path to watch must not be empty"
        raise UsageError(message)
    if file or directory:
        return Target(path=path, kind="file" if file else "dir")
    if path.endswith((os.sep, os.altsep or os.sep)):
        return Target(path=path, kind="dir")
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot see whether {path!r} is a file or a folder ({why}): add --file or --dir"
        raise UsageError(message) from error
    return Target(path=path, kind="dir" if stat.S_ISDIR(found.st_mode) else "file")


def globs_of(words: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns for the endings in values of ``--ext``, which separate them by commas.

    Raises:
        UsageError: An ending is empty, or has a separator.
    """
    found: dict[str, None] = {}
    for word in words:
        for name in word.split(","):
            plain = name.strip().removeprefix(".")
            if not plain or "/" in plain or "\\" in plain:
                message = f"--ext takes endings of names such as py,js, not {word!r}"
                raise UsageError(message)
            found["*." + "".join(f"[{c}]" if c in "*?[" else c for c in plain)] = None
    return tuple(found)


def types_of(words: Iterable[str]) -> frozenset[str]:
    """Return the event types in values of ``--only``, which separate them by commas.

    Raises:
        UsageError: There is no such type; the message lists all types.
    """
    asked = frozenset(name.strip() for word in words for name in word.split(",") if name.strip())
    if not asked:
        return asked
    from limpet._wire import EVENT_TYPES  # only now: most runs ask for no types

    unknown = sorted(asked.difference(EVENT_TYPES))
    if unknown:
        from limpet._suggest import near  # only now: it takes longer than the parsing

        hint = near(unknown[0], EVENT_TYPES) or f"; known are {', '.join(EVENT_TYPES)}"
        message = f"--only: there is no event type {', '.join(map(repr, unknown))}{hint}"
        raise UsageError(message)
    return asked
