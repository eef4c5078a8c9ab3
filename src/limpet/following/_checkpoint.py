"""The state file: what is acknowledged, so that the next run continues from there.

It is one line of JSON and a checksum. A save replaces the file atomically and keeps the previous
one as ``.prev``: whatever a kill or a power cut does to one of them, the other is whole. The
previous one repeats lines and loses none. A lock file keeps a second process out: two followers
that share a state would overwrite each other's.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from limpet._atomic_file import write_atomic
from limpet._file_lock import FileLock
from limpet.errors import CheckpointBusyError, CheckpointCorruptError
from limpet.following._position import Position

if TYPE_CHECKING:
    from pathlib import Path

_FORMAT: Final = "limpet-follow"
_VERSION: Final = 2
MISSING_S: Final = 7 * 86400.0
"""How long a path that is not followed is remembered, in seconds: it may come back."""
_MAX_FINISHED: Final = 64
"""Files of one path that are read to their end and still have an entry, at most."""
_MAX_KNOWN: Final = 1000


@dataclass(slots=True)
class SavedFile:
    """One file and how far it is acknowledged."""

    position: Position
    size: int
    """Bytes that were known to be in it."""
    name: str
    since: float
    """When it was last found, unix seconds."""
    gone: bool = False
    """It was deleted: once the process that held it open has ended, it cannot be found again."""


@dataclass(slots=True)
class SavedPath:
    """What is saved of one path."""

    files: list[SavedFile] = field(default_factory=list)
    """Oldest first; the path led to the last one, if ``active``."""
    active: bool = False
    known: list[tuple[int, int | None]] = field(default_factory=list)
    """Inode and inode generation of files under ``rotated`` that are delivered."""

    def bounded(self) -> SavedPath:
        """Return a copy without the positions of older files that are read to their end.

        Of those only the fact that they are delivered is kept.
        """
        known, kept = list(self.known), []
        for at, one in enumerate(self.files):
            if at >= len(self.files) - _MAX_FINISHED or one.size > one.position.offset:
                kept.append(one)
            else:
                known.append((one.position.inode, one.position.inode_generation))
        return SavedPath(kept, self.active, known[-_MAX_KNOWN:])


@dataclass(slots=True)
class Checkpoint:
    """Everything that is saved."""

    next_number: int = 1
    saved: float = 0.0
    """When it was saved, unix seconds."""
    paths: dict[str, SavedPath] = field(default_factory=dict)


class CheckpointStore:
    """A state file, locked while it is open."""

    def __init__(self, path: Path, durability: str) -> None:
        self.path = path
        self.saves = 0
        self._durable = durability == "fsync"
        self._lock: FileLock | None = None

    def open(self) -> None:
        """Take the lock.

        Raises:
            CheckpointBusyError: Another follower holds it; nothing was changed.
            OSError: The directory does not exist, or cannot be written to.
        """
        try:
            self._lock = FileLock(f"{os.fspath(self.path)}.lock")
        except BlockingIOError as error:
            message = (
                f"the state file {os.fspath(self.path)!r} is in use by another follower: give each "
                "its own, or follow both paths with one"
            )
            raise CheckpointBusyError(message) from error

    def load(self) -> tuple[Checkpoint | None, list[tuple[str, str | None]]]:
        """Return what was saved last, and what was wrong with newer files: (why, renamed to).

        A damaged file is renamed. ``None`` means that nothing was ever saved, or that no file can
        be read.
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
                troubles.append((f"{os.path.basename(name)}: {error}", _set_aside(name)))
        return None, troubles

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace what is saved; a reader sees the old or the new content.

        Raises:
            OSError: The previous checkpoint is still saved.
        """
        target = os.fspath(self.path)
        write_atomic(target, encode(checkpoint), durable=self._durable, previous=f"{target}.prev")
        self.saves += 1

    def close(self) -> None:
        """Release the lock; may be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def corrupt_error(self) -> CheckpointCorruptError:
        """Return the error for a state of which no version can be read."""
        return CheckpointCorruptError(
            f"neither the state file {os.fspath(self.path)!r} nor the one before it can be read; "
            "both are kept under other names: remove them to start without a checkpoint, or set "
            "on_corrupt='start'"
        )


def _set_aside(name: str) -> str | None:
    """Rename a damaged file; return its new name, ``None`` if it could not be renamed."""
    kept, number = f"{name}.corrupt", 1
    while os.path.lexists(kept):
        number += 1
        kept = f"{name}.corrupt-{number}"
    try:
        os.replace(name, kept)
    except OSError:
        return None
    return kept


# -- the format ------------------------------------------------------------------------------------


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the content of the file."""
    paths = {
        _encode_path(path): {
            "active": one.active,
            "known": [list(known) for known in one.known],
            "files": [_encode_file(file) for file in one.files],
        }
        for path, one in ((path, one.bounded()) for path, one in checkpoint.paths.items())
    }
    line = json.dumps(
        {
            "format": _FORMAT,
            "v": _VERSION,
            "saved": checkpoint.saved,
            "next": checkpoint.next_number,
            "paths": paths,
        },
        separators=(",", ":"),
    ).encode()
    return line + b"\nb2:" + _sum(line) + b"\n"


def decode(data: bytes) -> Checkpoint:
    """Return what ``encode`` was given.

    Raises:
        ValueError: The content is damaged, or of another program.
    """
    line, _, trailer = data.partition(b"\n")
    if trailer != b"b2:" + _sum(line) + b"\n":
        message = "its checksum is wrong"
        raise ValueError(message)
    whole = json.loads(line)
    if whole.get("format") != _FORMAT or whole.get("v") != _VERSION:
        message = "it was written by another version of limpet"
        raise ValueError(message)
    made = Checkpoint(whole["next"], whole["saved"])
    for path, one in whole["paths"].items():
        made.paths[_decode_path(path)] = SavedPath(
            [_decode_file(file) for file in one["files"]],
            one["active"],
            [(inode, inode_generation) for inode, inode_generation in one["known"]],
        )
    return made


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


def _encode_file(file: SavedFile) -> dict[str, Any]:
    position = file.position
    return {
        "n": position.generation,
        "dev": position.device,
        "ino": position.inode,
        "igen": position.inode_generation,
        "size": file.size,
        "off": position.offset,
        "head": list(position.head),
        "tail": list(position.tail),
        "enc": position.encoding,
        "skip": position.skipping,
        "name": _encode_path(file.name),
        "since": file.since,
        "gone": file.gone,
    }


def _decode_file(file: dict[str, Any]) -> SavedFile:
    return SavedFile(
        Position(
            generation=file["n"],
            offset=file["off"],
            device=file["dev"],
            inode=file["ino"],
            inode_generation=file["igen"],
            head=(file["head"][0], file["head"][1]),
            tail=(file["tail"][0], file["tail"][1]),
            encoding=file["enc"],
            skipping=file["skip"],
        ),
        file["size"],
        _decode_path(file["name"]),
        file["since"],
        file["gone"],
    )
