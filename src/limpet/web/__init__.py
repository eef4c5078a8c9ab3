"""What runs, in a browser: a page, its stream of events, and what a program may ask over HTTP."""

from limpet.web._listening import Listening, check_listen
from limpet.web._server import StatusServer

__all__ = ["Listening", "StatusServer", "check_listen"]
