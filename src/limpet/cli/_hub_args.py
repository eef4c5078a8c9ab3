"""``limpet hub config`` and ``limpet hub init`` as they are typed."""

from __future__ import annotations

from limpet.cli._parser import Parser
from limpet.errors import UsageError


def add_hub_options(made: Parser) -> None:
    for flag, unit, text in (
        ("--user", "NAME", "user of the hub"),
        ("--password-file", "FILE", "file with the user's password"),
        ("--ca", "FILE", "certificate of the authority that signed the hub's certificate"),
        ("--cert", "FILE", "certificate of the user"),
        ("--key", "FILE", "key of the user's certificate"),
    ):
        made.add_argument(flag, metavar=unit, help=text)


def parser(command: str) -> Parser:
    made = Parser(
        command,
        "config|init FLEET",
        "what to do, and the YAML file of the fleet",
        "Set up a hub, which is a nats-server.\n\n'config' prints the server's configuration for "
        "the hosts and bots that FLEET lists: each may do only its own part. Passwords are written "
        "to files beside FLEET, one for each user, unless it names certificates.\n\n'init' creates "
        "the streams, and may be run again after FLEET has changed.",
        usage="limpet hub config FLEET [--server-version X.Y.Z]\n"
        "       limpet hub init FLEET --hub URL [OPTIONS]",
    )
    add = made.add_argument
    add(
        "--hub",
        metavar="URL",
        help="of init: nats://HOST:PORT or tls://HOST:PORT; several with commas",
    )
    text = "of init: first copy the streams of the single server there, at rest"
    add("--copy", metavar="URL", help=text)
    add("--server-version", metavar="X.Y.Z", default="", help="of config: version of the server")
    add_hub_options(made)
    return made


def main(command: str, argv: list[str]) -> int:
    """Run the command and return the exit code."""
    given = parser(command).read(argv)
    what, path = given.words
    if what == "config":
        from limpet.cli._hub import config

        return config(path, given.server_version)
    if what != "init" or given.hub is None:
        if what == "init":
            message = "init needs --hub URL: the hub on which the streams are created"
        else:
            message = f"expected 'config FLEET' or 'init FLEET --hub URL', not {what!r}"
        raise UsageError(message)
    from limpet.cli._hub import init

    return init(path, given)
