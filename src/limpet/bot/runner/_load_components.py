"""Load the components of a bot, from a file, from code, or from mewbot's ``Bot``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from mewbot.core import BehaviourInterface, IOConfigInterface

from limpet.bot._components import Components
from limpet.bot._returned import wrong_in
from limpet.errors import UsageError

BotLike: TypeAlias = str | os.PathLike[str] | Components | Iterable[object] | Any
"""The path of a bot's file, components, or mewbot's own ``Bot``."""


def name_of(bot: BotLike) -> str:
    """Return what a bot is called in its status: its file without the ending."""
    if isinstance(bot, str | os.PathLike):
        return Path(os.fspath(bot)).stem
    return str(getattr(bot, "name", "") or "bot")


def components_of(bot: BotLike) -> Components:
    """Return the components of a bot.

    Raises:
        UsageError: It is not a bot, or its file is wrong; the message lists every error.
    """
    if isinstance(bot, Components):
        return bot
    if isinstance(bot, str | os.PathLike):
        from limpet.bot.config import load  # needs ruamel.yaml, which a bot in Python does without

        return load(bot)
    if hasattr(bot, "_io_configs") and hasattr(bot, "_behaviours"):  # mewbot.bot.Bot
        inside = vars(bot)  # there is no other way to them
        bot = [*inside["_io_configs"], *inside["_behaviours"]]
    if not isinstance(bot, Iterable):
        message = f"{bot!r:.80} is no bot: give the path of its file, or a list of components"
        raise UsageError(message)
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
        if problems := list(wrong_in(one)):
            raise UsageError("; ".join(problems))
    return Components(io_configs=tuple(io_configs), behaviours=tuple(behaviours))
