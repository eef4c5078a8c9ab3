"""A small file of limpet's own is replaced as a whole, or it is as it was."""

import errno
import os
from pathlib import Path

import pytest

from limpet._atomic_file import replacing, write_atomic


def test_a_file_is_created_and_replaced_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The new content is there on return, and nothing else is in the directory."""
    path = tmp_path / "state"
    for content in (b"one", b"two"):
        write_atomic(path, content)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    """Whatever it raises."""
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def broken_off() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_whichever_call_fails_the_old_content_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk, a directory that may not be written to, a name that cannot be given."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    path = tmp_path / "state"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="no space"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_before_is_kept_under_another_name(tmp_path: Path) -> None:
    """The first write has none; each later one keeps the one before it."""
    path, before = tmp_path / "state", tmp_path / "state.prev"
    write_atomic(path, b"1", previous=str(before))
    assert not before.exists()
    for number in (b"2", b"3"):
        old = path.read_bytes()
        write_atomic(path, number, previous=str(before))
        assert (path.read_bytes(), before.read_bytes()) == (number, old)


def test_a_leftover_of_this_process_number_is_no_obstacle(tmp_path: Path) -> None:
    """In a container each run may have the number of the killed one."""
    leftover = tmp_path / f".limpet-state.{os.getpid()}.tmp"
    leftover.write_bytes(b"half")
    write_atomic(tmp_path / "state", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_name_of_full_length_has_room_for_its_temporary_file(tmp_path: Path) -> None:
    """255 bytes are a name's limit (NAME_MAX)."""
    for name in ("x" * 255, "é" * 127):
        write_atomic(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """It is not created here."""
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "state", b"")
