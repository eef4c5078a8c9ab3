"""Where the work is done, how much of it, and the programs that do it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._watchers import ROOT

FOLDERS = 10
"""Folders the work of one round is spread over."""

PHASES = ("create", "append", "rename", "delete")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How much is done."""

    rounds: int
    folders: int
    files: int
    growth: tuple[int, ...]
    """Files of the trees that show how set-up grows, ten to a folder; done in the first round."""
    rate: int
    """Operations a second in the paced work."""
    paced: int
    """Operations of each kind in it."""
    flat: int
    """Operations of each kind flat out."""
    latency: int
    """Single creations, and single appends, in an idle tree."""
    load: int
    """Marked changes while another folder is worked on."""
    idle: float
    """Seconds of looking at an idle watcher."""
    gather: tuple[float, ...]
    """Seconds that hints are gathered at most; done in the first round."""
    many: tuple[int, ...]
    """Locations watched in one process; done in the first round."""
    starts: int
    """Times each program is started in a round."""
    foreign: bool = False
    """Whether programs that are no Python packages take part, in the first round."""


PROFILES = {
    "short": Profile(
        rounds=1,
        folders=2_000,
        files=20_000,
        growth=(1_000, 10_000),
        rate=4_000,
        paced=2_000,
        flat=5_000,
        latency=15,
        load=15,
        idle=1.0,
        gather=(0.0, 0.014, 0.05),
        many=(1, 10, 100),
        starts=3,
    ),
    "full": Profile(
        rounds=5,
        folders=20_000,
        files=200_000,
        growth=(1_000, 10_000, 100_000, 1_000_000),
        rate=4_000,
        paced=8_000,
        flat=43_750,
        latency=40,
        load=40,
        idle=20.0,
        gather=(0.0, 0.002, 0.005, 0.014, 0.03, 0.05, 0.1),
        many=(1, 10, 100, 1_000),
        starts=3,
        foreign=True,
    ),
    "figures": Profile(
        rounds=5,
        folders=20_000,
        files=200_000,
        growth=(1_000, 10_000, 1_000_000),
        rate=4_000,
        paced=4_000,
        flat=20_000,
        latency=30,
        load=25,
        idle=5.0,
        gather=(0.0, 0.002, 0.005, 0.014, 0.03, 0.05, 0.1),
        many=(1, 10, 100, 1_000),
        starts=2,
    ),
    "smoke": Profile(
        rounds=1,
        folders=20,
        files=100,
        growth=(100, 200),
        rate=2_000,
        paced=50,
        flat=50,
        latency=2,
        load=2,
        idle=0.1,
        gather=(0.0, 0.05),
        many=(1, 2),
        starts=1,
    ),
}
"""``figures`` is what the targets need, in half an hour; ``smoke`` only shows that everything runs:
its figures mean nothing."""


class Bench:
    """The folder everything happens in, and the programs that make the work."""

    def __init__(self, base: Path, profile: Profile) -> None:
        """Build the C programs where there is a compiler."""
        self.base = base
        self.profile = profile
        base.chmod(0o755)
        compiler = shutil.which("gcc") or shutil.which("cc")
        self.compiled = compiler is not None
        self.producer = [sys.executable, str(ROOT / "benchmarks" / "producer.py")]
        self.limit: Path | None = None
        self.walk: Path | None = None
        if compiler is not None:
            self.producer = [str(self._build(compiler, "producer.c"))]
            if sys.platform == "linux":
                self.limit = self._build(compiler, "drivers/limit.c")
                self.walk = self._build(compiler, "drivers/walk.c")

    def _build(self, compiler: str, source: str) -> Path:
        program = self.base / Path(source).stem
        path = ROOT / "benchmarks" / source
        subprocess.run([compiler, "-O2", "-o", str(program), str(path)], check=True)
        return program

    def tree(self, folders: int, files: int) -> Path:
        """Return a tree of that size, listed once so that the system knows it; it is kept."""
        tree = self.base / f"tree-{files}"
        if not tree.exists():
            tree.mkdir()
            self.produce("tree", tree, folders, files)
            for _ in os.walk(tree):
                pass
        return tree

    def produce(self, what: str, root: Path, folders: int, count: int, rate: int = 0) -> float:
        """Do the work and return the seconds it took."""
        done = subprocess.run(
            self.command(what, root, folders, count, rate), check=True, capture_output=True
        )
        return float(done.stdout)

    def command(self, what: str, root: Path, folders: int, count: int, rate: int) -> list[str]:
        """Return the command that does the work."""
        return [*self.producer, what, str(root), str(folders), str(count), str(rate)]

    @contextmanager
    def place(self, *names: str) -> Iterator[Path]:
        """Make a folder with folders and files of these names; remove it after the block."""
        place = self.base / "place"
        for number in range(FOLDERS):
            (place / f"d{number}").mkdir(parents=True)
        for name in names:
            (place / name).touch()
        try:
            yield place
        finally:
            shutil.rmtree(place)
