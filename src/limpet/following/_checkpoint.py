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
import stat
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from limpet._atomic_file import check_writable, write_atomic
from limpet._file_lock import FileLock, holder_of
from limpet._state_access import rename_aside, state_error
from limpet.errors import (
    CheckpointBusyError,
    CheckpointCorruptError,
    UsageError,
)
from limpet.following._position import Position
from limpet.following._rotated_files import Delivered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FORMAT: Final = "limpet-follow"
_VERSION: Final = 3
_READABLE: Final = (2, 3)
_HEADER: Final = b'{"format":"limpet-follow"'
"""How every version of the file begins: by this it is known to be limpet's own."""
MISSING_S: Final = 7 * 86400.0
"""How long a path that is not followed is remembered, in seconds: it may come back."""


@dataclass(slots=True)
class SavedFile:
    """One file and how far it is acknowledged."""

    position: Position
    size: int
    """Bytes that were known to be in it."""
    name: str
    since: float | None
    """When it was last found, unix seconds; ``None`` is the time of the checkpoint."""
    gone: bool = False
    """It was deleted: once the process that held it open has ended, it cannot be found again."""
    reported: bool = False
    """That it is missing was reported, or nothing of it is missing."""
    was_active: bool = False
    """The path led to it."""


@dataclass(slots=True)
class SavedPath:
    """What is saved of one path."""

    files: list[SavedFile] = field(default_factory=list)
    """Oldest first."""
    known: list[tuple[int, int | None]] = field(default_factory=list)
    """Inode and inode generation of delivered files under ``rotated``, as version 2 has them."""


@dataclass(slots=True)
class Checkpoint:
    """Everything that is saved."""

    next_number: int = 1
    saved: float = 0.0
    """When it was saved, unix seconds."""
    paths: dict[str, SavedPath] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)
    """What was asked for: a path that matches one of them and is not in ``paths`` came later."""
    known: dict[str, list[Delivered]] = field(default_factory=dict)
    """Delivered files by the pattern of ``rotated``: see ``_rotated_files``."""


