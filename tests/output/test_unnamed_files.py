"""New files that get their name when they are whole (O_TMPFILE), and where that does not work."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.events import FileCreated
from limpet.output import CreateFile, Output, Refused
from limpet.output import _syscalls as syscalls
from limpet.output._syscalls import Syscalls
from tests.waiting import PATIENCE


def works() -> bool:
    """Whether this kernel, and the file system of temporary files, has them."""
    calls, fd = Syscalls(), os.open(".", os.O_RDONLY)
    try:
        calls.close(calls.open_unnamed(fd, 0o600))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


pytestmark = pytest.mark.skipif(not works(), reason="no files without a name")


class Noting(Syscalls):
    """Notes what is called, and may fail at some of it."""

    def __init__(self, **fails: int) -> None:
        super().__init__()
        self.fails = fails
        self.called: list[str] = []

    def _note(self, name: str) -> None:
        self.called.append(name)
        if number := self.fails.get(name):
            raise OSError(number, os.strerror(number))

    def open_unnamed(self, dir_fd: int, mode: int) -> int:
        self._note("open_unnamed")
        return super().open_unnamed(dir_fd, mode)

    def link_open(self, fd: int, to: int, new: str) -> None:
        self._note("link_open")
        super().link_open(fd, to, new)

    def rename_new(self, dir_fd: int, name: str, to: int, new: str) -> None:
        self._note("rename_new")
        super().rename_new(dir_fd, name, to, new)


def test_a_new_file_needs_no_temporary_name(root: Path) -> None:
    """One that is refused leaves nothing, and its name is another file's."""
    calls = Noting()
    with Output(root, calls=calls) as out:
        done = out.create("d/f", "abc")
        found = os.stat(root / "d/f")
        assert done.stat is not None
        assert (done.stat.size, done.stat.inode, done.stat.mode) == (3, found.st_ino, found.st_mode)
        assert (found.st_nlink, done.existed, done.path) == (1, False, root / "d/f")
        for name in ("d/f", "d"):
            with pytest.raises(limpet.OutputError) as refusal:
                out.create(name, "other")
            assert refusal.value.code == {"d": "is-directory"}.get(name, "exists")
        out.append("log", "first\n")
    assert "rename_new" not in calls.called
    assert (root / "d/f").read_text() == "abc"
    assert sorted(os.listdir(root)) == ["d", "log"]
    assert os.listdir(root / "d") == ["f"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("mode", [None, 0o400, 0o640, 0o666])
def test_its_mode_is_that_of_a_file_with_a_temporary_name(
    root: Path, mode: int | None, umask: int
) -> None:
    old = os.umask(umask)
    try:
        with Output(root) as out:
            out.create("one", "x", mode=mode)
        with Output(root, calls=Noting(open_unnamed=errno.EOPNOTSUPP)) as out:
            out.create("other", "x", mode=mode)
    finally:
        os.umask(old)
    wanted = mode if mode is not None else 0o666 & ~umask
    assert [os.stat(root / name).st_mode & 0o7777 for name in ("one", "other")] == [wanted] * 2


@pytest.mark.parametrize("call", ["open_unnamed", "link_open"])
@pytest.mark.parametrize(
    "number",
    [
        *(errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS),
        *(errno.EPERM, errno.ENOENT, errno.EXDEV, errno.EMLINK),
    ],
    ids=errno.errorcode.get,
)
def test_where_that_does_not_work_it_is_tried_once(root: Path, call: str, number: int) -> None:
    """The other way is taken from then on, and nothing is seen of it."""
    calls = Noting(**{call: number})
    with Output(root, calls=calls) as out:
        for name in ("a", "b", "c"):
            out.create(name, name)
    assert calls.called.count("open_unnamed") == 1
    assert calls.called.count("rename_new") == 3
    assert {path.name: path.read_text() for path in root.iterdir()} == {c: c for c in "abc"}


@pytest.mark.parametrize("call", ["open_unnamed", "link_open"])
def test_a_full_disk_is_no_reason_to_try_otherwise(root: Path, call: str) -> None:
    calls = Noting(**{call: errno.ENOSPC})
    with Output(root, calls=calls) as out:
        for _ in range(2):
            answer = out.perform(CreateFile(name="f", content="x"))
            assert isinstance(answer, Refused)
            assert answer.code == "no-space"
    assert calls.called.count("open_unnamed") == 2
    assert not os.listdir(root)


def test_without_the_privilege_proc_leads_to_the_open_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Linux 6.10 linkat(2) answers ENOENT to an empty name; EEXIST is found there, too."""

    def linkat(*_: object) -> int:
        ctypes.set_errno(errno.ENOENT)
        return -1

    monkeypatch.setattr(syscalls, "_linkat", linkat)
    calls = Noting()
    with Output(root, calls=calls) as out:
        out.create("f", "x")
        with pytest.raises(limpet.ExistsError):
            out.create("f", "y")
    assert calls.called == ["open_unnamed", "link_open"] * 2
    assert {path.name: path.read_text() for path in root.iterdir()} == {"f": "x"}


def test_in_a_folder_that_is_gone_it_is_refused_as_ever(root: Path) -> None:
    """Found gone when the file gets its name."""

    class Removed(Noting):
        def link_open(self, fd: int, to: int, new: str) -> None:
            os.rmdir(root / "d")
            super().link_open(fd, to, new)

    (root / "d").mkdir()
    with Output(root, calls=Removed()) as out:
        answer = out.perform(CreateFile(name="d/f", content="x", parents=False))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.errno) == ("missing", errno.ENOENT)
        out.create("f", "x")
    assert os.listdir(root) == ["f"]


CREATE = """
import sys
from limpet.output import Output
with Output(sys.argv[1]) as out:
    out.create("f", "text")
"""


@pytest.mark.parametrize("options", [{"settle": 600.0}, {"transient": True}, {}], ids=str)
def test_a_watch_of_another_process_sees_one_file_that_was_closed(
    root: Path, options: dict[str, Any]
) -> None:
    """It is not held until it is quiet, and nothing is seen of what had no name."""
    with limpet.watch_dir(root, **options).sync() as watch:
        subprocess.run([sys.executable, "-c", CREATE, root], check=True, timeout=PATIENCE)
        event = watch.next(timeout=PATIENCE)
        assert isinstance(event, FileCreated)
        assert (event.path, event.stat.size, event.own) == (root / "f", 4, False)
        assert watch.fence() == []
