"""Writing by handles, as on Windows, against a model of NTFS and an attacker in it."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from benchmarks.__main__ import default_folder
from benchmarks.attack import Prey, attack
from limpet._shared_open import open_shared
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
    OverwriteFile,
    Refused,
    Rotation,
)
from limpet.output import _nt_api as nt
from limpet.output import _nt_status as status
from limpet.output._nt_api import Opening, parse_entries, rename_information
from limpet.output._nt_native import as_link
from limpet.output._nt_status import NtError
from limpet.output._syscalls_by_handle import HandleSyscalls
from tests.output.conftest import WAYS, descriptors, made
from tests.output.nt_model import IS_POSSIBLE, NtModel

needs_model = pytest.mark.skipif(not IS_POSSIBLE, reason="no O_PATH, of which the model is made")

OPERATIONS: dict[str, Operation] = {
    "create": CreateFile(name="d/new", content="x", durability="full"),
    "create below": CreateFile(name="d/n/m/new", content="x"),
    "overwrite": OverwriteFile(name="d/leaf", content="x"),
    "append": AppendToFile(name="d/leaf", content="x", newline_guard=True, durability="full"),
    "append a first": AppendToFile(name="d/new", content="x"),
    "rotate": AppendToFile(name="d/leaf", content="x", rotation=Rotation(max_bytes=1, keep=1)),
    "delete": DeleteFile(name="d/leaf"),
    "delete a directory": DeleteDir(name="d/empty"),
    "make a directory": MakeDir(name="d/made"),
    "move": MoveFile(name="d/leaf", target="d/moved"),
    "move out of it": MoveFile(name="d/leaf", target="moved"),
    "move over": MoveFile(name="other", target="d/leaf", overwrite=True),
}
ORDINARY = {"d/leaf": "inside\n", "other": "other\n"}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What nobody may touch: it has all the names that are inside."""
    outside = tmp_path / "outside"
    (outside / "empty").mkdir(parents=True)
    (outside / "leaf").write_text("nobody touches this\n")
    return outside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return prepared(tmp_path / "root")


def prepared(root: Path) -> Path:
    (root / "d" / "empty").mkdir(parents=True)
    for name, text in ORDINARY.items():
        (root / name).write_text(text)
    return root


