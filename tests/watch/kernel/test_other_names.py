"""A file under another name of its inode, and a rename of what is young."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.testing import describe

ROOT = hasattr(os, "getuid") and os.getuid() == 0


def next_of(watch: limpet.SyncWatch) -> str:
    event = watch.next(timeout=20)
    assert event is not None
    return describe(event)


@pytest.mark.parametrize("settle", [0.0, 0.05])
def test_a_file_written_through_a_hard_link(tmp_path: Path, backend: Any, settle: float) -> None:
    """Also after it was replaced by another inode that has a second name."""
    (tmp_path / "w").mkdir()
    watched, other = tmp_path / "w" / "f", tmp_path / "other"
    watched.write_text("1")
    os.link(watched, other)
    options: dict[str, Any] = {"backend": backend, "poll_interval": 0.02, "settle": settle}
    with limpet.watch_file(watched, **options).sync() as watch:
        other.write_text("22")
        assert next_of(watch) == "TargetFileUpdated . {content}"
        third = tmp_path / "third"
        third.write_text("333")
        os.link(third, tmp_path / "fourth")
        third.rename(watched)
        assert next_of(watch) == "TargetFileUpdated . {content,identity}"
        (tmp_path / "fourth").write_text("4444")
        assert next_of(watch) == "TargetFileUpdated . {content}"
        watched.unlink()
        assert next_of(watch) == "TargetFileDeleted . (deleted)"
        (tmp_path / "fourth").write_text("55555")
        watched.write_text("6")
        assert next_of(watch) == "TargetFileCreated ."


BIND = """
import os, subprocess, sys
from pathlib import Path
import limpet
from limpet.testing import describe
top = Path(sys.argv[1]); host = top / "host"; inside = top / "inside"
host.mkdir(); inside.mkdir()
(host / "app.toml").write_text("1"); (inside / "app.toml").write_text("")
subprocess.run(["mount", "--bind", host / "app.toml", inside / "app.toml"], check=True)
with limpet.watch_file(inside / "app.toml", backend=sys.argv[2]).sync() as watch:
    (host / "app.toml").write_text("22")
    assert describe(watch.next(timeout=20)) == "TargetFileUpdated . {content}"
    (host / "next").write_text("3"); (host / "next").rename(host / "app.toml")
    event = watch.next(timeout=20)
    assert isinstance(event, limpet.Degraded) and "mount its folder" in event.message, event
    (inside / "app.toml").write_text("by the old name")
    assert describe(watch.next(timeout=20)) == "TargetFileUpdated . {content}"
"""


@pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)
@pytest.mark.parametrize("name", ["fanotify", "inotify"])
def test_a_file_that_is_mounted(tmp_path: Path, name: str) -> None:
    """Its other side is another name; that it was replaced there is said once."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", BIND]
    done = subprocess.run(
        [*command, str(tmp_path), name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-1500:]


def test_a_rename_of_what_was_made_meanwhile(tmp_path: Path, backend: Any) -> None:
    """Birth times prove nothing at first: they are read again before they are needed (P8)."""
    with limpet.watch_dir(tmp_path, backend=backend, poll_interval=0.02).sync() as watch:
        for number in range(5):
            (tmp_path / f"d{number}").mkdir()
            (tmp_path / f"f{number}").write_text("1")
            made = {next_of(watch) for _ in range(2)}
            assert made == {f"DirCreated d{number}", f"FileCreated f{number}"}
            end = time.monotonic() + 0.1
            while (left := end - time.monotonic()) > 0:
                assert watch.next(timeout=left) is None
            (tmp_path / f"f{number}").rename(tmp_path / f"g{number}")
            assert next_of(watch) == f"FileRenamed f{number} -> g{number}"
            (tmp_path / f"d{number}").rename(tmp_path / f"e{number}")
            assert next_of(watch) == f"DirRenamed d{number} -> e{number}"
