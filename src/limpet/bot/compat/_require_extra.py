"""Check that the packages of the extra ``bot`` are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from limpet.errors import MissingExtraError

_PACKAGES: Final = {
    "mewbot.core": "mewbot-core",
    "mewbot.api": "mewbot-api",
    "yaml": "PyYAML",
    "httpx": "httpx",
}


def need(module: str, what: str) -> None:
    """Check that a module of the extra can be imported.

    Raises:
        MissingExtraError: The module is not installed; the message says how to install it.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing, too
        found = False
    if not found:
        message = f"{what} needs {_PACKAGES[module]}: pip install 'limpet[bot]'"
        raise MissingExtraError(message)
