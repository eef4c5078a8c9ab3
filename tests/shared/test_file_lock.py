"""One process at a time has a lock, and a process that ends has it no longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from limpet._file_lock import FileLock, holder_of

HOLD = """
import sys
from limpet._file_lock import FileLock
lock = FileLock(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_once_and_can_be_taken_again_after_close(tmp_path: Path) -> None:
    """Also within one process; the file stays."""
    path = tmp_path / "state.lock"
    assert holder_of(path) == ""
    lock = FileLock(path)
    with pytest.raises(BlockingIOError):
        FileLock(path)
    assert holder_of(path) == f" (process {os.getpid()})"
    lock.close()
    lock.close()
    FileLock(path).close()
    assert path.exists()


def test_a_lock_of_another_process_ends_with_it(tmp_path: Path) -> None:
    """However it ends: here it is killed."""
    path = tmp_path / "state.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"locked"
        with pytest.raises(BlockingIOError):
            FileLock(path)
        holder.kill()
        holder.wait()
        FileLock(path).close()


def test_a_path_that_cannot_be_opened_is_not_called_locked(tmp_path: Path) -> None:
    """The two have different remedies."""
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "missing" / "state.lock")
    with pytest.raises(IsADirectoryError):
        FileLock(tmp_path)
