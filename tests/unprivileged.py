"""Programs of tests that go on as a user without rights."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys

import limpet

PARTS = ("limpet.backends", "limpet.output", "limpet.testing", "limpet.watching")
NOBODY = 65534


def drop_rights() -> None:
    """Become a user without rights, if the process is root's; call it before the test's own work.

    All of limpet that the program may load later is loaded first: the clone may be below a
    directory that the other user cannot enter, as root's home is.
    """
    for found in pkgutil.walk_packages(limpet.__path__, "limpet."):
        if found.name.startswith(PARTS):
            importlib.import_module(found.name)
    for optional in ("watchfiles", "watchfiles._rust_notify"):
        importlib.import_module(optional)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program that may import from ``tests``; its lines go both ways."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
