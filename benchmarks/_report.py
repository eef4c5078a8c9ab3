"""The figures as tables, and the page made of them."""

import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks._watchers import ROOT, Watcher, version
from benchmarks.measures import FOLDERS, PHASES, Figures, Profile

MICRO = 1e6
MILLI = 1e3


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    figure: str
    title: str
    scale: float
    digits: int
    ratio: bool = True
    """Whether to put beside it its ratio to the base's, in the same round."""


TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "tree": (
        "Setting up on a tree of {folders:,} folders and {files:,} files",
        (
            Column("cpu", "CPU, s", 1, 3),
            Column("wall", "time, s", 1, 3),
            Column("memory", "memory, MB", 1e-6, 1),
        ),
    ),
    "idle": (
        "Waiting on that tree when nothing happens",
        (
            Column("switches", "wake-ups in {idle:g} s", 1, 0, ratio=False),
            Column("idle cpu", "CPU, %", 100, 1, ratio=False),
        ),
    ),
    "paced": (
        "CPU for each operation, µs, at {rate:,} operations a second",
        (
            *(Column(phase, phase, MICRO, 1) for phase in PHASES),
            Column("mean", "mean", MICRO, 1),
            Column("create events", "events per creation", 1, 1, ratio=False),
        ),
    ),
    "flat": (
        "CPU for each operation, µs, flat out: {flat:,} of each kind",
        (
            *(Column(phase, phase, MICRO, 1) for phase in PHASES),
            Column("mean", "mean", MICRO, 1),
            Column("told", "creations reported, %", 100, 1, ratio=False),
            Column("paired", "renames reported as one, %", 100, 1, ratio=False),
        ),
    ),
    "complete": (
        "Events replayed against the disk, after {flat:,} operations of each kind flat out",
        (
            Column("names", "names to agree on", 1, 0, ratio=False),
            Column("wrong running", "that do not", 1, 0, ratio=False),
            Column("wrong paused", "that do not, consumer paused", 1, 0, ratio=False),
        ),
    ),
    "latency": (
        "Latency in an idle tree, ms",
        (
            Column("create p50", "creation: p50", MILLI, 2),
            Column("create p99", "p99", MILLI, 2),
            Column("append p50", "append: p50", MILLI, 2),
            Column("append p99", "p99", MILLI, 2),
        ),
    ),
    "load": (
        "Latency of one creation while others get {rate:,} a second, ms",
        (
            Column("p50", "p50", MILLI, 2),
            Column("p99", "p99", MILLI, 2),
        ),
    ),
    "start": (
        "Starting: CPU, ms",
        (
            Column("import", "import", MILLI, 1),
            Column("uses", "import to watch", MILLI, 1),
            Column("ready", "script to ready", MILLI, 0),
            Column("ready wall", "the same, time", MILLI, 0),
            Column("help", "limpet --help", MILLI, 0, ratio=False),
            Column("watch", "limpet watch to ready", MILLI, 0, ratio=False),
            Column("watch wall", "the same, time", MILLI, 0, ratio=False),
        ),
    ),
}

BASES = ("limit", "limpet, fanotify")
"""What ratios are to: the physical limit where it takes part, else the first row."""


@dataclass(slots=True)
class Results:
    """Everything measured in one run."""

    profile_name: str
    profile: Profile
    compiled: bool
    rounds: dict[str, list[dict[str, Figures]]] = field(default_factory=lambda: defaultdict(list))
    """Measurement -> one entry for each round: title -> figures."""
    notes: list[str] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)
    titles: list[str] = field(default_factory=list)
    machine: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    traced: float | None = None
    targets: str = ""
    charts: list[str] = field(default_factory=list)
    """Chart files, by their path from the page."""
    seconds: float = 0.0

    def begin_round(self, name: str) -> None:
        """What is added from now on was measured side by side."""
        self.rounds[name].append({})

    def add(self, name: str, title: str, figures: Figures) -> None:
        """Keep one watcher's figures of this round."""
        self.rounds[name][-1][title] = figures

    def describe(self, found: list[Watcher], base: Path) -> None:
        """Keep what the reader must know of the machine and of what each watcher was asked."""
        self.titles = [watcher.title for watcher in found]
        self.asked = [
            f"| {watcher.title} | {version(watcher)} | {watcher.note} |" for watcher in found
        ]
        self.machine = [
            f"{platform.system()} {platform.release().partition('-')[0]}",
            f"{os.cpu_count()} processors",
            f"Python {platform.python_version()}",
            f"{file_system(base)} file system",
            f"load {os.getloadavg()[0]:.1f} at the start",
        ]

    def median(self, name: str, title: str, figure: str) -> float | None:
        """Return the median over the rounds; None if there is none."""
        values = [r[title][figure] for r in self.rounds[name] if figure in r.get(title, {})]
        return statistics.median(values) if values else None

    def base(self, name: str) -> str:
        """Return the watcher that ratios of a measurement are to."""
        return next((b for b in BASES if any(b in r for r in self.rounds[name])), self.titles[0])

    def ratio(
        self, name: str, title: str, figure: str, base: str = "", by: str = ""
    ) -> float | None:
        """Return the median over the rounds of its figure by the base's, round by round.

        ``by`` is the base's figure where that is another one.
        """
        base, by = base or self.base(name), by or figure
        ratios = [
            r[title][figure] / r[base][by]
            for r in self.rounds[name]
            if figure in r.get(title, {}) and r.get(base, {}).get(by)
        ]
        return statistics.median(ratios) if ratios and title != base else None