def tree(folder: Path) -> dict[str, str | None]:
    """Every entry below a folder, and what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


class Calls(HandleSyscalls):
    """Sleeps in no time."""

    def pause(self, seconds: float) -> None:
        pass


def done(model: NtModel, root: Path, operation: Operation) -> Done | Refused:
    with Output(root, calls=Calls(model), way="walk", clean=False) as out:
        return out.perform(operation)


def counted(root: Path, operation: Operation, *, old: bool = False) -> int:
    """Return how many calls an operation takes that nobody disturbs."""
    calls: list[str] = []
    model = NtModel(before=calls.append, posix=not old, dont_reparse=not old)
    assert done(model, root, operation).ok
    return len(calls)


def at(nth: int, act: Callable[[str], object]) -> Callable[[str], None]:
    """Return what acts right before the nth call."""
    count = 0

    def before(call: str) -> None:
        nonlocal count
        count += 1
        if count == nth:
            act(call)

    return before


# -- attacks ---------------------------------------------------------------------------------------


@needs_model
@pytest.mark.parametrize("old", [False, True], ids=["Windows 11", "Windows 8"])
@pytest.mark.parametrize("prey", ["d", "d/leaf", "d/empty", "d/new", "d/n"])
@pytest.mark.parametrize("case", OPERATIONS)
def test_swapped_for_a_junction_before_any_call(
    tmp_path: Path, outside: Path, case: str, prey: str, old: bool
) -> None:
    """Nothing appears, changes or goes outside, whichever two calls the attacker comes between.

    This attacker can do more than one on NTFS: it renames what is open and not shared.
    """
    count = counted(prepared(tmp_path / "undisturbed"), OPERATIONS[case], old=old)
    before = tree(outside)
    answers = set()
    for nth in range(1, count + 1):
        root = prepared(tmp_path / f"{nth}")

        def swap(_: str, root: Path = root) -> None:
            target = outside if prey in {"d", "d/n", "d/empty"} else outside / "leaf"
            if (root / prey).exists():
                (root / prey).rename(root / "away")
            if (root / prey).parent.exists():
                (root / prey).symlink_to(target)

        model = NtModel(before=at(nth, swap), posix=not old, dont_reparse=not old)
        answer = done(model, root, OPERATIONS[case])
        assert tree(outside) == before, (nth, answer)
        answers.add("done" if answer.ok else answer.code)
    assert answers <= {
        *("done", "symlink", "missing", "exists", "not-a-file", "busy", "root-gone"),
        *("directory-not-empty", "is-directory"),
    }


class Careless(NtModel):
    """Opens whatever its caller asks for without the two flags, as CreateFileW would."""

    __slots__ = ()

    def open(self, dir_fd: int, name: str, how: Opening) -> int:
        options = how.options & ~nt.OPEN_REPARSE_POINT
        careless = how._replace(options=options, attributes=nt.CASE_INSENSITIVE)
        return NtModel.open(self, dir_fd, name, careless)


@needs_model
def test_without_the_flags_the_same_attack_gets_out(root: Path, outside: Path) -> None:
    """The model follows what it is not told to stop at."""
    (root / "d").rename(root / "away")
    (root / "d").symlink_to(outside)
    assert done(Careless(), root, CreateFile(name="d/new", content="x")).ok
    assert (outside / "new").read_text() == "x"


@needs_model
@pytest.mark.parametrize("prey", ["folder", "leaf"])
def test_nothing_gets_out_at_full_speed(prey: Prey) -> None:
    """Another process swaps as fast as it can; some operations met a link, others were done."""
    with tempfile.TemporaryDirectory(prefix="limpet-attack-", dir=default_folder()) as base:
        count = attack("walk", prey, 3_000, Path(base), calls=HandleSyscalls(NtModel()))
    assert count.escaped == 0
    assert count.swaps > 100, count
    assert count.answers["symlink"] > 10, count
    assert count.answers["done"] > 10, count


@needs_model
def test_a_directory_in_use_stays_where_it_is(root: Path) -> None:
    """Nobody can rename it while something is written into it, nor put a junction there."""
    (root / "d" / "inner").mkdir()
    name = "d/inner"
    model = NtModel()
    tried: list[int] = []

    def rename(call: str) -> None:
        if call != "rename":
            return
        parent = os.open((root / name).parent, os.O_PATH)
        with pytest.raises(NtError) as failure:
            NtModel.open(quiet, parent, Path(name).name, Opening(nt.DELETE | nt.SYNCHRONIZE))
        os.close(parent)
        tried.append(failure.value.status)

    quiet = replace(model, before=lambda _: None)  # the same Windows, asked by somebody else
    model.before = rename
    with Output(root, calls=Calls(model), way="walk") as out:
        out.create("d/inner/f", "x")
    assert tried == [status.SHARING_VIOLATION]
    model.before = lambda _: None
    parent = os.open((root / name).parent, os.O_PATH)
    os.close(model.open(parent, Path(name).name, Opening(nt.DELETE | nt.SYNCHRONIZE)))
    os.close(parent)


# -- names -----------------------------------------------------------------------------------------


def every(name: str) -> list[Operation]:
    return [
        CreateFile(name=name, content="new"),
        OverwriteFile(name=name, content="new"),
        AppendToFile(name=name, content="new"),
        AppendToFile(name=name, content="new", create=False),
        DeleteFile(name=name),
        DeleteDir(name=name),
        MakeDir(name=name),
        MoveFile(name=name, target="elsewhere"),
        MoveFile(name="other", target=name),
        MoveFile(name="other", target=name, overwrite=True),
        MakeDir(name=f"{name}/x"),
    ]


@needs_model
@pytest.mark.parametrize(
    "name", ["leaf:s", "leaf:s:$DATA", "leaf::$DATA", "new:", "empty:$I30:$INDEX_ALLOCATION"]
)
def test_no_name_leads_to_a_stream(root: Path, name: str) -> None:
    """Also not where names need not be portable, and not of what is deleted or moved."""
    (root / "leaf").write_text("x")
    before = tree(root)
    model = NtModel()
    with Output(root, calls=Calls(model), way="walk", portable=False) as out:
        for operation in every(name):
            answer = out.perform(operation)
            assert isinstance(answer, Refused)
            assert answer.code == "bad-name", answer
    assert model.streams == []
    assert tree(root) == before


@needs_model
@pytest.mark.parametrize("name", ["..", "d\\leaf", "d/..", "\\\\server\\share", "C:/x", "D:x", "."])
def test_no_name_leads_to_another_drive_or_share(root: Path, name: str) -> None:
    """Refused before any call; and the calls refuse them too."""
    with Output(root, calls=Calls(NtModel()), way="walk", portable=False) as out:
        for operation in every(name):
            answer = out.perform(operation)
            assert isinstance(answer, Refused)
            assert answer.code in {"escape", "bad-name"}, answer
    calls = Calls(NtModel())
    fd = calls.open_root(str(root), follow=True)
    for part in ("..", ".", "", "a\\b", "a/b", "a:b", "a\0"):
        with pytest.raises(OSError, match="lead elsewhere"):
            calls.stat_at(fd, part)
        with pytest.raises(OSError, match="lead elsewhere"):
            calls.rename_new(fd, "other", fd, part)
    calls.close(fd)


@needs_model
@pytest.mark.parametrize("name", ["LONGNA~1.TXT", "longna~1.txt"])
def test_a_short_name_of_another_file_is_refused(root: Path, name: str) -> None:
    """A name means the entry that the directory lists under it, or nothing."""
    (root / "long name.txt").write_text("kept")
    before = tree(root)
    model = NtModel(short_names={"LONGNA~1.TXT": "long name.txt"})
    with Output(root, calls=Calls(model), way="walk", portable=False) as out:
        for operation in every(name)[:-1]:
            answer = out.perform(operation)
            assert isinstance(answer, Refused), operation
            assert answer.code in {"bad-name", "exists"}, answer
            if not isinstance(operation, CreateFile | MakeDir | MoveFile):
                assert "'long name.txt'" in answer.message
    calls = Calls(model)
    fd = calls.open_root(str(root), follow=True)
    with pytest.raises(OSError, match="short name of 'long name"):
        calls.rename(fd, "other", fd, name)  # which would replace what it does not name
    calls.close(fd)
    assert tree(root) == before


@needs_model
def test_a_short_name_of_a_directory_on_the_way_is_refused(root: Path) -> None:
    (root / "long name").mkdir()
    model = NtModel(short_names={"LONGNA~1": "long name"})
    with Output(root, calls=Calls(model), way="walk", portable=False) as out:
        answer = out.perform(CreateFile(name="LONGNA~1/f", content="x"))
    assert isinstance(answer, Refused)
    assert answer.code == "bad-name"
    assert list((root / "long name").iterdir()) == []


@pytest.mark.parametrize("name", ["notes~a", "draft~1 of many.txt"])
def test_a_name_with_a_tilde_is_one_like_any_other(tmp_path: Path, name: str, way: str) -> None:
    """Only what the directory does not list is a short name."""
    with made(tmp_path, way, portable=False) as out:
        out.create(name, "1")
        out.append(name, "2")
        out.overwrite(name, "3")
        out.move(name, f"{name}2")
        out.delete(f"{name}2")
    assert list(tmp_path.iterdir()) == []


@needs_model
@pytest.mark.parametrize("name", ["CON", "nul.txt", "COM¹", "trail.", "blank ", "aux "])
def test_what_win32_takes_for_something_else_is_taken_as_it_is(root: Path, name: str) -> None:
    """Refused as a new name on Windows; otherwise a file of just that name: no device."""
    with Output(root, calls=Calls(NtModel()), way="walk", portable=True) as out:
        assert not out.perform(CreateFile(name=name, content="x")).ok
    with Output(root, calls=Calls(NtModel()), way="walk", portable=False) as out:
        assert out.perform(CreateFile(name=name, content="x")).ok
        assert name in os.listdir(root)
        assert out.perform(DeleteFile(name=name)).ok
    assert name not in os.listdir(root)


@needs_model
@pytest.mark.parametrize("case", OPERATIONS)
def test_what_onedrive_keeps_elsewhere_is_written_like_any_other(tmp_path: Path, case: str) -> None:
    """Its folders and files are reparse points, but no links; it brings what is opened as usual."""
    plain = prepared(tmp_path / "plain")
    assert done(NtModel(), plain, OPERATIONS[case]).ok
    root = prepared(tmp_path / "root")
    kept = {(path.stat().st_dev, path.stat().st_ino) for path in (root, *root.rglob("*"))}
    model = NtModel(kept_elsewhere=kept)
    assert done(model, root, OPERATIONS[case]).ok
    assert tree(root).keys() == tree(plain).keys()
    assert len(model.brought) > 1


@needs_model
def test_without_the_flag_nothing_special_is_used(root: Path) -> None:
    """Where links could be followed (before 1703), all reparse points are refused."""
    found = (root / "d").stat()
    model = NtModel(dont_reparse=False, kept_elsewhere={(found.st_dev, found.st_ino)})
    answer = done(model, root, CreateFile(name="d/f", content="x"))
    assert isinstance(answer, Refused)
    assert not (root / "d" / "f").exists()


@needs_model
def test_what_onedrive_keeps_elsewhere_may_be_swapped(root: Path, outside: Path) -> None:
    """Between its two openings: the second does not follow a link, and must open the same."""
    found = (root / "d").stat()
    kept = {(found.st_dev, found.st_ino)}
    operation = CreateFile(name="d/f", content="x")
    calls: list[str] = []
    count = NtModel(before=calls.append, kept_elsewhere=kept)
    assert done(count, root, operation).ok
    before = tree(outside)
    for nth in range(1, len(calls) + 1):
        for target in (outside, root / "another"):
            here = prepared(root.parent / f"{nth} {target.name}")
            (here / "another").mkdir()
            found = (here / "d").stat()

            def swap(_: str, here: Path = here, target: Path = target) -> None:
                (here / "d").rename(here / "away")
                if target == outside:
                    (here / "d").symlink_to(target)
                else:
                    (here / "another").rename(here / "d")

            model = NtModel(before=at(nth, swap), kept_elsewhere={(found.st_dev, found.st_ino)})
            done(model, here, operation)
            assert tree(outside) == before


# -- what others have open -------------------------------------------------------------------------


@needs_model
@pytest.mark.parametrize(
    "operation",
    [
        OverwriteFile(name="other", content="new"),
        DeleteFile(name="other"),
        MoveFile(name="d/leaf", target="other", overwrite=True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_somebody_has_open_and_shares_is_replaced(root: Path, operation: Operation) -> None:
    """POSIX semantics: the reader keeps what it has open, the name is free at once."""
    model = NtModel()
    held = model.hold(str(root / "other"), share=nt.SHARE_ALL)
    assert done(model, root, operation).ok
    assert os.read(held, 100) == b"other\n"
    os.close(held)


@cache
def has_posix_rename() -> bool:
    """Return whether a rename may replace an open file that is shared for deletion."""
    if sys.platform == "win32":
        from limpet.output._nt_native import NativeNt

        with tempfile.TemporaryDirectory() as folder:
            calls, api = HandleSyscalls(), NativeNt()
            root = calls.open_root(folder, follow=True)
            fd = api.open(root, "f", Opening(nt.DELETE | nt.SYNCHRONIZE, disposition=nt.CREATE))
            try:
                api.rename(fd, root, "g", nt.RENAME_POSIX, extended=True)
            except NtError:
                return False
            finally:
                calls.close(fd)
                calls.close(root)
    return True


@pytest.mark.skipif(not has_posix_rename(), reason="no FileRenameInformationEx here")
def test_what_a_reader_has_open_is_replaced_by_this_system(tmp_path: Path) -> None:
    """O4: by the calls of the system itself, if the reader shares deletion, as limpet does."""
    (tmp_path / "f").write_text("old")
    reader = os.fdopen(open_shared(tmp_path / "f", os.O_RDONLY))
    with reader, Output(tmp_path) as out:
        out.overwrite("f", "new")
        (tmp_path / "g").write_text("moved")
        out.move("g", "f", overwrite=True)
        assert (tmp_path / "f").read_text() == "moved"
        out.delete("f")
        assert reader.read() == "old"
    assert list(tmp_path.iterdir()) == []


@needs_model
def test_without_posix_semantics_it_is_refused_until_it_is_closed(root: Path) -> None:
    """Windows before 1607, FAT, many shares; nothing is left behind."""
    model = NtModel(posix=False)
    held = model.hold(str(root / "other"), share=nt.SHARE_ALL)
    before = tree(root)
    answer = done(model, root, OverwriteFile(name="other", content="new"))
    assert isinstance(answer, Refused)
    assert answer.code == "denied"
    assert tree(root) == before
    os.close(held)
    assert done(model, root, OverwriteFile(name="other", content="new")).ok


@needs_model
@pytest.mark.parametrize("posix", [True, False])
def test_what_is_not_shared_is_replaced_once_it_is_closed(root: Path, posix: bool) -> None:
    """O4: tried again for a moment; a program that keeps it is no reason to wait for long."""
    model = NtModel(posix=posix)
    held = [model.hold(str(root / "other"), share=nt.SHARE_READ_WRITE)]
    pauses: list[float] = []

    class Waiting(HandleSyscalls):
        def pause(self, seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 10:
                os.close(held.pop())

    with Output(root, calls=Waiting(model), way="walk", clean=False) as out:
        answer = out.perform(OverwriteFile(name="other", content="new"))
        assert isinstance(answer, Refused)
        assert answer.code == "denied"
        assert len(pauses) == 7
        assert (root / "other").read_text() == "other\n"
        out.overwrite("other", "new")
    assert (root / "other").read_text() == "new"


@needs_model
def test_outputs_that_overwrite_one_name_do_not_refuse_each_other(root: Path) -> None:
    """Each has the file and its temporary one open for moments, and shares them."""
    model = NtModel()
    answers: list[Done | Refused] = []

    def write(letter: str) -> None:
        with Output(root, calls=HandleSyscalls(model), way="walk", clean=False) as out:
            for n in range(60):
                answers.append(out.perform(OverwriteFile(name="f", content=letter * (n + 1))))

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer for answer in answers if not answer.ok] == []
    assert len(answers) == 180
    assert set(os.listdir(root)) == {"d", "other", "f"}


def test_two_processes_overwrite_one_name_and_neither_is_refused(tmp_path: Path) -> None:
    """O4: what each has open for moments is no reason for a DeniedError of the other."""
    program = """
