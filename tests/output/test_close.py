"""Stored means closed: close(2) that fails is an error, before the new content takes the name.

NFS, SMB and FUSE tell a full disk or quota at close(2), after every write succeeded.
"""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet import _atomic_file
from limpet.output import (
    AppendToFile,
    CreateFile,
    Done,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    Refused,
    Rotation,
)
from limpet.output._fsync_batch import FsyncBatch
from tests.output.system_calls import SystemCalls

ERRNOS = [errno.EDQUOT, errno.ENOSPC, errno.EIO, errno.EINTR, errno.ENOTCONN]


class Told(SystemCalls):
    """Says at the close of a written file that it is not stored; it forgets it if told to.

    A close of anything else fails too, which is of no account: nothing was written through it.
    """

    def __init__(self, number: int = errno.EDQUOT, *, forgets: bool = False) -> None:
        super().__init__()
        self.number = number
        self.forgets = forgets
        self.written: dict[int, int] = {}
        self.unnamed: set[int] = set()
        self.open: set[int] = set()
        self.names: dict[int, str] = {}
        self.failed: list[str] = []
        self.armed = True

    def open_file(self, dir_fd: int, name: str, flags: int, mode: int = 0o666) -> int:
        fd = super().open_file(dir_fd, name, flags, mode)
        assert fd not in self.open, "closed without our knowing"
        self.open.add(fd)
        self.names[fd] = name
        return fd

    def open_unnamed(self, dir_fd: int, mode: int) -> int:
        fd = super().open_unnamed(dir_fd, mode)
        self.open.add(fd)
        self.unnamed.add(fd)
        return fd

    def duplicate(self, fd: int) -> int:
        own = super().duplicate(fd)
        if fd in self.unnamed and fd in self.written:  # the first close of it tells (close(2))
            self.unnamed.discard(fd)
            self.written[own] = self.written.pop(fd)
        self.open.add(own)
        self.names[own] = self.names.get(fd, "")
        return own

    def write(self, fd: int, data: bytes | memoryview) -> int:
        assert fd in self.open, "written through a descriptor that is not ours"
        self.written.setdefault(fd, os.fstat(fd).st_size)
        return super().write(fd, data)

    def close(self, fd: int) -> None:
        size = self.written.pop(fd, None)
        self.open.discard(fd)
        name = self.names.pop(fd, "a directory")
        if size is not None and self.armed and self.forgets:
            os.ftruncate(fd, size)
        super().close(fd)
        if self.armed:
            self.failed.append(name)
            if size is not None:
                raise OSError(self.number, os.strerror(self.number))
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


def contents(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.iterdir()}


@pytest.mark.parametrize("level", ["none", "file", "full"])
@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind", [CreateFile, OverwriteFile])
def test_new_content_that_is_not_stored_leaves_the_old(
    root: Path, kind: type[CreateFile], number: int, level: Any
) -> None:
    """fs-09: refused with the system's reason, and there is no temporary file."""
    (root / "old").write_text("old content\n")
    calls = Told(number)
    with Output(root, calls=calls, clean=False) as out:
        for name in ("old", "new"):
            answer = out.perform(kind(name=name, content="new\n", durability=level))
            assert isinstance(answer, Refused)
            assert answer.errno == number
        assert contents(root) == {"old": "old content\n"}
        assert calls.open == set()
        calls.armed = False
        assert out.perform(kind(name="new", content="new\n", durability=level)).ok
    assert contents(root) == {"old": "old content\n", "new": "new\n"}


def test_its_reason_is_that_of_the_system(root: Path) -> None:
    with Output(root, calls=Told(), clean=False) as out:
        with pytest.raises(limpet.NoSpaceError):
            out.create("f", "x")
        with pytest.raises(limpet.NoSpaceError):
            out.append("f", "x")  # a first record makes the file
    assert contents(root) == {}


def test_a_record_that_is_not_stored_is_refused_with_that_reason(root: Path) -> None:
    """The size of the file shows that it is not there: nothing of it is in the file."""
    (root / "log").write_text("line\n")
    calls = Told(forgets=True)
    with Output(root, calls=calls, clean=False) as out:
        for options in ({}, {"lock": True}, {"newline_guard": True}, {"durability": "full"}):
            answer = out.perform(AppendToFile(name="log", content="x\n", **options))
            assert isinstance(answer, Refused)
            assert (answer.code, answer.errno) == ("no-space", errno.EDQUOT)
            assert "at closing the file" in answer.message
    assert contents(root) == {"log": "line\n"}
    assert calls.open == set()


def test_a_record_that_may_be_stored_is_in_doubt(root: Path) -> None:
    """It is in the file: a second attempt would double it, so it is ``durability``."""
    (root / "log").write_text("line\n")
    with Output(root, calls=Told(errno.EIO), clean=False) as out:
        answer = out.perform(AppendToFile(name="log", content="x\n"))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.errno) == ("durability", errno.EIO)
    assert contents(root) == {"log": "line\nx\n"}


def test_of_a_batch_the_records_of_that_file_alone_are_refused(root: Path) -> None:
    """A file is opened once for many records; what its close says is said of each of them."""

    class OneBad(Told):
        def close(self, fd: int) -> None:
            self.armed = os.readlink(f"/proc/self/fd/{fd}").endswith("/bad")
            super().close(fd)

    for name in ("good", "bad"):
        (root / name).write_text("")
    with Output(root, calls=OneBad(forgets=True), clean=False) as out:
        answers = out.perform_all(
            [
                AppendToFile(name="bad" if n % 3 else "good", content=f"{n}\n", durability="file")
                for n in range(9)
            ]
            + [CreateFile(name="new", content="")]
            + [AppendToFile(name="good", content="end\n")]
        )
    assert [answer.ok for answer in answers] == [n % 3 == 0 for n in range(9)] + [True, True]
    assert contents(root)["good"] == "0\n3\n6\nend\n"


