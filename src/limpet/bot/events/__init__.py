"""The events of bots, how they are made from limpet's, and how they are stored."""

__all__: list[str] = []
