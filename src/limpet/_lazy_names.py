"""Public names that are loaded when they are first used, so that importing a package is fast."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def homes(names_of: Mapping[str, str]) -> dict[str, str]:
    """Return name -> module, of module -> its names, separated by blanks."""
    return {name: module for module, names in names_of.items() for name in names.split()}


def lazy_names(
    known: dict[str, Any], home: Mapping[str, str], modules: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package (PEP 562).

    Args:
        known: The ``globals()`` of the package.
        home: Name -> the module that offers it.
        modules: Name -> the module that it stands for.
    """

    def load(name: str) -> object:
        if name in home:
            value: object = getattr(import_module(home[name]), name)
        elif name in modules:
            value = import_module(modules[name])
        else:
            message = f"module {known['__name__']!r} has no attribute {name!r}"
            raise AttributeError(message)
        known[name] = value
        return value

    def is_offered(name: str) -> bool:
        """Return whether a name is part of the package, not what it imports for itself."""
        if name.startswith("_"):
            return name.startswith("__")
        value = known[name]
        own = f"{known['__name__']}.{name}"
        return name in known["__all__"] or (isinstance(value, ModuleType) and value.__name__ == own)

    return load, lambda: sorted({*filter(is_offered, list(known)), *home, *modules})
