"""What each operation does, on every way down; V numbers are those of guarantees.md."""

from __future__ import annotations

import errno
import io
import os
import pickle
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OutputLimits,
    OverwriteFile,
    Refused,
)
from limpet.output._operations import verb_of
from tests.output.system_calls import SystemCalls

Open = Callable[..., Output]

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def content(name: str, text: str = "new") -> list[Operation]:
    return [
        CreateFile(name=name, content=text),
        OverwriteFile(name=name, content=text),
        AppendToFile(name=name, content=text),
    ]


def every(name: str) -> list[Operation]:
    """One of each kind."""
    return [
        *content(name),
        DeleteFile(name=name),
        DeleteDir(name=name),
        MakeDir(name=name),
        MoveFile(name=name, target="elsewhere"),
        MoveFile(name="there", target=name),
    ]


def code(answer: Done | Refused) -> str:
    return "ok" if isinstance(answer, Done) else answer.code


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


# -- what they do ----------------------------------------------------------------------------------


def test_create(out: Output, root: Path) -> None:
    done = out.create("a/b/new.txt", "text")
    assert (root / "a/b/new.txt").read_text() == "text"
    assert done.ok
    assert (done.path, done.bytes, done.existed) == (root / "a/b/new.txt", 4, False)
    assert done.stat is not None
    assert done.stat.inode == (root / "a/b/new.txt").stat().st_ino
    with pytest.raises(limpet.ExistsError, match=r"cannot create 'a/b/new\.txt' in .*choose") as no:
        out.create("a/b/new.txt", "other")
    assert (no.value.code, no.value.operation, no.value.name) == ("exists", "create", "a/b/new.txt")
    assert isinstance(no.value, FileExistsError)
    assert tree(root) == {"a/b/new.txt": "text"}


def test_overwrite(out: Output, root: Path) -> None:
    assert not out.overwrite("f", "one").existed
    done = out.overwrite("f", "two and more")
    assert (done.existed, done.bytes) == (True, 12)
    assert tree(root) == {"f": "two and more"}
    assert list(root.iterdir()) == [root / "f"]


def test_append(out: Output, root: Path) -> None:
    assert not out.append("log/f", "one\n").existed
    done = out.append("log/f", "two\n")
    assert (done.existed, done.bytes) == (True, 4)
    assert done.stat is not None
    assert done.stat.size == 8
    assert tree(root) == {"log/f": "one\ntwo\n"}
    assert code(out.perform(AppendToFile(name="g", content="x", create=False))) == "missing"
    assert code(out.perform(AppendToFile(name="no/g", content="x", create=False))) == "missing"
    assert tree(root) == {"log/f": "one\ntwo\n"}
    assert not (root / "no").exists()


def test_delete(out: Output, root: Path) -> None:
    (root / "f").write_text("x")
    done = out.delete("f")
    assert (done.existed, done.stat, done.bytes) == (True, None, 0)
    assert not (root / "f").exists()
    for name in ("f", "no/f"):
        with pytest.raises(limpet.MissingError):
            out.delete(name)
        assert not out.delete(name, missing_ok=True).existed
    (root / "d").mkdir()
    assert code(out.perform(DeleteFile(name="d"))) == "is-directory"


def test_folders(out: Output, root: Path) -> None:
    assert not out.make_dir("d/e").existed
    assert (root / "d/e").is_dir()
    assert code(out.perform(MakeDir(name="d"))) == "exists"
    assert out.make_dir("d", exist_ok=True).existed
    assert code(out.perform(MakeDir(name="x/y", parents=False))) == "missing"
    (root / "f").write_text("")
    assert code(out.perform(MakeDir(name="f", exist_ok=True))) == "exists"
    assert code(out.perform(DeleteDir(name="d"))) == "directory-not-empty"
    assert code(out.perform(DeleteDir(name="f"))) == "not-a-file"
    assert out.delete_dir("d/e").existed
    assert code(out.perform(DeleteDir(name="d/e"))) == "missing"
    assert not out.delete_dir("d/e", missing_ok=True).existed


def test_move(out: Output, root: Path) -> None:
    (root / "f").write_text("x")
    (root / "taken").write_text("old")
    done = out.move("f", "done/today/f")
    assert (done.path, done.existed) == (root / "done/today/f", False)
    assert tree(root) == {"done/today/f": "x", "taken": "old"}
    assert code(out.perform(MoveFile(name="done/today/f", target="taken"))) == "exists"
    assert out.move("done/today/f", "taken", overwrite=True).existed
    assert tree(root) == {"taken": "x"}
    assert code(out.perform(MoveFile(name="f", target="g"))) == "missing"
    assert code(out.perform(MoveFile(name="taken", target="p/q", parents=False))) == "missing"
    out.move("done", "finished")
    assert (root / "finished/today").is_dir()
    assert (
        code(out.perform(MoveFile(name="taken", target="finished", overwrite=True)))
        == "is-directory"
    )
    assert tree(root) == {"taken": "x"}


