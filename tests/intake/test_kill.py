"""Processes that are killed, and several on one inbox: at least once, never two at a time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import until_sync

ROOT = Path(__file__).parents[2]


def start(folder: Path, form: str, attempts: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.intake.worker", folder, form, str(attempts)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def begun_jobs(folder: Path) -> int:
    return len(lines(folder / "begun"))


def begun_more(folder: Path, than: int) -> bool:
    return begun_jobs(folder) > than


def put(folder: Path, name: str) -> None:
    (folder / "new").write_text(name)
    (folder / "new").rename(folder / "in" / name)


@pytest.mark.timeout(120)
def test_killed_at_random_points_no_job_is_lost_or_done_twice(tmp_path: Path) -> None:
    """Two processes; one after the other is killed and started again while jobs come.

    Each job ends in one of the two folders, once; those that always fail in that for failures.
    """
    rng = random.Random(18)
    for folder in ("in", "locks"):
        (tmp_path / folder).mkdir()
    waiting = [f"{number:03d}{' bad' if number % 10 == 0 else ''}" for number in range(150)]
    everything, bad = sorted(waiting), [name for name in waiting if "bad" in name]
    forms = ["asyncio", "trio", "sync"]
    running = [start(tmp_path, "asyncio", 8), start(tmp_path, "sync", 8)]
    try:
        while waiting:
            before = begun_jobs(tmp_path)
            for _ in range(min(15, len(waiting))):
                put(tmp_path, waiting.pop())
            until_sync(partial(begun_more, tmp_path, before))
            time.sleep(rng.random() * 0.02)  # a random moment of its work
            victim = running.pop(0)
            victim.kill()
            victim.wait()
            running.append(start(tmp_path, forms[len(waiting) % 3], 8))
        until_sync(lambda: not names(tmp_path / "in"), lambda: str(names(tmp_path / "in")))
    finally:
        for one in running:
            one.kill()
            one.wait()
    done = names(tmp_path / "done")
    failed = [name for name in names(tmp_path / "failed") if not name.endswith(".error.txt")]
    assert sorted(done + failed) == everything
    assert set(bad) <= set(failed)
    assert {f"{name}.error.txt" for name in failed} <= set(names(tmp_path / "failed"))
    assert lines(tmp_path / "violations") == []
    assert set(done) <= set(lines(tmp_path / "ended"))
    begun = Counter(lines(tmp_path / "begun"))
    assert max(begun.values()) <= 8  # a try is written down before it begins
    assert len(done) > len(everything) / 2
    assert sum(begun[name] for name in done) < 2 * len(everything)


@pytest.mark.timeout(60)
def test_a_job_that_kills_its_process_ends_in_failed(tmp_path: Path) -> None:
    """The tries of a process that wrote nothing more are counted; the note says what happened."""
    for folder in ("in", "locks"):
        (tmp_path / folder).mkdir()
    put(tmp_path, "poison")
    program = (
        "import os, limpet\n"
        "box = limpet.inbox('in', done='done', failed='failed', attempts=2, settle=0.05)\n"
        "for job in box.sync():\n"
        "    with job:\n"
        "        os.abort() if job.path.name == 'poison' else os._exit(0)\n"
    )
    codes = []
    for number in range(3):
        if number == 2:
            put(tmp_path, "good")
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, stderr=-3, check=False)
        codes.append(done.returncode == 0)
    assert codes == [False, False, True]
    assert names(tmp_path / "failed") == ["poison", "poison.error.txt"]
    assert "left no error" in (tmp_path / "failed" / "poison.error.txt").read_text()


@pytest.mark.timeout(60)
def test_two_processes_share_the_tries_of_a_job(tmp_path: Path) -> None:
    """Each try is made by one of them, and there are no more than asked for."""
    for folder in ("in", "locks"):
        (tmp_path / folder).mkdir()
    running = [start(tmp_path, "asyncio", 3), start(tmp_path, "trio", 3)]
    try:
        for number in range(10):
            put(tmp_path, f"{number} bad")
            put(tmp_path, f"{number}")
        until_sync(lambda: not names(tmp_path / "in"), lambda: str(names(tmp_path / "in")))
    finally:
        for one in running:
            one.kill()
            one.wait()
    assert Counter(lines(tmp_path / "begun")) == {
        **{f"{number}": 1 for number in range(10)},
        **{f"{number} bad": 3 for number in range(10)},
    }
    assert lines(tmp_path / "violations") == []
    assert names(tmp_path / "done") == [f"{number}" for number in range(10)]
    assert len(names(tmp_path / "failed")) == 20
