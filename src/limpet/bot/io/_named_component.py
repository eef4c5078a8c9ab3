"""Components with a name that events carry and output events address."""

from __future__ import annotations

from limpet.bot.settings._setting import Configured, Setting


class NamedComponent(Configured):
    """A component with a name; its events carry it, and output events may address it."""

    name: str = Setting("", description="Name: events carry it, and outputs may address it.")

    @property
    def label(self) -> str:
        """The name or, without one, the uuid."""
        return self.name or str(self.uuid)  # type: ignore[attr-defined]  # mewbot's base class has it

    def is_named(self, name: str) -> bool:
        """Return whether a name, or a uuid, is that of this component."""
        return name in {self.name, str(self.uuid)} - {""}  # type: ignore[attr-defined]  # see label
