"""AddressSanitizer and UBSan find nothing, whatever the kernel hands in."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.speedups.building import HATCH_BUILD, ROOT, can_compile

SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all -g -O1"
ROUNDS = 200_000 if os.environ.get("LIMPET_PROFILE") == "soak" else 400


def library(name: str) -> str:
    """Return where the compiler has a library of sanitizers, or "" if it has none."""
    done = subprocess.run(
        [*HATCH_BUILD._compiler(), f"-print-file-name={name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = done.stdout.strip()
    return found if done.returncode == 0 and os.path.isabs(found) else ""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not can_compile() or shutil.which(HATCH_BUILD._compiler()[0]) is None:
        pytest.skip("no C compiler or no headers of Python")
    if not library("libasan.so"):
        pytest.skip("the compiler has no AddressSanitizer")
    made = tmp_path_factory.mktemp("sanitized") / "_speedups.abi3.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", SANITIZE)
        HATCH_BUILD.compile_speedups(ROOT, made, load=False)
    return made


def fuzz(made: Path, seed: int, rounds: int) -> subprocess.CompletedProcess[str]:
    env = {
        "LD_PRELOAD": library("libasan.so"),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps what it has to its end
        "PYTHONMALLOC": "malloc",  # each object is a block that the sanitizer knows
        "LIMPET_SPEEDUPS": "0",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-m", "tests.speedups.fuzz", str(made), str(seed), str(rounds)]
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.timeout(3600)
def test_random_and_damaged_input(sanitized: Path) -> None:
    """No read beyond a buffer, no arithmetic that C leaves open; and the results are Python's."""
    seed = random.randrange(1 << 32)
    done = fuzz(sanitized, seed, ROUNDS)
    assert (done.returncode, done.stdout) == (0, "done\n"), f"seed {seed}\n{done.stderr[-4000:]}"


def test_the_sanitizer_is_at_work(tmp_path: Path, sanitized: Path) -> None:
    """The same source with one comparison taken out of it is found out."""
    source = tmp_path / HATCH_BUILD.FOLDER / "_speedups.c"
    source.parent.mkdir(parents=True)
    text = (ROOT / HATCH_BUILD.FOLDER / "_speedups.c").read_text(encoding="utf-8")
    guard = "if (head.head < FAN_HEAD || head.head > head.length || head.length > left)"
    assert guard in text
    source.write_text(text.replace(guard, "if (head.head < FAN_HEAD)"), encoding="utf-8")
    made = tmp_path / "_speedups.abi3.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", SANITIZE)
        HATCH_BUILD.compile_speedups(tmp_path, made, load=False)
    done = fuzz(made, 1, 400)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
