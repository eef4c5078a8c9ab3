"""How the compiled part makes the path of an entry without pathlib's own steps.

A path has few attributes; the others are worked out from them when they are asked for. Which ones
they are is pathlib's own affair and differs between versions of Python: what is made by the recipe
is compared with what pathlib makes, and where it differs there is no recipe.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePath
from typing import Any, Final

from limpet._compiled import SPEEDUPS

COPY, LONGER, TEXT, TEXTS = range(4)
"""An attribute of the directory; that and the name; the text of the path; a list of the text."""

Recipe = tuple[tuple[Any, int], ...]


def find_recipe() -> Recipe:
    """Return the attributes of a path and how each is made; empty where that is not known."""
    if sys.version_info >= (3, 12):
        wanted = (("_raw_paths", TEXTS), ("_str", TEXT))
    else:
        wanted = (("_drv", COPY), ("_root", COPY), ("_parts", LONGER), ("_str", TEXT))
    directory = Path("/a b/c")
    try:
        recipe = tuple((getattr(PurePath, name), how) for name, how in wanted)
        made, joined = make_path(recipe, directory, "d.e"), directory / "d.e"
        same = (made, str(made), made.parts) == (joined, str(joined), joined.parts)
    except Exception:  # noqa: BLE001 (it is not ours: whatever it does, there is another way)
        return ()
    return recipe if same else ()


def make_path(recipe: Recipe, directory: Path, name: str) -> Path:
    """Return the path of an entry of an absolute directory, by the recipe."""
    text = f"{str(directory).rstrip('/')}/{name}"
    made = object.__new__(type(directory))
    for attribute, how in recipe:
        if how == COPY:
            attribute.__set__(made, attribute.__get__(directory))
        elif how == LONGER:
            attribute.__set__(made, [*attribute.__get__(directory), name])
        else:
            attribute.__set__(made, text if how == TEXT else [text])
    return made


RECIPE: Final = () if SPEEDUPS is None else find_recipe()
"""Where it is empty, ``join_name`` makes the paths."""