def test_parents_are_made_only_if_asked_for(out: Output, root: Path) -> None:
    for one in (CreateFile, OverwriteFile, AppendToFile):
        assert code(out.perform(one(name="p/f", content="", parents=False))) == "missing"
    assert list(root.iterdir()) == []


def test_the_value_and_the_method_say_the_same(out: Output) -> None:
    """O4: a typed answer, or the matching exception; both can be sent elsewhere."""
    for operation in every("../x"):
        answer = out.perform(operation)
        assert isinstance(answer, Refused)
        assert not answer.ok
        error = answer.error()
        assert isinstance(error, limpet.EscapeError)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (str(copy), copy.code, copy.operation) == (str(error), "escape", verb_of(operation))
        assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301


def test_text_and_bytes(out: Output, root: Path) -> None:
    out.create("latin", "é\n", encoding="latin-1")
    out.create("dos", "a\nb\r\nc", newline="\r\n")
    out.create("unix", "a\r\nb", newline="\n")
    out.create("raw", b"\0\xff\r\n")
    out.create("as it is", "a\r\nb\n")
    assert (root / "latin").read_bytes() == b"\xe9\n"
    assert (root / "dos").read_bytes() == b"a\r\nb\r\nc"
    assert (root / "unix").read_bytes() == b"a\nb"
    assert (root / "raw").read_bytes() == b"\0\xff\r\n"
    assert (root / "as it is").read_bytes() == b"a\r\nb\n"


@pytest.mark.parametrize(("text", "encoding"), [("é", "ascii"), ("\ud800", "utf-8")], ids=ascii)
def test_text_that_does_not_fit_is_not_written(
    out: Output, root: Path, text: str, encoding: str
) -> None:
    """V35, V37: nothing of it."""
    (root / "f").write_text("old")
    for operation in (
        CreateFile(name="new", content="ab" + text, encoding=encoding),
        OverwriteFile(name="f", content="ab" + text, encoding=encoding),
        AppendToFile(name="f", content="ab" + text, encoding=encoding),
    ):
        answer = out.perform(operation)
        assert code(answer) == "encoding"
        assert isinstance(answer, Refused)
        answer.message.encode()
    assert tree(root) == {"f": "old"}


def test_paths_of_the_library_are_names_too(out: Output, root: Path) -> None:
    out.create(Path("a") / "b", "x")
    assert tree(root) == {"a/b": "x"}
    with pytest.raises(limpet.EscapeError):
        out.create(Path("/etc/x"), "x")


def test_messages_show_no_control_characters(out: Output) -> None:
    for name in ("a\nb", "\u202eb/../x", "\ud800", "a\x1b[31m"):
        answer = out.perform(CreateFile(name=name, content=""))
        assert isinstance(answer, Refused)
        assert answer.message.isprintable()


# -- what stands at the name -----------------------------------------------------------------------


def test_a_symlink_is_never_followed(out: Output, root: Path, tmp_path: Path) -> None:
    """V11 to V15: to outside, over another, to inside, to nothing, in a circle."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (root / "real").mkdir()
    (root / "real/f").write_text("inside")
    (root / "there").write_text("there")
    links = {
        "out": outside,
        "out2": root / "out",
        "in": root / "real",
        "relative": Path("real"),
        "dangling": tmp_path / "made",
        "loop": root / "loop",
        "file": outside / "f",
        "infile": Path("there"),
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    for name in links:
        for operation in every(f"{name}/f"):
            assert code(out.perform(operation)) in {"symlink", "not-a-file"}, (name, operation)
    for name in links:
        for operation in (*content(name), MakeDir(name=name), DeleteDir(name=name)):
            assert code(out.perform(operation)) in {"symlink", "exists"}, (name, operation)
        answer = out.perform(MoveFile(name="there", target=name, overwrite=True))
        assert code(answer) == "symlink"
    assert tree(outside) == {"f": "secret"}
    assert not (tmp_path / "made").exists()
    assert tree(root / "real") == {"f": "inside"}
    for name in links:
        out.move(name, f"moved-{name}")
        assert (root / f"moved-{name}").is_symlink()
        out.delete(f"moved-{name}")
    assert tree(outside) == {"f": "secret"}
    assert tree(root) == {"real/f": "inside", "there": "there"}


def test_a_link_is_replaced_on_request(out: Output, root: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (root / "link").symlink_to(tmp_path / "target")
    out.overwrite("link", "new", replace_link=True)
    assert (tmp_path / "target").read_text() == "old"
    assert not (root / "link").is_symlink()
    assert (root / "link").read_text() == "new"


def test_magic_links_lead_nowhere(out: Output, root: Path) -> None:
    """V16: /proc's own links are no way out either."""
    (root / "magic").symlink_to("/proc/self/root")
    (root / "cwd").symlink_to("/proc/self/cwd")
    for name in ("magic/tmp/x", "cwd/x", "magic"):
        for operation in content(name):
            assert code(out.perform(operation)) == "symlink"


