"""``limpet hub config`` and ``limpet hub init`` as they are typed."""

from __future__ import annotations

from limpet.cli._parser import Parser, parse
from limpet.errors import UsageError

__all__ = ["add_hub_options", "hub", "parser"]


def add_hub_options(made: Parser) -> None:
    """Add the options that say where a hub is and as whom to come to it."""
    made.add_argument("--user", metavar="NAME", help="user of the hub (admin)")
    made.add_argument("--password-file", metavar="FILE", help="file with the password")
    made.add_argument("--ca", metavar="FILE", help="certificate of who signed the hub's")
    made.add_argument("--cert", metavar="FILE", help="certificate of this user")
    made.add_argument("--key", metavar="FILE", help="its key")


def parser() -> Parser:
    """Give the parser of its arguments."""
    made = Parser(
        prog="limpet hub",
        usage="limpet hub config FLEET | limpet hub init FLEET --hub URL [OPTIONS]",
        description="Set up a hub, which is a nats-server.\n\n'config' writes the server's file "
        "for the hosts and bots that FLEET, a YAML file, lists: each may do only its own part. "
        "Passwords go into files beside FLEET, one for each user, unless it names "
        "certificates.\n'init' makes the streams, and may be run again after FLEET has changed.",
    )
    made.add_argument("paths", metavar="config|init FLEET", nargs="*", help="what to do")
    made.add_argument("--hub", metavar="URL", help="of init: nats://HOST:PORT or tls://HOST:PORT")
    made.add_argument(
        "--server-version", metavar="X.Y.Z", default="", help="of config: the server's version"
    )
    add_hub_options(made)
    return made


def hub(argv: list[str]) -> int:
    """Do what the arguments say and give the exit code.

    Raises:
        UsageError: The call, or the file, is wrong.
    """
    given = parse(parser(), argv, "paths")
    match given.paths:
        case ["config", path]:
            from limpet.cli._hub import config

            return config(path, given.server_version)
        case ["init", path]:
            if given.hub is None:
                message = "init needs --hub URL"
                raise UsageError(message)
            from limpet.cli._hub import init

            return init(path, given)
        case _:
            message = "it needs 'config FLEET' or 'init FLEET --hub URL'"
            raise UsageError(message)