@pytest.mark.parametrize("compress", [False, True])
def test_a_rotation_in_which_each_close_fails(root: Path, compress: bool) -> None:
    """No record is lost, and no manifest, packed file or temporary file counts as stored."""
    rotation = Rotation(max_bytes=10, compress=compress, keep=9)
    with Output(root) as out:
        out.append("log", "first99\n", rotation=rotation)
    calls = Told()
    with Output(root, calls=calls, clean=False) as out:
        answer = out.perform(AppendToFile(name="log", content="second9\n", rotation=rotation))
    assert isinstance(answer, Refused)
    assert calls.open == set()
    assert (root / "log").read_text() == "first99\n"
    assert not list(root.glob("*.tmp"))
    with Output(root) as out:
        out.append("log", "second9\n", rotation=rotation)
    end = ".gz" if compress else ""
    names = {path.name for path in root.iterdir()}
    assert names == {"log", f"log.1{end}", ".limpet-rotation.log"}


def test_a_packed_file_that_is_not_stored_leaves_the_plain_one(root: Path) -> None:
    """The rotated file stays until its packed form is closed; the next rotation packs it."""

    class Packing(Told):
        """Only the packed content fails."""

        def __init__(self) -> None:
            super().__init__()
            self.packed: set[int] = set()

        def write(self, fd: int, data: bytes | memoryview) -> int:
            if bytes(data[:2]) == b"\x1f\x8b":
                self.packed.add(fd)
            return super().write(fd, data)

        def close(self, fd: int) -> None:
            self.armed = fd in self.packed
            self.packed.discard(fd)
            super().close(fd)

    rotation = Rotation(max_bytes=10, compress=True, keep=9)
    calls = Packing()
    with Output(root, calls=calls) as out:
        for text in ("first99\n", "second9\n"):
            out.append("log", text, rotation=rotation)
    assert calls.failed
    assert (root / "log.1").read_text() == "first99\n"
    with Output(root) as out:
        out.append("log", "third99\n", rotation=rotation)
    assert sorted(path.name for path in root.glob("log.*")) == ["log.1.gz", "log.2.gz"]


@pytest.mark.parametrize("operation", [MoveFile(name="a", target="b")])
def test_what_writes_no_content_does_not_mind(root: Path, operation: Operation) -> None:
    """Directories and files that were only looked at are closed quietly."""
    (root / "a").write_text("x")
    with Output(root, calls=Told(), clean=False) as out:
        assert isinstance(out.perform(operation), Done)
        out.make_dir("d")
        out.delete("b")
        out.delete_dir("d")


def test_a_file_that_is_synced_later_is_closed_with_a_check(tmp_path: Path) -> None:
    """Its own descriptor is closed once, and what close(2) says counts like the sync."""
    calls = Told(errno.EIO)
    fd = os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY)
    batch = FsyncBatch(calls)
    batch.current = 7
    batch.file(fd)
    own = next(iter(calls.open))
    calls.written[own] = 0
    assert {index: error.errno for index, error in batch.finish().items()} == {7: errno.EIO}
    assert calls.open == set()
    os.close(fd)


@pytest.mark.parametrize("durable", [False, True])
def test_limpets_own_small_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """Checkpoints and journals are replaced after their close succeeded."""
    path = tmp_path / "state"
    path.write_bytes(b"old")
    real = open

    class Unstored:
        """A file whose close says that nothing is stored."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.file = real(*arguments, **options)

        def __enter__(self) -> Any:
            return self.file

        def __exit__(self, *_: object) -> None:
            self.file.close()
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(_atomic_file, "open", Unstored, raising=False)
    with pytest.raises(OSError, match=os.strerror(errno.EDQUOT)):
        _atomic_file.write_atomic(path, b"new", durable=durable)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


class Late(SystemCalls):
    """Fails the first bytes of a packed file; another thread then gets its descriptor number."""

    def __init__(self, victim: Path) -> None:
        super().__init__()
        self.victim = victim
        self.packing: int | None = None
        self.taken: int | None = None
        self.late: list[bytes] = []

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if fd == self.taken:
            self.late.append(bytes(data))
        if bytes(data[:2]) == b"\x1f\x8b" and self.packing is None:
            self.packing = fd
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)

    def close(self, fd: int) -> None:
        super().close(fd)
        if fd == self.packing and self.taken is None:
            found = os.open(self.victim, os.O_RDWR)
            if found != fd:
                os.dup2(found, fd)
                os.close(found)
            self.taken = fd


def test_a_packing_that_fails_writes_nothing_later(
    root: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """py-11: not into the file of whoever has the descriptor number then."""
    victim = tmp_path / "somebody-elses.db"
    victim.write_text("precious\n")
    calls = Late(victim)
    with Output(root, calls=calls) as out:
        for n in range(3):
            out.append("log", f"record{n}\n", rotation=Rotation(max_bytes=10, compress=True))
    gc.collect()
    assert calls.taken is not None
    os.close(calls.taken)
    assert victim.read_text() == "precious\n"
    assert calls.late == []


def test_no_object_of_the_library_has_a_descriptor_that_limpet_closes() -> None:
    """py-11: such an object writes or closes by itself, whenever it is collected."""
    source = Path(limpet.__file__).parent / "output"
    for path in source.rglob("*.py"):
        text = path.read_text()
        for word in ("fdopen(", "GzipFile(", "gzip.open(", "io.open(", "FileIO("):
            assert word not in text, (path.name, word)
