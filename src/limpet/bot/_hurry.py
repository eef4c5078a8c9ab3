"""The hurry of a bot: once it stops at once, what ends in its tasks gets no more time.

Not by a second cancellation: time-outs, newer events and the stop all cancel, so a task cannot tell
from the number of cancellations that there is a hurry.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

is_hurried: Final[ContextVar[Callable[[], bool]]] = ContextVar("is_hurried", default=lambda: False)
"""Returns whether the bot stops at once."""