def test_a_hard_link_to_outside(out: Output, root: Path, tmp_path: Path) -> None:
    """V24: nothing is appended to it; overwritten, the other name keeps what it has."""
    (tmp_path / "outside").write_text("theirs")
    (root / "link").hardlink_to(tmp_path / "outside")
    with pytest.raises(limpet.NotAFileError) as no:
        out.append("link", "x")
    assert no.value.code == "hard-link"
    assert (tmp_path / "outside").read_text() == "theirs"
    out.overwrite("link", "ours")
    assert ((tmp_path / "outside").read_text(), (root / "link").read_text()) == ("theirs", "ours")
    out.append("link", "+")
    assert (tmp_path / "outside").read_text() == "theirs"


def test_fifos_sockets_and_devices(out: Output, root: Path) -> None:
    """V25, V26: refused without waiting for anybody, removed and moved like any name."""
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    nodes = ["fifo", "socket"]
    if ROOT:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 200))
        nodes += ["null", "disk"]
    (root / "there").write_text("x")
    for name in nodes:
        for operation in content(name):
            assert code(out.perform(operation)) == "not-a-file", operation
        assert (
            code(out.perform(MoveFile(name="there", target=name, overwrite=True))) == "not-a-file"
        )
        assert code(out.perform(CreateFile(name=f"{name}/x", content=""))) == "not-a-file"
        out.move(name, "moved")
        out.delete("moved")
    assert tree(root) == {"there": "x"}


def test_a_fifo_with_a_reader(out: Output, root: Path) -> None:
    """V25: it gets nothing."""
    os.mkfifo(root / "fifo")
    reader = os.open(root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert code(out.perform(AppendToFile(name="fifo", content="x"))) == "not-a-file"
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)


def test_a_folder_and_a_file_in_the_way(out: Output, root: Path) -> None:
    (root / "d").mkdir()
    (root / "f").write_text("x")
    (root / "there").write_text("x")
    for operation in content("d"):
        assert code(out.perform(operation)) == "is-directory"
    for operation in every("f/x"):
        assert code(out.perform(operation)) == "not-a-file"


def test_names_that_are_no_text_can_be_deleted_and_moved(out: Output, root: Path) -> None:
    name = "caf\udce9"
    (root / name).write_text("x")
    answer = out.perform(OverwriteFile(name=name, content="y"))
    assert code(answer) == "bad-name"
    out.move(name, "cafe")
    out.move("cafe", name)
    out.delete(name)
    assert list(root.iterdir()) == []


def test_names_that_look_alike_are_two(out: Output, root: Path) -> None:
    """V9, V10, V33: nothing is decoded or composed."""
    for name in ("é", "e\u0301", "..%2fx", "\uff0e\uff0e\uff0fx"):
        out.create(name, name)
    assert len(list(root.iterdir())) == 4


def test_portable_is_for_new_names(openers: Open, root: Path) -> None:
    """What is there already can still be removed or given a better name."""
    (root / "CON").write_text("x")
    (root / "a.").write_text("x")
    with openers(portable=True) as out:
        assert code(out.perform(CreateFile(name="NUL", content=""))) == "bad-name"
        assert code(out.perform(MoveFile(name="CON", target="PRN"))) == "bad-name"
        out.move("CON", "con-1")
        out.delete("a.")


# -- modes, owners, attributes ---------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o077, 0o000, 0o022])
def test_new_files_have_what_the_mask_leaves(openers: Open, root: Path, mask: int) -> None:
    """V47."""
    old = os.umask(mask)
    try:
        with openers() as out:
            out.create("c", "")
            out.overwrite("o", "")
            out.append("a", "")
            out.make_dir("d")
    finally:
        os.umask(old)
    for name in "coa":
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755, 0o4755, 0o666])
def test_overwritten_files_keep_their_mode(out: Output, root: Path, mode: int) -> None:
    """V51: but for the set-id bits, which any write takes away."""
    (root / "f").write_text("old")
    (root / "f").chmod(mode)
    out.overwrite("f", "new", replace_read_only=True)
    assert stat.S_IMODE((root / "f").stat().st_mode) == mode & 0o777


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000, 0o555])
def test_what_is_write_protected_is_not_written(out: Output, root: Path, mode: int) -> None:
    """O6: nobody may write it, so neither the directory's owner nor root does, unless told to."""
    (root / "f").write_text("kept")
    (root / "f").chmod(mode)
    (root / "g").write_text("g")
    for operation in (
        OverwriteFile(name="f", content="x"),
        AppendToFile(name="f", content="x"),
        AppendToFile(name="f", content="x", rotation=limpet.Rotation(max_bytes=1)),
        MoveFile(name="g", target="f", overwrite=True),
    ):
        answer = out.perform(operation)
        assert isinstance(answer, Refused)
        assert answer.code == "denied"
        assert f"write-protected (mode {mode:04o})" in answer.message
        assert "replace_read_only=True" in answer.message
    (root / "f").chmod(0o644)
    assert tree(root) == {"f": "kept", "g": "g"}
    (root / "f").chmod(mode)
    done = out.overwrite("f", "new", replace_read_only=True)
    assert done.stat is not None
    assert stat.S_IMODE(done.stat.mode) == mode
    out.move("g", "f", overwrite=True, replace_read_only=True)
    assert tree(root) == {"f": "g"}
    (root / "f").chmod(mode)
    out.delete("f")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755, 0o444, 0o200])
