"""The laws on another file system, in a mount namespace of its own.

Under ``unshare -m --propagation private``, with the arguments KIND BACKEND EXAMPLES FOLDER, it
mounts the file system in FOLDER and runs the machine of ``test_laws.py`` there, and after it what
is special about that file system.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import limpet
from limpet.testing import describe, listing
from tests.watch.model.test_laws import Laws


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def _image(folder: Path, size: str, *make: str, options: str = "loop") -> Path:
    image, point = folder / "image", folder / "mnt"
    point.mkdir()
    _run("truncate", "-s", size, image)
    _run(*make, image)
    _run("mount", "-o", options, image, point)
    return point


def _device(image: Path) -> str:
    done = subprocess.run(
        ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _overlay(folder: Path) -> Path:
    for name in ("lower", "upper", "work", "mnt"):
        (folder / name).mkdir()
    return _mount_overlay(folder)


def _mount_overlay(folder: Path) -> Path:
    layers = f"lowerdir={folder / 'lower'},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    _run("mount", "-t", "overlay", "none", "-o", layers, folder / "mnt")
    return folder / "mnt"


def _through(folder: Path, *command: str) -> Path:
    """Mount a FUSE file system over a folder."""
    (folder / "below").mkdir()
    (folder / "mnt").mkdir()
    _run(*command, folder / "below", folder / "mnt")
    return folder / "mnt"


def _exfat(folder: Path) -> Path:
    image, point = folder / "image", folder / "mnt"
    point.mkdir()
    _run("truncate", "-s", "64M", image)
    _run("mkfs.exfat", image)
    device = _device(image)
    _run("mount.exfat-fuse", device, point)
    _run("losetup", "-d", device)  # once it is unmounted
    return point


KINDS: dict[str, Callable[[Path], Path]] = {
    "ext2": lambda folder: _image(folder, "64M", "mkfs.ext2", "-q"),
    "ext4-128": lambda folder: _image(folder, "64M", "mkfs.ext4", "-q", "-I", "128"),
    "xfs": lambda folder: _image(folder, "400M", "mkfs.xfs", "-q"),
    "btrfs": lambda folder: _image(folder, "200M", "mkfs.btrfs", "-q"),
    "overlay": _overlay,
    "bindfs": lambda folder: _through(folder, "bindfs"),
    "mergerfs": lambda folder: _through(folder, "mergerfs"),
    "exfat": _exfat,
}
TOOLS = {
    "ext2": "mkfs.ext2", "ext4-128": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs",
    "overlay": "mount", "bindfs": "bindfs", "mergerfs": "mergerfs", "exfat": "mount.exfat-fuse",
}  # fmt: skip


class OnAnother(Laws):
    """The laws; identities are not those of ``os.stat`` everywhere."""

    # exfat-fuse makes a file and says that it failed, so that the kernel reports nothing.
    fifo = None  # type: ignore[assignment]

    def check_index(self) -> None:
        """Inode numbers of a listing may be others than those of a stat (exfat-fuse)."""


def laws(backend: str, examples: int) -> None:
    machine: Any = type("Laws", (OnAnother,), {"backend": backend})
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


def shown(watch: limpet.SyncWatch) -> list[str]:
    return [describe(event) for event in watch.fence()]


def whole_seconds(point: Path, backend: Any) -> None:
    """A rewrite of the same size within the second is reported by every backend."""
    file = point / "f"
    while time.time() % 1 > 0.5:
        time.sleep(0.01)
    file.write_text("a")
    with limpet.watch_dir(point, backend=backend, poll_interval=3600).sync() as watch:
        watch.fence()
        file.write_text("b")
        found = shown(watch)
        file.write_text("c")
        assert (found + shown(watch)).count("FileUpdated f {content}") == 2, found


def copy_up(point: Path, backend: Any) -> None:
    """The first change of what the lower layer has replaces nothing."""
    folder = point / "d"
    folder.mkdir()
    for name in ("f", "g"):
        (folder / name).write_text("1")
    _run("umount", point)
    for name in ("upper", "work", "mnt"):
        (point.parent / name).rename(point.parent / f"{name}-before")
    (point.parent / "upper-before" / "d").rename(point.parent / "lower" / "d")
    for name in ("upper", "work", "mnt"):
        (point.parent / name).mkdir()
    _mount_overlay(point.parent)
    with limpet.watch_dir(folder, backend=backend, poll_interval=3600).sync() as watch:
        assert shown(watch) == []
        (folder / "new").write_text("1")
        assert shown(watch) == ["FileCreated new"]
        with (folder / "f").open("a") as file:
            file.write("2")
        assert shown(watch) == ["FileUpdated f {content}"]
        (folder / "g").chmod(0o600)
        folder.chmod(0o750)
        assert shown(watch) == []


def forgotten_inodes(point: Path, backend: Any) -> None:
    """Numbers that the kernel has forgotten, and stamps that stayed, are no news."""
    for name in ("a", "b"):
        (point / name).mkdir()
        (point / name / "f").write_text(name)
    with limpet.watch_dir(point, backend=backend, poll_interval=3600).sync() as watch:
        assert shown(watch) == []
        Path("/proc/sys/vm/drop_caches").write_text("2")
        assert shown(watch) == []
        (point / "a" / "f").write_text("more")
        assert shown(watch) == ["FileUpdated a/f {content}"]


def spelling(point: Path, backend: Any) -> None:
    """One file under two spellings is one entry, and a rename between them is one."""
    (point / "dir").mkdir()
    for name in ("old", "dir/k"):
        (point / name).write_text("x")
    with limpet.watch_dir(point, backend=backend, poll_interval=3600).sync() as watch:
        watch.fence()
        (point / "old").rename(point / "OLD")
        assert shown(watch) == ["FileRenamed old -> OLD"]
        (point / "dir").rename(point / "DIR")
        assert shown(watch) == ["DirRenamed dir -> DIR"]
        with (point / "Old").open("a") as file:
            file.write("more")
        found, end = shown(watch), time.monotonic() + 10
        while not found and time.monotonic() < end:  # FUSE keeps what stat said for a second
            time.sleep(0.05)
            found = shown(watch)
        assert found == ["FileUpdated OLD {content}"]
        assert set(watch.entries()) == set(listing(point))


SPECIAL: dict[str, Callable[[Path, Any], None]] = {
    "ext2": whole_seconds,
    "ext4-128": whole_seconds,
    "overlay": copy_up,
    "mergerfs": forgotten_inodes,
    "exfat": spelling,
}


def main(kind: str, backend: str, examples: int, folder: Path) -> None:
    """Mount, run and unmount; what serves a FUSE file system ends by that."""
    point = KINDS[kind](folder)
    try:
        check(kind, backend, examples, point)
    finally:
        _run("umount", "-l", point)


def check(kind: str, backend: str, examples: int, point: Path) -> None:
    """Run the machine, and what is special about the file system."""
    tempfile.tempdir = os.fspath(point)
    laws(backend, examples)
    for left in point.iterdir():
        if left.name != "lost+found":
            _run("rm", "-rf", left)
    special = SPECIAL.get(kind)
    if special is not None:
        special(point, backend)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
