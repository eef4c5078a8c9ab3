"""What a bot keeps of the events on their way, for those who look at it.

It is there only while somebody may look, with ``listen``: a bot without it pays nothing.
"""

from __future__ import annotations

import time

from limpet.bot._delivery import Delivery, Fate
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.status import Happenings, HistogramCounter


class Activity:
    """The last things that happened, and how old events were. Called in the bot's loop."""

    def __init__(self) -> None:
        self.happenings = Happenings()
        self.age_delivered = HistogramCounter()
        self.age_done = HistogramCounter()

    def delivered(self, delivery: Delivery) -> None:
        """Note that an event was taken from the queue."""
        event = delivery.event
        if isinstance(event, FileSystemInputEvent):
            self.age_delivered.add(delivery.since - event.event.time)
            self.happenings.add("event", event, event.io)
        else:
            self.happenings.add("event", event)

    def finished(self, behaviour: str, delivery: Delivery, fate: Fate) -> None:
        """Note what a behaviour has made of an event; what it gave up is noted by ``gave_up``."""
        event = delivery.event
        if fate is Fate.DONE:
            self.happenings.add("done", event, behaviour)
            if isinstance(event, FileSystemInputEvent):
                self.age_done.add(time.time() - event.event.time)
        elif fate is Fate.SKIPPED:
            self.happenings.add("skipped", event, behaviour)

    def retried(self, behaviour: str, delivery: Delivery, reason: str) -> None:
        """Note that a step failed and is tried again."""
        self.happenings.add("retry", delivery.event, behaviour, reason)

    def gave_up(self, behaviour: str, delivery: Delivery, reason: str) -> None:
        """Note that a behaviour gave an event up."""
        self.happenings.add("failed", delivery.event, behaviour, reason)
