"""What somebody else has open for a moment on Windows is tried again, and not for long."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from limpet.output import CreateFile, Done, Output, Refused
from limpet.output._nt_api import Kind, Opening
from limpet.output._nt_status import (
    ACCESS_DENIED,
    BUSY,
    CANNOT_DELETE,
    DELETE_PENDING,
    DIRECTORY_NOT_EMPTY,
    FILE_IS_A_DIRECTORY,
    FILE_LOCK_CONFLICT,
    HELD,
    NOT_A_DIRECTORY,
    OBJECT_NAME_COLLISION,
    OBJECT_NAME_INVALID,
    OBJECT_NAME_NOT_FOUND,
    REPARSE_POINT_ENCOUNTERED,
    SHARING_VIOLATION,
    NtError,
    os_error,
)
from limpet.output._refusals import refused
from limpet.output._syscalls_by_handle import HandleSyscalls


class Busy:
    """Calls that fail some times, as Windows says it of an open file."""

    def __init__(self, times: int, status: int, *, refused: int = 0) -> None:
        self.left, self.status, self.calls = times, status, 0
        self.refused = refused

    def open(self, dir_fd: int, name: str, how: Opening) -> int:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise NtError(self.status)
        return os.open(os.devnull, os.O_RDONLY)

    def open_path(self, path: str, how: Opening) -> int:
        return self.open(0, path, how)

    def stat(self, fd: int) -> os.stat_result:
        return os.stat(__file__)

    def kind(self, fd: int) -> Kind:
        return Kind(0x80)

    def listed_name(self, fd: int) -> str:
        raise NotImplementedError

    def entries(self, fd: int) -> Iterator[tuple[str, Kind]]:
        raise NotImplementedError

    def rename(self, fd: int, to: int, new: str, flags: int, *, extended: bool) -> None:
        self._change()

    def dispose(self, fd: int, flags: int, *, extended: bool) -> None:
        self._change()

    def _change(self) -> None:
        if self.refused:
            self.refused -= 1
            raise NtError(self.status)


class Timed(HandleSyscalls):
    """Sleeps in no time."""

    slept = 0.0

    def pause(self, seconds: float) -> None:
        self.slept += seconds


@pytest.mark.parametrize("status", sorted(HELD))
def test_a_file_that_is_let_go_is_written(status: int) -> None:
    """O4: a virus scanner reads a new file for some milliseconds."""
    busy = Busy(3, status)
    calls = Timed(busy)
    calls.close(calls.open_file(0, "f", os.O_RDONLY))
    assert busy.calls == 4
    assert 0 < calls.slept < 0.01


@pytest.mark.parametrize("status", sorted(HELD))
def test_a_file_that_is_kept_open_is_refused_soon(status: int) -> None:
    """Within a fifth of a second, and with what it is."""
    busy = Busy(100, status)
    calls = Timed(busy)
    with pytest.raises(OSError) as failure:  # noqa: PT011 - its number is compared
        calls.stat_at(0, "f")
    assert failure.value.errno == (errno.EBUSY if status == DELETE_PENDING else errno.EACCES)
    assert busy.calls == 8
    assert 0.1 < calls.slept < 0.2


@pytest.mark.parametrize("status", sorted(BUSY))
@pytest.mark.parametrize("change", ["rename", "unlink"])
def test_a_change_that_the_system_refuses_for_the_moment_is_made(status: int, change: str) -> None:
    """What would be replaced is open (denied), or is mapped (cannot be deleted)."""
    busy = Busy(0, status, refused=3)
    calls = Timed(busy)
    if change == "rename":
        calls.rename(0, "f", 0, "g")
    else:
        calls.unlink(0, "f")
    assert busy.refused == 0
    assert 0 < calls.slept < 0.01


@pytest.mark.parametrize("status", [OBJECT_NAME_NOT_FOUND, ACCESS_DENIED])
def test_any_other_failure_is_not_tried_again(status: int) -> None:
    """An opening that is not permitted least of all: a tree may have thousands of such folders."""
    busy = Busy(1, status)
    with pytest.raises((FileNotFoundError, PermissionError)):
        Timed(busy).stat_at(0, "f")
    assert busy.calls == 1


ANSWERS = {
    ACCESS_DENIED: "denied",
    SHARING_VIOLATION: "denied",
    FILE_LOCK_CONFLICT: "denied",
    CANNOT_DELETE: "denied",
    DELETE_PENDING: "busy",
    OBJECT_NAME_INVALID: "bad-name",
    OBJECT_NAME_NOT_FOUND: "missing",
    0xC000003A: "missing",
    0xC0000123: "missing",
    OBJECT_NAME_COLLISION: "exists",
    FILE_IS_A_DIRECTORY: "is-directory",
    NOT_A_DIRECTORY: "not-a-file",
    DIRECTORY_NOT_EMPTY: "directory-not-empty",
    REPARSE_POINT_ENCOUNTERED: "symlink",
    0xC0000106: "bad-name",
    0xC000007F: "no-space",
    0xC0000044: "no-space",
    0xC00000A2: "read-only",
    0xC00000D4: "mount",
    0xC0000185: "io",
}
"""What Windows answers (STATUS_IO_DEVICE_ERROR last) -> the code of the refusal."""


@pytest.mark.parametrize("status", ANSWERS)
def test_what_windows_answers_is_refused_by_what_it_means(status: int) -> None:
    """As other systems' errors; the message is no number alone."""
    error = os_error(NtError(status), "f")
    answer = refused(CreateFile(name="f", content=""), "/srv/in", error)
    assert answer.code == ANSWERS[status]
    assert answer.errno == error.errno
    assert error.filename == "f"
    assert error.strerror


def test_a_manifest_that_is_a_second_name_is_not_written(tmp_path: Path) -> None:
    """Where a manifest is written in place (Windows), a hard link would lead out of the root."""
    from limpet.output import AppendToFile, Rotation
    from tests.output.system_calls import SystemCalls

    class InPlace(SystemCalls):
        replaces_open_files = False

    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.write_text("[]")
    root.mkdir()
    (root / ".limpet-rotation.log").hardlink_to(outside)
    with Output(root, calls=InPlace()) as out:
        rotation = Rotation(max_bytes=10)
        for text in ("first99\n", "second9\n"):
            answer: Done | Refused = out.perform(
                AppendToFile(name="log", content=text, rotation=rotation)
            )
            assert answer.ok
    assert outside.read_text() == "[]"
    assert (root / "log.1").read_text() == "first99\n"
