"""``limpet agent`` as it is typed."""

from __future__ import annotations

from limpet.cli._parser import Parser, parse
from limpet.errors import UsageError

__all__ = ["agent", "parser"]


def parser() -> Parser:
    """Give the parser of its arguments."""
    made = Parser(
        prog="limpet agent",
        usage="limpet agent CONFIG [OPTIONS]",
        description="Watch folders of this host and send what happens to a hub; write into its "
        "outputs what bots of other hosts ask for.\n\nSIGINT and SIGTERM end it: it takes nothing "
        "more, and sends for some seconds what it has. What is left is sent at the next start.",
    )
    made.add_argument("paths", metavar="CONFIG", nargs="*", help="its configuration, a YAML file")
    made.add_argument("--check", action="store_true", help="say what is wrong with it, and end")
    made.add_argument("--verbose", action="store_true", help="also say what goes well")
    return made


def agent(argv: list[str]) -> int:
    """Run an agent and give the exit code.

    Raises:
        UsageError: The call, or the configuration, is wrong.
    """
    given = parse(parser(), argv, "paths")
    if len(given.paths) != 1:
        message = "it needs one CONFIG"
        raise UsageError(message)
    from limpet.cli._run_agent import run

    return run(given.paths[0], check=given.check, verbose=given.verbose)
