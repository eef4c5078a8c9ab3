"""What ``limpet dead-letters`` and ``limpet replay`` do, and print, of a bot's dead letters."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet._printable import escape
from limpet._surrogates import json_text
from limpet.bot.program import DeadLetter, DeadLetters, ReplayReport, drop, replay
from limpet.cli._ask_running import ask_running
from limpet.errors import UsageError

if TYPE_CHECKING:
    from limpet.bot.runner import RunOptions

_LONGEST_EVENT: Final = 4000
"""Characters of an event in a story for people: it may have the content of a file."""


def check_file(file: str) -> None:
    """Raise ``UsageError`` if the bot's file does not exist: its name is mistyped."""
    if not Path(file).exists():
        message = f"{file} does not exist"
        raise UsageError(message)


def show_list(options: RunOptions, idents: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Print a line for each dead letter, or for those with these ids; return the exit code."""
    for one in _chosen(options, idents):
        print(json_text(_short(one)) if as_json else _line(one))
    return 0


def show(options: RunOptions, idents: Sequence[str], *, as_json: bool) -> int:
    """Print the whole story of each dead letter, or of those with these ids."""
    for at, one in enumerate(_chosen(options, idents)):
        if as_json:
            print(json_text(one.wire))
            continue
        if at:
            print()
        for line in _story(one):
            print(line)
    return 0


def discard(options: RunOptions, idents: Collection[str], done: str) -> int:
    """Discard dead letters, and print how many that were; 1 if there was none of an id."""
    state_dir = options.state_dir or Path()
    try:
        count = drop(state_dir, idents)
    except UsageError as error:
        if error.code != "state-in-use":
            raise
        count = ask_running(state_dir, "discard", list(idents))["discarded"]
    print(f"{count} {done}")
    return int(count < len(set(idents)))


def retry(file: str, options: RunOptions, idents: Sequence[str]) -> int:
    """Process dead letters again, and print what became of them; 1 if any is left."""
    code = 0
    try:
        code, report = replay(file, options, only=idents)
    except UsageError as error:
        if error.code != "state-in-use":
            raise
        found = ask_running(options.state_dir or Path(), "retry", idents)
        report = ReplayReport(**found)
    print(_report_text(report))
    return code or int(report.left > 0)


def _chosen(options: RunOptions, idents: Sequence[str]) -> list[DeadLetter]:
    """Return the dead letters, or those with these ids, in the order of the file.

    Raises:
        UsageError: There is none of an id.
    """
    found = DeadLetters(options.state_dir or Path()).read()
    if unknown := set(idents) - {one.ident for one in found}:
        shown = ", ".join(sorted(map(repr, unknown)))
        message = f"there is no dead letter {shown}: see 'limpet dead-letters list'"
        raise UsageError(message)
    return [one for one in found if not idents or one.ident in idents]


def _line(one: DeadLetter) -> str:
    """Return a dead letter in one line: id, time, behaviour, step, tries, path, error."""
    columns = (
        one.ident,
        one.at,
        one.name or one.behaviour,
        one.step,
        _tries(one),
        one.about,
        one.error,
    )
    return "\t".join(map(escape, columns))


def _short(one: DeadLetter) -> dict[str, object]:
    """Return a dead letter for a line of JSON, without its event and its story."""
    return {
        "id": one.ident,
        "at": one.at,
        "behaviour": {"id": one.behaviour, "name": one.name},
        "step": one.step,
        "attempts": one.attempts,
        "about": one.about,
        "error": {"type": one.error_type, "message": one.error},
    }


def _story(one: DeadLetter) -> Iterator[str]:
    """Yield the lines of the whole story of a dead letter."""
    yield f"dead letter {escape(one.ident)}"
    facts = [
        ("given up", one.at),
        ("behaviour", one.name or one.behaviour),
        ("step", f"{one.step}, {_tries(one)}"),
        ("error", f"{one.error_type}: {one.error}" if one.error_type else one.error),
    ]
    if one.path is not None:
        is_there = "is there" if _exists(one.path) else "is not there any more"
        facts.append(("file", f"{one.path} ({is_there})"))
    about = one.wire.get("about")
    event = json.dumps(about if about is not None else one.wire.get("event"), ensure_ascii=False)
    if len(event) > _LONGEST_EVENT:
        event = f"{event[:_LONGEST_EVENT]}... (see --json)"
    facts.append(("event", event))
    for name, text in facts:
        yield f"  {name + ':':<11}{escape(text)}"
    if one.tries:
        yield "  tries:"
        for each in one.tries:
            yield f"    {escape(each.at)}  {escape(each.step)}"
            yield f"      {escape(each.type)}: {escape(each.message)}"
    if one.traceback:
        yield "  traceback:"
        for line in one.traceback.split("\n"):
            yield f"    {escape(line)}"


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a null character, which somebody wrote into the file
        return False


def _tries(one: DeadLetter) -> str:
    return f"{one.attempts} {'try' if one.attempts == 1 else 'tries'}"


def _report_text(report: ReplayReport) -> str:
    left = {
        "failed again": report.failed,
        "skipped": report.skipped,
        "not readable": report.unreadable,
        "not reached": report.not_reached,
        "not asked for": report.not_asked,
        "being retried already": report.busy,
    }
    shown = ", ".join(f"{count} {what}" for what, count in left.items() if count)
    return f"{report.done} done, {report.left} left" + (f": {shown}" if shown else "")