def test_a_new_file_has_the_mode_that_was_asked_for(out: Output, root: Path, mode: int) -> None:
    """Whatever the umask; one that is there keeps its own."""
    old = os.umask(0o077)
    try:
        out.create("c", "x", mode=mode)
        out.overwrite("o", "x", mode=mode)
        out.append("a", "x", mode=mode)
        out.create("s", [b"x"], mode=mode)
    finally:
        os.umask(old)
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in "coas"} == {mode}
    for name in ("f", "g"):
        (root / name).write_text("old")
        (root / name).chmod(0o640)
    out.overwrite("f", "x", mode=mode)
    out.append("g", "x", mode=mode)
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in "fg"} == {0o640}


# -- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["list", "generator", "file", "raw", "empty"])
def test_content_from_a_stream(out: Output, root: Path, tmp_path: Path, make: str) -> None:
    """A file open for reading bytes, or anything that yields them; ``bytes`` says how many."""
    source = tmp_path / "source"
    data = os.urandom(600_000)
    source.write_bytes(data)
    with source.open("rb") as file, source.open("rb", buffering=0) as raw:
        streams: dict[str, Any] = {
            "list": [data[:10], bytearray(data[10:20]), b"", memoryview(data)[20:]],
            "generator": (data[n : n + 1000] for n in range(0, len(data), 1000)),
            "file": file,
            "raw": raw,
            "empty": [],
        }
        expected = b"" if make == "empty" else data
        (root / "o").write_text("old")
        done = out.overwrite("o", streams[make])
        assert done.existed
        assert done.bytes == len(expected)
        assert (root / "o").read_bytes() == expected
    with source.open("rb") as file:
        out.create("c", file, durability="full")
        with pytest.raises(limpet.ExistsError):
            out.create("c", [b"x"])
    assert (root / "c").read_bytes() == data
    assert not list(root.glob(".limpet-*"))


def test_a_stream_is_held_a_piece_at_a_time(root: Path) -> None:
    """A file without a line end in it is read in pieces, too."""
    longest = 0

    class Sizes(SystemCalls):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            nonlocal longest
            longest = max(longest, len(data))
            return super().write(fd, data)

    with (
        Output(root, calls=Sizes(), limits=OutputLimits(max_write_bytes=1 << 20)) as out,
        Path("/dev/zero").open("rb") as endless,
    ):
        with pytest.raises(limpet.CapError):
            out.create("f", endless)
        out.create("g", io.BytesIO(bytes(1 << 20)))
    assert 0 < longest <= 1 << 18
    assert tree(root).keys() == {"g"}


def test_a_stream_that_breaks_off_changes_nothing(out: Output, root: Path) -> None:
    """Whatever it raises is the cause; a stream of text is none."""

    def broken(error: BaseException) -> Iterator[bytes]:
        yield b"some"
        raise error

    (root / "f").write_text("old")
    for stream, cause in (
        (broken(ConnectionResetError("gone")), ConnectionResetError),
        (broken(OSError(errno.ENOSPC, "not of the disk here")), OSError),
        (broken(RecursionError()), RecursionError),
        (["text"], TypeError),
        ([b"x", 5], TypeError),
        (iter([None]), TypeError),
    ):
        answer = out.perform(OverwriteFile(name="f", content=stream))  # type: ignore[arg-type]
        assert isinstance(answer, Refused)
        assert answer.code == "content"
        assert isinstance(answer.cause, cause)
        with pytest.raises(limpet.ContentError) as failure:
            raise answer.error()
        assert failure.value.__cause__ is answer.cause
    with pytest.raises(KeyboardInterrupt):
        out.overwrite("f", broken(KeyboardInterrupt()))
    assert tree(root) == {"f": "old"}
    assert not list(root.glob(".limpet-*"))


