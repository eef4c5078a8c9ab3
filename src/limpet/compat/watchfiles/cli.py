"""The program: run a command or a function, and restart it whenever files change."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limpet.compat.watchfiles.filters import BaseFilter, DefaultFilter, PythonFilter
from limpet.compat.watchfiles.main import Change
from limpet.compat.watchfiles.run import detect_target_type, import_string, run_process
from limpet.compat.watchfiles.version import VERSION

__all__ = ["build_filter", "cli", "import_exit", "resolve_path"]

logger = logging.getLogger("watchfiles.cli")

Filter = Callable[[Change, str], bool]


def cli(*args_: str) -> None:
    """Run the program.

    Args:
        *args_: Its arguments; by default those of the command line.
    """
    given = _parser().parse_args(list(args_) or sys.argv[1:])
    level = logging.DEBUG if given.verbose else getattr(logging, given.verbosity.upper())
    _log_to_standard_error(level)
    kind = given.target_type
    if kind == "auto":
        kind = detect_target_type(given.target)
    if kind == "function":
        import_exit(given.target)
        if given.args:
            sys.argv = [given.target, *shlex.split(given.args)]
    elif given.args:
        logger.warning("--args is only used when the target is a function")
    try:
        paths = [resolve_path(one) for one in given.paths]
    except FileNotFoundError as error:
        print(f'path "{error}" does not exist', file=sys.stderr)  # noqa: T201
        sys.exit(1)
    watch_filter, shown = build_filter(given.filter, given.ignore_paths)
    logger.info(
        'limpet.compat.watchfiles v%s path=%s target="%s" (%s) filter=%s...',
        VERSION,
        ", ".join(f'"{one}"' for one in paths),
        given.target,
        kind,
        shown,
    )
    run_process(
        *paths,
        target=given.target,
        target_type=kind,
        watch_filter=watch_filter,
        debug=level == logging.DEBUG,
        sigint_timeout=given.sigint_timeout,
        sigkill_timeout=given.sigkill_timeout,
        recursive=not given.non_recursive,
        ignore_permission_denied=given.ignore_permission_denied,
        grace_period=given.grace_period,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watchfiles",
        description="Run a command or a function, and restart it whenever files change.",
    )
    add = parser.add_argument
    add("target", help="command line, or dotted path of a function")
    add("paths", nargs="*", default=".", help="files and folders to watch (.)")
    add("--ignore-paths", nargs="?", metavar="PATH,...", help="paths to leave out")
    add(
        "--target-type",
        nargs="?",
        default="auto",
        choices=["command", "function", "auto"],
        help="what the target is (auto: found out by its text)",
    )
    add(
        "--filter",
        nargs="?",
        default="default",
        metavar="NAME",
        help="default, python, all, or the dotted path of a function or class (default)",
    )
    add("--args", nargs="?", help="arguments that a function finds in sys.argv")
    add("--verbose", action="store_true", help="log everything; wins over --verbosity")
    add("--non-recursive", action="store_true", help="leave out the folders below")
    add(
        "--verbosity",
        nargs="?",
        default="info",
        choices=["warning", "info", "debug"],
        help="what is logged (info)",
    )
    add("--sigint-timeout", nargs="?", type=int, default=5, metavar="SECONDS",
        help="time that the target has to end by SIGINT, before it is killed (5)")  # fmt: skip
    add("--grace-period", nargs="?", type=float, default=0, metavar="SECONDS",
        help="time after the first start before files are watched (0)")  # fmt: skip
    add("--sigkill-timeout", nargs="?", type=int, default=1, metavar="SECONDS",
        help="time to wait for the target after it was killed (1)")  # fmt: skip
    add("--ignore-permission-denied", action="store_true", help="pass over what may not be read")
    add("--version", "-V", action="version", version=f"%(prog)s v{VERSION}")
    return parser


def _log_to_standard_error(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(fmt="[%(asctime)s] %(message)s", datefmt="%H:%M:%S"))
    top = logging.getLogger("watchfiles")
    top.addHandler(handler)
    top.setLevel(level)


def resolve_path(path_str: str) -> Path:
    """Return the real path.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    path = Path(path_str)
    if not path.exists():
        raise FileNotFoundError(path)
    return path.resolve()


def import_exit(function_path: str) -> Any:  # noqa: ANN401 (whatever it names)
    """Return what a dotted path names, also in the current folder; exit if there is none."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return import_string(function_path)
    except ImportError as error:
        print(f"ImportError: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def build_filter(filter_name: str, ignore_paths_str: str | None) -> tuple[Filter | None, str]:
    """Return the filter of this name, and how it is shown."""
    ignored = [Path(one).resolve() for one in (ignore_paths_str or "").split(",") if one]
    made: type[DefaultFilter] | None = {"default": DefaultFilter, "python": PythonFilter}.get(
        filter_name
    )
    if made is not None:
        return made(ignore_paths=ignored), made.__name__
    if filter_name == "all":
        if ignored:
            logger.warning('"--ignore-paths" argument ignored as "all" filter was selected')
        return None, "(no filter)"
    found = import_exit(filter_name)
    if isinstance(found, type) and issubclass(found, DefaultFilter):
        return found(ignore_paths=ignored), found.__name__
    if ignored:
        logger.warning(
            '"--ignore-paths" argument ignored as filter is not a subclass of DefaultFilter'
        )
    if isinstance(found, type) and issubclass(found, BaseFilter):
        return found(), found.__name__
    return found, repr(found)
