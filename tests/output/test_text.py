"""Byte order marks once a file, line ends in the width of the encoding."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.output import AppendToFile, CreateFile, Output, OverwriteFile, Rotation
from limpet.output._text_encoding import going_on, has_mark, line_end
from tests.output.test_rotation import rotated

MARKED = ["utf-16", "utf-32", "utf-8-sig", "UTF_16", "u32"]
PLAIN = [
    "utf-8",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "utf-32-be",
    "latin-1",
    "cp1252",
    "cp037",
    "shift_jis",
    "iso2022_jp",
    "gb18030",
    "utf-7",
]


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("encoding", MARKED + PLAIN)
@pytest.mark.parametrize("batch", [False, True])
def test_records_are_one_text(
    out: Output, root: Path, encoding: str, guard: bool, batch: bool
) -> None:
    """O4: what is read back with the encoding is what was appended, without a mark in between."""
    operations = [
        AppendToFile(name="f", content=f"line{n}\n", encoding=encoding, newline_guard=guard)
        for n in range(3)
    ]
    if batch:
        answers = out.perform_all(operations)
    else:
        answers = [out.perform(operation) for operation in operations]
    assert all(answer.ok for answer in answers)
    assert (root / "f").read_bytes().decode(encoding) == "line0\nline1\nline2\n"


@pytest.mark.parametrize("encoding", MARKED + PLAIN)
@pytest.mark.parametrize("newline", ["", "\r\n"])
def test_an_unfinished_line_is_ended_in_the_encoding(
    out: Output, root: Path, encoding: str, newline: str
) -> None:
    """O4: once, with a line end of the width that the encoding has."""
    out.create("f", "cut", encoding=encoding)
    for n in range(2):
        out.append(
            "f",
            f"{n}\n",
            encoding=encoding,
            newline_guard=True,
            newline=newline,  # type: ignore[arg-type]
        )
    end = newline or "\n"
    assert (root / "f").read_bytes().decode(encoding) == f"cut{end}0{end}1{end}"


@pytest.mark.parametrize(
    ("encoding", "mark", "goes_on"),
    [
        ("utf-16", codecs.BOM_UTF16_BE, "utf-16-be"),
        ("utf-16", codecs.BOM_UTF16_LE, "utf-16-le"),
        ("utf-32", codecs.BOM_UTF32_BE, "utf-32-be"),
        ("utf-32", codecs.BOM_UTF32_LE, "utf-32-le"),
        ("utf-8-sig", codecs.BOM_UTF8, "utf-8"),
    ],
)
def test_an_append_goes_on_in_the_order_of_the_file(
    out: Output, root: Path, encoding: str, mark: bytes, goes_on: str
) -> None:
    """Another program began the file, perhaps on another machine."""
    (root / "f").write_bytes(mark + "one\n".encode(goes_on))
    for _ in range(2):
        out.append("f", "zwei\n", encoding=encoding, newline_guard=True)
    assert (root / "f").read_bytes() == mark + "one\nzwei\nzwei\n".encode(goes_on)


def test_whole_content_has_its_mark_and_bytes_are_as_they_are(out: Output, root: Path) -> None:
    out.create("f", "x", encoding="utf-16")
    out.overwrite("g", "x", encoding="utf-8-sig")
    assert (root / "f").read_bytes() == "x".encode("utf-16")
    assert (root / "g").read_bytes() == codecs.BOM_UTF8 + b"x"
    for _ in range(2):
        out.append("h", b"x\n", encoding="utf-16", newline_guard=False)
    assert (root / "h").read_bytes() == b"x\nx\n"


def test_the_guard_for_bytes_asks_for_the_encoding(out: Output, root: Path) -> None:
    """Who appends bytes of UTF-16 says so; without, it is one byte."""
    (root / "f").write_bytes("cut\n".encode("utf-16-le"))
    out.append("f", "x\n".encode("utf-16-le"), encoding="utf-16-le", newline_guard=True)
    assert (root / "f").read_bytes().decode("utf-16-le") == "cut\nx\n"
    (root / "g").write_bytes(b"cut")
    out.append("g", b"x\n", newline_guard=True)
    assert (root / "g").read_bytes() == b"cut\nx\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_an_empty_file_gets_the_mark(out: Output, root: Path, encoding: str) -> None:
    """As a new one does, and each file that a rotation begins."""
    (root / "f").touch()
    for n in range(2):
        out.append("f", f"{n}\n", encoding=encoding)
    assert (root / "f").read_bytes().decode(encoding) == "0\n1\n"
    for n in range(5):
        out.append("log", f"{n}\n", encoding=encoding, rotation=Rotation(max_bytes=12))
    texts = [(root / name).read_bytes() for name in [*rotated(root), "log"]]
    assert len(texts) > 1
    assert "".join(text.decode(encoding) for text in texts) == "0\n1\n2\n3\n4\n"
    assert all("\ufeff" not in text.decode(encoding) for text in texts)


@pytest.mark.parametrize("there", [False, True])
def test_of_several_processes_one_writes_the_mark(root: Path, there: bool) -> None:
    """Into a new file, and into one that is there and empty."""
    program = """
import sys, time
from limpet.output import Output
root, who = sys.argv[1:]
with Output(root) as out:
    sys.stdin.readline()
    for n in range(20):
        for file in range(10):
            out.append(f"f{file}", f"{who} {n}\\n", encoding="utf-16")
"""
    if there:
        for file in range(10):
            (root / f"f{file}").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root), f"p{n}"],
            env=environment,
            stdin=subprocess.PIPE,
        )
        for n in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in started] == [0, 0, 0]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    for file in range(10):
        text = (root / f"f{file}").read_bytes().decode("utf-16")
        assert "\ufeff" not in text
        assert len(text.splitlines()) == 60


def test_a_mark_is_written_where_nothing_can_be_locked(root: Path) -> None:
    """The lock is for several writers at once; a file system without locks has one at a time."""
    from tests.output.system_calls import SystemCalls

    class NoLocks(SystemCalls):
        def lock(self, fd: int) -> bool:
            raise OSError(38, "Function not implemented")

    (root / "f").touch()
    with Output(root, calls=NoLocks()) as out:
        for n in range(2):
            out.append("f", f"{n}\n", encoding="utf-16")
    assert (root / "f").read_bytes().decode("utf-16") == "0\n1\n"


def test_pure() -> None:
    assert [has_mark(one) for one in MARKED] == [True] * len(MARKED)
    assert [has_mark(one) for one in PLAIN] == [False] * len(PLAIN)
    assert going_on("utf-16", b"") == "utf-16"
    assert going_on("utf-16", b"x\0").startswith("utf-16-")
    assert line_end("\n", "utf-32-be", b"x") == b"\0\0\0\n"
    for kind in (CreateFile, OverwriteFile, AppendToFile):
        operation = kind(name="f", content="a\nb\r\n", encoding="utf-16", newline="\r\n")
        assert operation.data().decode("utf-16") == "a\r\nb\r\n"
        assert operation.data(codecs.BOM_UTF16_BE).decode("utf-16-be") == "a\r\nb\r\n"
