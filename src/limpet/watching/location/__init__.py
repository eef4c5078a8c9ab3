"""Where the watched path leads: resolving it, marking the way to it, its coming and going."""

__all__: list[str] = []
