"""The kernel's limits on watching, and how much of each this user's processes use.

inotify(7) and fanotify(7), "/proc interfaces", name the limits; proc(5), ``/proc/pid/fdinfo``,
shows what is used: a line ``inotify wd:`` for each watch and ``fanotify ino:`` for each mark. All
of it is best effort: a limit that does not exist is left out, and a process that cannot be examined
counts as one that uses nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

LIMITS: Final = {
    "fs.inotify.max_user_watches": "inotify_watches",
    "fs.inotify.max_user_instances": "inotify_instances",
    "fs.inotify.max_queued_events": None,
    "fs.fanotify.max_user_marks": "fanotify_marks",
    "fs.fanotify.max_user_groups": "fanotify_groups",
    "fs.fanotify.max_queued_events": None,
}
"""Sysctl -> what of `count_usage` counts against it; how full a queue is does not show."""

_INSTANCES: Final = {
    "anon_inode:inotify": ("inotify_instances", "inotify_watches", b"inotify wd:"),
    "anon_inode:[fanotify]": ("fanotify_groups", "fanotify_marks", b"fanotify ino:"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit: its name as the system has it, its value, and what is used where that shows."""

    name: str
    value: int
    used: int | None = None

    @property
    def free(self) -> int:
        """What is left, as far as this user can see; never below 0."""
        return max(0, self.value - (self.used or 0))


def read_limits(proc: Path) -> dict[str, Limit]:
    """Return the limits of this system, by name, with what is used of each.

    Args:
        proc: Where the process file system is mounted; without one only RLIMIT_NOFILE is known.
    """
    usage = count_usage(proc, os.getuid() if hasattr(os, "getuid") else -1)
    limits = []
    for name, counts in LIMITS.items():
        with suppress(OSError, ValueError):
            value = int((proc / "sys" / name.replace(".", "/")).read_bytes())
            used = None if counts is None else usage[counts]
            limits.append(Limit(name=name, value=value, used=used))
    limits.extend(_descriptors(proc))
    return {limit.name: limit for limit in limits}


def count_usage(proc: Path, user: int) -> Counter[str]:
    """Count the instances, watches and marks of a user's processes; ``hidden`` ones show none."""
    usage: Counter[str] = Counter()
    for process in _processes(proc, user):
        try:
            descriptors = os.listdir(process / "fd")
        except OSError:
            usage["hidden"] += 1
            continue
        for descriptor in descriptors:
            with suppress(OSError):
                kind = _INSTANCES.get(os.readlink(process / "fd" / descriptor))
                if kind is not None:
                    instances, marks, line = kind
                    usage[instances] += 1
                    with (process / "fdinfo" / descriptor).open("rb") as lines:
                        usage[marks] += sum(one.startswith(line) for one in lines)
    return usage


def _processes(proc: Path, user: int) -> Iterator[Path]:
    with suppress(OSError), os.scandir(proc) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.isdecimal() and entry.stat().st_uid == user:
                    yield proc / entry.name


def _descriptors(proc: Path) -> Iterator[Limit]:
    try:
        resource = import_module("resource")
    except ImportError:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = None
    with suppress(OSError):
        used = len(os.listdir(proc / "self" / "fd"))
    if soft != resource.RLIM_INFINITY:
        yield Limit(name="RLIMIT_NOFILE", value=soft, used=used)
