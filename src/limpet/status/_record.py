"""Where a running program can be reached: a record that others find, and that ends with it.

Each program that listens writes ``listen.json`` into its state folder, and one into a folder of
this user, ``$XDG_STATE_HOME/limpet/running``. Beside the latter is a file that the program has
locked: the kernel frees it however the program ends, so a record that is left over is known by it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from limpet._atomic_file import write_atomic
from limpet._file_lock import FileLock
from limpet.errors import UsageError

_NAME: Final = "listen.json"
_LONGEST: Final = 1 << 16
"""Bytes of a record that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where one program can be reached."""

    address: str
    """``http://127.0.0.1:9000`` or ``unix:/run/bot.sock``."""
    pid: int
    program: str
    name: str
    instance: str
    state_dir: str = ""
    file: str = ""
    """The file of a bot or an agent, absolute."""
    token_file: str = ""
    """The file with the token that acting needs; only its owner can read it."""


def running_dir() -> Path:
    """Return the folder with the records of this user's programs."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    else:
        home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "limpet" / "running"


def default_state_dir(file: str | os.PathLike[str]) -> Path:
    """Return the state directory of a bot: the same for the same file, another for another.

    It is ``STATE_DIRECTORY``, as systemd sets it, or a directory below ``XDG_STATE_HOME``.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    whole = os.path.abspath(file)
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    mark = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return Path(home) / "limpet" / f"{Path(whole).stem}-{mark}"


def record_in(state_dir: str | os.PathLike[str]) -> Record | None:
    """Return the record in a state folder; ``None`` if there is none that can be read.

    In the folder of an agent's spool it is ``SPOOL.listen.json``; of several the first by name.

    The program may have ended since: its address is kept for its next start.
    """
    folder = Path(state_dir)
    try:
        others = sorted(folder.glob(f"*.{_NAME}"))
    except OSError:
        others = []
    return next(filter(None, map(_read, (folder / _NAME, *others))), None)


def token_of(record: Record) -> str:
    """Return the token of a program.

    Raises:
        UsageError: Its file cannot be read: another user's program, or one that has ended.
    """
    try:
        return Path(record.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        message = (
            f"cannot read the token of {record.name!r} in {record.token_file!r}: "
            f"{error.strerror or error}; act as the user that runs it"
        )
        raise UsageError(message) from error


def running() -> list[Record]:
    """Return the programs of this user that run and listen, by name; leftovers are removed."""
    folder, found = running_dir(), []
    with contextlib.suppress(OSError):
        for entry in sorted(os.listdir(folder)):
            if not entry.endswith(".json"):
                continue
            path = folder / entry
            if _is_alive(path):
                record = _read(path)
                if record is not None:
                    found.append(record)
    return sorted(found, key=lambda one: (one.name, one.program, one.pid))


class Announcement:
    """The records of this program, there until ``close`` or its end.

    A user without a home that can be written, such as one of a service, has no record in it; the
    one in the state folder is enough to find the program by.
    """

    def __init__(
        self, state_dir: Path | None, *, pid: int, instance: str, prefix: str = ""
    ) -> None:
        """Choose where they are; nothing is written before ``publish``.

        Args:
            state_dir: The state folder, if the program has one.
            pid: Its process.
            instance: Of this start.
            prefix: Before the names in a state folder that several programs may share.
        """
        self._path = running_dir() / f"{pid}-{instance}.json"
        self._in_state = None if state_dir is None else state_dir / f"{prefix}{_NAME}"
        own = self._path.with_suffix(".token")
        self.token_file: Path | None = own if state_dir is None else state_dir / f"{prefix}token"
        """Where the token is; ``None`` once it is known that it has no place."""
        self._lock: FileLock | None = None
        self.trouble = ""
        """Why there is no record in the folder of the user."""

    @property
    def previous(self) -> Record | None:
        """The record of the last start in this state folder."""
        return None if self._in_state is None else _read(self._in_state)

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OSError: The state folder cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            self.trouble = str(error)
            if self._in_state is None:
                self.token_file = None
        if self._in_state is not None:
            self._in_state.parent.mkdir(parents=True, exist_ok=True)

    def publish(self, record: Record) -> None:
        """Write the records.

        Raises:
            OSError: The one in the state folder cannot be written.
        """
        self.prepare()
        data = json.dumps(asdict(record)).encode()
        if self._in_state is not None:
            write_atomic(self._in_state, data, durable=False)
        if self.trouble:
            return
        try:
            self._lock = FileLock(self._path.with_suffix(".lock"))
            write_atomic(self._path, data, durable=False)
        except OSError as error:
            self.trouble = str(error)

    def close(self) -> None:
        """Remove the record from the user's folder; the one in the state folder stays."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        lock.close()
        _remove(self._path)
        if self._in_state is None and self.token_file is not None:
            with contextlib.suppress(OSError):
                self.token_file.unlink(missing_ok=True)


def _is_alive(path: Path) -> bool:
    """Return whether the program of a record runs; the record of one that does not is removed."""
    try:
        lock = FileLock(path.with_suffix(".lock"))
    except BlockingIOError:
        return True
    except OSError:
        return False
    lock.close()
    _remove(path)
    with contextlib.suppress(OSError):
        path.with_suffix(".token").unlink(missing_ok=True)
    return False


def _remove(path: Path) -> None:
    for one in (path, path.with_suffix(".lock")):
        with contextlib.suppress(OSError):
            one.unlink(missing_ok=True)


def _read(path: Path) -> Record | None:
    try:
        with open(path, "rb") as file:
            wire = json.loads(file.read(_LONGEST))
        return Record(**dict(_known(wire)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _known(wire: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for one in fields(Record):
        value = wire.get(one.name)
        if value is not None:
            if type(value) is not (int if one.name == "pid" else str):
                message = f"{one.name} is {value!r}"
                raise TypeError(message)
            yield one.name, value
