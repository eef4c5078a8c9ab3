"""Calls fail at random under many tasks: what was answered is what is on the disk."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import anyio
import pytest

from limpet.output import (
    AppendToFile,
    CreateFile,
    Done,
    Output,
    OutputLimits,
    OverwriteFile,
    Refused,
    Rotation,
)
from limpet.output._async_output import AsyncOutput
from tests.output.system_calls import SystemCalls
from tests.output.test_faults import CALLS
from tests.output.test_rotation import text_of
from tests.resources import Resources

pytestmark = pytest.mark.anyio

ERRNOS = sorted(errno.errorcode)
SEEDS = range(300 if os.environ.get("LIMPET_PROFILE") == "soak" else 6)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Chaos(SystemCalls):
    """Any call fails with any errno, now and then; also in the thread that packs."""

    def __init__(self, chance: random.Random, share: float) -> None:
        super().__init__()
        self.chance = chance
        self.share = share
        self.armed = False
        self.failed = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in CALLS or not self.armed:
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            if self.chance.random() >= self.share:
                return found(*arguments, **more)
            self.failed += 1
            if name == "close":  # Linux closes even when it says that it could not (close(2))
                found(*arguments)
            number = self.chance.choice(ERRNOS)
            raise OSError(number, os.strerror(number))

        return call


def records(root: Path) -> str:
    """Return all that the logs hold, of a rotated file its packed form if both are there."""
    found = ""
    for path in root.rglob("log*"):
        if path.suffix != ".gz" or not path.with_suffix("").exists():
            found += text_of(path)
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_answered_is_on_the_disk(tmp_path: Path, seed: int) -> None:
    """Done is there once, refused is not; doubt is reported; nothing is left open or over."""
    chance = random.Random(seed)
    calls = Chaos(chance, chance.choice([0.002, 0.01, 0.03]))
    rotation = Rotation(max_bytes=chance.choice([60, 300]), compress=seed % 3 > 0)
    output = Output(
        tmp_path,
        calls=calls,
        lock_timeout=0.3,
        durability=chance.choice(["none", "file", "full"]),
        limits=OutputLimits(max_total_bytes=10**9) if seed % 2 else OutputLimits(),
    )
    answers: dict[str, Any] = {}
    before = Resources()
    async with AsyncOutput(output) as out:
        calls.armed = True

        async def write(task: int) -> None:
            for n in range(20):
                key = f"<{task}.{n}>"
                options = chance.choice(
                    [{"rotation": rotation}, {"lock": True}, {"newline_guard": True}, {}]
                )
                name = chance.choice(["log", "log2", "d/log"])
                record = AppendToFile(name=name, content=f"{key}\n", **options)  # type: ignore[arg-type]
                answers[key] = await out.perform(record)
                await out.perform(OverwriteFile(name="whole", content=key * 9))
                await out.perform(CreateFile(name=f"new{task}.{n}", content=[b"a", b"b"]))

        async with anyio.create_task_group() as tasks:
            for task in range(4):
                tasks.start_soon(write, task)
        calls.armed = False
    assert calls.failed
    assert before.left() == []
    found = records(tmp_path)
    for key, answer in answers.items():
        if isinstance(answer, Done):
            assert found.count(key) == 1, answer
            continue
        assert isinstance(answer, Refused)
        assert answer.code != "internal"
        if answer.code != "durability" and "bytes of the record" not in answer.message:
            assert key not in found, answer
    for path in tmp_path.glob("new*"):
        assert path.read_bytes() == b"ab"
    whole = (tmp_path / "whole").read_text()
    assert whole == whole[: len(whole) // 9] * 9
    with Output(tmp_path):
        assert not list(tmp_path.rglob("*.tmp"))
