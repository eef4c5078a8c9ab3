"""The laws with mounts below the location, each run in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import BACKENDS

ROOT = hasattr(os, "getuid") and os.getuid() == 0
EXAMPLES = {"brief": "3", "check": "8"}.get(os.environ.get("LIMPET_PROFILE", "check"), "500")


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


RENAMED_THROUGH_ANOTHER_MOUNT = textwrap.dedent("""
    import sys
    from pathlib import Path
    import limpet
    from limpet.testing import check_stream, listing
    from tests.watch.model.mount_machine import mount
    base = Path(sys.argv[2])
    (base / "a" / "sub").mkdir(parents=True)
    (base / "seen again").mkdir()
    mount(base, base / "seen again", None, 0x1000)
    mount(Path("none"), base / "a" / "sub", b"tmpfs", 0)
    (base / "a" / "sub" / "f").touch()
    with limpet.watch_dir(base, backend=sys.argv[1], poll_interval=3600).sync() as watch:
        start, events = watch.entries(), []
        for old, new in (("a", "b"), ("b", "c")):
            (base / "seen again" / old).rename(base / "seen again" / new)
            events += watch.fence()
            assert check_stream(events, start).entries == listing(base)
            assert base / new / "sub" / "f" in watch.entries()
""")


@pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "watchfiles"])
def test_a_mount_moves_with_a_directory_that_is_renamed_elsewhere(
    tmp_path: Path, backend: str
) -> None:
    """Through another mount of it, where nothing is mounted in it: no table of mounts changes."""
    done = subprocess.run(
        [
            *("unshare", "-m", "--propagation", "private", sys.executable, "-c"),
            *(RENAMED_THROUGH_ANOTHER_MOUNT, backend, str(tmp_path)),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
