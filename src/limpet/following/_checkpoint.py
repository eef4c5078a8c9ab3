"""The state file: what was committed, so that the next run goes on from there.

One line of JSON and a checksum, written beside the old one and renamed over it, which is kept as
``.prev``: whatever a kill or a power cut leaves of one of them, the other is whole. The older one
repeats lines and loses none. A lock beside it keeps a second process out: two that shared a state
would overwrite each other's.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import sys
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from limpet.errors import CheckpointBusyError, CheckpointCorruptError
from limpet.following._position import Position

if TYPE_CHECKING:
    from pathlib import Path

    from limpet.following._rotation import Known

__all__ = ["Checkpoint", "CheckpointStore", "SavedFile", "SavedPath"]

_FORMAT: Final = "limpet-follow"
_VERSION: Final = 1
_KEEP_S: Final = 7 * 86400.0
"""How long a file that is nowhere to be found is remembered: it may come back."""
_MOST: Final = 64
"""Files remembered for one path that are read to their end."""
_MOST_KNOWN: Final = 1000


@dataclass(slots=True)
class SavedFile:
    """One file and how far it is committed."""

    position: Position
    size: int
    """Bytes it was known to have."""
    name: str
    since: float
    """When it was last found, unix seconds."""
    gone: bool = False
    """It was deleted already: after the end of the process that held it nobody has it."""


@dataclass(slots=True)
class SavedPath:
    """What is kept of one path."""

    entries: list[SavedFile] = field(default_factory=list)
    """Oldest first; the last one stood at the path, if ``active``."""
    active: bool = False
    known: list[tuple[int, int | None]] = field(default_factory=list)
    """Inode and inode generation of files under ``rotated`` that are delivered."""


@dataclass(slots=True)
class Checkpoint:
    """All that is kept."""

    next_number: int = 1
    saved: float = 0.0
    targets: dict[str, SavedPath] = field(default_factory=dict)


def encode(checkpoint: Checkpoint) -> bytes:
    """Give the file's content."""
    targets = {
        _encode_path(path): {
            "active": one.active,
            "known": [list(known) for known in one.known],
            "files": [_encode_entry(entry) for entry in one.entries],
        }
        for path, one in ((path, bound(one)) for path, one in checkpoint.targets.items())
    }
    line = json.dumps(
        {
            "format": _FORMAT,
            "v": _VERSION,
            "saved": checkpoint.saved,
            "next": checkpoint.next_number,
            "targets": targets,
        },
        separators=(",", ":"),
    ).encode()
    return line + b"\nb2:" + _sum(line) + b"\n"


def bound(saved: SavedPath) -> SavedPath:
    """Keep no more files than must be: of those that are read to their end only that they are."""
    entries, known = saved.entries, list(saved.known)
    kept = []
    for at, one in enumerate(entries):
        if at >= len(entries) - _MOST or one.size > one.position.offset:
            kept.append(one)
        else:
            known.append((one.position.inode, one.position.inode_generation))
    return SavedPath(kept, saved.active, known[-_MOST_KNOWN:])


def decode(data: bytes) -> Checkpoint:
    """Read it back.

    Raises:
        ValueError: It is not whole, or not ours.
    """
    line, _, trailer = data.partition(b"\n")
    if trailer != b"b2:" + _sum(line) + b"\n":
        message = "its checksum is wrong"
        raise ValueError(message)
    whole = json.loads(line)
    if whole.get("format") != _FORMAT or whole.get("v") != _VERSION:
        message = "it is no state of this version of limpet"
        raise ValueError(message)
    made = Checkpoint(whole["next"], whole["saved"])
    for path, one in whole["targets"].items():
        made.targets[_decode_path(path)] = SavedPath(
            [_decode_entry(entry) for entry in one["files"]],
            one["active"],
            [(inode, inode_generation) for inode, inode_generation in one["known"]],
        )
    return made


def known_of(known: dict[tuple[int, int], Known]) -> list[tuple[int, int | None]]:
    """Give what is kept of files that are delivered."""
    return [(identity[1], inode_generation) for identity, (inode_generation, _) in known.items()]


