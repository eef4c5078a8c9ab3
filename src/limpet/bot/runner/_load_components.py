"""What a bot is made of, whoever put it together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeAlias

from mewbot.core import BehaviourInterface, IOConfigInterface

from limpet.bot._components import Parts
from limpet.bot.runner._run_options import RunOptions
from limpet.errors import UsageError

__all__ = ["BotLike", "parts_of"]

BotLike: TypeAlias = "str | os.PathLike[str] | Parts | Iterable[object] | Any"
"""The path of a bot's file, components, or mewbot's own ``Bot``."""


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


def patience_of(behaviour: BehaviourInterface, options: RunOptions) -> tuple[int, float]:
    """Give how often its steps are tried, and the first wait."""
    attempts = getattr(behaviour, "attempts", None)
    backoff = getattr(behaviour, "backoff", None)
    return (
        options.attempts if attempts is None else int(attempts),
        options.backoff if backoff is None else float(backoff),
    )
