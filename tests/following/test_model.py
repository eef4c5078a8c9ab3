"""Whatever happens to a log, and whenever it is examined: what could be seen is delivered.

Random operations on a real tree, passes and reads at random moments, kills, and a model of the
lines that a follower can have seen. A line is owed once a pass has found its file. What is emptied
before it was read is forgiven, and must be reported as lost.
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from limpet.following._file_io import SHORTAGE
from limpet.following._follow_events import Appended, Gap, Truncated
from tests.following.driver import Driven
from tests.following.hostile_io import HostileIO

SEEDS = 3000 if os.environ.get("LIMPET_PROFILE") == "soak" else 150
STEPS = 60


@dataclass(eq=False)
class File:
    """Content that is written by one writer, from one emptying to the next."""

    name: str
    lines: list[str] = field(default_factory=list)
    """Whole lines written, those of the one it replaced and that it holds too included."""
    partial: str = ""
    count: int = 0


@dataclass(eq=False)
class Inode:
    """A file on disk with its writer's descriptor."""

    fd: int
    content: File
    paths: set[str]
    continued: bool = False
    """It began with what another held."""
    successor: Inode | None = None
    """What began with what this one held."""


class Model:
    """A log, what becomes of it, and what a follower owes."""

    def __init__(self, directory: Path, *, rotated: bool, linked: bool) -> None:
        self.random = random.Random(0)
        self.directory = directory / "logs"
        self.directory.mkdir(parents=True)
        self.path = str(self.directory / "app.log")
        self.state = directory / "state"
        self.rotated = rotated
        self.linked = linked
        self.inodes: list[Inode] = []
        self.current: Inode | None = None
        self.numbers = 0
        self.clock = time.time_ns() - 3_600_000_000_000
        self.noticed: set[Inode] = set()
        self.owed: list[str] = []
        self.forgiven: set[str] = set()
        self.first_of: dict[str, str] = {}
        self.delivered: list[str] = []
        self.counted: dict[str, int] = {}
        self.may_repeat: Counter[str] = Counter()
        """How often a line may come again."""
        self.saved: set[str] = set()
        self.committed: set[str] = set()
        self.constraints: list[tuple[set[str], File]] = []
        self.log: list[str] = []
        self.reported_lost = 0
        self.lost = 0
        self.io = HostileIO()
        self.driven: Driven | None = None
        self.begin()

    # -- the follower --------------------------------------------------------------------------

    def begin(self) -> None:
        more: dict[str, Any] = {"rotated": "app.log.*"} if self.rotated else {}
        self.driven = Driven(
            self.path, io=self.io, state=self.state, linger=1e9, safety=1.0, **more
        )
        self.notice()

    def begin_badly(self, kind: str) -> None:
        """Begin while something is not as it should be; then it is again."""
        dice = self.random
        away = f"{self.directory}-away"
        match kind:
            case "device":
                self.io.device += 1
            case "failing":
                self.io.errno = dice.choice(ERRNOS)
                self.io.skip, self.io.failures = dice.randint(0, 20), dice.choice((1, 3, 1 << 30))
            case "absent":
                os.rename(self.directory, away)
            case "rotating" if self.rotated:
                self.io.skip, self.io.then = dice.randint(0, 20), self.rotate_and_create
            case "shifting" if self.rotated:
                self.io.skip, self.io.then = dice.randint(0, 20), self.shift
        self.begin()
        assert self.driven is not None
        if kind == "absent":
            self.read(1 << 30)
            self.driven.examine()
            os.rename(away, self.directory)
        self.io.calm()
        for _ in range(2):  # what failed is tried again each second
            self.io.now += 1.1
            self.examine()

    def fail_once(self) -> None:
        """Let a pass and a read fail; nothing happens to the log until the next pass."""
        if self.driven is None:
            return
        self.io.errno = self.random.choice(ERRNOS)
        self.io.skip, self.io.failures = self.random.randint(0, 20), self.random.randint(1, 9)
        self.driven.examine()
        self.read(self.random.randint(0, 3))
        self.io.calm()
        if self.io.errno in SHORTAGE:  # a deleted file that is read may be closed to make room
            held = {fd for file in self.driven.engine.state.held if (fd := file.fd) is not None}
            inodes = {os.fstat(fd).st_ino for fd in held}
            self.noticed = {
                inode
                for inode in self.noticed
                if inode.paths or os.fstat(inode.fd).st_ino in inodes
            }
        for _ in range(2):
            self.io.now += 1.1
            self.examine()

    def examine(self) -> None:
        assert self.driven is not None
        self.driven.examine()
        self.notice()

    def notice(self) -> None:
        """Note that what exists now can be seen from now on."""
        reachable = list(self.noticed)
        if self.rotated:
            reachable += [i for i in self.inodes if i not in self.noticed and i.paths]
        if self.current is not None and self.current not in self.noticed:
            before = {
                line
                for inode in reachable
                if inode is not self.current
                for line in inode.content.lines
                if line not in self.counted
            }
            if not self.current.continued:
                self.constraints.append((before, self.current.content))
            reachable.append(self.current)
        for inode in reachable:
            self.noticed.add(inode)
            self.owed += [line for line in inode.content.lines if line not in self.owed]

    def read(self, pieces: int) -> None:
        assert self.driven is not None
        for event in self.driven.read(pieces):
            if isinstance(event, Appended):
                for line in event.lines:
                    self.take(line, complete=event.complete)
            elif isinstance(event, Truncated):
                self.reported_lost += event.lost
            elif isinstance(event, Gap):
                self.reported_lost += event.bytes

    def take(self, line: str, *, complete: bool) -> None:
        if not complete:
            self.reported_lost += len(line)  # the beginning of what is emptied next
            return
        self.delivered.append(line)
        self.counted[line] = self.counted.get(line, 0) + 1
        if self.counted[line] > 1:
            assert self.may_repeat[line] > 0, f"{line!r} came again"
            self.may_repeat[line] -= 1

    def commit(self) -> None:
        assert self.driven is not None
        batches = self.driven.uncommitted
        cut = self.random.randint(0, len(batches))
        for batch in batches[:cut]:
            batch.commit()
            self.committed.update(batch.lines if batch.complete else ())
        del batches[:cut]

    def save(self) -> None:
        assert self.driven is not None
        self.driven.save()
        self.saved = set(self.committed)

    def down(self, *, clean: bool) -> None:
        """Kill or close it; operations go on meanwhile."""
        assert self.driven is not None
        if clean:
            self.driven.close()
            self.saved = set(self.committed)
        else:
            self.driven.kill()
        self.driven = None
        for line in set(self.counted) - self.saved:
            self.may_repeat[line] = max(1, self.may_repeat[line])
        self.noticed = {
            inode
            for inode in self.noticed
            if inode.paths and (self.rotated or self.path in inode.paths)
        }
        self.committed = set(self.saved)
        self.constraints.clear()
        self.unreachable()
        self.lost = min(self.lost, self.reported_lost)  # it was not examined any more

    def unreachable(self) -> None:
        """Owe nothing that cannot be seen any more."""
        seen = {line for inode in self.noticed for line in inode.content.lines}
        self.forgiven |= {line for line in self.owed if line not in seen}

    # -- what happens to the log ---------------------------------------------------------------

    def file(self) -> File:
        self.numbers += 1
        return File(f"f{self.numbers}")

    def create(self, lines: int = 0) -> None:
        if os.path.lexists(self.path):
            return
        self.make(self.path, self.file())
        self.append(lines)

    def make(self, path: str, content: File) -> Inode:
        target = path
        if self.linked and path == self.path:
            target = str(self.directory / f"data-{content.name}")
            os.symlink(target, path + ".link")
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self.date(fd)
        if target != path:
            os.replace(path + ".link", path)
        inode = Inode(fd, content, {path})
        self.inodes.append(inode)
        if path == self.path:
            if self.current is not None:
                self.current.paths.discard(self.path)
            self.current = inode
        return inode

    def append(self, lines: int, inode: Inode | None = None, *, partial: bool = False) -> None:
        inode = inode or self.current
        if inode is None:
            return
        content = inode.content
        if lines and inode.successor is not None and inode.successor not in self.noticed:
            # the successor does not hold all of it any more: that it is one cannot be known
            self.may_repeat.update({*inode.successor.content.lines, *content.lines})
        text = ""
        for _ in range(lines):
            content.count += 1
            line = f"{content.name}-{content.count}."
            line = (line * 100)[: self.random.choice((len(line), 20, 50, 900))]
            rest = line if not content.partial else content.partial[-1] + "-end"
            if content.partial:
                content.lines.append(content.partial + rest)
                content.partial = ""
            else:
                content.lines.append(line)
            text += rest + "\n"
        if partial and not content.partial:
            content.count += 1
            content.partial = f"{content.name}-{content.count}."
            text += content.partial
        os.write(inode.fd, text.encode())
        self.date(inode.fd)

    def date(self, fd: int) -> None:
        """Files are put in order by their dates, and the clock of a file system ticks slowly."""
        self.clock += 10_000_000
        os.utime(fd, ns=(self.clock, self.clock))

    def rotate(self) -> None:
        if self.current is None or self.linked:
            return
        self.numbers += 1
        name = f"{self.path}.{self.numbers}"
        os.rename(self.path, name)
        self.current.paths = {name}
        if self.driven is None and not self.rotated:
            self.noticed.discard(self.current)
            self.unreachable()
        self.current = None

    def rotate_and_create(self) -> None:
        self.rotate()
        self.create(self.random.randint(0, 3))

    def shift(self) -> None:
        """Give each rotated file the next number, as logrotate and RotatingFileHandler do."""
        if not self.rotated:
            return
        numbered = [
            (int(path.rpartition(".")[2]), inode)
            for inode in self.inodes
            for path in inode.paths
            if path != self.path
        ]
        for number, inode in sorted(numbered, key=lambda one: -one[0]):
            os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            inode.paths = {f"{self.path}.{number + 1}"}
        self.numbers += 1

    def shift_while_examined(self) -> None:
        self.io.skip, self.io.then = self.random.randint(0, 12), self.shift
        if self.driven is not None:
            self.driven.examine()
        self.io.calm()
        if self.driven is not None:
            self.examine()

    def unlink(self) -> None:
        if self.current is not None:
            os.unlink(self.path)
            self.gone(self.current)

    def gone(self, inode: Inode) -> None:
        inode.paths.discard(self.path)
        if self.current is inode:
            self.current = None
        if self.driven is None and not inode.paths:
            self.noticed.discard(inode)
            self.unreachable()

    def truncate(self, inode: Inode, *, copied: bool = False) -> None:
        """Empty it; what was in it and not read is forgiven, unless it was copied."""
        old = inode.content
        undelivered = [line for line in old.lines if line not in self.counted]
        if self.driven is None:
            undelivered = [line for line in old.lines if line not in self.saved]
        if not copied:
            if inode in self.noticed and self.driven is not None:
                self.lost += sum(len(line) + 1 for line in undelivered if line in self.owed)
            self.forgiven.update(undelivered)
        os.ftruncate(inode.fd, 0)
        inode.content = self.file()

    def copytruncate(self) -> None:
        if self.current is None or self.linked:
            return
        self.numbers += 1
        name = f"{self.path}.{self.numbers}"
        with open(self.path, "rb") as file:
            data = file.read()
        with open(name, "wb") as file:
            file.write(data)
        content = File(f"{self.current.content.name}copy", list(self.current.content.lines))
        content.partial = self.current.content.partial
        fd = os.open(name, os.O_WRONLY | os.O_APPEND)
        self.date(fd)
        self.inodes.append(Inode(fd, content, {name}))
        self.truncate(self.current, copied=self.rotated)

    def replace(self, *, continued: bool) -> None:
        if self.current is None or self.linked:
            return
        old = self.current
        content = self.file()
        if continued:
            if not old.content.lines or old.content.partial:
                return
            content = File(old.content.name, list(old.content.lines), count=old.content.count)
        temporary = str(self.directory / "temporary")
        text = "".join(line + "\n" for line in content.lines)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        fd = os.open(temporary, os.O_WRONLY | os.O_APPEND)
        inode = Inode(fd, content, {self.path}, continued)
        self.inodes.append(inode)
        os.replace(temporary, self.path)
        old.paths.discard(self.path)
        self.current = inode
        if continued and self.driven is None:
            self.noticed.add(inode)
        self.gone(old)
        self.append(self.random.randint(1, 3))
        if continued:
            old.successor = inode
            self.numbers += (
                1  # the writer that still has the old file writes other lines from now on
            )
            old.content = File(f"{old.content.name}late{self.numbers}", list(old.content.lines))

    def swap(self) -> None:
        if not self.linked or self.current is None:
            return
        old = self.current
        self.make(self.path, self.file())
        self.gone(old)
        self.append(self.random.randint(0, 4))

    def move_directory(self) -> None:
        if self.current is None:
            return
        self.numbers += 1
        os.rename(self.directory, f"{self.directory}-{self.numbers}")
        self.directory.mkdir()
        for inode in self.inodes:
            if inode.paths:
                inode.paths = set()
                if inode not in self.noticed:
                    self.forgiven.update(inode.content.lines)
        self.current = None
        if self.driven is None:
            self.noticed.clear()
            self.unreachable()

    # -- at random -----------------------------------------------------------------------------

    def step(self, operation: str, seed: int) -> None:
        dice = self.random = random.Random(seed)
        self.log.append(operation)
        few = dice.randint(0, 4)
        match operation:
            case "append":
                self.append(few)
            case "partial":
                self.append(few, partial=True)
            case "rotate":
                self.rotate()
                if few:
                    self.create(few)
            case "create":
                self.create(few)
            case "late":
                held = [i for i in self.inodes if i in self.noticed and i is not self.current]
                if held:
                    self.append(few, dice.choice(held))
            case "truncate":
                if self.current is not None:
                    self.truncate(self.current)
                    self.append(few)
            case "regrow":
                if self.current is not None:
                    size = os.fstat(self.current.fd).st_size
                    self.truncate(self.current)
                    while os.fstat(self.current.fd).st_size <= size:
                        self.append(5)
            case "copytruncate":
                self.copytruncate()
                self.append(few)
            case "unlink":
                self.unlink()
            case "recreate":
                self.unlink()
                self.create(few)
            case "replace" | "continue":
                self.replace(continued=operation == "continue")
            case "swap":
                self.swap()
            case "move":
                if few == 0:
                    self.move_directory()
            case "shift":
                self.shift()
            case "shift_while_examined":
                self.shift_while_examined()
            case "fail":
                self.fail_once()
            case "begin_badly":
                if self.driven is None:
                    self.begin_badly(dice.choice(BAD_BEGINNINGS))
            case _:
                if self.driven is None:
                    if operation in {"examine", "catch_up"}:
                        self.begin()
                    return
                self.follow(operation, few)

    def follow(self, operation: str, few: int) -> None:
        match operation:
            case "examine":
                self.examine()
            case "read":
                self.read(few)
            case "catch_up":
                self.catch_up()
            case "commit":
                self.commit()
            case "save":
                self.save()
            case "kill" | "close":
                self.down(clean=operation == "close")

    def catch_up(self) -> None:
        self.examine()
        self.read(1 << 30)
        self.examine()
        self.read(1 << 30)
        self.check()

    def check(self) -> None:
        missing = [
            line for line in self.owed if line not in self.counted and line not in self.forgiven
        ]
        assert missing == []
        places: dict[str, int] = {}
        for at, line in enumerate(self.delivered):
            places.setdefault(line, at)
        for before, after in self.constraints:
            first = min((places[line] for line in after.lines if line in places), default=None)
            if first is not None:
                late = [x for x in before - self.forgiven if places.get(x, first + 1) > first]
                assert late == [], "the old file's lines come before the new one's"
        self.constraints.clear()
        assert self.reported_lost >= self.lost

    def finish(self) -> None:
        if self.driven is None:
            self.begin()
        self.catch_up()
        if self.driven is not None:
            self.driven.close()
        for inode in self.inodes:
            os.close(inode.fd)


