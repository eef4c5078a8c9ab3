"""The events of bots, their construction from limpet's events, and their form on disk."""

__all__: list[str] = []
