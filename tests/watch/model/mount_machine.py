"""The laws with mounts that come, go and are exchanged; run in a mount namespace of its own.

``unshare -m --propagation private python -m tests.watch.model.mount_machine BACKEND EXAMPLES``
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from limpet import SyncWatch
from tests.watch.model.test_laws import MAYBE_ROOT, NAMES, PLACES, Laws

_libc = ctypes.CDLL(None, use_errno=True)
_BIND, _MOVE, _DETACH = 0x1000, 0x2000, 2


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def mount(source: Path, target: Path, kind: bytes | None = None, flags: int = 0) -> None:
    """Mount by mount(2)."""
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), kind, flags, None))


def umount(target: Path) -> None:
    """Take a mount off, even if it is in use."""
    _checked(_libc.umount2(os.fsencode(target), _DETACH))


class Mounts(Laws):
    """Bind mounts of the tree in itself, file systems mounted below, exchanged and taken off."""

    # The location itself stays: other machines move it.
    delete_target = move_target = put_file_at_target = move_ancestor = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.points: list[Path] = []

    def open_watch(self) -> SyncWatch:
        for place in ("a/b", "c/d", "b"):
            self.make_dirs(place)
        return super().open_watch()

    def mount_at(self, source: Path, point: Path, kind: bytes | None, flags: int) -> None:
        if point.is_dir() and not point.is_symlink() and len(self.points) < 4:
            mount(source, point, kind, flags)
            self.points.append(point)

    @rule(source=MAYBE_ROOT, point=PLACES)
    def bind(self, source: str, point: str) -> None:
        self.try_(lambda: self.mount_at(self.at(source), self.at(point), None, _BIND))

    @rule(first=st.integers(0, 5), second=st.integers(0, 5))
    def bind_what_is_there(self, first: int, second: int) -> None:
        folders = sorted(path for path, kind in self.expected().items() if kind == "dir")
        if folders:
            source, point = folders[first % len(folders)], folders[second % len(folders)]
            self.try_(lambda: self.mount_at(source, point, None, _BIND))

    @rule(first=st.integers(0, 5), second=st.integers(0, 5), name=NAMES, goal=NAMES)
    def rename_what_is_mounted_twice(self, first: int, second: int, name: str, goal: str) -> None:
        """It is renamed in both places."""
        self.bind_what_is_there(first, second)
        for point in self.points[-1:]:
            if not (point / name).is_fifo():  # to open one waits for a reader
                self.try_(lambda point=point: (point / name).write_text("here"))
            self.fence()
            self.try_(lambda point=point: (point / name).rename(point / goal))

    @rule(point=MAYBE_ROOT)
    def mount_another(self, point: str) -> None:
        self.try_(lambda: self.mount_at(Path("none"), self.at(point), b"tmpfs", 0))

    @rule(number=st.integers(0, 3))
    def take_off(self, number: int) -> None:
        if number < len(self.points):
            self.try_(lambda: umount(self.points.pop(number)))

    @rule(number=st.integers(0, 3), point=PLACES)
    def move_mount(self, number: int, point: str) -> None:
        if number < len(self.points):
            self.try_(lambda: mount(self.points[number], self.at(point), None, _MOVE))

    def check_index(self) -> None:
        """A directory that is mounted twice has one place in the table of identities."""

    def teardown(self) -> None:
        try:
            super().fence()
        finally:
            while self.points:
                self.try_(lambda: umount(self.points.pop()))
            for _ in range(10):  # one that covers another comes off first
                for point in reversed(self.mounted()):
                    self.try_(lambda point=point: umount(point))
            super().teardown()

    def mounted(self) -> list[Path]:
        """Return where something is mounted below the tree, in the order of the mounts."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        points = (Path(line.split(" ")[1].replace("\\040", " ")) for line in lines)
        return [point for point in points if point.is_relative_to(self.home)]


def main(backend: str, examples: int) -> None:
    """Run the machine, and raise what fails."""
    machine: Any = type(f"Mounts_{backend}", (Mounts,), {"backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
