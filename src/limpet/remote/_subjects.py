"""The names of hosts, watches, outputs and bots on the hub, and the subjects made of them.

A subject's tokens are slugs: nats-py sends any text, and a dot or a ``*`` in a name would shift the
tokens that permissions count. The real names are in the body, as labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from limpet.errors import UsageError

_SLUG: Final = re.compile(r"[a-z0-9_-]{1,48}")
_PREFIX: Final = re.compile(r"[a-z0-9_-]{1,24}")


def is_slug(text: str) -> bool:
    """Return whether a text can be a token of a subject."""
    return _SLUG.fullmatch(text) is not None


def check_slug(text: str, what: str) -> str:
    """Return the name if it can be a token of a subject.

    Raises:
        UsageError: It cannot; the message proposes a name.
    """
    if is_slug(text):
        return text
    proposal = slug_of(text)
    hint = f"; use {proposal!r}" if proposal else ""
    message = f"{what} {text!r} cannot be used on the hub: 1 to 48 of a-z, 0-9, '_' and '-'{hint}"
    raise UsageError(message, code="bad-slug")


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that are there more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def slug_of(text: str) -> str:
    """Return a slug for a name; empty if none of its characters fit."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore")
    return re.sub(r"[^a-z0-9_-]+", "-", plain.decode().lower()).strip("-")[:48]


@dataclass(frozen=True, slots=True)
class Subjects:
    """Subjects, streams and buckets of one fleet; two fleets with other prefixes share a hub."""

    prefix: str = "limpet"

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            message = f"prefix {self.prefix!r} must be 1 to 24 of a-z, 0-9, '_' and '-'"
            raise UsageError(message, code="bad-slug")

    def _stream(self, name: str) -> str:
        return f"{self.prefix.upper()}_{name}"

    def events(self, host: str) -> str:
        """Stream of one host's events; a stream is the smallest part that can be granted safely."""
        return f"{self._stream('EV')}_{host}"

    def commands(self, host: str) -> str:
        """Stream of the commands for one host that have no answer."""
        return f"{self._stream('CMD')}_{host}"

    def results(self, host: str) -> str:
        """Stream of one host's answers to commands."""
        return f"{self._stream('RES')}_{host}"

    def dead(self, bot: str) -> str:
        """Stream of one bot's dead letters."""
        return f"{self._stream('DEAD')}_{bot}"

    def presence(self, host: str) -> str:
        """Key-value bucket of one host's agent; its only key is ``agent``."""
        return f"{self._stream('AT')}_{host}"

    @property
    def fleet(self) -> str:
        """Key-value bucket of what ``limpet hub init`` set up: the hosts."""
        return self._stream("FLEET")

    @property
    def trials(self) -> str:
        """Key-value bucket in which ``limpet doctor`` tries whether the hub stores anything."""
        return self._stream("DOCTOR")

    def content(self, host: str) -> str:
        """Object bucket of the large contents of one host's events."""
        return f"{self._stream('C')}_{host}"

    def command_content(self, bot: str, host: str) -> str:
        """Object bucket of the large contents of one bot's commands for one host.

        Slugs have no capital letters, so two pairs never have one name.
        """
        return f"{self._stream('CC')}_{bot}_TO_{host}"

    def event(self, host: str, watch: str, kind: str) -> str:
        """Subject of an event; ``kind`` is its type, such as ``file.created``."""
        entry, _, verb = kind.partition(".")
        return f"{self.prefix}.v1.ev.{host}.{watch}.{entry}.{verb or 'event'}"

    def events_of(self, host: str | None = None, watch: str | None = None) -> str:
        """Filter of the events of one host, of one of its watches, or of all hosts."""
        tokens = [token for token in (host, watch) if token is not None]
        return ".".join([self.prefix, "v1", "ev", *tokens, ">"])

    def command(self, host: str, output: str, verb: str, bot: str) -> str:
        return f"{self.prefix}.v1.cmd.{host}.{output}.{verb}.{bot}"

    def results_by(self, host: str) -> str:
        """Filter of the answers of one host to any bot."""
        return f"{self.prefix}.v1.res.{host}.>"

    def commands_of(self, host: str) -> str:
        """Filter of the commands for one host."""
        return f"{self.prefix}.v1.cmd.{host}.>"

    def result(self, bot: str, host: str, command: str) -> str:
        """Subject of the answer to a command."""
        return f"{self.prefix}.v1.res.{host}.{bot}.{command}"

    def live_events(self, host: str) -> str:
        """Filter of the headers that the hub publishes when it has stored an event of a host."""
        return f"{self.prefix}.live.ev.{host}.>"

    def live_results(self, host: str) -> str:
        """Filter of the answers of one host, as the hub publishes them when it has stored them."""
        return f"{self.prefix}.live.res.{host}.>"

    def live_result(self, bot: str, host: str, command: str = "*") -> str:
        """Subject of an answer, as the hub publishes it when it has stored it."""
        return f"{self.prefix}.live.res.{host}.{bot}.{command}"

    def dead_letters(self, bot: str) -> str:
        """Subject of one bot's dead letters."""
        return f"{self.prefix}.v1.dead.{bot}"

    def host_of(self, subject: str) -> str:
        """Return the host in an event's subject; the hub's permissions guard that token.

        Raises:
            ValueError: It is not the subject of an event.
        """
        tokens = subject.split(".")
        if tokens[:3] != [self.prefix, "v1", "ev"] or len(tokens) < 6:
            message = f"{subject!r} is not the subject of an event"
            raise ValueError(message)
        return tokens[3]

    def command_parts(self, subject: str) -> tuple[str, str, str]:
        """Return output, verb and bot of a command's subject; the hub's permissions guard them.

        Raises:
            ValueError: It is not the subject of a command.
        """
        tokens = subject.split(".")
        if tokens[:3] != [self.prefix, "v1", "cmd"] or len(tokens) != 7:
            message = f"{subject!r} is not the subject of a command"
            raise ValueError(message)
        return tokens[4], tokens[5], tokens[6]
