"""``limpet agent`` as it is typed."""

from __future__ import annotations

from limpet.cli._listen_option import LISTEN
from limpet.cli._log_args import add_log_options, logging_of
from limpet.cli._parser import Parser, add_flags


def parser(command: str) -> Parser:
    made = Parser(
        command,
        "CONFIG",
        "YAML file of the agent",
        "Watch folders of this host and send their events to a hub; write into its outputs for "
        "bots of other hosts.\n\nSIGINT and SIGTERM end it: it takes nothing more, and sends for "
        "some seconds what it has. The rest is sent at the next start. SIGHUP reads CONFIG again.",
    )
    add_flags(
        made.add_argument,
        {
            "--check": "report what is wrong with CONFIG, and exit",
            "--verbose": "log all: as --log-level debug",
        },
    )
    made.add_argument("--listen", metavar="ADDRESS", help=LISTEN)
    add_log_options(made.add_argument)
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    from limpet.cli._run_agent import check, run

    if given.check:
        return check(given.words[0])
    if given.verbose:
        given.log_level = "debug"
    return run(given.words[0], lambda: logging_of(given), listen=given.listen)
