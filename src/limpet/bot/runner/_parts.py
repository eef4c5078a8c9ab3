"""What a bot is made of, whoever put it together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mewbot.core import BehaviourInterface, InputInterface, IOConfigInterface, OutputInterface

from limpet.bot.runner._options import RunOptions
from limpet.errors import UsageError

__all__ = ["BotLike", "Parts", "parts_of"]

BotLike: TypeAlias = "str | os.PathLike[str] | Parts | Iterable[object] | Any"
"""The path of a bot's file, components, or mewbot's own ``Bot``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The components of one bot, in the order of its file."""

    io_configs: tuple[IOConfigInterface, ...] = ()
    behaviours: tuple[BehaviourInterface, ...] = ()
    idents: tuple[str, ...] = field(default=())
    """For each behaviour what it is called in the journal: the same at the next start."""

    def __post_init__(self) -> None:
        """Name the behaviours that were not named."""
        if len(self.idents) != len(self.behaviours):
            made = tuple(ident_of(one, at) for at, one in enumerate(self.behaviours))
            object.__setattr__(self, "idents", made)

    def inputs(self) -> list[InputInterface]:
        """Give the inputs, each once, in order."""
        return _once(one for io in self.io_configs for one in io.get_inputs())

    def outputs(self) -> list[OutputInterface]:
        """Give the outputs, each once, in order."""
        return _once(one for io in self.io_configs for one in io.get_outputs())

    def active(self) -> list[tuple[BehaviourInterface, str]]:
        """Give the behaviours that are switched on, with what the journal calls them."""
        return [
            (one, ident)
            for one, ident in zip(self.behaviours, self.idents, strict=True)
            if getattr(one, "active", True)
        ]


def ident_of(behaviour: BehaviourInterface, at: int) -> str:
    """Give a name that is the same at the next start: one's own or, without one, the place."""
    name = getattr(behaviour, "name", "")
    return f"name:{name}" if name else f"number:{at}"


def parts_of(bot: BotLike) -> Parts:
    """Give the components of a bot.

    Raises:
        UsageError: It is no bot, or its file is wrong; the message has every error.
    """
    if isinstance(bot, Parts):
        return bot
    if isinstance(bot, str | os.PathLike):
        from limpet.bot.config import load

        return load(bot)
    if hasattr(bot, "_io_configs") and hasattr(bot, "_behaviours"):  # mewbot.bot.Bot
        inside = vars(bot)  # it has no other way
        return Parts(
            io_configs=tuple(inside["_io_configs"]), behaviours=tuple(inside["_behaviours"])
        )
    io_configs: list[IOConfigInterface] = []
    behaviours: list[BehaviourInterface] = []
    for one in bot:
        if isinstance(one, IOConfigInterface):
            io_configs.append(one)
        elif isinstance(one, BehaviourInterface):
            behaviours.append(one)
        else:
            message = f"{one!r} is neither an IOConfig nor a Behaviour"
            raise UsageError(message)
    return Parts(io_configs=tuple(io_configs), behaviours=tuple(behaviours))


def workers_of(behaviour: BehaviourInterface) -> int:
    """Give how many events a behaviour works on at once."""
    found = getattr(behaviour, "concurrency", 1)
    return found if isinstance(found, int) and found > 0 else 1


def label_of(behaviour: BehaviourInterface, ident: str) -> str:
    """Give what a behaviour is called in messages."""
    return str(getattr(behaviour, "name", "") or ident)


def patience_of(behaviour: BehaviourInterface, options: RunOptions) -> tuple[int, float]:
    """Give how often its steps are tried, and the first wait."""
    attempts = getattr(behaviour, "attempts", None)
    backoff = getattr(behaviour, "backoff", None)
    return (
        options.attempts if attempts is None else int(attempts),
        options.backoff if backoff is None else float(backoff),
    )


def _once(components: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in components:
        if all(one is not other for other in found):
            found.append(one)
    return found
