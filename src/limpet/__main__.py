"""``python -m limpet`` and the ``limpet`` program: the command line, or how to install it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> int:
    """Run the command line with the process's arguments and return the exit code."""
    if find_spec("rich") is None:
        print("limpet: the command line needs rich: pip install 'limpet[cli]'", file=sys.stderr)
        return 2
    from limpet.cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
