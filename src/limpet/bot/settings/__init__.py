"""The settings of a component: how a value is checked, and templates that are filled in."""

__all__: list[str] = []
