"""Draw the demo as the README and the site show it: ``python docs/_site/picture.py FILE.svg``.

The text is what ``examples/demo.py`` prints, coloured. The picture loads nothing from a host.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parents[2]
COLOURS: Final = {
    r"^(what is done|watching|all expected|a bot that|\d+ questions).*$": "bold",
    r"^-+ -+$": "dim",
    r"\w+Created\b": "green",
    r"\w+Updated\b": "yellow",
    r"\w+Renamed\b": "cyan",
    r"\w+Deleted\b": "red",
    r"^\$ .*$": "bold magenta",
}
"""Pattern of a part of a line -> its style."""

THEME: Final = TerminalTheme(
    (24, 28, 34),
    (214, 220, 228),
    [
        (40, 44, 52), (240, 113, 120), (152, 214, 121), (240, 200, 110), (97, 175, 239),
        (215, 140, 230), (86, 200, 210), (214, 220, 228),
    ],
)  # fmt: skip

FORM: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" \
aria-label="Output of the demo">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect width="{width}" height="{height}" rx="8" fill="#181c22"/>
<g transform="translate(14, 22)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def demo() -> str:
    """Return what the demo prints.

    Raises:
        CalledProcessError: The demo failed.
    """
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout


def draw(printed: str) -> str:
    """Return the picture of what was printed."""
    text = Text(f"$ make demo\n{printed.rstrip()}")
    for pattern, style in COLOURS.items():
        text.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    width = 1 + max(map(len, text.plain.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO(), color_system="truecolor")
    console.print(text, soft_wrap=False, highlight=False)
    svg = console.export_svg(theme=THEME, code_format=FORM, unique_id="demo")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(demo()), encoding="utf-8")
