"""How much one template may take: characters, items, steps of loops, and work in all.

A template is written by the owner of a bot, but what it expands is not: a chat message or the
content of a file decides how often a loop runs and how large a value grows. So each expansion has a
budget, and whatever makes a value grow asks first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from limpet.errors import UsageError

T = TypeVar("T")

MOST_SOURCE: Final = 256 << 10
"""Characters of a template; a text without tags is no template, and may be longer."""
MOST_TOKENS: Final = 10_000
"""Words and signs inside the tags of a template; jinja compiles them in about a second."""
MOST_DEPTH: Final = 50
"""Levels of nested tags and expressions. Python's own parser refuses 200 parentheses and 100 levels
of indentation in the code that jinja makes."""
MOST_LOOPS: Final = 8
"""Loops inside each other; Python refuses 20 blocks (CO_MAXBLOCKS)."""
MOST_CHARS: Final = 16 << 20
"""Characters of an expansion and of any value on the way; webhooks and files have lower limits of
their own."""
MOST_NAME: Final = 64 << 10
"""Characters of an expanded name, before it is cut to what a file may be called."""
MOST_STEPS: Final = 100_000
"""Steps of all loops of one expansion, and the length of a ``range``."""
MOST_ITEMS: Final = 100_000
"""Items of a list that a template makes."""
MOST_WORK: Final = 4 * MOST_CHARS
"""Characters that all filters and operators of one expansion read and make."""
MOST_BITS: Final = 256
"""Bits of a whole number that a template computes."""

A_CALL: Final = 128
"""What a call of a filter weighs, in characters."""
A_NAME: Final = 4096
"""What a call of ``safe`` weighs: it takes 60 microseconds for a short text."""
NODES_A_STEP: Final = 20
"""Tags and expressions that one step of a loop runs; a larger body counts as several steps."""

_ITEM: Final = 128
"""What an item of a list weighs, in characters."""
_MOST_NESTING: Final = 32


class Budget:
    """What one expansion may still take."""

    __slots__ = ("_steps", "_work")

    def __init__(self) -> None:
        self._steps = MOST_STEPS
        self._work = MOST_WORK

    def step(self, count: int) -> None:
        """Take steps of loops.

        Raises:
            UsageError: The limit is passed.
        """
        self._steps -= count
        if self._steps < 0:
            message = f"its loops take more than {MOST_STEPS} steps"
            raise UsageError(message)

    def spend(self, chars: int) -> None:
        """Take characters that a filter or operator reads or makes.

        Raises:
            UsageError: The limit is passed.
        """
        self._work -= chars + 1
        if self._work < 0:
            message = f"its filters and operators handle more than {MOST_WORK} characters"
            raise UsageError(message)

    def made(self, value: T) -> T:
        """Return a value that was made, if its size is allowed.

        Raises:
            UsageError: A limit is passed.
        """
        self.spend(weight(value))
        return value


def check_chars(count: int) -> None:
    """Check the size of a text before it is made."""
    if count > MOST_CHARS:
        message = f"a text has more than {MOST_CHARS} characters"
        raise UsageError(message)


def check_items(count: int) -> None:
    """Check the size of a list before it is made."""
    if count > MOST_ITEMS:
        message = f"a list has more than {MOST_ITEMS} items"
        raise UsageError(message)


def check_bits(count: int) -> None:
    """Check the size of a whole number, before it is made where that takes long."""
    if count > MOST_BITS:
        message = f"a number has more than {MOST_BITS} bits"
        raise UsageError(message)


def weight(value: object, depth: int = 0) -> int:
    """Return the characters of a value, an item of a list counted as some.

    Views of the event's data weigh nothing: they are not copied until they are read.

    Raises:
        UsageError: The value is too large, or lists are nested too deeply.
    """
    if isinstance(value, str | bytes):
        check_chars(len(value))
        return len(value)
    if isinstance(value, int):
        check_bits(value.bit_length())
        return 1
    if not isinstance(value, list | tuple | dict):
        return 1
    check_items(len(value))
    if depth >= _MOST_NESTING:
        message = f"lists are nested more than {_MOST_NESTING} times"
        raise UsageError(message)
    total = 0
    for one in _parts(value):
        total += _ITEM + weight(one, depth + 1)
        check_chars(total)
    return total


def _parts(value: Sequence[object] | Mapping[object, object]) -> Sequence[object]:
    return [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
