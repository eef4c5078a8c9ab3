"""``docs/reference/dependencies.md`` lists what ``pyproject.toml`` asks for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/dependencies.md").read_text(encoding="utf-8")


class Row(NamedTuple):
    package: str
    users: str
    purpose: str
    reason: str
    licence: str
    size: str


def rows() -> list[Row]:
    cells = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    found = [Row(*(cell.strip() for cell in row)) for row in cells if len(row) == 6]
    return [row for row in found if row.package != "package" and not row.package.startswith("-")]


def wanted() -> set[tuple[str, str]]:
    """Return each pair of a package and the extra or group that asks for it; ``core`` for none."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    users = {
        "core": tables["project"]["dependencies"],
        **tables["project"]["optional-dependencies"],
        **tables["dependency-groups"],
    }
    return {
        (re.split(r"[\[<>=!; ]", line)[0], user)
        for user, lines in users.items()
        for line in lines
        if isinstance(line, str) and not line.startswith("limpet[")
    }


def test_the_page_lists_what_is_asked_for_and_nothing_else() -> None:
    """Each package under each extra and group, once."""
    listed = [
        (row.package, user.strip("` "))
        for row in rows()
        for user in re.split(r", (?=`)", re.sub(r"^core, .*", "core", row.users))
    ]
    assert len(listed) == len(set(listed))
    assert set(listed) == wanted()


def test_every_row_is_filled() -> None:
    """What for, why, licence and size."""
    assert [row.package for row in rows() if not all(row)] == []
    assert [row.package for row in rows() if not re.fullmatch(r"\d+\.\d MB", row.size)] == []


def installed(package: str) -> Distribution:
    try:
        return distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed here")


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.package} {row.users}")
def test_licence_and_size_are_those_of_what_is_installed(row: Row) -> None:
    """The family of the licence, and the size within a third (or a tenth of a megabyte)."""
    found = installed(row.package)
    files = [file for file in found.files or [] if file.suffix != ".pyc"]
    places = [Path(str(file.locate())) for file in files]
    size = sum(place.stat().st_size for place in places if place.is_file()) / 1e6
    said = float(row.size.split()[0])
    assert abs(said - size) <= max(0.1, size / 3), size
    classifiers = found.metadata.get_all("Classifier") or []
    licences = [line for line in classifiers if line.startswith("License ::")]
    fields = ("License-Expression", "License")
    own = [line for field in fields for line in found.metadata.get_all(field) or []]
    named = " ".join([*(text.partition("\n")[0] for text in own), *licences])
    families = {"MIT", "BSD", "Apache", "MPL", "GPL", "ISC"}
    short = named.replace("Mozilla Public License", "MPL")
    assert set(re.findall("|".join(families), row.licence)) <= set(
        re.findall("|".join(families), short)
    ), named
