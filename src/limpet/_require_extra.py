"""Check that the packages of an extra are installed, and say which extra has them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from limpet.errors import MissingExtraError

_PACKAGES: Final = {
    "mewbot.core": ("mewbot-core", "bot"),
    "mewbot.api": ("mewbot-api", "bot"),
    "jinja2": ("jinja2", "bot"),
    "httpx2": ("httpx2", "webhook"),
    "starlette": ("starlette", "web"),
    "uvicorn": ("uvicorn", "web"),
    "prometheus_client": ("prometheus_client", "web"),
}
"""Module -> its package, and the extra that has it; others are named by the module itself."""


def need(module: str, what: str, *, extra: str = "") -> None:
    """Check that a module of an extra can be imported.

    Args:
        module: The module.
        what: Part of limpet that needs it.
        extra: The extra, where several have the module.

    Raises:
        MissingExtraError: The module is not installed; the message says how to install it.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing, too
        found = False
    if not found:
        package, usual = _PACKAGES.get(module, (module, "bot"))
        message = f"{what} needs {package}: pip install 'limpet[{extra or usual}]'"
        raise MissingExtraError(message)
