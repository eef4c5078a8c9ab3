"""What the extra ``bot`` brings, and how to say that it is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from limpet.errors import MissingExtraError

__all__ = ["need"]

_PACKAGES: Final = {
    "mewbot.core": "mewbot-core",
    "mewbot.api": "mewbot-api",
    "yaml": "PyYAML",
    "httpx": "httpx",
}


def need(module: str, what: str) -> None:
    """Make sure that a module of the extra is there.

    Args:
        module: Its name.
        what: What needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed; the message says how to install it.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it lies in
        found = False
    if not found:
        message = f"{what} needs {_PACKAGES[module]}: pip install 'limpet[bot]'"
        raise MissingExtraError(message)
