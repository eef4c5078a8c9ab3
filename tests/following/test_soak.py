"""A log that is written and rotated in every way, and a follower that is killed all the time."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from limpet.following._checkpoint import decode

PROGRAM = textwrap.dedent(
    """
    import os, sys, limpet
    out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
    options = {"state": sys.argv[3], "rotated": "app.log.*", "fallback": "beginning"}
    with limpet.follow(sys.argv[1], linger=1.0, **options).sync() as follower:
        for batch in follower.batches():
            head = b"#%d\\n" % batch.generation
            os.write(out, head + (batch.data if batch.complete else b"partial\\n"))
    """
)
KINDS = ("rename", "late", "twice", "copytruncate", "replace")
PATIENCE = 60
STEP = 40
"""Lines of one write, at most."""


class Appender(threading.Thread):
    """Writes numbered lines, and rotates the log in every way that leaves them somewhere."""

    def __init__(self, path: Path, seed: int, often: float) -> None:
        super().__init__()
        self.often = often
        self.kinds: tuple[str, ...] = KINDS
        self.path = str(path)
        self.random = random.Random(seed)
        self.lines = 0
        self.late = 0
        self.rotations: dict[str, int] = {}
        self.ended = threading.Event()
        self.number = 0
        self.error: BaseException | None = None
        self.file: IO[bytes] = open(self.path, "ab", buffering=0)
        self.old: list[tuple[float, IO[bytes]]] = []

    def run(self) -> None:
        try:
            while not self.ended.wait(self.random.choice((0.0, 0.001, 0.003))):
                self.append()
                if self.random.random() < self.often:
                    self.rotate()
                self.write_late()
        except BaseException as error:
            self.error = error
        finally:
            for _, file in self.old:
                file.close()
            self.file.close()

    def append(self) -> None:
        data = b""
        for _ in range(self.random.randint(1, STEP)):
            self.lines += 1
            data += b"m%d%s\n" % (self.lines, b"." * self.random.choice((0, 10, 200)))
        cut = self.random.randint(0, len(data))
        self.file.write(data[:cut])  # in two parts: lines are seen half written
        self.file.write(data[cut:])

    def write_late(self) -> None:
        now = time.monotonic()
        while self.old and self.old[0][0] < now:
            self.old.pop(0)[1].close()
        if self.old and self.random.random() < 0.3:
            self.late += 1
            self.random.choice(self.old)[1].write(b"l%d\n" % self.late)

    def rotate(self) -> None:
        kind = self.random.choice(self.kinds)
        self.rotations[kind] = self.rotations.get(kind, 0) + 1
        self.number += 1
        name = f"{self.path}.{self.number:05}"
        match kind:
            case "copytruncate":
                shutil.copyfile(self.path, name)
                os.ftruncate(self.file.fileno(), 0)
                return
            case "replace":  # as an editor, or rsync: the same and more under the same name
                temporary = f"{self.path}-new"
                shutil.copyfile(self.path, temporary)
                self.file.close()
                self.file = open(temporary, "ab", buffering=0)
                self.append()
                os.replace(temporary, self.path)
                return
        os.rename(self.path, name)
        old = self.file
        self.file = open(self.path, "ab", buffering=0)
        if kind == "late":
            self.old.append((time.monotonic() + 0.4, old))
            return
        old.close()
        if kind == "twice":
            self.append()
            self.number += 1
            os.rename(self.path, f"{self.path}.{self.number:05}")
            self.file.close()
            self.file = open(self.path, "ab", buffering=0)


class Run:
    """The follower's process, killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "out"
        self.state = directory / "state"
        self.out.touch()
        self.argv = [
            sys.executable, "-c", PROGRAM, str(directory / "logs" / "app.log"), str(self.out),
            str(self.state),
        ]  # fmt: skip
        self.process = self.spawn()
        self.kills = 0
        self.bounds: list[set[int]] = []
        """For each kill, the lines that may not come again: they were written, and committed, well
        before the state was saved last."""
        self.began = 0
        """Bytes of output before this run."""
        self.samples: list[tuple[float, int]] = []

    def spawn(self) -> subprocess.Popen[bytes]:
        with self.out.open("ab") as file:
            file.write(b"run\n")
        return subprocess.Popen(self.argv)

    def live(self, seconds: float) -> None:
        """Let it run, and remember what it had written when."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.samples.append((time.time(), self.out.stat().st_size))
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        with self.out.open("rb+") as file:  # a write is broken off by a kill, too
            if not file.read().endswith(b"\n"):
                file.write(b"torn\n")
        saved = decode(self.state.read_bytes()).saved if self.state.exists() else 0.0
        size = max((size for at, size in self.samples if at < saved - 0.3), default=self.began)
        with self.out.open("rb") as file:
            file.seek(self.began)
            numbers = re.findall(rb"(?m)^m(\d+)\.*\n", file.read(size - self.began))
        # of the batches that were being worked on nothing is known
        self.bounds.append({int(number) for number in numbers[: -10 * STEP]})
        self.began = self.out.stat().st_size
        self.samples.clear()
        self.process = self.spawn()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def soak(directory: Path, seconds: float, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
    (directory / "logs").mkdir()
    often = min(0.05, 0.4 / seconds)  # some hundred files in all: they are never removed
    appender = Appender(directory / "logs" / "app.log", seed, often)
    appender.kinds = kinds
    run = Run(directory)
    dice = random.Random(seed + 1)
    try:
        while not run.state.exists():
            run.live(0.02)
        appender.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run.live(dice.uniform(0.4, 1.6))
            run.kill()
        appender.ended.set()
        appender.join()
        assert appender.error is None
        last = time.monotonic() + PATIENCE
        expected = {b"m%d" % n for n in range(1, appender.lines + 1)}
        expected |= {b"l%d" % n for n in range(1, appender.late + 1)}
        while True:
            text = run.out.read_bytes()
            missing = expected - {line.rstrip(b".") for line in text.split(b"\n")}
            if not missing:
                break
            assert time.monotonic() < last, (len(missing), sorted(missing)[:5], appender.rotations)
            run.live(0.1)
    finally:
        appender.ended.set()
        appender.join()
        run.close()
    check(text, run)
    assert set(appender.rotations) == set(kinds)


def check(text: bytes, run: Run) -> None:
    """In order within a file, each once in a run; after a kill from the last saved position."""
    runs = [
        [line.rstrip(b".") for line in one.split(b"\n") if line]
        for one in re.split(rb"(?m)^run\n", text)
    ][1:]
    assert len(runs) == run.kills + 1
    for number, lines in enumerate(runs):
        numbers = []
        file: list[int] = []
        files: dict[bytes, list[int]] = {}
        for line in lines:
            if line[:1] == b"#":
                file = files.setdefault(line, [])
            elif line[:1] == b"m" and not line.endswith(b"torn"):
                numbers.append(int(line[1:]))
                file.append(numbers[-1])
        assert len(set(numbers)) == len(numbers), "twice in one run"
        assert all(file == sorted(file) for file in files.values()), "out of order"
        if number:
            assert not run.bounds[number - 1] & set(numbers), "saved, and came again"


def test_nothing_is_lost(tmp_path: Path) -> None:
    """Every line at least once, in order; again only after a kill, and only what was not saved.

    A copy under way when the follower is killed may be delivered beside what it was copied from, on
    a machine that hardly gets to copying: copytruncate is for the long soak, which says so.
    """
    kinds = tuple(kind for kind in KINDS if kind != "copytruncate")
    soak(tmp_path, 8.0, seed=random.randrange(1 << 30), kinds=kinds)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_in_minutes(tmp_path: Path, seed: int) -> None:
    """The same for long."""
    soak(tmp_path, 120.0, seed)
