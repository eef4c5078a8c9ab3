"""Write the manual pages of the command line: ``python docs/_site/manual.py FOLDER``.

One for ``limpet``, with the list of commands, and one for each command, such as
``limpet-watch.1``. argparse-manpage makes them of the parsers; SOURCE_DATE_EPOCH dates them.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from pathlib import Path

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]  # it has no types

from limpet import __version__
from limpet.cli._command_list import COMMANDS, overview, parser_of


def pages() -> dict[str, str]:
    """Return the name of each page, and its text in the language of man(7)."""
    found = {"limpet.1": _page(overview(), "limpet", "Watch, write and follow files.")}
    for command, does in COMMANDS.items():
        found[f"limpet-{command}.1"] = _page(parser_of(command), f"limpet-{command}", does)
    return found


def _page(parser: ArgumentParser, name: str, does: str) -> str:
    parser.prog = name
    data = {
        "project_name": "limpet",
        "version": __version__,
        "manual_title": "limpet",
        "description": (does[:1].lower() + does[1:]).rstrip("."),
    }
    page = str(Manpage(parser, data))
    # A line of text that begins with a quote would be a request (groff(7), "Control characters").
    return re.sub(r"^'", r"\\&'", page, flags=re.MULTILINE).rstrip("\n") + "\n"


def main() -> None:
    """Write them into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
