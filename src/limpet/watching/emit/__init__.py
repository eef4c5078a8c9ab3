"""From a difference to what the consumer receives: events, own writes, debounce, content."""

__all__: list[str] = []
