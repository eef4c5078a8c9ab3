"""``python -m limpet`` and the ``limpet`` program: the command line."""

from __future__ import annotations

import sys
import traceback

from limpet._hangup import hold_hangup
from limpet._process_end import leave

__all__ = ["main"]


def main() -> int:
    """Run the command line with the process's arguments and return the exit code.

    A thread that hangs does not keep the process: then this ends it.
    """
    if sys.argv[1:2] in (["run"], ["agent"]):
        hold_hangup()
    from limpet.cli import main as run

    try:
        code = run(sys.argv[1:])
    except Exception:  # noqa: BLE001 - a fault; a thread may hang all the same
        traceback.print_exc()
        code = 1
    return leave(code)


if __name__ == "__main__":
    sys.exit(main())
