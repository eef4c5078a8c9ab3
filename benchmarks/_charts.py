"""Charts as SVG, on paper of either colour: how set-up and memory grow, what gathering trades."""

import math
from pathlib import Path

from benchmarks._report import MICRO, MILLI, Results

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 240, 40, 45
COLOURS = (
    "#e5484d", "#3b82f6", "#2ca02c", "#a06cd5", "#ff7f0e", "#a9745f", "#e377c2", "#17a2b8",
    "#b0a020",
)  # fmt: skip
INK = "#808080"
"""Grey that can be read on white and on black, as the colours can."""


def write_charts(results: Results, folder: Path) -> list[str]:
    """Write the charts there are figures for; returns their names."""
    written = []
    for figure, title in (("cpu", "CPU of set-up, seconds"), ("memory", "Memory, bytes a file")):
        lines = _lines(results, figure)
        if lines:
            folder.mkdir(exist_ok=True)
            name = f"{figure}.svg"
            text = _chart(f"{title}, by files in the tree", lines)
            (folder / name).write_text(text, encoding="utf-8")
            written.append(name)
    points = _trade(results)
    if points:
        folder.mkdir(exist_ok=True)
        title = "CPU of an operation, µs, by p99 of latency, ms"
        (folder / "gather.svg").write_text(_chart(title, points), encoding="utf-8")
        written.append("gather.svg")
    return written


def _trade(results: Results) -> dict[str, list[tuple[float, float]]]:
    """Return what each watcher costs and how late it is while there is work."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for title in results.titles:
        for seconds in results.profile.gather:
            late = results.median("gather", title, f"p99 {seconds:g}")
            cost = results.median("gather", title, f"cpu {seconds:g}")
            if late and cost:
                points = lines.setdefault("limpet, by gather", [])
                points.append((late * MILLI, cost * MICRO))
    if lines:
        for title in ("watchfiles", "watchfiles, fastest", "watchdog", "asyncinotify"):
            late, cost = (
                results.median("load", title, "p99"),
                results.median("paced", title, "create"),
            )
            if late and cost:
                lines[title] = [(late * MILLI, cost * MICRO)]
    return lines


def _lines(results: Results, figure: str) -> dict[str, list[tuple[float, float]]]:
    lines = {}
    for title in results.titles:
        points = []
        for size in results.profile.growth:
            value = results.median("growth", title, f"{figure} {size}")
            if value is not None and value > 0:
                points.append((float(size), value))
        if points:
            lines[title] = points
    return lines


def _chart(title: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    every = [point for points in lines.values() for point in points]
    least_x, most_x = _decades([x for x, _ in every])
    least_y, most_y = _decades([y for _, y in every])

    def at_x(value: float) -> float:
        share = (math.log10(value) - least_x) / (most_x - least_x)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(value: float) -> float:
        share = (math.log10(value) - least_y) / (most_y - least_y)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'{head} role="img" font-family="sans-serif" font-size="12" fill="{INK}">',
        f"<title>{title}</title>",
        f'<text x="{LEFT}" y="22" font-size="15">{title}</text>',
    ]
    for power in range(least_x, most_x + 1):
        x = at_x(10.0**power)
        parts.append(_rule(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{10**power:,}", "middle"))
    for power in range(least_y, most_y + 1):
        y = at_y(10.0**power)
        parts.append(_rule(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 6, y + 4, f"{10.0**power:,g}", "end"))
    ends = sorted(((points[-1][1], name) for name, points in lines.items()), reverse=True)
    for rank, (_, name) in enumerate(ends):
        colour, stroke = _pen(name, list(lines).index(name))
        points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in lines[name])
        parts.append(f'<polyline points="{points}" fill="none" {stroke}/>')
        for x, y in lines[name]:
            parts.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"/>')
        x, y = WIDTH - RIGHT + 14, TOP + 16 * rank + 8
        parts.append(f'<line x1="{x}" y1="{y - 4}" x2="{x + 30}" y2="{y - 4}" {stroke}/>')
        parts.append(f'<text x="{x + 36}" y="{y}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _pen(name: str, number: int) -> tuple[str, str]:
    """Return a line's colour and the attributes it is drawn with; no two lines are drawn alike."""
    if name.startswith("limit"):
        colour, dash = INK, "2 3" if name == "limit" else "8 3"
    else:
        colour, dash = COLOURS[number % len(COLOURS)], "" if number < len(COLOURS) else "6 3"
    width = 3 if name.startswith("limpet") else 1.5
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return colour, f'stroke="{colour}" stroke-width="{width}"{dashes}'


def _decades(values: list[float]) -> tuple[int, int]:
    """Return the powers of ten around all values, at least one apart."""
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return least, max(most, least + 1)


def _rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
        f'stroke="{INK}" stroke-opacity="0.35"/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
