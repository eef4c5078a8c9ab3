"""The events of bots, their construction from limpet's events, and their form on disk."""

from limpet.bot.events._input_events import Lines

__all__ = ["Lines"]
