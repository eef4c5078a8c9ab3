"""What is read of a status, read in the same way by every part."""

from __future__ import annotations

import os
import re
from pathlib import Path

import limpet
from limpet._file_stat import file_stat, identity_of
from limpet.watching.index._fs import _from_result

WINDOWS_VOLUME = 0xA1B2C3D4_5A000000
"""Windows' number of a volume, which has 64 bits since Python 3.12."""


def test_every_part_has_the_same_device_and_inode() -> None:
    """The watch takes them from one call, and who reads the appended content from another."""
    times = {"st_atime_ns": 1, "st_mtime_ns": 2, "st_ctime_ns": 3}
    if hasattr(os.stat_result, "st_birthtime"):  # as on Windows and macOS
        times["st_birthtime"] = 1
    found = os.stat_result((0o100644, 77, WINDOWS_VOLUME, 1, 0, 0, 4, 1, 2, 3), times)
    watched, written = _from_result(found), file_stat(found)
    assert identity_of(found)[1] == 77
    assert identity_of(found)[0] < 1 << 32
    assert (watched.device, watched.inode) == identity_of(found)
    assert (written.device, written.inode) == identity_of(found)


def test_a_device_is_read_in_one_place() -> None:
    """Two places that read it apart had two answers on Windows."""
    package = Path(limpet.__file__).parent
    reading = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\.st_dev\b", path.read_text(encoding="utf-8"))
    }
    assert reading == {"_file_stat.py", "backends/_fanotify.py"}  # the latter by fsid and device
