"""Drive the synchronous engine of a follower step by step, with a clock of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from limpet.following._file_io import FileIO
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_events import Appended, FollowEvent
from limpet.following._follow_options import FollowOptions

E = TypeVar("E", bound=FollowEvent)


class SteppedFileIO(FileIO):
    """The real disk, and a clock that a test moves."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Driven:
    """A follower without a shell."""

    def __init__(
        self,
        *paths: str | Path,
        io: SteppedFileIO | None = None,
        network: bool = False,
        begun: bool = True,
        **options: Any,
    ) -> None:
        self.io = io or SteppedFileIO()
        options.setdefault("start", "checkpoint" if "state" in options else "beginning")
        options.setdefault("fallback", "beginning")
        self.engine = FollowEngine(
            [str(path) for path in paths], FollowOptions(**options), io=self.io
        )
        if network:
            self.engine.state.network_paths = ("/",)
        self.events: list[FollowEvent] = []
        self.uncommitted: list[Appended] = []
        if begun:
            self.engine.start()

    def examine(self) -> None:
        self.engine.examine()

    def read(self, pieces: int = 1 << 30) -> list[FollowEvent]:
        """Read that many chunks, or everything; return the new events, which are also stored."""
        while pieces and self.engine.read():
            pieces -= 1
        new = self.engine.fetch()
        self.events += new
        self.uncommitted += [event for event in new if isinstance(event, Appended)]
        return new

    def catch_up(self) -> list[FollowEvent]:
        """Examine and read until no more lines come."""
        self.engine.examine()
        new = self.read()
        while True:
            self.engine.examine()
            more = self.read()
            new += more
            if not any(isinstance(event, Appended) for event in more):
                return new

    def wait(self, seconds: float) -> list[FollowEvent]:
        """Let time pass, examine and read."""
        self.io.now += seconds
        return self.catch_up()

    def commit(self) -> None:
        """Commit everything that was delivered."""
        for batch in self.uncommitted:
            batch.commit()
        self.uncommitted.clear()

    def save(self) -> None:
        self.engine.save()

    def kill(self) -> None:
        """End as a killed process does: nothing is saved, descriptors and lock are closed."""
        self.engine.close_files()
        if self.engine.store is not None:
            self.engine.store.close()

    def close(self) -> None:
        self.engine.close()

    def lines(self) -> list[str]:
        """Return every line so far."""
        return [line for event in self.of(Appended) for line in event.lines]

    def grouped(self) -> list[list[str]]:
        """Return every line so far, in one list for each run of lines of one generation."""
        groups: list[tuple[tuple[str, int], list[str]]] = []
        for event in self.of(Appended):
            key = (str(event.path), event.generation)
            if not groups or groups[-1][0] != key:
                groups.append((key, []))
            groups[-1][1].extend(event.lines)
        return [lines for _, lines in groups]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


def append(path: str | Path, data: str | bytes) -> None:
    with open(path, "ab") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write(path: str | Path, data: str | bytes) -> None:
    with open(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def deleted_descriptors(directory: Path) -> list[str]:
    """Return the deleted files below a directory that this process holds open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if name.startswith(str(directory)) and name.endswith("(deleted)"):
            found.append(name)
    return found