class CheckpointStore:
    """A state file, locked while it is open."""

    def __init__(self, path: Path, durability: str) -> None:
        self.path = path
        self.saves = 0
        self._durable = durability == "fsync"
        self._lock: FileLock | None = None
        self._target = os.fspath(path)

    def open(self) -> None:
        """Take the lock; what is not limpet's own is refused and left as it is.

        A missing directory is created.

        Raises:
            UsageError: There is a directory, or a file of another program.
            CheckpointBusyError: Another follower holds it; nothing was changed.
            StateFileError: It cannot be read, or no file can be created beside it.
        """
        path = os.fspath(self.path)
        self._target = os.path.realpath(path)  # a symlink stays what it is
        try:
            for name in (self._target, f"{self._target}.prev"):
                _check_own(name)
            os.makedirs(os.path.dirname(self._target), exist_ok=True)
            check_writable(self._target)
            self._lock = FileLock(f"{self._target}.lock")
        except BlockingIOError as error:
            who = holder_of(f"{self._target}.lock")
            message = (
                f"the state file {path!r} is in use by another follower{who}: give each its own, "
                "or follow both paths with one"
            )
            raise CheckpointBusyError(message) from error
        except OSError as error:
            raise state_error(path, error) from error

    @property
    def names(self) -> frozenset[str]:
        """The state file and what is kept beside it."""
        own = {os.fspath(self.path), self._target}
        return frozenset(f"{name}{end}" for name in own for end in ("", ".prev", ".lock"))

    def load(self) -> tuple[Checkpoint | None, list[tuple[str, str | None]]]:
        """Return what was saved last, and what was wrong with newer files: (why, renamed to).

        A damaged file is renamed. ``None`` means that nothing was ever saved, or that no file can
        be read.
        """
        troubles: list[tuple[str, str | None]] = []
        for name in (self._target, f"{self._target}.prev"):
            try:
                with open(name, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise state_error(name, error) from error
            try:
                return decode(data), troubles
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                troubles.append((f"{os.path.basename(name)}: {error}", _set_aside(name)))
        return None, troubles

    def save(self, content: bytes) -> None:
        """Replace what is saved by what ``encode`` made; a reader sees the old or the new content.

        Raises:
            StateFileError: The previous checkpoint is still saved.
        """
        target = self._target
        try:
            write_atomic(target, content, durable=self._durable, previous=f"{target}.prev")
        except OSError as error:
            raise state_error(os.fspath(self.path), error) from error
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


def _check_own(name: str) -> None:
    """Check that a file may be replaced: there is none, or its content shows that it is limpet's.

    Raises:
        UsageError: It is something else, and stays as it is.
        OSError: It cannot be read.
    """
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            message = f"cannot keep the state in {name!r}: it is {kind}; give the name of a file"
            raise UsageError(message)
        with open(name, "rb") as file:
            begin = file.read(len(_HEADER))
    except FileNotFoundError:
        return
    # a power cut may leave nothing, or NULs, where a file was being written
    if begin[: len(_HEADER)] != _HEADER[: len(begin)] and begin.strip(b"\0"):
        message = (
            f"cannot keep the state in {name!r}: it is a file of another program, and was not "
            "changed; give another name, or remove it"
        )
        raise UsageError(message)


def _set_aside(name: str) -> str | None:
    """Rename a damaged file; return its new name, ``None`` if it could not be renamed."""
    try:
        return rename_aside(name, "corrupt")
    except OSError:
        return None


# -- the format ------------------------------------------------------------------------------------


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the content of the file."""
    return encode_parts(
        checkpoint.next_number,
        checkpoint.saved,
        checkpoint.patterns,
        (encode_known(pattern, known) for pattern, known in checkpoint.known.items()),
        (encode_path(path, one.files) for path, one in checkpoint.paths.items()),
    )


def encode_parts(
    next_number: int,
    saved: float,
    patterns: Iterable[str],
    known: Iterable[str],
    paths: Iterable[str],
) -> bytes:
    """Return the content of the file, of parts that ``encode_known`` and ``encode_path`` made."""
    head = {
        "format": _FORMAT,
        "v": _VERSION,
        "saved": saved,
        "next": next_number,
        "patterns": [_encode_name(pattern) for pattern in patterns],
    }
    begin = json.dumps(head, separators=(",", ":"))[:-1]
    line = f'{begin},"known":{{{",".join(known)}}},"paths":{{{",".join(paths)}}}}}'.encode()
    return line + b"\nb2:" + _sum(line) + b"\n"


def encode_known(pattern: str, known: Iterable[Delivered]) -> str:
    """Return the part about one pattern of rotated files."""
    return f"{json.dumps(_encode_name(pattern))}:{json.dumps(list(known), separators=(',', ':'))}"


def encode_path(path: str, files: Iterable[SavedFile]) -> str:
    """Return the part about one path."""
    entries = json.dumps([_encode_file(file) for file in files], separators=(",", ":"))
    return f'{json.dumps(_encode_name(path))}:{{"files":{entries}}}'


def decode(data: bytes) -> Checkpoint:
    """Return what ``encode`` was given; version 2, of limpet before ``patterns``, is read as well.

    Raises:
        ValueError: The content is damaged, or of another program.
    """
    line, _, trailer = data.partition(b"\n")
    if trailer != b"b2:" + _sum(line) + b"\n":
        message = "its checksum is wrong"
        raise ValueError(message)
    whole = json.loads(line)
    if whole.get("format") != _FORMAT or whole.get("v") not in _READABLE:
        message = "it was written by another version of limpet"
        raise ValueError(message)
    made = Checkpoint(whole["next"], whole["saved"])
    for path, one in whole["paths"].items():
        files = [_decode_file(file, whole["saved"]) for file in one["files"]]
        if files and one.get("active"):
            files[-1].was_active = True
        known = [(inode, inode_generation) for inode, inode_generation in one.get("known", ())]
        made.paths[_decode_name(path)] = SavedPath(files, known)
    made.patterns = [_decode_name(pattern) for pattern in whole.get("patterns", ())]
    for pattern, known in whole.get("known", {}).items():
        made.known[_decode_name(pattern)] = [Delivered(*one) for one in known]
    return made


def _sum(line: bytes) -> bytes:
    return blake2b(line, digest_size=8).hexdigest().encode()


def _encode_name(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "b64:" + base64.b64encode(os.fsencode(path)).decode()
    return path


def _decode_name(path: str) -> str:
    return os.fsdecode(base64.b64decode(path[4:])) if path.startswith("b64:") else path


def _encode_file(file: SavedFile) -> dict[str, Any]:
    position = file.position
    since = {} if file.since is None else {"since": file.since}
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
        "name": _encode_name(file.name),
        **since,
        "gone": file.gone,
        "reported": file.reported,
        "active": file.was_active,
    }


def _decode_file(file: dict[str, Any], saved: float) -> SavedFile:
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
        _decode_name(file["name"]),
        file.get("since", saved),
        file["gone"],
        file.get("reported", False),
        file.get("active", False),
    )
