"""The ``limpet`` program, over the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments (the process's, if none) and return the exit code.

    0: it did what was asked. 1: it failed while running. 2: the call was wrong and nothing was
    started. 128 + n: signal n ended it. Errors are one line on standard error; see
    ``docs/reference/cli.md``.
    """
    from limpet.cli._dispatch import dispatch

    return dispatch(list(sys.argv[1:] if argv is None else argv))
