"""The mount table: which file system holds a path, and whether the table changed.

proc(5), ``/proc/pid/mountinfo``: polling the file gives POLLERR and POLLPRI after every change of
the table. fanotify does not report an unmount, so this is the only way to find out.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Final, NamedTuple

REMOTE_DRIVE: Final = "network drive"
"""What a drive of Windows is called here that another machine holds."""

NETWORK: Final = frozenset(
    "nfs nfs4 cifs smb3 smbfs smb2 9p afs ceph glusterfs lustre vboxsf prl_fs drvfs virtiofs davfs "
    "beegfs gpfs ocfs2 gfs2 ncpfs coda orangefs pvfs2 acfs fakeowner vmhgfs fuse".split()
) | {REMOTE_DRIVE}
"""File systems that others can change without a report by this kernel (architecture: poll those).
"""

SILENT: Final = frozenset("proc sysfs debugfs tracefs cgroup cgroup2 configfs securityfs".split())
"""File systems whose files change without any notification though they can be marked."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the mount table."""

    id: int
    device: int
    point: str
    filesystem: str
    root: str

    @property
    def is_virtual(self) -> bool:
        """Return whether the kernel itself makes its files."""
        return self.filesystem in SILENT

    @property
    def needs_polling(self) -> bool:
        """Return whether its files change without a report by this kernel."""
        kind = self.filesystem
        return kind in NETWORK or self.is_virtual or kind.startswith("fuse.")


def read_mounts(text: str | None = None) -> list[Mount]:
    """Parse the mount table, in its order; an unreadable table is an empty one."""
    if sys.platform == "win32":
        return []
    if text is None:
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError:
            return []
    mounts = []
    for line in text.splitlines():
        head, separator, tail = line.partition(" - ")
        fields = head.split(" ")
        if not separator or len(fields) < 5:
            continue
        major, _, minor = fields[2].partition(":")
        mounts.append(
            Mount(
                id=int(fields[0]),
                device=os.makedev(int(major), int(minor)),
                point=_unescape(fields[4]),
                filesystem=tail.split(" ", 1)[0],
                root=_unescape(fields[3]),
            )
        )
    return mounts


def _unescape(field: str) -> str:
    def character(match: re.Match[str]) -> str:
        return os.fsdecode(bytes([int(match[1], 8)]))

    return _ESCAPE.sub(character, field)


def find_mount(path: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that holds the absolute, resolved ``path``; the topmost one wins."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.point
        below = path == point or path.startswith(point if point.endswith("/") else point + "/")
        if below and (best is None or len(point) >= len(best.point)):
            best = mount
    return best
