"""The inputs and outputs of a bot, and their connection to limpet."""

__all__: list[str] = []
