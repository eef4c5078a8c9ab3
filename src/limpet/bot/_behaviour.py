"""mewbot's ``Behaviour`` with options for limpet's runner."""

from __future__ import annotations

from mewbot.api import v1
from mewbot.core import ActionInterface, ConditionInterface, TriggerInterface

from limpet._setting_types import PositiveCount, PositiveSeconds, Seconds
from limpet.bot.settings._setting import Configured, Setting


class Behaviour(Configured, v1.Behaviour):
    """A behaviour like mewbot's own, with options for ``limpet run``.

    ```python
    Behaviour(FileSystemTrigger(events="file.created"), PrintAction(), name="note")
    ```

    Under mewbot's own runner these options do nothing.
    """

    concurrency: PositiveCount = Setting(
        1, description="Events it processes at once; those about one path still run in order."
    )
    attempts: PositiveCount | None = Setting(
        None, description="Tries of a step; null: as for the bot."
    )
    backoff: Seconds | None = Setting(
        None,
        description=(
            "Seconds before the second try, doubled for each further one; null: as for the bot."
        ),
    )
    loop_limit: PositiveCount | None = Setting(
        None,
        description=(
            "Most events about one path it acts on in a minute; then it pauses. null: as for the "
            "bot."
        ),
    )
    timeout: PositiveSeconds | None = Setting(
        None, description="Seconds one try of a step may take."
    )

    def __init__(
        self,
        *components: TriggerInterface | ConditionInterface | ActionInterface,
        **unknown: object,
    ) -> None:
        """Create a behaviour of its triggers, conditions and actions; ``add`` adds more."""
        Configured.__init__(self, **unknown)
        v1.Behaviour.__init__(self)
        for one in components:
            self.add(one)
