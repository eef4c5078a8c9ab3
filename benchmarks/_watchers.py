"""The watchers that are compared, and what each of them is asked for."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRIVERS = ROOT / "benchmarks" / "drivers"

NODE_VERSION = """
    const name = process.argv[1], there = require('fs').existsSync
    require(require.resolve.paths(name).map(p => `${p}/${name}/package.json`).find(there)).version
"""
"""Tells the version of a package, also of one that does not export its ``package.json``."""

WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set=-sys_admin")
"""Runs a program as root without CAP_SYS_ADMIN, which is what fanotify asks for."""


class WatcherError(Exception):
    """A watcher's program ended, or did not answer in time."""


ALL_BUT_WORK = frozenset(
    {"start", "gather", "idle", "many", "tree", "growth", "flat", "complete", "latency"}
)
"""Left out for what differs from another column while there is work alone."""

NO_PYTHON = frozenset({"start"})
"""Left out for what is no Python package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """One way to watch: a column of the tables."""

    title: str
    note: str
    """What it was asked for, for the reader."""
    package: str | None
    """Distribution it comes from; None for the C program."""
    command: tuple[str, ...]
    modules: str = ""
    """The statement that imports the package."""
    version: tuple[str, ...] = ()
    """The command that prints the version of a program that is not a Python package."""
    uses: str = ""
    """The statement that imports what a watch needs, where it is measured."""
    foreign: bool = False
    """A program of another world: it takes part in the first round, and not in short profiles."""
    unlike: frozenset[str] = field(default_factory=frozenset)
    """Measurements left out because another column already is the same."""


def python(module: str, *options: str) -> tuple[str, ...]:
    """Return the command that runs a driver."""
    return (sys.executable, "-m", f"benchmarks.drivers.{module}", *options)


def watchers(limit: Path | None, walk: Path | None) -> list[Watcher]:
    """Return all of them, limpet first; the C programs are there if there is a compiler."""
    found = [
        Watcher(
            title="limpet, fanotify",
            note="`watch_dir(backend='fanotify')`, taken by `batches()`",
            package="limpet",
            command=python("with_limpet", "--backend", "fanotify"),
            modules="import limpet",
            uses="from limpet import watch_dir",
        ),
        Watcher(
            title="limpet, inotify",
            note="`watch_dir(backend='inotify')`, taken by `batches()`",
            package="limpet",
            command=python("with_limpet", "--backend", "inotify"),
            modules="import limpet",
            unlike=frozenset({"start", "gather"}),
        ),
        Watcher(
            title="limpet, Python",
            note="`limpet, fanotify` without the compiled part (`LIMPET_SPEEDUPS=0`)",
            package="limpet",
            command=("env", "LIMPET_SPEEDUPS=0", *python("with_limpet", "--backend", "fanotify")),
            modules="import limpet",
            unlike=frozenset({"start", "gather", "idle", "many"}),
        ),
        *(
            Watcher(
                title=f"limpet, {backend}, 50 ms",
                note=f"`limpet, {backend}` with `gather=0.05`, the step of watchfiles",
                package="limpet",
                command=python("with_limpet", "--backend", backend, "--gather", "0.05"),
                modules="import limpet",
                unlike=ALL_BUT_WORK,
            )
            for backend in ("fanotify", "inotify")
        ),
        Watcher(
            title="watchfiles",
            note="`awatch(watch_filter=None)`, debounce 1600 ms and step 50 ms as it has them",
            package="watchfiles",
            command=python("with_watchfiles"),
            modules="import watchfiles",
            uses="from watchfiles import awatch",
        ),
        Watcher(
            title="watchfiles, fastest",
            note="the same with debounce and step at 1 ms",
            package="watchfiles",
            command=python("with_watchfiles", "--debounce", "1", "--step", "1"),
            modules="import watchfiles",
            unlike=frozenset({"start"}),
        ),
        Watcher(
            title="watchdog",
            note="`Observer` with an `event_filter` that leaves out opening and closing",
            package="watchdog",
            command=python("with_watchdog"),
            modules="import watchdog",
            uses="from watchdog.observers import Observer",
        ),
        Watcher(
            title="inotify-simple",
            note="its `INotify`, a watch added for each folder as it is found; reads gathered 5 ms",
            package="inotify-simple",
            command=python("with_inotify_simple"),
            modules="import inotify_simple",
            uses="from inotify_simple import INotify",
        ),
        Watcher(
            title="asyncinotify",
            note="`RecursiveInotify` for create, modify, close-write, move, delete",
            package="asyncinotify",
            command=python("with_asyncinotify"),
            modules="import asyncinotify",
            uses="from asyncinotify import RecursiveInotify",
        ),
    ]
    found += programs()
    if os.name == "posix" and os.geteuid() == 0 and shutil.which(WITHOUT_PRIVILEGE[0]):
        found.insert(
            1,
            Watcher(
                title="limpet, fanotify, unprivileged",
                note="the same without CAP_SYS_ADMIN: a mark on each folder",
                package="limpet",
                command=(*WITHOUT_PRIVILEGE, *found[0].command),
                modules=found[0].modules,
                unlike=frozenset({"start", "gather"}),
            ),
        )
    if limit is not None:
        found += [
            Watcher(
                title="limit",
                note="a C program that reads inotify and throws it away",
                package=None,
                command=(str(limit),),
                unlike=NO_PYTHON | {"memory"},
            ),
            Watcher(
                title="limit, gathering",
                note="the same, waiting 5 ms before each read",
                package=None,
                command=(str(limit), "--gather", "5"),
                unlike=NO_PYTHON | {"memory", "tree", "idle", "growth", "latency"},
            ),
            Watcher(
                title="limit, with stat",
                note="the same, and a `statx` of each name: what a compiled engine needs at least",
                package=None,
                command=(str(limit), "--gather", "12", "--stat"),
                unlike=NO_PYTHON | {"memory", "tree", "idle", "growth", "latency"},
            ),
        ]
    if walk is not None:
        found.append(
            Watcher(
                title="limit, walk only",
                note="a C program that lists the tree with getdents and watches nothing",
                package=None,
                command=(str(walk),),
                unlike=NO_PYTHON | {"memory", "idle", "paced", "flat", "latency", "load", "big"},
            )
        )
    return found


def programs() -> list[Watcher]:
    """Return the watchers that are programs of their own, where they are installed."""
    found = []
    if shutil.which("inotifywait"):
        found.append(
            Watcher(
                title="inotifywait",
                note="`inotifywait -m -r`, for what the others report",
                package=None,
                foreign=True,
                command=python("with_inotifywait"),
                version=("inotifywait", "--help"),
                unlike=NO_PYTHON,
            )
        )
    if shutil.which("watchman"):
        found.append(
            Watcher(
                title="watchman",
                note="a server of its own and a subscription, settle 1 ms",
                package=None,
                foreign=True,
                command=python("with_watchman"),
                version=("watchman", "--version"),
                unlike=NO_PYTHON,
            )
        )
    for title, package in (("chokidar", "chokidar"), ("@parcel/watcher", "@parcel/watcher")):
        driver = f"with_{package.strip('@').partition('/')[0]}.cjs"
        path = DRIVERS / driver
        if shutil.which("node") and has_module(package):
            found.append(
                Watcher(
                    title=title,
                    note=f"`{driver}`, on Node.js",
                    package=None,
                    foreign=True,
                    command=("node", str(path)),
                    version=("node", "-p", NODE_VERSION, package),
                    unlike=NO_PYTHON | {"big"},
                )
            )
    return found


def has_module(package: str) -> bool:
    """Whether Node.js finds a package, installed under ``benchmarks`` or named by NODE_PATH."""
    done = subprocess.run(
        ["node", "-e", f"require({package!r})"],
        cwd=DRIVERS,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def version(watcher: Watcher) -> str:
    """Return the installed version of a watcher; nothing for what has none."""
    if watcher.package is not None:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(watcher.package)
    if watcher.version:
        told = subprocess.run(
            watcher.version, cwd=DRIVERS, capture_output=True, text=True, check=False
        )
        found = re.search(r"\d+(\.\d+)+", told.stdout)
        return found[0] if found else ""
    return ""
