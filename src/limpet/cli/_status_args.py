"""``limpet status`` and ``limpet top`` as they are typed."""

from __future__ import annotations

from limpet.cli._parser import Parser, add_flags, seconds

_WHAT = (
    "http://HOST:PORT, a port, unix:PATH, the file of a bot, a state folder or the name of what "
    "runs; without any, all that runs for this user with --listen"
)


def parser(command: str) -> Parser:
    """Return the parser of its arguments."""
    if command == "status":
        made = Parser(
            command,
            "[WHAT...]",
            _WHAT,
            "Show how bots, agents and other commands are, that run with --listen.\n\n"
            "The exit code is for scripts: 0 all are well, 1 one is degraded, 3 one is failing, "
            "4 one does not answer or nothing runs.",
        )
        add_flags(
            made.add_argument,
            {
                "--json": "write each status as a line of JSON",
                "-q, --quiet": "write nothing: the exit code says it",
            },
        )
        return made
    made = Parser(
        command,
        "[WHAT...]",
        _WHAT,
        "Show live what runs with --listen: what it does, what waits, and what failed.\n\n"
        "Keys: b bots and other programs, d dead letters, e last events, p pause, q quit; up and "
        "down choose one. Into a pipe it writes one table and ends.",
    )
    add_flags(made.add_argument, {"--json": "write one snapshot as JSON and end"})
    made.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds(zero=False),
        default=1.0,
        help="between two questions (1)",
    )
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    if command == "status":
        from limpet.cli._run_status import run

        return run(given.words, as_json=given.json, quiet=given.quiet)
    from limpet.cli._run_top import run as run_top

    return run_top(given.words, as_json=given.json, interval=given.interval)
