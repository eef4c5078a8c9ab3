"""The settings of components: validators of values, and templates."""

__all__: list[str] = []
