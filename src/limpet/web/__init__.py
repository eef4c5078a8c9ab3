"""What runs, in a browser: a page, its stream of events, and what a program may ask over HTTP."""

from limpet.web._server import StatusServer

__all__ = ["StatusServer"]
