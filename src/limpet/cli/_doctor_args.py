"""``limpet doctor`` as it is typed."""

from __future__ import annotations

from typing import Final, get_args

from limpet.cli._hub_args import add_hub_options
from limpet.cli._parser import Parser, add_choice
from limpet.config import BackendName
from limpet.errors import UsageError

BACKENDS: Final[tuple[BackendName, ...]] = get_args(BackendName)
FORMATS: Final = ("text", "jsonl")


def parser(command: str) -> Parser:
    made = Parser(
        command,
        "[PATH...]",
        "path to examine, by default the current folder; with --hub, names of hosts",
        "Show how PATH would be watched, what limits that, and the commands that remove the "
        "limits.\n\nThe exit code is 1 if a watch would see less, or later, than it could.\n\n"
        "With --hub, examine a hub as its user sees it: its state, whether the agents of the HOSTs "
        "are there, and what to change.",
        usage="limpet doctor [PATH] [OPTIONS]\n       limpet doctor --hub URL [HOST...] [OPTIONS]",
    )
    add_choice(made.add_argument, "--backend", BACKENDS, "examine this backend", "auto")
    add_choice(made.add_argument, "--format", FORMATS, "how the report is written", "text")
    made.add_argument(
        "--hub", metavar="URL", help="examine the hub at nats://HOST:PORT; several with commas"
    )
    add_hub_options(made)
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    as_json = given.format == "jsonl"
    if given.hub is not None:
        from limpet.cli._doctor_hub import run as run_hub

        return run_hub(given, as_json=as_json)
    if len(given.words) > 1:
        message = f"expected one PATH, got {len(given.words)} arguments"
        raise UsageError(message)
    from limpet.cli._doctor import run

    return run(given.words[0] if given.words else ".", requested=given.backend, as_json=as_json)
