"""A bot as a program of its own: what ``limpet run``, ``new`` and ``replay`` are made of."""

from __future__ import annotations

from limpet._logging import LogFormat, logging_to
from limpet.bot._starter_files import STARTERS, starter
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.runner._dead_letters import DeadLetter, DeadLetters
from limpet.bot.runner._replay import ReplayReport
from limpet.bot.runner._service import drop, replay, serve
from limpet.status import default_state_dir

__all__ = [
    "STARTERS",
    "DeadLetter",
    "DeadLetters",
    "FileSystemInputEvent",
    "LogFormat",
    "ReplayReport",
    "default_state_dir",
    "drop",
    "logging_to",
    "replay",
    "serve",
    "starter",
]
