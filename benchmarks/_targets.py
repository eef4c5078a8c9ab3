"""The targets this project has set itself, each with its figure: met or missed."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks._report import MICRO, MILLI, Results, table

FANOTIFY, INOTIFY = "limpet, fanotify", "limpet, inotify"
LIMPET = (FANOTIFY, "limpet, fanotify, unprivileged", INOTIFY)
PYTHON = "limpet, Python"
WATCHFILES, FASTEST, LIMIT = "watchfiles", "watchfiles, fastest", "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of them, measured."""

    name: str
    most: float
    figure: float | None
    """``None`` if this run has not measured it."""
    unit: str = "×"

    def row(self) -> list[str]:
        """Return its line of the table."""
        if self.figure is None:
            return [self.name, f"{self.most:g}{self.unit}", "–", "not measured in this run"]
        met = "met" if self.figure <= self.most else "**missed**"
        return [self.name, f"{self.most:g}{self.unit}", f"{self.figure:.3g}{self.unit}", met]


def targets(results: Results) -> str:
    """Return the table of targets."""
    found = [
        *_setup(results),
        *_memory(results),
        *_work(results),
        *_complete(results),
        *_latency(results),
        *_idle(results),
        *_many(results),
        *_start(results),
    ]
    return table([["target, at most", "wanted", "measured", ""], *(one.row() for one in found)])


def _worst(
    results: Results, name: str, *figures: str, scale: float = 1.0, titles: tuple[str, ...] = LIMPET
) -> float | None:
    """Return the largest of these figures of all of limpet's backends."""
    found = [results.median(name, title, figure) for title in titles for figure in figures]
    return max((scale * one for one in found if one is not None), default=None)


def _linear(results: Results, name: str, sizes: tuple[int, ...]) -> float | None:
    """Return CPU for each of the most by CPU for each of the second fewest: 1 is linear growth.

    The fewest are too few: what is done once for all of them is most of it then.
    """
    few, many = sizes[1], sizes[-1]
    base, grown = (results.median(name, FANOTIFY, f"cpu {size}") for size in (few, many))
    return (grown / many) / (base / few) if base and grown else None


def _setup(results: Results) -> Iterator[Target]:
    for title in (FANOTIFY, INOTIFY):
        for peer, most in ((WATCHFILES, 0.6), ("watchdog", 0.9), (LIMIT, 2.0)):
            yield Target(
                name=f"set-up CPU, {title}, by {peer}",
                most=most,
                figure=results.ratio("tree", title, "cpu", peer),
            )
    yield Target(
        name=f"set-up CPU, {PYTHON}, by {WATCHFILES}",
        most=0.95,
        figure=results.ratio("tree", PYTHON, "cpu", WATCHFILES),
    )
    sizes = results.profile.growth
    yield Target(
        name=f"set-up CPU a file, {sizes[-1]:,} by {sizes[1]:,} files (linear is 1)",
        most=1.3,
        figure=_linear(results, "growth", sizes),
    )
    yield Target(
        name=f"event loop blocked in set-up, {sizes[0]:,} to {sizes[-1]:,} files, any backend",
        most=20,
        unit=" ms",
        figure=_worst(results, "growth", *(f"blocked {size}" for size in sizes), scale=MILLI),
    )


def _memory(results: Results) -> Iterator[Target]:
    sizes = results.profile.growth
    yield Target(
        name=f"memory a file, {sizes[-1]:,} files, any backend",
        most=196,
        unit=" bytes",
        figure=_worst(results, "growth", f"memory {sizes[-1]}"),
    )
    for peer in ("chokidar", "watchman"):
        both = [s for s in sizes if results.median("growth", peer, f"memory {s}") is not None]
        largest = max(both, default=sizes[-1])
        yield Target(
            name=f"memory, {largest:,} files, by {peer}",
            most=1,
            figure=results.ratio("growth", FANOTIFY, f"memory {largest}", peer),
        )