def test_limits_count_a_stream_as_it_comes(openers: Open, root: Path) -> None:
    """It is read no further than they allow."""
    read = 0

    def stream() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 10
            yield b"x" * 10

    (root / "old").write_text("x" * 50)
    for limits in (OutputLimits(max_write_bytes=95), OutputLimits(max_total_bytes=145)):
        read = 0
        with openers(limits=limits) as out:
            assert code(out.perform(CreateFile(name="f", content=stream()))) == "over-cap"
            assert read == 100
            out.overwrite("old", [b"x" * 50])
    assert tree(root) == {"old": "x" * 50}


def test_overwritten_files_keep_their_attributes(out: Output, root: Path) -> None:
    """V51."""
    (root / "f").write_text("old")
    os.setxattr(root / "f", "user.note", b"kept")
    out.overwrite("f", "new")
    assert os.getxattr(root / "f", "user.note") == b"kept"


@pytest.mark.skipif(not ROOT, reason="giving files away takes root")
def test_overwritten_files_keep_their_owner(out: Output, root: Path) -> None:
    """V50: where the system lets us."""
    (root / "f").write_text("old")
    os.chown(root / "f", 1234, 2345)
    out.overwrite("f", "new")
    found = (root / "f").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


AS_NOBODY = """
import os, sys
from limpet.output import *
from tests.output.conftest import made
from tests.unprivileged import drop_rights
drop_rights()
def code(out, operation):
    answer = out.perform(operation)
    return "ok" if answer.ok else answer.code
"""


def as_nobody(body: str, *arguments: object) -> None:
    """Run a script as a user without rights."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY + textwrap.dedent(body), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not ROOT, reason="becoming another user takes root")
def test_without_rights(open_path: Path, way: str) -> None:
    """V48, V50: a folder that is read-only, another's file, a folder that may only be passed."""
    root = open_path / "root"
    root.mkdir()
    (root / "theirs").write_text("theirs")
    (root / "theirs").chmod(0o644)
    (root / "closed").mkdir(mode=0o755)
    (root / "blind").mkdir()
    (root / "blind").chmod(0o333)
    root.chmod(0o777)
    as_nobody(
        """
        way, root = sys.argv[1:]
        with made(root, way) as out:
            same = "theirs"
            assert code(out, AppendToFile(name=same, content="x")) == "denied"
            for one in (CreateFile, OverwriteFile, AppendToFile):
                assert code(out, one(name="closed/x", content="")) == "denied", one
            assert code(out, MakeDir(name="closed/d")) == "denied"
            assert code(out, DeleteFile(name="closed")) == "is-directory"
            assert code(out, OverwriteFile(name=same, content="ours")) == "ok"
            assert os.stat(root + "/theirs").st_uid == 65534
            assert code(out, CreateFile(name="blind/x", content="blind")) == "ok"
        """,
        way,
        root,
    )
    assert tree(root)["theirs"] == "ours"
    assert (root / "blind/x").read_text() == "blind"


@pytest.mark.skipif(not (ROOT and shutil.which("chattr")), reason="attributes take root and chattr")
@pytest.mark.parametrize("flag", ["i", "a"])
def test_immutable_and_append_only(out: Output, root: Path, flag: str) -> None:
    """V49."""
    (root / "f").write_text("old")
    done = subprocess.run(["chattr", f"+{flag}", root / "f"], capture_output=True)
    if done.returncode:
        pytest.skip("the file system has no attributes")
    try:
        assert code(out.perform(OverwriteFile(name="f", content="new"))) == "denied"
        assert code(out.perform(DeleteFile(name="f"))) == "denied"
        assert code(out.perform(MoveFile(name="f", target="g"))) == "denied"
        expected = "ok" if flag == "a" else "denied"
        assert code(out.perform(AppendToFile(name="f", content="+"))) == expected
        assert tree(root) == {"f": "old" + "+" * (flag == "a")}
    finally:
        subprocess.run(["chattr", f"-{flag}", root / "f"], check=True)


# -- mounts ----------------------------------------------------------------------------------------

mounts = pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)

IN_NAMESPACE = """
import os, subprocess, sys
from pathlib import Path
from limpet.output import *
from tests.output.conftest import made
way, root, outside = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
def run(*command): subprocess.run(command, check=True)
def code(answer): return "ok" if answer.ok else answer.code
"""


