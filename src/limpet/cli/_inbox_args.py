"""``limpet inbox`` as it is typed: options and their help, turned into an inbox and a command."""

from __future__ import annotations

from typing import Final

from limpet._option_fields import path_of
from limpet.cli._inbox_plan import InboxPlan
from limpet.cli._listen_option import LISTEN
from limpet.cli._log_args import add_log_format
from limpet.cli._option_args import add_options, given_options
from limpet.cli._parser import Parser, add_flags
from limpet.cli._watch_plan import EXEC, split_command
from limpet.errors import UsageError
from limpet.intake import InboxOptions

JOBS: Final = (
    "attempts", "backoff", "backoff_max", "concurrency", "unit", "recursive", "existing",
    "include", "exclude", "default_ignores",
)  # fmt: skip
COMPLETE: Final = ("settle", "settle_max", "settle_until", "backend", "poll_interval")


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    words, program = split_command(argv)
    plan = _plan(command, words, program)
    from limpet.cli._run_inbox import run

    return run(plan)


def parser(command: str) -> Parser:
    """Return the parser of its arguments, except for what follows ``--exec``."""
    made = Parser(
        command,
        "IN",
        "folder that is emptied; it need not exist yet",
        "Run a command for each complete file, or folder, at IN.\n\nIf it ends with status 0 the "
        "file is moved to the folder of --done. Otherwise it is tried again, and then moved to the "
        "folder of --failed, with a note why beside it. Any number of processes may work on one "
        "inbox.",
        usage=f"limpet {command} IN --done DIR --failed DIR [OPTIONS] --exec CMD [ARG]...",
    )
    add = made.add_argument_group("where jobs go").add_argument
    add("--done", metavar="DIR", help="folder for what was processed")
    add_flags(add, {"--delete": "in place of --done: delete what was processed"})
    add("--failed", metavar="DIR", help="folder for what failed, with notes")
    add = made.add_argument_group("commands").add_argument
    add(
        EXEC,
        metavar="CMD [ARG]...",
        help="run this for each job, with its path in place of {} in an argument, and LIMPET_PATH, "
        "LIMPET_ROOT and LIMPET_ATTEMPT in its environment; takes all arguments that follow",
    )
    add("--listen", metavar="ADDRESS", help=LISTEN)
    add_log_format(made.add_argument)
    add_options(made.add_argument_group("jobs").add_argument, InboxOptions, JOBS)
    add_options(
        made.add_argument_group("when a job is complete").add_argument, InboxOptions, COMPLETE
    )
    return made


def _plan(command: str, words: list[str], program: tuple[str, ...] | None) -> InboxPlan:
    """Put the plan together, and refuse what does not go together."""
    given = parser(command).read(words)
    if not program or not program[0]:
        message = f"{EXEC} needs a command after it: it is run for each job"
        raise UsageError(message)
    if (given.done is None) is not given.delete:
        message = "give --done DIR, or --delete to delete what was processed"
        raise UsageError(message)
    if given.failed is None:
        message = "--failed DIR is needed: the folder for what failed"
        raise UsageError(message)
    for name, path in (("IN", given.words[0]), ("--done", given.done), ("--failed", given.failed)):
        if path is not None:
            path_of(name, path)
    options = given_options(given, InboxOptions, (*JOBS, *COMPLETE))
    InboxOptions(**options)  # checks them, so that the complaint names them as they are typed
    return InboxPlan(
        path=given.words[0],
        done=given.done,
        failed=given.failed,
        options=options,
        argv=program,
        listen=given.listen,
        log_format=given.log_format,
    )
