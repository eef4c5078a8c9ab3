"""The laws with mounts below the location, each run in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import BACKENDS

ROOT = hasattr(os, "getuid") and os.getuid() == 0
EXAMPLES = "8" if os.environ.get("LIMPET_PROFILE", "check") == "check" else "500"


@pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "watchfiles"])
def test_laws_hold_while_mounts_come_and_go(backend: str) -> None:
    """L1 and L2; a notifier of watchfiles does not see into what is mounted below it later."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-m"]
    done = subprocess.run(
        [*command, "tests.watch.model.mount_machine", backend, EXAMPLES],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
