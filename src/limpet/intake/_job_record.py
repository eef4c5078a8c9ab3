"""What is kept on disk of a job while it is at work: its lock and its tries.

The record is a small file in a hidden folder of the inbox, ``.limpet-inbox``. Whoever holds its
lock works on the job; the kernel releases the lock when the process ends, however it ends. The
record is removed with the lock held, so a lock counts only if the name still leads to the locked
file: else two processes could hold a lock each, one on the removed file and one on a new one.

A try is written down before it begins, so that a job that kills its process is counted. The record
is not synced: after a power cut the tries may begin again, and the job itself is in the inbox.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from typing import Any, Final, Literal, cast, get_args

from limpet._descriptors import close_reader
from limpet._exclusive_lock import lock_exclusively, unlock
from limpet._file_stat import identity_of
from limpet._shared_open import open_shared

FOLDER: Final = ".limpet-inbox"
"""In the inbox; the watch leaves out names that begin so, and it is removed when it is empty."""

Outcome = Literal["", "done", "failed", "copied"]
"""What was decided of a job that could not be put away: then only that is tried again. ``copied``:
it is in the other folder, and is still to be deleted here."""

_FLAGS: Final = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_MOST: Final = 1 << 16
_TRIES: Final = 100
"""How often a record is opened again that another process has just removed."""

Identity = tuple[int, ...]
"""Of a file: device, inode, time of its last change in nanoseconds, size. Of a folder: device and
inode."""


def identity_of_job(found: os.stat_result) -> Identity:
    """Return what stays the same until there is something else to process at a path."""
    if stat.S_ISDIR(found.st_mode):
        return identity_of(found)
    return (*identity_of(found), found.st_mtime_ns, found.st_size)


class JobRecord:
    """The locked record of one job, until ``forget`` or ``release``."""

    def __init__(self, path: str, name: str, fd: int) -> None:
        self._path = path
        self._name = name
        self._fd = fd
        self.attempts = 0
        """Tries that were begun."""
        self.identity: Identity = ()
        """What they were about."""
        self.due = 0.0
        """When the next try is due, unix seconds."""
        self.outcome: Outcome = ""
        self.error = ""
        """What the last try failed with, for the note."""
        self._read()

    def __del__(self) -> None:
        self._close()

    @property
    def fd(self) -> int:
        """Return the descriptor: a process that inherits it holds the lock, too."""
        return self._fd

    def facts(self) -> dict[str, Any]:
        """Return what the file has, for JSON."""
        return {
            "v": 1,
            "name": self._name,
            "attempts": self.attempts,
            "identity": self.identity,
            "due": self.due,
            "outcome": self.outcome,
            "error": self.error[:2000],
        }

    def take_over(self, facts: dict[str, Any]) -> None:
        """Take over what ``facts`` has returned; what is not of that form changes nothing."""
        try:
            attempts, due = int(facts["attempts"]), float(facts["due"])
            identity = tuple(int(one) for one in facts["identity"])
            outcome, error = facts["outcome"], str(facts["error"])
        except (ValueError, TypeError, KeyError, OverflowError):
            return
        if outcome not in get_args(Outcome):
            return
        self.attempts, self.due, self.identity = max(0, attempts), due, identity
        self.outcome, self.error = cast("Outcome", outcome), error

    def start_over(self, identity: Identity) -> None:
        """Record that something else is at the path now."""
        self.attempts, self.identity, self.due, self.outcome = 0, identity, 0.0, ""
        self.error = ""

    def save(self) -> None:
        """Write the record; one write of one block, which a kill does not divide.

        Raises:
            OSError: It could not be written; the lock holds all the same.
        """
        data = json.dumps(self.facts()).encode() + b"\n"
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, data)
        os.ftruncate(self._fd, len(data))

    def forget(self) -> None:
        """Remove the record and release the lock; the job is done with."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._close()

    def release(self) -> None:
        """Release the lock and keep the record: the job comes again."""
        self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                unlock(fd)
            close_reader(fd)

    def _read(self) -> None:
        """Take over what is in the file; a damaged one is as good as none."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found: Any = json.loads(os.read(self._fd, _MOST).partition(b"\n")[0])
            self.take_over(found)


def key_of(name: str) -> str:
    """Return what the record of a job is called."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def lock_record(folder: str, name: str) -> JobRecord | None:
    """Return the locked record of a job; ``None`` if another process or task works on it.

    Args:
        folder: The inbox.
        name: Path of the job below it.

    Raises:
        OSError: The record cannot be created, or its file system has no locks.
    """
    home = os.path.join(folder, FOLDER)
    path = os.path.join(home, f"{key_of(name)}.job")
    for _ in range(_TRIES):
        try:
            _check_folder(home)
            fd = open_shared(path, _FLAGS, follow=False)
        except FileNotFoundError:
            if not os.path.isdir(folder):
                raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(home)
            continue
        except PermissionError:
            if os.name == "posix":
                raise
            return None  # of Windows: it is being removed by the process that holds it
        try:
            lock_exclusively(fd)
            if _is_at(path, fd):
                return JobRecord(path, name, fd)
        except BlockingIOError:
            close_reader(fd)
            return None
        except FileNotFoundError:
            pass  # the folder is gone
        except BaseException:
            close_reader(fd)
            raise
        close_reader(fd)
    return None


def _check_folder(home: str) -> None:
    """Verify that nobody has put a symlink in the place of the folder.

    RACE: one that comes between this and the opening leads to an empty file where it points.
    """
    if not stat.S_ISDIR(os.lstat(home).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder: remove it", home)


def remove_unwritten(path: str) -> None:
    """Remove a record in which nothing is, of a process that was killed before it wrote."""
    with contextlib.suppress(OSError):
        fd = open_shared(path, _FLAGS & ~os.O_CREAT, follow=False)
        try:
            lock_exclusively(fd)
            if _is_at(path, fd) and os.fstat(fd).st_size == 0:
                os.unlink(path)
        finally:
            close_reader(fd)


def remove_folder(folder: str) -> bool:
    """Remove the folder of the records, if it is empty; return whether there is none now."""
    try:
        os.rmdir(os.path.join(folder, FOLDER))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _is_at(path: str, fd: int) -> bool:
    try:
        return identity_of(os.lstat(path)) == identity_of(os.fstat(fd))
    except FileNotFoundError:
        return False
