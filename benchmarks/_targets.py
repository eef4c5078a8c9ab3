"""The targets this project has set itself, each with its figure: met or missed."""

from dataclasses import dataclass

from benchmarks._report import Results, table

FANOTIFY, INOTIFY = "limpet, fanotify", "limpet, inotify"
UNPRIVILEGED = "limpet, fanotify, unprivileged"
WATCHFILES = "watchfiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of them, measured."""

    name: str
    most: float
    figure: float | None
    unit: str = "×"

    def row(self) -> list[str]:
        """Give its line of the table."""
        if self.figure is None:
            return [self.name, f"{self.most:g}{self.unit}", "–", "not measured in this run"]
        met = "met" if self.figure <= self.most else "**missed**"
        return [self.name, f"{self.most:g}{self.unit}", f"{self.figure:.3g}{self.unit}", met]


def targets(results: Results) -> str:
    """Give the table of targets."""
    found = [*_setup(results), *_work(results), *_latency(results), *_quiet(results)]
    return table([["target, at most", "wanted", "measured", ""], *(one.row() for one in found)])


def _ratio(results: Results, name: str, title: str, figure: str, base: str) -> float | None:
    return results.ratio(name, title, figure, base)


def _setup(results: Results) -> list[Target]:
    sizes = results.profile.growth
    least, most = sizes[0], sizes[-1]
    rows = []
    for title in (FANOTIFY, INOTIFY):
        rows += [
            Target(
                name=f"set-up CPU, {title}, by watchfiles",
                most=0.8,
                figure=_ratio(results, "tree", title, "cpu", WATCHFILES),
            ),
            Target(
                name=f"set-up CPU, {title}, by the C limit",
                most=2.5,
                figure=_ratio(results, "tree", title, "cpu", "limit"),
            ),
        ]
    first = results.median("growth", FANOTIFY, f"cpu {sizes[1]}")
    last = results.median("growth", FANOTIFY, f"cpu {most}")
    linear = None if not first or not last else (last / most) / (first / sizes[1])
    blocked = [results.median("growth", FANOTIFY, f"blocked {size}") for size in sizes]
    rows += [
        Target(
            name=f"set-up CPU a file, {most:,} by {sizes[1]:,} files (linear is 1)",
            most=1.3,
            figure=linear,
        ),
        Target(
            name=f"event loop stands still during set-up, {least:,} to {most:,} files",
            most=10,
            unit=" ms",
            figure=max((1e3 * b for b in blocked if b is not None), default=None),
        ),
        Target(
            name=f"memory a file, {most:,} files",
            most=200,
            unit=" bytes",
            figure=results.median("growth", FANOTIFY, f"memory {most}"),
        ),
    ]
    return rows


def _work(results: Results) -> list[Target]:
    rows = []
    for title in (FANOTIFY, INOTIFY):
        rows += [
            Target(
                name=f"CPU per operation at {results.profile.rate:,}/s, {title}, by watchfiles",
                most=0.75,
                figure=_ratio(results, "paced", title, "mean", WATCHFILES),
            ),
            Target(
                name=f"CPU per operation at {results.profile.rate:,}/s, {title}, by the C limit",
                most=2,
                figure=_ratio(results, "paced", title, "mean", "limit"),
            ),
            Target(
                name=f"CPU per operation flat out, {title}, by watchfiles",
                most=1,
                figure=_ratio(results, "flat", title, "mean", WATCHFILES),
            ),
        ]
    told = [results.median("flat", t, "told") for t in (FANOTIFY, UNPRIVILEGED, INOTIFY)]
    paired = [results.median("flat", t, "paired") for t in (FANOTIFY, UNPRIVILEGED, INOTIFY)]
    wrong = [results.median("paused", t, "wrong") for t in (FANOTIFY, UNPRIVILEGED, INOTIFY)]
    rows += [
        Target(
            name="creations not told of, flat out, any backend",
            most=0,
            unit=" %",
            figure=max((100 * (1 - t) for t in told if t is not None), default=None),
        ),
        Target(
            name="renames not told as one, flat out, any backend",
            most=0,
            unit=" %",
            figure=max((100 * (1 - p) for p in paired if p is not None), default=None),
        ),
        Target(
            name="names that do not agree after a pause, any backend",
            most=0,
            unit="",
            figure=max((w for w in wrong if w is not None), default=None),
        ),
    ]
    return rows


def _latency(results: Results) -> list[Target]:
    rows = [
        Target(
            name=f"latency of one {what}, {at}, by {peer}",
            most=1,
            figure=_ratio(results, "latency", FANOTIFY, f"{what} {at}", peer),
        )
        for what in ("create", "append")
        for at in ("p50", "p99")
        for peer in ("asyncinotify", "watchdog")
    ]
    loaded = results.median("load", FANOTIFY, "p99")
    rows.append(
        Target(
            name="latency under load, p99",
            most=20,
            unit=" ms",
            figure=None if loaded is None else 1e3 * loaded,
        )
    )
    return rows


def _quiet(results: Results) -> list[Target]:
    counts = results.profile.many
    few, many = (results.median("many", FANOTIFY, f"cpu {n}") for n in (counts[1], counts[-1]))
    linear = None if not few or not many else (many / counts[-1]) / (few / counts[1])
    shell = results.median("command", FANOTIFY, "watch")
    peer = results.median("import", WATCHFILES, "ready")
    return [
        Target(
            name="wake-ups a second when idle",
            most=0,
            unit="",
            figure=results.median("idle", FANOTIFY, "wake-ups"),
        ),
        Target(
            name=f"set-up CPU a location, {counts[-1]:,} by {counts[1]:,}",
            most=1.3,
            figure=linear,
        ),
        Target(
            name=f"kernel instances for {counts[-1]:,} locations",
            most=1,
            unit="",
            figure=results.median("many", FANOTIFY, "instances"),
        ),
        Target(
            name="import CPU, by `import watchfiles`",
            most=1.2,
            figure=_ratio(results, "import", FANOTIFY, "import", WATCHFILES),
        ),
        Target(
            name="script to ready, CPU, by a watchfiles script",
            most=1.2,
            figure=_ratio(results, "import", FANOTIFY, "ready", WATCHFILES),
        ),
        Target(
            name="`limpet watch` to ready, CPU, by a watchfiles script",
            most=1.2,
            figure=None if not shell or not peer else shell / peer,
        ),
    ]
