"""The fault cases as operations on a log, for each of its followers: limpet, ``tail -F``, pygtail.

A row does its operations, lets the follower catch up where it calls ``examine``, and returns the
lines that must have come, in one list for each file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["ROWS", "Field", "Row", "Subject"]

Groups = list[list[str]]


class Subject(Protocol):
    """A follower of a file."""

    def start(self, path: Path, **options: Any) -> None:
        """Start, or start again."""

    def examine(self) -> None:
        """Catch up."""

    def wait(self, seconds: float) -> None:
        """Let time pass, and catch up."""

    def stop(self) -> None:
        """End in order."""


@dataclass
class Field:
    """Where a row is played."""

    directory: Path
    subject: Subject
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def p(self) -> Path:
        return self.directory / "app.log"

    def start(self, **options: Any) -> None:
        self.subject.start(self.p, **{**self.options, **options})

    def stop(self) -> None:
        self.subject.stop()

    def examine(self) -> None:
        self.subject.examine()

    def wait(self, seconds: float) -> None:
        self.subject.wait(seconds)

    def add(self, data: str | bytes, path: Path | None = None) -> None:
        with open(path or self.p, "ab") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def write(self, data: str | bytes, path: Path | None = None) -> None:
        """Create it again, or empty and fill it, in one burst."""
        with open(path or self.p, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def beside(self, name: str) -> Path:
        return self.directory / name


@dataclass(frozen=True)
class Row:
    """One fault case."""

    number: int
    title: str
    play: Callable[[Field], Groups]
    options: dict[str, Any]
    restarts: bool
    """It stops the follower and starts it again, which ``tail -F`` does not claim to survive."""
    name: str


ROWS: list[Row] = []


def row(
    number: int, title: str, *, restarts: bool = False, **options: Any
) -> Callable[[Callable[[Field], Groups]], Callable[[Field], Groups]]:
    def add(play: Callable[[Field], Groups]) -> Callable[[Field], Groups]:
        ROWS.append(Row(number, title, play, options, restarts, play.__name__))
        return play

    return add


@row(1, "missing at the start, created later")
def row_01(f: Field) -> Groups:
    f.start()
    f.examine()
    f.write("a0\na1\n")
    f.examine()
    return [["a0", "a1"]]


@row(1, "missing at the start, created later, read from the end", start="end")
def row_01_end(f: Field) -> Groups:
    return row_01(f)


@row(2, "read from the end", start="end")
def row_02(f: Field) -> Groups:
    f.write("a0\na1\na2\n")
    f.start()
    f.add("b0\n")
    f.examine()
    return [["b0"]]


@row(3, "read from the end, within a line", start="end")
def row_03(f: Field) -> Groups:
    f.write("x\npar")
    f.start()
    f.examine()
    f.add("tial\n")
    f.examine()
    return [["partial"]]


@row(4, "a line in two parts")
def row_04(f: Field) -> Groups:
    f.write("")
    f.start()
    f.add("hello")
    f.examine()
    f.add(" world\n")
    f.examine()
    return [["hello world"]]


@row(7, "a file shorter than any fingerprint")
def row_07(f: Field) -> Groups:
    f.write("a\nb\nc\nd\ne\n")
    f.start()
    f.examine()
    f.add("f\n")
    f.examine()
    return [["a", "b", "c", "d", "e", "f"]]


@row(8, "dates and permissions only")
def row_08(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    for moment in (1, 2_000_000_000):
        os.utime(f.p, (moment, moment))
        f.examine()
    for mode in (0o644, 0o600, 0o644):
        os.chmod(f.p, mode)
        f.examine()
    return [["a0"]]


@row(9, "appended, rotated and created again in one burst")
def row_09(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.add("b0\nb1\n")
    os.rename(f.p, f.beside("app.log.1"))
    f.write("c0\n")
    f.examine()
    return [["a0", "b0", "b1"], ["c0"]]


@row(10, "the writer continues in the rotated file")
def row_10(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.add("b0\n")
    with open(f.p, "ab", buffering=0) as writer:
        os.rename(f.p, f.beside("app.log.1"))
        f.write("c0\n")
        f.examine()
        writer.write(b"late0\n")
        f.examine()
        writer.write(b"late1\n")
        f.examine()
    return [["a0", "b0"], ["c0"], ["late0", "late1"]]


@row(11, "nothing at the path for a while, and the old file still written")
def row_11(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    with open(f.p, "ab", buffering=0) as writer:
        os.rename(f.p, f.beside("app.log.1"))
        f.examine()
        writer.write(b"late0\n")
        f.examine()
    f.write("c0\n")
    f.examine()
    return [["a0", "late0"], ["c0"]]


@row(12, "rotated in the middle of a line that never ends", linger=0.2)
def row_12(f: Field) -> Groups:
    f.write("a0\nhalf")
    f.start()
    f.examine()
    os.rename(f.p, f.beside("app.log.1"))
    f.write("c0\n")
    f.examine()
    f.wait(0.5)
    return [["a0"], ["c0"], ["half"]]


@row(13, "rotated twice in one burst", rotated="app.log.*")
def row_13(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    os.rename(f.p, f.beside("app.log.1"))
    f.write("b0\n")
    os.rename(f.beside("app.log.1"), f.beside("app.log.2"))
    os.rename(f.p, f.beside("app.log.1"))
    f.write("c0\n")
    f.examine()
    return [["a0"], ["b0"], ["c0"]]


@row(14, "renamed away and back")
def row_14(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    os.rename(f.p, f.beside("x"))
    f.examine()
    os.rename(f.beside("x"), f.p)
    f.add("b0\n")
    f.examine()
    return [["a0", "a1", "b0"]]


@row(17, "copied and emptied, then shorter")
def row_17(f: Field) -> Groups:
    f.write("a0\na1\na2\n")
    f.start()
    f.examine()
    shutil.copy(f.p, f.beside("app.log.1"))
    f.write("b0\n")
    f.examine()
    return [["a0", "a1", "a2"], ["b0"]]


@row(18, "emptied and grown beyond the position in one burst")
def row_18(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    longer = [f"longer-{number}" for number in range(6)]
    f.write("".join(f"{line}\n" for line in longer))
    f.examine()
    return [["a0", "a1"], longer]


@row(19, "emptied and filled with the same bytes and a line more")
def row_19(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    f.write("a0\na1\nb0\n")
    f.examine()
    return [["a0", "a1", "b0"]]


@row(20, "appended, emptied and filled to the same size in one burst")
def row_20(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.add("lost\n")
    f.write("b0\n")
    f.examine()
    return [["a0"], ["b0"]]


@row(21, "emptied under a writer that keeps its offset")
def row_21(f: Field) -> Groups:
    with open(f.p, "wb", buffering=0) as writer:
        writer.write(b"a0\na1\n")
        f.start()
        f.examine()
        os.truncate(f.p, 0)
        writer.write(b"b0\n")
        f.examine()
    return [["a0", "a1"], ["b0"]]


@row(21, "the same, the hole seen first by a new follower")
def row_21_fresh(f: Field) -> Groups:
    with open(f.p, "wb", buffering=0) as writer:
        writer.write(b"x" * 9999 + b"\n")
        os.truncate(f.p, 0)
        writer.write(b"b0\n")
        f.start()
        f.examine()
    return [["b0"]]


@row(24, "its end is cut off; continued from there", on_trim="keep")
def row_24(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    os.truncate(f.p, 3)
    f.examine()
    f.add("b0\n")
    f.examine()
    return [["a0", "a1", "b0"]]


@row(25, "a delivered byte is overwritten; continued", on_rewrite="keep")
def row_25(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    with open(f.p, "r+b") as file:
        file.seek(1)
        file.write(b"X")
    f.add("b0\n")
    f.examine()
    return [["a0", "a1", "b0"]]


@row(27, "deleted and created again, longer, in one burst")
def row_27(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    os.unlink(f.p)
    f.write("b0\nb1\nb2\n")
    f.examine()
    return [["a0", "a1"], ["b0", "b1", "b2"]]


@row(28, "appended and deleted before it is examined")
def row_28(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.add("b0\nb1\n")
    os.unlink(f.p)
    f.examine()
    return [["a0", "b0", "b1"]]


@row(29, "deleted, still written, created again")
def row_29(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    with open(f.p, "ab", buffering=0) as writer:
        os.unlink(f.p)
        f.examine()
        writer.write(b"late0\n")
        f.examine()
    f.write("c0\n")
    f.examine()
    return [["a0", "late0"], ["c0"]]


@row(30, "replaced by one that holds the same and more")
def row_30(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    f.write("a0\na1\nb0\n", f.beside("t"))
    os.replace(f.beside("t"), f.p)
    f.examine()
    return [["a0", "a1"], ["b0"]]


@row(31, "replaced by something else")
def row_31(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.add("a1\n")
    f.write("b0\nb1\n", f.beside("t"))
    os.replace(f.beside("t"), f.p)
    f.examine()
    return [["a0", "a1"], ["b0", "b1"]]


@row(32, "its directory is moved away and created again")
def row_32(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    os.rename(f.directory, f"{f.directory}-moved")
    f.examine()
    f.directory.mkdir()
    f.write("b0\n")
    f.examine()
    return [["a0"], ["b0"]]


@row(33, "a directory is at the path first")
def row_33(f: Field) -> Groups:
    f.p.mkdir()
    f.start()
    f.examine()
    f.p.rmdir()
    f.write("a0\n")
    f.examine()
    return [["a0"]]


@row(34, "a FIFO is at the path meanwhile")
def row_34(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    os.unlink(f.p)
    os.mkfifo(f.p)
    f.examine()
    os.unlink(f.p)
    f.write("b0\n")
    f.examine()
    return [["a0"], ["b0"]]


@row(37, "a symlink is pointed elsewhere")
def row_37(f: Field) -> Groups:
    f.write("a0\n", f.beside("A"))
    f.write("b0\n", f.beside("B"))
    os.symlink("A", f.p)
    f.start()
    f.examine()
    f.add("late0\n", f.beside("A"))
    os.symlink("B", f.beside("link"))
    os.replace(f.beside("link"), f.p)
    f.examine()
    return [["a0", "late0"], ["b0"]]


@row(38, "a dangling symlink, its target created later")
def row_38(f: Field) -> Groups:
    os.symlink("target", f.p)
    f.start()
    f.examine()
    f.write("a0\n", f.beside("target"))
    f.examine()
    return [["a0"]]


@row(39, "a stable symlink, its target rotated")
def row_39(f: Field) -> Groups:
    pods = f.beside("pods")
    pods.mkdir()
    f.write("a0\n", pods / "0.log")
    os.symlink("pods/0.log", f.p)
    f.start()
    f.examine()
    f.add("b0\n", pods / "0.log")
    os.rename(pods / "0.log", pods / "0.log.20261125")
    f.write("c0\n", pods / "0.log")
    f.examine()
    return [["a0", "b0"], ["c0"]]


@row(40, "a symlinked directory on the way is swapped")
def row_40(f: Field) -> Groups:
    for name, text in (("1", "a0\n"), ("2", "b0\n")):
        f.beside(name).mkdir()
        f.write(text, f.beside(name) / "app.log")
    os.symlink("1", f.beside("..data"))
    os.symlink("..data/app.log", f.p)
    f.start()
    f.examine()
    os.symlink("2", f.beside("..new"))
    os.replace(f.beside("..new"), f.beside("..data"))
    f.examine()
    return [["a0"], ["b0"]]


@row(42, "characters that are written in parts")
def row_42(f: Field) -> Groups:
    f.write("")
    f.start()
    data = "жы€\n".encode()
    for part in (data[:1], data[1:5], data[5:]):
        f.add(part)
        f.examine()
    return [["жы€"]]


@row(43, "characters that some take for line ends")
def row_43(f: Field) -> Groups:
    line = "a\x85b\u2028c\x0cd\re"
    f.write(f"{line}\n")
    f.start()
    f.examine()
    return [[line]]


@row(44, "a byte order mark, and lines as Windows ends them")
def row_44(f: Field) -> Groups:
    f.write(b"\xef\xbb\xbfa\r\nb\r\n")
    f.start()
    f.examine()
    f.add(b"\xef\xbb\xbfc\r\n")
    f.examine()
    return [["a", "b", "\ufeffc"]]


@row(45, "UTF-16, continued without its mark", restarts=True)
def row_45(f: Field) -> Groups:
    f.write(b"\xff\xfe" + "жa\n".encode("utf-16-le"))
    f.start()
    f.examine()
    f.stop()
    f.add("bċ\n".encode("utf-16-le"))
    f.start()
    f.examine()
    return [["жa"], ["bċ"]]


@row(46, "a carriage return, and its newline later")
def row_46(f: Field) -> Groups:
    f.write("a\r")
    f.start()
    f.examine()
    f.add("\nb\r\n")
    f.examine()
    return [["a", "b"]]


@row(47, "bytes that are not UTF-8")
def row_47(f: Field) -> Groups:
    f.write(b"a\xff\xfeb\n")
    f.start()
    f.examine()
    f.add("c\n")
    f.examine()
    return [["a\ufffd\ufffdb", "c"]]


@row(50, "appended while down", restarts=True)
def row_50(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.stop()
    f.add("b0\n")
    f.start()
    f.examine()
    return [["a0"], ["b0"]]


@row(51, "appended and rotated while down", restarts=True, rotated="app.log.*")
def row_51(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.stop()
    f.add("b0\n")
    os.rename(f.p, f.beside("app.log.1"))
    f.write("c0\n")
    f.start()
    f.examine()
    return [["a0"], ["b0"], ["c0"]]


@row(52, "rotated twice while down", restarts=True, rotated="app.log.*")
def row_52(f: Field) -> Groups:
    f.write("a0\n")
    f.start()
    f.examine()
    f.stop()
    f.add("b0\n")
    os.rename(f.p, f.beside("app.log.1"))
    f.write("c0\n")
    os.rename(f.beside("app.log.1"), f.beside("app.log.2"))
    os.rename(f.p, f.beside("app.log.1"))
    f.write("d0\n")
    f.start()
    f.examine()
    return [["a0"], ["b0"], ["c0"], ["d0"]]


@row(53, "emptied and grown beyond the position while down", restarts=True)
def row_53(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    f.stop()
    f.write("b0\nb1\nb2\n")
    f.start()
    f.examine()
    return [["a0", "a1"], ["b0", "b1", "b2"]]


@row(54, "deleted and created again with the same first line while down", restarts=True)
def row_54(f: Field) -> Groups:
    f.write("head\na1\n")
    f.start()
    f.examine()
    f.stop()
    os.unlink(f.p)
    f.write("head\nb1\nb2\nb3\n")
    f.start()
    f.examine()
    return [["head", "a1"], ["head", "b1", "b2", "b3"]]


@row(55, "stopped within a line that ends while down", restarts=True)
def row_55(f: Field) -> Groups:
    f.write("a0\nhalf")
    f.start()
    f.examine()
    f.stop()
    f.add("-done\n")
    f.start()
    f.examine()
    return [["a0"], ["half-done"]]


@row(56, "copied, appended to and moved back while down", restarts=True)
def row_56(f: Field) -> Groups:
    f.write("a0\na1\n")
    f.start()
    f.examine()
    f.stop()
    shutil.copy(f.p, f.beside("t"))
    os.unlink(f.p)
    f.add("b0\n", f.beside("t"))
    os.rename(f.beside("t"), f.p)
    f.start()
    f.examine()
    return [["a0", "a1"], ["b0"]]
