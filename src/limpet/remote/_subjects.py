"""What hosts, watches, outputs and bots are called on the hub, and the subjects made of that.

A subject's tokens are slugs: nats-py sends whatever it is given, and a dot or a ``*`` in a name
would shift the tokens that permissions count. The real names stand in the body, as labels.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from limpet.errors import UsageError

__all__ = [
    "Subjects",
    "check_slug",
    "slug_of",
]

_SLUG: Final = re.compile(r"[a-z0-9_-]{1,48}")
_PREFIX: Final = re.compile(r"[a-z0-9_-]{1,24}")


def check_slug(text: str, what: str) -> str:
    """Give the name back if it can be a token of a subject.

    Raises:
        UsageError: It cannot; the message proposes one that can.
    """
    if _SLUG.fullmatch(text):
        return text
    proposal = slug_of(text)
    hint = f"; use {proposal!r}" if proposal else ""
    message = f"{what} {text!r} cannot be a name on the hub: 1 to 48 of a-z, 0-9, '_' and '-'{hint}"
    raise UsageError(message, code="bad-slug")


def slug_of(text: str) -> str:
    """Propose a slug for a name; empty if nothing of it is left."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore")
    return re.sub(r"[^a-z0-9_-]+", "-", plain.decode().lower()).strip("-")[:48]


@dataclass(frozen=True, slots=True)
class Subjects:
    """Subjects, streams and buckets of one fleet; two fleets with other prefixes share a hub."""

    prefix: str = "limpet"

    def __post_init__(self) -> None:
        """Refuse a prefix that is no token."""
        if not _PREFIX.fullmatch(self.prefix):
            message = f"prefix {self.prefix!r} must be 1 to 24 of a-z, 0-9, '_' and '-'"
            raise UsageError(message, code="bad-slug")

    def _stream(self, name: str) -> str:
        return f"{self.prefix.upper()}_{name}"

    @property
    def events(self) -> str:
        """Stream of all events."""
        return self._stream("EV")

    @property
    def commands(self) -> str:
        """Stream of output commands that are not done yet."""
        return self._stream("CMD")

    @property
    def results(self) -> str:
        """Stream of the answers to commands."""
        return self._stream("RES")

    @property
    def dead(self) -> str:
        """Stream of what readers gave up on."""
        return self._stream("DEAD")

    @property
    def hosts(self) -> str:
        """Key-value bucket of the agents that are there."""
        return self._stream("HOSTS")

    def content(self, host: str) -> str:
        """Object bucket of one host's large contents."""
        return f"{self._stream('C')}_{host}"

    def event(self, host: str, watch: str, kind: str) -> str:
        """Subject of an event; ``kind`` is its type, such as ``file.created``."""
        entry, _, verb = kind.partition(".")
        return f"{self.prefix}.v1.ev.{host}.{watch}.{entry}.{verb or 'event'}"

    def events_of(self, host: str | None = None, watch: str | None = None) -> str:
        """Filter of the events of one host, of one of its watches, or of all hosts."""
        tokens = [token for token in (host, watch) if token is not None]
        return ".".join([self.prefix, "v1", "ev", *tokens, ">"])

    def command(self, host: str, output: str, verb: str, bot: str) -> str:
        """Subject of an output command."""
        return f"{self.prefix}.v1.cmd.{host}.{output}.{verb}.{bot}"

    def commands_of(self, host: str) -> str:
        """Filter of the commands for one host."""
        return f"{self.prefix}.v1.cmd.{host}.>"

    def result(self, bot: str, host: str, command: str) -> str:
        """Subject of the answer to a command."""
        return f"{self.prefix}.v1.res.{bot}.{host}.{command}"

    def results_of(self, bot: str) -> str:
        """Filter of the answers to one bot."""
        return f"{self.prefix}.v1.res.{bot}.>"

    def dead_letters(self, bot: str) -> str:
        """Subject of what one bot gave up on."""
        return f"{self.prefix}.v1.dead.{bot}"

    def host_of(self, subject: str) -> str:
        """Give the host an event's subject names; the hub's permissions guard that token.

        Raises:
            ValueError: It is no subject of an event.
        """
        tokens = subject.split(".")
        if tokens[:3] != [self.prefix, "v1", "ev"] or len(tokens) < 6:
            message = f"{subject!r} is no subject of an event"
            raise ValueError(message)
        return tokens[3]

    def bot_of(self, subject: str) -> tuple[str, str, str]:
        """Give output, verb and bot of a command's subject; the hub's permissions guard them.

        Raises:
            ValueError: It is no subject of a command.
        """
        tokens = subject.split(".")
        if tokens[:3] != [self.prefix, "v1", "cmd"] or len(tokens) != 7:
            message = f"{subject!r} is no subject of a command"
            raise ValueError(message)
        return tokens[4], tokens[5], tokens[6]
