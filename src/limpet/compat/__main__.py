"""``python -m limpet.compat PROGRAM [ARG]...``: run a program over the drop-ins.

PROGRAM is a module, as for ``python -m``, or the path of a script, as for ``python``. A reloader
that starts itself again with ``sys.orig_argv``, as Werkzeug's does, comes through here each time.
"""

from __future__ import annotations

import os
import runpy
import sys

from limpet.compat import substitute

_USAGE = "usage: python -m limpet.compat [-m] PROGRAM [ARG]..."


def main() -> None:
    """Substitute watchfiles and watchdog, and run what the arguments name."""
    words = sys.argv[1:]
    if words[:1] in (["-h"], ["--help"]):
        print(_USAGE, "\n\n", __doc__, sep="")  # noqa: T201
        return
    if words[:1] == ["-m"]:
        words = words[1:]
    if not words:
        print(_USAGE, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    substitute()
    program = words[0]
    sys.argv = words
    if os.path.isfile(program):
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        runpy.run_path(program, run_name="__main__")
    else:
        sys.path[0] = os.getcwd()
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
