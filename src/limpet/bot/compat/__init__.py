"""What is needed to run under mewbot's own runner, and where mewbot is missing."""

__all__: list[str] = []
