"""What places in a bot are called."""

from __future__ import annotations

from limpet.bot.settings._setting import Configured, Setting
from limpet.bot.settings._validators import text

__all__ = ["Labelled"]


class Labelled(Configured):
    """A component with a name that events say and output events may give."""

    name = Setting(text(empty=True), "", "What it is called: outputs may name it, events say it.")

    @property
    def label(self) -> str:
        """The name or, without one, the uuid: what an event says and an output event may name."""
        return self.name or str(self.uuid)  # type: ignore[attr-defined]  # mewbot's base class has it

    def is_named(self, name: str) -> bool:
        """Whether a name, or a uuid, means this one."""
        return name in {self.name, str(self.uuid)} - {""}  # type: ignore[attr-defined]  # see label
