"""mewbot's ``Behaviour`` with options for limpet's runner."""

from __future__ import annotations

from mewbot.api import v1

from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._validators import maybe, number, whole


class Behaviour(Configured, v1.Behaviour):
    """A behaviour like mewbot's own, with options for ``limpet run``.

    Under mewbot's own runner these options do nothing.
    """

    concurrency = Setting(
        whole(least=1),
        1,
        "Events it processes at once; those about one path still run in order.",
    )
    attempts = Setting(maybe(whole(least=1)), None, "Tries of a step; null: as for the bot.")
    backoff = Setting(
        maybe(number()),
        None,
        "Seconds before the second try, doubled for each further one; null: as for the bot.",
    )
    loop_limit = Setting(
        maybe(whole(least=1)),
        None,
        "Most events about one path it acts on in a minute; then it pauses. null: as for the bot.",
    )
    timeout = Setting(maybe(number(least=0.001)), None, "Seconds one try of a step may take.")

    def __init__(self, **unknown: object) -> None:
        """Create a behaviour without components; ``add`` adds them."""
        Configured.__init__(self, **unknown)
        v1.Behaviour.__init__(self)