OPERATIONS = """
append append append append partial rotate rotate create create late late truncate regrow
copytruncate unlink recreate replace continue swap move
examine examine examine examine read read read
catch_up catch_up commit commit save kill close
shift shift_while_examined fail begin_badly begin_badly
""".split()
BAD_BEGINNINGS = ["device", "failing", "absent", "rotating", "shifting"]
"""What a start can find other than the run before left it."""
ERRNOS = [
    errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ENOMEM,
]  # fmt: skip

Plan = list[tuple[str, int]]


def plan_of(seed: int) -> Plan:
    dice = random.Random(seed)
    return [(dice.choice(OPERATIONS), dice.randrange(1 << 30)) for _ in range(STEPS)]


def carry_out(plan: Plan, directory: Path, kind: str) -> None:
    directory.mkdir()
    model = Model(directory, rotated=kind == "rotated", linked=kind == "linked")
    try:
        for operation, seed in plan:
            model.step(operation, seed)
        model.finish()
    except BaseException as error:
        error.add_note(f"after {' '.join(model.log)}")
        raise


@pytest.mark.parametrize("kind", ["plain", "rotated", "linked"])
def test_nothing_is_lost_or_delivered_twice(tmp_path: Path, kind: str) -> None:
    """Every line that could be seen comes, in order, once; after a kill since the last save."""
    for seed in range(SEEDS):
        try:
            carry_out(plan_of(seed), tmp_path / str(seed), kind)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