def _work(results: Results) -> Iterator[Target]:
    rate = f"at {results.profile.rate:,}/s"
    for title in (FANOTIFY, INOTIFY):
        for name, words, suffix, peer, most in (
            ("paced", rate, "", WATCHFILES, 1.25),
            ("paced", rate, ", 50 ms", WATCHFILES, 0.85),
            ("paced", rate, "", FASTEST, 0.3),
            ("flat", "flat out", "", WATCHFILES, 1.0),
        ):
            yield Target(
                name=f"CPU per operation {words}, {title}{suffix}, by {peer}",
                most=most,
                figure=results.ratio(name, title + suffix, "mean", peer),
            )
    yield Target(
        name=f"CPU per operation {rate}, {PYTHON}, by {WATCHFILES}",
        most=1.8,
        figure=results.ratio("paced", PYTHON, "mean", WATCHFILES),
    )


def _complete(results: Results) -> Iterator[Target]:
    for name, figure in (("creations not told of", "told"), ("renames not told as one", "paired")):
        shares = [results.median("flat", title, figure) for title in LIMPET]
        yield Target(
            name=f"{name}, flat out, any backend",
            most=0,
            unit=" %",
            figure=max((100 * (1 - one) for one in shares if one is not None), default=None),
        )
    for way, words in (("running", "flat out"), ("paused", "flat out, consumer paused")):
        yield Target(
            name=f"names on which events and disk disagree, {words}, any backend",
            most=0,
            unit="",
            figure=_worst(results, "complete", f"wrong {way}"),
        )


def _latency(results: Results) -> Iterator[Target]:
    for what in ("create", "append"):
        for at in ("p50", "p99"):
            for peer in ("asyncinotify", "watchdog"):
                yield Target(
                    name=f"latency of one {what}, {at}, by {peer}",
                    most=1.05,
                    figure=results.ratio("latency", FANOTIFY, f"{what} {at}", peer),
                )
    yield Target(
        name="latency under load, p99, any backend",
        most=20,
        unit=" ms",
        figure=_worst(results, "load", "p99", scale=MILLI),
    )


def _idle(results: Results) -> Iterator[Target]:
    profile = results.profile
    yield Target(
        name=f"wake-ups in {profile.idle:g} s, {profile.files:,} files, any backend",
        most=0,
        unit="",
        figure=_worst(results, "idle", "switches"),
    )
    yield Target(
        name="CPU in that time, any backend",
        most=0,
        unit=" µs a second",
        figure=_worst(results, "idle", "idle cpu", scale=MICRO),
    )


def _many(results: Results) -> Iterator[Target]:
    counts = results.profile.many
    yield Target(
        name=f"set-up CPU a location, {counts[-1]:,} by {counts[1]:,} locations (linear is 1)",
        most=1.3,
        figure=_linear(results, "many", counts),
    )
    yield Target(
        name=f"kernel instances for {counts[-1]:,} locations, any backend",
        most=1,
        unit="",
        figure=_worst(results, "many", "instances"),
    )
    yield Target(
        name=f"wake-ups in {results.profile.idle:g} s, {counts[-1]:,} locations, any backend",
        most=0,
        unit="",
        figure=_worst(results, "many", "switches"),
    )


def _start(results: Results) -> Iterator[Target]:
    for figure, words in (
        ("import", "`import limpet`"),
        ("uses", "`from limpet import watch_dir`"),
    ):
        yield Target(
            name=f"CPU of {words}, by `import watchfiles`",
            most=1.2,
            figure=results.ratio("start", FANOTIFY, figure, WATCHFILES, by="import"),
        )
    for figure, words in (("ready", "a limpet script"), ("watch", "`limpet watch`")):
        for what, suffix in (("CPU", ""), ("time", " wall")):
            yield Target(
                name=f"{what} of {words} up to ready, by a watchfiles script",
                most=1.1,
                figure=results.ratio(
                    "start", FANOTIFY, figure + suffix, WATCHFILES, by="ready" + suffix
                ),
            )