import sys
from limpet.output import Output
root, letter = sys.argv[1:]
with Output(root) as out:
    for n in range(60):
        out.overwrite("f", letter * (n * 37 % 2_000 + 1))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), letter],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for letter in "ab"
    ]
    said = [writer.communicate()[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


# -- which Windows ---------------------------------------------------------------------------------


@needs_model
def test_a_system_that_does_not_know_a_flag_is_asked_without(root: Path) -> None:
    """OBJ_DONT_REPARSE is refused before 1703: asked for once, then left out."""
    seen: list[int] = []

    class Old(NtModel):
        __slots__ = ()

        def open(self, dir_fd: int, name: str, how: Opening) -> int:
            seen.append(how.attributes)
            return NtModel.open(self, dir_fd, name, how)

    with Output(root, calls=Calls(Old(dont_reparse=False)), way="walk") as out:
        out.create("d/f", "x")
        assert not any(one & nt.DONT_REPARSE for one in seen)  # the root's opening found out
    seen.clear()
    with Output(root, calls=Calls(Old()), way="walk") as out:
        out.create("d/g", "x")
    assert all(one & nt.DONT_REPARSE for one in seen)


@needs_model
@pytest.mark.parametrize("case", OPERATIONS)
def test_whichever_call_fails(tmp_path: Path, case: str) -> None:
    """Done, or refused and nothing changed; no temporary file, no open handle."""
    operation = OPERATIONS[case]
    undisturbed = prepared(tmp_path / "undisturbed")
    count = counted(undisturbed, operation)
    after = tree(undisturbed)

    def fail(call: str) -> None:
        if call in {"stat", "listed_name"}:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        raise NtError(0xC0000185)  # STATUS_IO_DEVICE_ERROR

    refusals = 0
    open_before = descriptors()
    for nth in range(1, count + 1):
        root = prepared(tmp_path / f"{nth}")
        before = tree(root)
        try:
            answer = done(NtModel(before=at(nth, fail)), root, operation)
        except OSError:  # at the opening of the output
            refusals += 1
            assert tree(root) == before
            continue
        found = {name: text for name, text in tree(root).items() if name not in {"d/n", "d/n/m"}}
        if isinstance(answer, Refused) and answer.code != "durability":
            refusals += 1
            kept = {name for name in found if not name.startswith("d/.limpet-rotation")}
            assert kept in ({*before}, {*before, "d/made"}) or case == "rotate", (nth, answer)
        assert not [name for name in found if name.endswith(".tmp")], nth
    assert refusals
    assert after != tree(prepared(tmp_path / "as it was"))
    assert descriptors() - open_before == set()


def test_a_rename_is_asked_for_in_the_form_of_windows() -> None:
    """FILE_RENAME_INFORMATION of 64 bits: 4 + 4 + 8 + 4 bytes, then the name, and no end."""
    if sys.maxsize < 1 << 32:
        pytest.skip("handles of 32 bits")
    found = rename_information(nt.RENAME_REPLACE | nt.RENAME_POSIX, 0x1C4, "né.txt")
    head = bytes.fromhex("03000000 00000000 c401000000000000 0c000000")
    assert found == head + "né.txt".encode("utf-16-le")
    assert len(rename_information(0, 4, "a")) == 24
    assert rename_information(0, 4, "\udc80")[20:22] == b"\x80\xdc"


def test_a_listing_is_read_in_the_form_of_windows() -> None:
    """FILE_FULL_DIR_INFORMATION: 68 bytes, then the name; the next begins at a multiple of 8."""

    def entry(name: str, attributes: int, tag: int = 0, *, last: bool = False) -> bytes:
        raw = name.encode("utf-16-le", "surrogatepass")
        size = (68 + len(raw) + 7) // 8 * 8
        start = 0 if last else size
        head = struct.pack("<IIqqqqqqIII", start, 0, *[1] * 6, attributes, len(raw), tag)
        return (head + raw).ljust(size, b"\0")

    buffer = b"".join(
        (
            *(entry(".", 0x10), entry("..", 0x10), entry("f", 0x20), entry("d", 0x10)),
            *(entry("junction", 0x410, 0xA0000003), entry("onedrive", 0x410, 0x9000601A)),
            *(entry("with attributes", 0x20, 99), entry("\ud800 trail.", 0x80, last=True)),
        )
    )
    found = parse_entries(buffer + bytes(100))
    names = ["f", "d", "junction", "onedrive", "with attributes", "\ud800 trail."]
    assert [name for name, _ in found] == names
    assert [kind.is_dir for _, kind in found] == [False, True, False, True, False, False]
    assert [kind.is_link for _, kind in found] == [False, False, True, False, False, False]


@pytest.fixture
def way() -> str:
    """The way that is nearest to Windows."""
    return WAYS[-1]


def test_a_junction_has_the_type_of_a_symlink() -> None:
    """All else of its status is as Windows has it: what is a link is decided in one place."""
    found = os.stat(os.curdir)
    link = as_link(found)
    assert stat.S_ISLNK(link.st_mode)
    for name in dir(found):
        if name.startswith("st_") and name != "st_mode":
            assert getattr(link, name) == getattr(found, name)
