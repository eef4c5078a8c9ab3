"""``follow_symlinks``: what may not be followed is never read, whatever is swapped and when."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.following import Appended, Content, Inaccessible, follow
from limpet.following._file_io import FileIO
from limpet.following._path_access import PathAccess
from tests.following.driver import Driven, SteppedFileIO, append, write

needs_dir_fd = pytest.mark.skipif(not FileIO.has_dir_fd, reason="directories have no descriptors")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away"
)
SECRET = "SECRET\n"  # noqa: S105 - no password, and no secret
OTHER = 12345
"""A user number that is not ours."""


@pytest.fixture
def p(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "priv").mkdir()
    write(tmp_path / "priv" / "app.log", SECRET)
    return tmp_path / "priv" / "app.log"


class Swapping(SteppedFileIO):
    """Does something right before the n-th call that takes a name."""

    def __init__(self, swap: Callable[[], None], nth: int) -> None:
        super().__init__()
        self.swap = swap
        self.left = nth

    def count(self) -> None:
        self.left -= 1
        if not self.left:
            self.swap()

    def stat(self, path: str) -> os.stat_result:
        self.count()
        return super().stat(path)

    def open(self, path: str) -> int:
        self.count()
        return super().open(path)

    def open_at(self, dir_fd: int, name: str) -> int:
        self.count()
        return super().open_at(dir_fd, name)

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        self.count()
        return super().stat_at(dir_fd, name)

    def open_dir_at(self, dir_fd: int, name: str) -> int:
        self.count()
        return super().open_dir_at(dir_fd, name)

    def read_link_at(self, dir_fd: int, name: str) -> tuple[int, str]:
        self.count()
        return super().read_link_at(dir_fd, name)


def replace_file(p: Path, secret: Path) -> None:
    p.unlink(missing_ok=True)
    p.symlink_to(secret)


def replace_directory(p: Path, secret: Path) -> None:
    os.rename(p.parent, f"{p.parent}-away")
    p.parent.symlink_to(secret.parent)


SWAPS = {"file": replace_file, "directory": replace_directory}


@needs_dir_fd
@pytest.mark.parametrize("mode", ["lines", "whole"])
@pytest.mark.parametrize("swap", SWAPS)
def test_swapped_before_any_call(p: Path, secret: Path, swap: str, mode: Any) -> None:
    """The file, or a directory on the way: for each call, the swap comes right before it."""
    nth = 0
    while True:
        nth += 1
        write(p, "x\n")
        io = Swapping(lambda: SWAPS[swap](p, secret), nth)
        driven = Driven(p, io=io, follow_symlinks=False, mode=mode, settle=0.0)
        driven.catch_up()
        append(p, "more\n") if not p.is_symlink() and p.parent.is_dir() else None
        driven.catch_up()
        driven.wait(1.0)
        shown = [*driven.lines(), *(str(one.text) for one in driven.of(Content))]
        assert not any("SECRET" in one for one in shown), nth
        driven.close()
        swapped = io.left <= 0
        p.unlink() if p.parent.is_dir() and not p.parent.is_symlink() else p.parent.unlink()
        if os.path.exists(f"{p.parent}-away"):
            if p.parent.exists():
                p.parent.rmdir()
            os.rename(f"{p.parent}-away", p.parent)
            p.unlink(missing_ok=True)
        write(secret, SECRET)
        if not swapped:
            break
    assert nth > 10


@needs_dir_fd
@needs_root
def test_a_link_of_another_owner_swapped_before_any_call(p: Path, secret: Path) -> None:
    """``same-owner``: the owner of the link that was read counts, not of one that was there before.

    The root's own link is there first, and another user's takes its place.
    """
    nth = 0
    own = p.with_name("own")
    while True:
        nth += 1
        write(own, "x\n")
        p.symlink_to(own)

        def swap() -> None:
            p.unlink()
            p.symlink_to(secret)
            os.lchown(p, OTHER, OTHER)

        io = Swapping(swap, nth)
        driven = Driven(p, io=io, follow_symlinks="same-owner")
        driven.catch_up()
        driven.catch_up()
        assert set(driven.lines()) <= {"x"}
        driven.close()
        p.unlink()
        if io.left > 0:
            break
    assert nth > 10


@pytest.mark.parametrize("policy", [False, "same-owner"])
@pytest.mark.parametrize("mode", ["lines", "whole"])
@needs_root
def test_a_link_to_somebody_elses_file(p: Path, secret: Path, policy: Any, mode: Any) -> None:
    """It is reported, and not read; also under a name that ``rotated`` matches."""
    os.chown(secret, OTHER, OTHER)
    p.symlink_to(secret)
    Path(f"{p}.1").symlink_to(secret)
    driven = Driven(p, follow_symlinks=policy, mode=mode, rotated="app.log.*", settle=0.0)
    driven.catch_up()
    driven.catch_up()
    assert driven.lines() == []
    assert driven.of(Content) == []
    assert {event.errno for event in driven.of(Inaccessible)} == {errno.ELOOP}
    driven.close()


@pytest.mark.parametrize("policy", [False, "same-owner"])
def test_a_link_under_rotated_that_comes_later(p: Path, secret: Path, policy: Any) -> None:
    """It is reported once; a plain file beside it is read."""
    if policy == "same-owner":
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(secret, OTHER, OTHER)
    write(p, "x\n")
    driven = Driven(p, follow_symlinks=policy, rotated="app.log.*")
    driven.catch_up()
    Path(f"{p}.1").symlink_to(secret)
    write(f"{p}.2", "plain\n")
    for _ in range(4):
        driven.wait(1.0)
    assert driven.lines() == ["x", "plain"]
    assert [str(event.path) for event in driven.of(Inaccessible)] == [f"{p}.1"]
    driven.close()


@needs_dir_fd
def test_links_of_the_same_owner_are_followed(p: Path, tmp_path: Path) -> None:
    """Through directories, relative and absolute, and in chains."""
    (tmp_path / "real").mkdir()
    write(tmp_path / "real" / "file", "a\n")
    (tmp_path / "dir").symlink_to("real")
    (tmp_path / "logs" / "second").symlink_to(tmp_path / "dir" / ".." / "dir" / "file")
    p.symlink_to("second")
    driven = Driven(p, follow_symlinks="same-owner")
    driven.catch_up()
    assert driven.lines() == ["a"]
    driven.close()


@needs_dir_fd
def test_a_loop_of_links_ends(p: Path) -> None:
    """As the kernel has it."""
    p.symlink_to(p.with_name("other"))
    p.with_name("other").symlink_to(p)
    with pytest.raises(OSError, match="too many") as failure:
        PathAccess(FileIO(), "same-owner").stat(str(p))
    assert failure.value.errno == errno.ELOOP


class WithoutDirFd(SteppedFileIO):
    """A system whose directories have no descriptors."""

    has_dir_fd = False  # type: ignore[misc]  # the class says what the system has


def test_by_path_where_directories_have_no_descriptors(p: Path, secret: Path) -> None:
    """Links are refused there as well, and plain files are read."""
    write(p, "x\n")
    Path(f"{p}.1").symlink_to(secret)
    driven = Driven(p, io=WithoutDirFd(), follow_symlinks=False, rotated="app.log.*")
    driven.catch_up()
    p.unlink()
    p.symlink_to(secret)
    driven.catch_up()
    assert driven.lines() == ["x"]
    driven.close()


SWAPPER = textwrap.dedent(
    """
    import os, sys
    path, secret = sys.argv[1:]
    while True:
        os.symlink(secret, path + '.l')
        os.rename(path + '.l', path)
        with open(path + '.f', 'w') as file:
            file.write('x\\n')
        os.rename(path + '.f', path)
    """
)


@pytest.mark.parametrize("options", [{}, {"mode": "whole", "settle": 0.0}])
def test_swapped_all_the_time(p: Path, secret: Path, options: Any) -> None:
    """Another process races for a second."""
    write(p, "x\n")
    seen: list[str] = []
    process = subprocess.Popen([sys.executable, "-c", SWAPPER, str(p), str(secret)])
    try:
        with follow(
            p, start="beginning", follow_symlinks=False, backend="poll", poll_interval=0.001,
            safety=0.01, linger=0.0, **options,
        ).sync() as follower:  # fmt: skip
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                event = follower.next(timeout=0.1)
                if isinstance(event, Appended):
                    seen += event.lines
                elif isinstance(event, Content):
                    seen.append(str(event.text))
    finally:
        process.kill()
        process.wait()
    assert set(seen) <= {"x", "x\n", ""}


def test_nothing_else_opens_names() -> None:
    """One module decides which names are opened; the others ask it."""
    root = Path(PathAccess.__init__.__code__.co_filename).parent
    for module in root.glob("*.py"):
        if module.name in {"_path_access.py", "_file_io.py"}:
            continue
        text = module.read_text(encoding="utf-8")
        for call in ("io.open(", "io.lstat(", "io.open_at(", "os.open("):
            assert call not in text, f"{module.name}: {call}"