def file_system(folder: Path) -> str:
    """Return the kind of file system a folder lies on."""
    if sys.platform != "linux":
        return "unknown"
    done = subprocess.run(
        ["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip().replace("ext2/ext3", "ext4") or "unknown"


def cell(results: Results, name: str, title: str, column: Column) -> str:
    """Return one cell: the median, and in brackets its ratio to the base."""
    value = results.median(name, title, column.figure)
    if value is None:
        return "–"
    text = f"{value * column.scale:,.{column.digits}f}"
    ratio = results.ratio(name, title, column.figure) if column.ratio else None
    return text if ratio is None else f"{text} ({ratio:.2f}×)"


def table(rows: list[list[str]]) -> str:
    """Lay a table out so that it reads well as text too; the first row is its head."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            lines.append("| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def tables(results: Results) -> str:
    """Return all tables, each under its heading."""
    parts = []
    for name, (heading, columns) in TABLES.items():
        titles = [t for t in results.titles if any(t in r for r in results.rounds[name])]
        if not titles:
            continue
        numbers = asdict(results.profile)
        rows = [["", *(column.title.format(**numbers) for column in columns)]]
        rows += [[t, *(cell(results, name, t, column) for column in columns)] for t in titles]
        parts.append(f"## {heading.format(**numbers)}\n\n{table(rows)}\n")
        if name == "tree" and results.traced is not None:
            size = f"{results.traced:.0f} bytes"
            parts.append(f"limpet's Python objects, for each entry of that tree: {size}.\n")
    parts += [gather_table(results), growth_table(results), many_table(results)]
    if results.notes:
        parts.append("\n".join(f"- {note}" for note in results.notes) + "\n")
    return "\n".join(part for part in parts if part)


def _pictures(results: Results, names: tuple[str, ...]) -> str:
    """Return the lines that show those of these charts that were drawn."""
    shown = [chart for chart in results.charts if chart.rpartition("/")[2] in names]
    return "".join(f"![{chart}]({chart})\n\n" for chart in shown)


def gather_table(results: Results) -> str:
    """Return what gathering hints for longer costs and brings."""
    title = results.titles[0]
    values = results.profile.gather
    figures = (
        ("cpu", "CPU, µs", MICRO),
        ("p50", "latency p50, ms", MILLI),
        ("p99", "p99, ms", MILLI),
    )
    rows = [["`gather`, s", *(f"{value:g}" for value in values)]]
    for figure, words, scale in figures:
        cells = [results.median("gather", title, f"{figure} {value:g}") for value in values]
        if not any(cells):
            return ""
        rows.append([words, *("–" if cell is None else f"{cell * scale:.1f}" for cell in cells)])
    charts = _pictures(results, ("gather.svg",))
    rate = results.profile.rate
    return f"## What `gather` trades, at {rate:,} creations a second\n\n{charts}{table(rows)}\n"


def growth_table(results: Results) -> str:
    """Return how set-up grows with the tree."""
    sizes = results.profile.growth
    titles = [t for t in results.titles if any(t in r for r in results.rounds["growth"])]
    if not titles:
        return ""
    rows = [["CPU, s, by files", *(f"{size:,}" for size in sizes), "bytes a file at the largest"]]
    for title in titles:
        cells = [results.median("growth", title, f"cpu {size}") for size in sizes]
        kept = results.median("growth", title, f"memory {sizes[-1]}")
        shown = ["–" if cell is None else f"{cell:.3f}" for cell in cells]
        rows.append([title, *shown, "–" if kept is None else f"{kept:.0f}"])
    charts = "".join(
        f"![{chart}]({chart})\n\n" for chart in results.charts if "gather" not in chart
    )
    return f"## Growth with the size of the tree\n\n{charts}{table(rows)}\n\n{blocked(results)}"


def blocked(results: Results) -> str:
    """Return how long the event loop was blocked while a watch was set up."""
    sizes = results.profile.growth
    rows = [["event loop stood still, ms, by files", *(f"{size:,}" for size in sizes)]]
    for title in results.titles:
        cells = [results.median("growth", title, f"blocked {size}") for size in sizes]
        if any(cell is not None for cell in cells):
            shown = ["–" if cell is None else f"{MILLI * cell:.1f}" for cell in cells]
            rows.append([title, *shown])
    return f"{table(rows)}\n" if len(rows) > 1 else ""


def many_table(results: Results) -> str:
    """Return what many locations in one process take."""
    counts = results.profile.many
    titles = [t for t in results.titles if any(t in r for r in results.rounds["many"])]
    if not titles:
        return ""
    idle = f"wake-ups in {results.profile.idle:g} s"
    rows = [["CPU, s, by locations", *(f"{n:,}" for n in counts), "kernel instances", idle]]
    for title in titles:
        figures = [*(f"cpu {n}" for n in counts), "instances", "switches"]
        cells = [results.median("many", title, figure) for figure in figures]
        rows.append(
            [title, *("–" if c is None else f"{c:.3f}".rstrip("0").rstrip(".") for c in cells)]
        )
    return f"## Many locations in one process\n\n{table(rows)}\n"


def page(results: Results) -> str:
    """Return docs/explanation/performance/watch.md."""
    profile = results.profile
    template = (ROOT / "benchmarks" / "page.md").read_text(encoding="utf-8")
    return template.format(
        profile=results.profile_name,
        rounds=profile.rounds,
        minutes=results.seconds / 60,
        machine=", ".join(results.machine),
        producer="a C program" if results.compiled else "a Python program (no compiler was there)",
        asked="\n".join(results.asked),
        tables=tables(results),
        targets=results.targets,
        idle=profile.idle,
        paced=profile.paced,
        spread=FOLDERS,
        rate=f"{profile.rate:,}".replace(",", ""),
    )
