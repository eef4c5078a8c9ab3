"""mewbot's ``Behaviour`` with what limpet's runner can be told about it."""

from __future__ import annotations

from mewbot.api import v1

from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._validators import maybe, number, whole

__all__ = ["Behaviour"]


class Behaviour(Configured, v1.Behaviour):
    """A behaviour as mewbot's own, which ``limpet run`` can be told more about.

    Under mewbot's own runner these properties do nothing.
    """

    concurrency = Setting(
        whole(least=1),
        1,
        "Events it works on at once; those about one path still one after another, in order.",
    )
    attempts = Setting(maybe(whole(least=1)), None, "How often a step is tried; null: as the bot.")
    backoff = Setting(
        maybe(number()),
        None,
        "Seconds before the second try, then twice as long; null: as the bot.",
    )
    timeout = Setting(maybe(number(least=0.001)), None, "Seconds one try of a step may take.")

    def __init__(self, **unknown: object) -> None:
        """Start without components; they are added."""
        Configured.__init__(self, **unknown)
        v1.Behaviour.__init__(self)