class CheckpointStore:
    """A state file, locked for as long as it is open."""

    def __init__(self, path: Path, durability: str) -> None:
        """Know the path; see ``open``."""
        self.path = path
        self.saves = 0
        self._durability = durability
        self._lock: int | None = None

    def open(self) -> None:
        """Take the lock, and remove what a killed process left.

        Raises:
            CheckpointBusyError: Another follower holds it; nothing was changed.
            OSError: The folder is not there, or cannot be written to.
        """
        lock = os.open(f"{os.fspath(self.path)}.lock", os.O_RDWR | os.O_CREAT | _CLOEXEC, 0o600)
        try:
            _take(lock)
        except OSError as error:
            os.close(lock)
            if error.errno not in {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}:
                raise
            message = (
                f"the state file {os.fspath(self.path)!r} is in use by another follower: give each "
                "its own, or follow both paths with one"
            )
            raise CheckpointBusyError(message) from error
        self._lock = lock

    def load(self) -> tuple[Checkpoint | None, list[tuple[str, str | None]]]:
        """Give what was saved last, and what was wrong with newer ones: (why, kept as).

        A damaged file is put aside. ``None`` is that nothing was ever saved, or that no file of
        those there were can be read.
        """
        troubles: list[tuple[str, str | None]] = []
        for name in (os.fspath(self.path), f"{os.fspath(self.path)}.prev"):
            try:
                with open(name, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                continue
            try:
                return decode(data), troubles
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                kept: str | None = f"{name}.corrupt"
                number = 1
                while os.path.lexists(kept or ""):
                    number += 1
                    kept = f"{name}.corrupt-{number}"
                try:
                    os.replace(name, kept or "")
                except OSError:
                    kept = None
                troubles.append((f"{os.path.basename(name)}: {error}", kept))
        return None, troubles

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace what is saved; whoever reads it sees the old or the new.

        Raises:
            OSError: What was saved before still is.
        """
        target = os.fspath(self.path)
        temporary = f"{target}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o600)
        try:
            data = memoryview(encode(checkpoint))
            while data:
                data = data[os.write(fd, data) :]
            if self._durability == "fsync":
                os.fsync(fd)
        except BaseException:
            os.close(fd)
            os.unlink(temporary)
            raise
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{target}.prev")
        with contextlib.suppress(OSError):  # no file yet, or no hard links here
            os.link(target, f"{target}.prev")
        os.replace(temporary, target)
        if self._durability == "fsync":
            _sync_folder(os.path.dirname(target) or ".")
        self.saves += 1

    def close(self) -> None:
        """Give the lock back; the lock file stays, for removing it would let two have it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _take(lock: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: str) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems do not sync folders
            os.fsync(fd)
    finally:
        os.close(fd)


def _sum(line: bytes) -> bytes:
    return blake2b(line, digest_size=8).hexdigest().encode()


def _encode_path(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "b64:" + base64.b64encode(os.fsencode(path)).decode()
    return path


def _decode_path(path: str) -> str:
    return os.fsdecode(base64.b64decode(path[4:])) if path.startswith("b64:") else path


def _encode_entry(entry: SavedFile) -> dict[str, Any]:
    position = entry.position
    return {
        "n": position.generation,
        "dev": position.device,
        "ino": position.inode,
        "inode_generation": position.inode_generation,
        "size": entry.size,
        "off": position.offset,
        "head": list(position.head),
        "tail": list(position.tail),
        "enc": position.encoding,
        "skip": position.skipping,
        "name": _encode_path(entry.name),
        "since": entry.since,
        "gone": entry.gone,
    }


def _decode_entry(entry: dict[str, Any]) -> SavedFile:
    return SavedFile(
        Position(
            generation=entry["n"],
            offset=entry["off"],
            device=entry["dev"],
            inode=entry["ino"],
            inode_generation=entry["inode_generation"],
            head=(entry["head"][0], entry["head"][1]),
            tail=(entry["tail"][0], entry["tail"][1]),
            encoding=entry["enc"],
            skipping=entry["skip"],
        ),
        entry["size"],
        _decode_path(entry["name"]),
        entry["since"],
        entry["gone"],
    )


def corrupt(path: Path) -> CheckpointCorruptError:
    """Make the error for a state of which no version can be read."""
    return CheckpointCorruptError(
        f"neither the state file {os.fspath(path)!r} nor the one before it can be read; both are "
        "kept beside it: remove them to begin anew, or set on_corrupt='start'"
    )
