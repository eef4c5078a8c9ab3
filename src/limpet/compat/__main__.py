"""``python -m limpet.compat PROGRAM [ARG]...``: run a program over the drop-ins.

PROGRAM is a module, as for ``python -m``, the path of a script, as for ``python``, or the name of a
program that a package has installed. A reloader that starts itself again with ``sys.orig_argv``, as
Werkzeug's does, comes through here each time.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import runpy
import sys

from limpet.compat import substitute

_USAGE = "usage: python -m limpet.compat [-m] PROGRAM [ARG]..."


def main() -> None:
    """Substitute watchfiles and watchdog, and run what the arguments name.

    Raises:
        SystemExit: That of the program; 2 without one, 1 if there is none of this name.
    """
    words = sys.argv[1:]
    if words[:1] in (["-h"], ["--help"]):
        print(_USAGE, "\n\n", __doc__, sep="")  # noqa: T201
        return
    is_module = words[:1] == ["-m"]
    if is_module:
        words = words[1:]
    if not words:
        print(_USAGE, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    substitute()
    program = words[0]
    sys.argv = words
    if os.path.isfile(program) and not is_module:
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        runpy.run_path(program, run_name="__main__")
        return
    sys.path[0] = os.getcwd()
    if _is_runnable(program):
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return
    scripts = importlib.metadata.entry_points(group="console_scripts", name=program)
    for script in scripts if not is_module else ():
        sys.exit(script.load()())
    message = f"cannot run {program!r} over the drop-ins: no module, script or program is named so"
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(1)


def _is_runnable(module: str) -> bool:
    """Return whether ``python -m`` would find something to run."""
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except (ImportError, ValueError):
        return False
    return spec is not None


if __name__ == "__main__":
    main()
