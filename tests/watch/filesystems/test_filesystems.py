"""The laws on other file systems: one of each kind, and with ``make soak`` all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.watch.filesystems.mounted import KINDS, TOOLS

ROOT = hasattr(os, "getuid") and os.getuid() == 0
SOAK = os.environ.get("LIMPET_PROFILE", "check") not in {"check", "brief"}
CASES = (
    [(kind, backend) for kind in KINDS for backend in ("fanotify", "inotify", "poll")]
    if SOAK
    else [
        ("ext2", "inotify"), ("ext2", "poll"), ("overlay", "fanotify"), ("overlay", "poll"),
        ("mergerfs", "poll"), ("exfat", "inotify"), ("exfat", "poll"),
    ]
)  # fmt: skip


@pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)
@pytest.mark.parametrize(("kind", "backend"), CASES)
def test_the_laws_hold_on(tmp_path: Path, kind: str, backend: str) -> None:
    tool = TOOLS[kind]
    if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        pytest.skip(f"{tool} is not installed")
    folder = tmp_path / "fs"
    folder.mkdir()
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-m"]
    examples = "400" if SOAK else "4"
    done = subprocess.run(
        [*command, "tests.watch.filesystems.mounted", kind, backend, examples, str(folder)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
