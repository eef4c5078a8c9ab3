"""The inputs and outputs of a bot, and what stands between them and limpet."""

__all__: list[str] = []
