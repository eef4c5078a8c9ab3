"""``limpet doctor`` as it is typed."""

from __future__ import annotations

from typing import Final, get_args

from limpet.cli._hub_args import add_hub_options
from limpet.cli._parser import Parser, one_of, parse
from limpet.config import BackendName
from limpet.errors import UsageError

__all__ = ["doctor", "parser"]

BACKENDS: Final[tuple[BackendName, ...]] = get_args(BackendName)
FORMATS: Final = ("text", "jsonl")


def parser() -> Parser:
    """Give the parser of its arguments."""
    made = Parser(
        prog="limpet doctor",
        usage="limpet doctor [PATH] [OPTIONS] | limpet doctor --hub URL [HOST ...] [OPTIONS]",
        description="Say how PATH would be watched, what stands in the way, and the commands that "
        "remove it.\n\nExits with 1 if something would make a watch see less or later than it "
        "could.\n\nWith --hub, say how a hub stands, as the user sees it, whether the agents of "
        "the HOSTs are there, and what to change.",
    )
    made.add_argument(
        "paths", metavar="PATH", nargs="*", help="where you mean to watch (the current folder)"
    )
    made.add_argument(
        "--backend", metavar="|".join(BACKENDS), default="auto", help="ask about this backend"
    )
    made.add_argument(
        "--format", metavar="|".join(FORMATS), default="text", help="how it is written (text)"
    )
    made.add_argument("--hub", metavar="URL", help="examine the hub at nats://HOST:PORT")
    add_hub_options(made)
    return made


def doctor(argv: list[str]) -> int:
    """Examine what the arguments say and give the exit code.

    Raises:
        UsageError: The call is wrong.
    """
    given = parse(parser(), argv, "paths")
    if given.hub is not None:
        from limpet.cli._doctor_hub import run as run_hub

        return run_hub(given, as_json=one_of("--format", given.format, FORMATS) == "jsonl")
    if len(given.paths) > 1:
        message = f"one argument at most: {given.paths[1]!r} is one PATH too many"
        raise UsageError(message)
    requested = one_of("--backend", given.backend, BACKENDS)
    as_json = one_of("--format", given.format, FORMATS) == "jsonl"
    from limpet.cli._doctor import run

    return run(given.paths[0] if given.paths else ".", requested=requested, as_json=as_json)
