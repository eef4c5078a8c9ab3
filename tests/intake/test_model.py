"""Random work on one inbox by two cores, with kills between any two steps, against a model.

Each file has a text of its own. In the end each text that nobody replaced or deleted is in one
place: in ``done`` if its job was left normally, in ``failed`` if all its tries failed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from limpet.intake import InboxOptions
from limpet.intake._intake import Claim, Intake
from limpet.intake._put_away import put_away

ATTEMPTS = 3
NAMES = ["a", "b.txt", "c", "ж"]
OPTIONS = InboxOptions(settle=0, backoff=0, attempts=ATTEMPTS, concurrency=2)


class World:
    """An inbox, the processes that work on it, and what is to be expected."""

    def __init__(self, place: Path, rng: random.Random) -> None:
        self.place, self.rng = place, rng
        (place / "in").mkdir()
        self.cores = [self.start(), self.start()]
        self.open: list[tuple[int, Claim, str]] = []
        self.there: dict[str, str] = {}
        """Name -> text of the file that was put there last, if nobody deleted it."""
        self.lost: set[str] = set()
        """Texts that were replaced or deleted by somebody else."""
        self.succeeded: set[str] = set()
        self.tries: dict[str, int] = {}
        """Text -> tries that were begun and not given back."""
        self.count = 0

    def start(self) -> Intake:
        core = Intake(self.place / "in", self.place / "done", self.place / "failed", OPTIONS)
        core.open()
        for name in sorted(os.listdir(self.place / "in")):
            core.add(name, is_held=True)
        return core

    def put(self) -> None:
        name = self.rng.choice(NAMES)
        self.count += 1
        text = f"{self.count}"
        self.forget(name)
        (self.place / "new").write_text(text)
        (self.place / "new").replace(self.place / "in" / name)
        self.there[name] = text
        for core in self.cores:
            core.add(name)

    def delete(self) -> None:
        name = self.rng.choice(NAMES)
        if (self.place / "in" / name).exists():
            self.forget(name)
            (self.place / "in" / name).unlink()

    def forget(self, name: str) -> None:
        text = self.there.pop(name, None)
        if text is not None and (self.place / "in" / name).exists():
            self.lost.add(text)

    def take(self) -> None:
        number = self.rng.randrange(2)
        self.cores[number].advance()
        claim = self.cores[number].pop()
        if claim is None:
            return
        assert claim.name not in [one.name for _, one, _ in self.open]
        assert self.cores[number].enter(claim)
        text = Path(claim.path).read_text()
        self.tries[text] = self.tries.get(text, 0) + 1
        assert claim.attempt == self.tries[text] <= ATTEMPTS
        self.open.append((number, claim, text))

    def end(self) -> None:
        if not self.open:
            return
        number, claim, text = self.open.pop(self.rng.randrange(len(self.open)))
        error = self.rng.choice([None, ValueError(text), KeyboardInterrupt()])
        same = self.there.get(claim.name) == text
        if error is None and same:
            self.succeeded.add(text)
        self.cores[number].end(claim, error)
        if isinstance(error, KeyboardInterrupt):
            self.tries[text] -= 1

    def kill(self) -> None:
        """End a process as the kernel does: its locks are released, and nothing else happens."""
        number = self.rng.randrange(2)
        for _, claim, _ in [one for one in self.open if one[0] == number]:
            claim.record.release()
        self.open = [one for one in self.open if one[0] != number]
        self.cores[number] = self.start()

    def finish(self) -> None:
        for _ in range(400):
            self.take()
            if self.open:
                number, claim, text = self.open.pop()
                self.succeeded.add(text)
                self.cores[number].end(claim, None)
            if not os.listdir(self.place / "in"):
                return
        pytest.fail(f"still there: {os.listdir(self.place / 'in')}")


def texts(folder: Path) -> list[str]:
    if not folder.exists():
        return []
    files = [one for one in folder.iterdir() if one.is_file()]
    return sorted(one.read_text() for one in files if "error.txt" not in one.name)


@pytest.mark.parametrize("seed", range(20 if os.name == "posix" else 4))
def test_each_file_ends_in_one_place(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done, replaced, deleted, cancelled and killed, in whatever order."""
    monkeypatch.setattr("limpet.intake._intake._BUSY_S", 0.0)
    rng = random.Random(seed)
    world = World(tmp_path, rng)
    steps = [world.put, world.take, world.take, world.end, world.end, world.delete, world.kill]
    for _ in range(120):
        rng.choices(steps, [3, 4, 4, 3, 3, 1, 1])[0]()
    world.finish()
    done, failed = texts(tmp_path / "done"), texts(tmp_path / "failed")
    ended = done + failed
    assert len(ended) == len(set(ended))
    everything = {str(number) for number in range(1, world.count + 1)}
    assert everything - world.lost <= set(ended)
    assert set(done) <= world.succeeded
    assert all(world.tries[text] == ATTEMPTS for text in failed)
    assert len(list((tmp_path / "failed").glob("*.error.txt"))) == len(failed)


def test_a_file_that_comes_while_its_name_is_put_away_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event is taken while the job of the file before it still counts as open."""
    (tmp_path / "in").mkdir()
    core = Intake(tmp_path / "in", tmp_path / "done", tmp_path / "failed", OPTIONS)

    def put(text: str) -> None:
        (tmp_path / "in" / "f").write_text(text)
        core.add("f")
        core.advance()

    def then_put(*given: Any, **more: Any) -> str:
        moved = put_away(*given, **more)
        monkeypatch.setattr("limpet.intake._intake.put_away", put_away)
        put("two")
        return moved

    monkeypatch.setattr("limpet.intake._intake.put_away", then_put)
    put("one")
    claim = core.pop()
    assert claim is not None
    core.end(claim, None)
    core.advance()
    assert core.pop() is not None
    assert texts(tmp_path / "done") == ["one"]
    assert texts(tmp_path / "in") == ["two"]