def in_namespace(way: str, root: Path, outside: Path, body: str) -> None:
    """Run a script that mounts, in a mount namespace of its own."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c"]
    done = subprocess.run(
        [*command, IN_NAMESPACE + textwrap.dedent(body), way, root, outside],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@mounts
def test_a_mount_below_the_root_is_a_way_out(root: Path, tmp_path: Path, way: str) -> None:
    """V17: a bind mount of the same file system, another one, and a single file."""
    if way == "handles":
        pytest.skip("no mounts but reparse points on Windows, which are refused as links")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("theirs")
    in_namespace(
        way,
        root,
        outside,
        """
        for name in ("bind", "tmpfs"): (root / name / "d").mkdir(parents=True)
        (root / "file").write_text("")
        run("mount", "--bind", outside, root / "bind")
        run("mount", "-t", "tmpfs", "none", root / "tmpfs")
        run("mount", "--bind", outside / "f", root / "file")
        with made(root, way) as out:
            for name in ("bind", "tmpfs"):
                for one in (CreateFile, OverwriteFile, AppendToFile):
                    assert code(out.perform(one(name=f"{name}/x", content="x"))) == "mount"
                assert code(out.perform(DeleteFile(name=f"{name}/f"))) == "mount"
            assert code(out.perform(AppendToFile(name="file", content="x"))) == "mount"
            assert code(out.perform(OverwriteFile(name="file", content="x"))) == "busy"
        with made(root, way, cross_mounts=True) as out:
            out.create("bind/asked", "x")
            out.append("file", "+")
        """,
    )
    assert tree(outside) == {"f": "theirs+", "asked": "x"}


@mounts
def test_a_full_disk(root: Path, tmp_path: Path, way: str) -> None:
    """V39, V54: a real one, on another file system: old content stays, nothing is left over."""
    in_namespace(
        way,
        root,
        tmp_path,
        """
        run("mount", "-t", "tmpfs", "-o", "size=64k", "none", root)
        with made(root, way) as out:
            out.create("f", "old")
            out.append("log", "line\\n")
            big = "x" * 200_000
            for operation in (CreateFile(name="g", content=big),
                              OverwriteFile(name="f", content=big),
                              AppendToFile(name="log", content=big),
                              AppendToFile(name="new", content=big, durability="full")):
                answer = out.perform(operation)
                assert code(answer) == "no-space", answer
                assert "make room" in answer.message
            out.append("log", "next\\n")
        found = {path.name: path.read_text() for path in root.iterdir()}
        assert found == {"f": "old", "log": "line\\nnext\\n"}, found
        """,
    )


@mounts
def test_a_read_only_file_system(root: Path, tmp_path: Path, way: str) -> None:
    """V40 (EROFS): refused as such, and the file system can be opened."""
    (root / "f").write_text("old")
    in_namespace(
        way,
        root,
        tmp_path,
        """
        run("mount", "--bind", root, root)
        run("mount", "-o", "remount,ro,bind", root)
        with made(root, way) as out:
            for operation in (CreateFile(name="g", content=""), OverwriteFile(name="f", content=""),
                              AppendToFile(name="f", content=""), DeleteFile(name="f"),
                              MakeDir(name="d"), MoveFile(name="f", target="g")):
                assert code(out.perform(operation)) == "read-only", operation
        """,
    )


class Folding(SystemCalls):
    """A file system on which names that differ in case alone are one, as far as create goes."""

    def stat_at(self, folder: int, name: str) -> os.stat_result:
        return super().stat_at(folder, name.lower())

    def open_file(self, folder: int, name: str, flags: int, mode: int = 0o666) -> int:
        return super().open_file(folder, name.lower(), flags, mode)

    def link_open(self, fd: int, to: int, new: str) -> None:
        super().link_open(fd, to, new.lower())

    def rename(self, folder: int, name: str, to: int, new: str) -> None:
        super().rename(folder, name.lower(), to, new.lower())

    def rename_new(self, folder: int, name: str, to: int, new: str) -> None:
        super().rename_new(folder, name.lower(), to, new.lower())


def test_case_folding(root: Path) -> None:
    """V34: ``Name`` and ``name`` are one file there, which ``create`` finds taken."""
    with Output(root, calls=Folding()) as out:
        out.create("Name", "one")
        assert code(out.perform(CreateFile(name="name", content="two"))) == "exists"
        assert limpet.safe_name("NAME", taken=os.listdir(root)) != "NAME"
        out.overwrite("NAME", "three")
        out.append("namE", "+")
    assert tree(root) == {"name": "three+"}


# -- the root --------------------------------------------------------------------------------------


def test_a_missing_root(openers: Open, tmp_path: Path) -> None:
    """Refused with a type of its own, or made."""
    place = tmp_path / "not" / "there"
    with pytest.raises(
        limpet.RootGoneError, match=r"cannot open .* no such directory.*create=True"
    ):
        openers(place).open()
    with openers(place, create=True) as out:
        out.create("f", "x")
    assert tree(place) == {"f": "x"}


def test_a_root_that_is_no_folder(openers: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for create in (False, True):
        with pytest.raises(limpet.NotAFileError):
            openers(tmp_path / "file", create=create).open()


def test_a_root_given_as_a_symlink(openers: Open, root: Path, tmp_path: Path) -> None:
    """V18: resolved once, at the opening; where it is pointed later is not followed."""
    link, other = tmp_path / "link", tmp_path / "other"
    other.mkdir()
    link.symlink_to(root)
    with openers(link) as out:
        assert out.create("f", "x").path == link / "f"
        link.unlink()
        link.symlink_to(other)
        out.create("g", "x")
    assert set(tree(root)) == {"f", "g"}
    assert tree(other) == {}


def test_a_root_replaced_by_a_symlink(openers: Open, root: Path, tmp_path: Path) -> None:
    """V19: refused, whatever may be made or stayed in."""
    other = tmp_path / "other"
    other.mkdir()
    with openers(create=True) as out:
        root.rename(tmp_path / "away")
        root.symlink_to(other)
        for operation in every("x"):
            assert code(out.perform(operation)) == "root-gone"
    assert tree(other) == tree(tmp_path / "away") == {}


def test_an_ancestor_replaced_by_a_symlink(tmp_path: Path, openers: Open) -> None:
    """V19, one level up."""
    (tmp_path / "a/root").mkdir(parents=True)
    (tmp_path / "evil/root").mkdir(parents=True)
    with openers(tmp_path / "a/root") as out:
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").symlink_to(tmp_path / "evil")
        assert code(out.perform(CreateFile(name="x", content=""))) == "root-gone"
    assert tree(tmp_path / "evil") == {}


def test_a_root_that_moves_away(openers: Open, root: Path, tmp_path: Path) -> None:
    """V20: nothing is written into the moved folder unless asked for, and the answer says so."""
    away = tmp_path / "away"
    with openers(moved="refuse") as refusing, openers(moved="stay") as staying, openers() as plain:
        root.rename(away)
        assert code(refusing.perform(CreateFile(name="refuse", content=""))) == "root-gone"
        assert code(plain.perform(CreateFile(name="plain", content=""))) == "root-gone"
        answer = staying.perform(CreateFile(name="stay", content="x"))
        root.mkdir()
        again = plain.create("plain", "x")
        assert again.root == "reopened"
        assert plain.create("plain2", "x").root == "same"
        assert code(refusing.perform(CreateFile(name="refuse", content=""))) == "root-gone"
    assert set(tree(root)) == {"plain", "plain2"}
    if isinstance(answer, Done):
        assert answer.root == "moved"
        assert set(tree(away)) == {"stay"}


def test_a_root_that_is_deleted_and_comes_back(openers: Open, root: Path, way: str) -> None:
    """V21: told, unless it is the same to the system (its number, if it was not held, is free)."""
    again = {"reopened"} if way != "handles" else {"reopened", "same"}
    with openers() as out, openers(create=True) as making:
        root.rmdir()
        for operation in every("x"):
            assert code(out.perform(operation)) == "root-gone"
        assert making.create("f", "x").root in again
        assert out.append("g", "x").root in again
        assert out.append("g", "x").root == "same"
    assert tree(root) == {"f": "x", "g": "xx"}


def test_a_root_that_moves_in_the_middle_of_a_batch(root: Path, tmp_path: Path) -> None:
    """V20: the answers of what may have gone there say so, and the rest goes to the new one."""

    class Moving(SystemCalls):
        def rename(self, folder: int, name: str, to: int, new: str) -> None:
            super().rename(folder, name, to, new)
            if new == "second":
                os.rename(root, tmp_path / "away")
                root.mkdir()

    with Output(root, calls=Moving()) as out:
        answers = out.perform_all(
            [OverwriteFile(name=n, content=n) for n in ("first", "second", "third", "fourth")]
        )
    assert [a.root for a in answers if isinstance(a, Done)] == ["same", "moved", "reopened", "same"]
    assert set(tree(tmp_path / "away")) == {"first", "second"}
    assert set(tree(root)) == {"third", "fourth"}


def test_closed_is_closed(openers: Open) -> None:
    out = openers()
    assert code(out.perform(CreateFile(name="x", content=""))) == "closed"
    with out:
        with pytest.raises(limpet.UsageError):
            out.open()
    for operation in every("x"):
        assert code(out.perform(operation)) == "closed"
    with out:
        out.create("x", "")


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "some"},
        {"moved": "x"},
        {"way": "x"},
        {"limits": 3},
        {"lock_timeout": -1},
        {"lock_timeout": float("nan")},
        {"colour": "red"},
    ],
    ids=str,
)
def test_wrong_options_are_refused_at_once(options: Any, root: Path) -> None:
    with pytest.raises(limpet.UsageError, match=next(iter(options))):
        Output(root, **options)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: CreateFile(name="x", content="", encoding="no such"),
        lambda: CreateFile(name="x", content="", newline="\r"),  # type: ignore[arg-type]
        lambda: DeleteFile(name="x", durability="much"),  # type: ignore[arg-type]
        lambda: limpet.Rotation(),
        lambda: limpet.Rotation(max_bytes=0),
        lambda: limpet.Rotation(daily=True, keep=-1),
        lambda: limpet.Rotation(daily=True, max_age=float("inf")),
        lambda: OutputLimits(max_files=0),
        lambda: OutputLimits(when_full="explode"),  # type: ignore[arg-type]
        lambda: limpet.safe_name(5),  # type: ignore[arg-type]
        lambda: limpet.safe_name("x", max_bytes="50"),  # type: ignore[arg-type]
        lambda: Output("x").tail(None, 5),  # type: ignore[arg-type]
        lambda: Output("x").tail("f", -1),
        lambda: Output("x").tail("f", "5"),  # type: ignore[arg-type]
        lambda: CreateFile(name="x", content="", mode=0o1000),
        lambda: CreateFile(name="x", content="", mode="600"),  # type: ignore[arg-type]
        lambda: Output(""),
        lambda: Output("a\0b"),
    ],
    ids=map(str, range(18)),
)
def test_wrong_values_are_refused_when_they_are_made(wrong: Callable[[], object]) -> None:
    with pytest.raises(limpet.UsageError):
        wrong()


# -- limits ----------------------------------------------------------------------------------------


def test_too_much_in_one_write(openers: Open, root: Path) -> None:
    """V38: encoded bytes count."""
    with openers(limits=OutputLimits(max_write_bytes=4)) as out:
        for operation in content("f", "ééé"):
            assert code(out.perform(operation)) == "over-cap"
        assert list(root.iterdir()) == []
        out.create("f", "éé")
        answer = out.perform_all(
            [AppendToFile(name="f", content="12345"), AppendToFile(name="f", content="1")]
        )
        assert [code(one) for one in answer] == ["over-cap", "ok"]


def test_too_many_files_and_bytes(openers: Open, root: Path) -> None:
    """What is there counts, what others do counts, and what is removed makes room."""
    (root / "d").mkdir()
    (root / "d/old").write_text("12345")
    with openers(limits=OutputLimits(max_files=3, max_total_bytes=20)) as out:
        out.create("a", "12345")
        out.overwrite("b", "12345")
        assert code(out.perform(CreateFile(name="c", content=""))) == "over-cap"
        assert code(out.perform(AppendToFile(name="c", content=""))) == "over-cap"
        out.append("a", "12345")
        assert code(out.perform(AppendToFile(name="a", content="1"))) == "over-cap"
        assert code(out.perform(OverwriteFile(name="b", content="123456"))) == "over-cap"
        out.overwrite("b", "1234")
        out.append("a", "1")
        (root / "d/old").unlink()
        out.create("c", "12345")
        assert code(out.perform(CreateFile(name="e", content=""))) == "over-cap"
        out.delete("c")
        out.create("e", "1")


def test_what_others_add_is_counted_in_time(root: Path) -> None:
    """After ``recount`` seconds, by an injected clock."""

    class Clock(SystemCalls):
        at = 0.0

        def monotonic(self) -> float:
            return self.at

    clock = Clock()
    with Output(root, calls=clock, limits=OutputLimits(max_files=3, recount=5)) as out:
        out.create("a", "")
        (root / "theirs").write_text("")
        (root / "theirs2").write_text("")
        out.create("b", "")
        clock.at = 6
        assert code(out.perform(CreateFile(name="c", content=""))) == "over-cap"


# -- temporary files of others ---------------------------------------------------------------------


def test_what_a_crash_left_is_cleared_away(openers: Open, root: Path, way: str) -> None:
    """V43: also below; a living writer's file, and what only looks like one, stay."""
    from limpet.output._temp_files import stage

    (root / "d").mkdir()
    name = ".limpet-00000000000000ab.tmp"
    (root / name).write_text("dead")
    (root / "d" / name).write_text("dead")
    (root / "d" / ".limpet-notes").write_text("theirs")
    (root / (name + ".txt")).write_text("theirs")
    (root / ".limpet-00000000000000ac.tmp").mkdir()
    calls = SystemCalls()
    fd = calls.open_root(str(root), follow=False)
    living = stage(calls, fd, 0o600)
    try:
        with openers(clean=False):
            assert (root / name).exists()
        with openers():
            found = {path.relative_to(root).as_posix() for path in root.rglob("*")}
        assert found == {
            "d",
            "d/.limpet-notes",
            name + ".txt",
            ".limpet-00000000000000ac.tmp",
            living.name,
        }
    finally:
        living.close()
        calls.close(fd)
    assert not (root / living.name).exists()


def test_a_temporary_file_lost_to_a_cleaner_is_made_again(root: Path) -> None:
    """Between its making and its locking, the one moment in which it looks dead."""

    class Cleaned(SystemCalls):
        left = 2

        def lock(self, fd: int) -> bool:
            if self.left:
                self.left -= 1
                for path in root.glob(".limpet-*"):
                    path.unlink()
            return super().lock(fd)

    with Output(root, calls=Cleaned()) as out:
        out.create("f", "x")
        out.overwrite("f", "y")
    assert tree(root) == {"f": "y"}
    assert list(root.iterdir()) == [root / "f"]
