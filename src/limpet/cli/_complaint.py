"""A message on standard error, in colours where they are wanted."""

from __future__ import annotations

import sys

from limpet._printable import printable
from limpet.cli._color import ERROR_RULES, Rules, painted


def complain(message: str, rules: Rules = ERROR_RULES) -> None:
    """Print a message on standard error; its first word is marked."""
    print(painted(sys.stderr, printable(message), rules), file=sys.stderr)
