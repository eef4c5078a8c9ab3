"""The site of the documentation: its addresses, its links out of docs/, what it loads, its picture.

``make docs`` builds it and takes no warning; these tests hold what the build relies on.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytest.importorskip("mkdocs")

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
URLS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["urls"]


def loaded(name: str) -> ModuleType:
    """Load a program beside the pages; it is in no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


hooks = loaded("hooks")


def leaves(nav: Any) -> Iterator[str]:
    """Return the pages of the navigation, in its order."""
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from leaves(part)


def test_every_page_is_in_the_navigation_once() -> None:
    """But the notes on designs, which are for those who change the code."""
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    named = list(leaves(SITE["nav"]))
    assert len(named) == len(set(named))
    assert set(named) == {page for page in pages if not page.startswith("design/")}


def test_the_build_takes_no_warning() -> None:
    """Missing pages, links and anchors are warnings, and a warning ends it."""
    assert SITE["strict"] is True
    checks = [level for part in SITE["validation"].values() for level in part.values()]
    assert set(checks) == {"warn"}
    assert SITE["validation"]["links"]["anchors"] == "warn"
    assert "--strict" in (ROOT / "Makefile").read_text(encoding="utf-8")


ADDRESS = re.compile(r"https?://[\w.-]+[\w/.#-]*")


@pytest.mark.parametrize(
    "file",
    [
        "mkdocs.yml", "SECURITY.md", "CODE_OF_CONDUCT.md", "RELEASING.md",
        ".github/PULL_REQUEST_TEMPLATE.md",
        *(
            path.relative_to(ROOT).as_posix()
            for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*"))
        ),
    ],
)  # fmt: skip
def test_the_projects_addresses_are_those_of_one_place(file: str) -> None:
    """``[project.urls]``: who fills in the repository there, and replaces it, has all of them."""
    text = (ROOT / file).read_text(encoding="utf-8")
    base = URLS["Repository"]
    assert all(address.startswith(base) for address in URLS.values())
    assert [found for found in ADDRESS.findall(text) if not found.startswith(base)] == []


def test_the_site_has_the_addresses_of_that_place() -> None:
    """The hook fills them in: mkdocs.yml has none."""
    from mkdocs.config import load_config

    config = hooks.on_config(load_config(str(ROOT / "mkdocs.yml")))
    assert config.repo_url == URLS["Repository"]
    assert config.site_url == URLS["Documentation"] + "/"
    assert not {"repo_url", "site_url"} & set(SITE)


def test_links_that_leave_docs_go_to_the_repository(caplog: pytest.LogCaptureFixture) -> None:
    """A file, a folder, an anchor; not what is in docs, on another host, or in a block of code."""
    text = "[a](../README.md#x) [b](../examples/bots) [c](index.md#x) [d](https://h/x) [e](#y)\n"
    code = "```\n[a](../README.md)\n```\n"
    done = hooks.leave_docs(text + code + text, DOCS, "https://h/repo")
    turned = (
        "[a](https://h/repo/blob/main/README.md#x) [b](https://h/repo/tree/main/examples/bots) "
        "[c](index.md#x) [d](https://h/x) [e](#y)\n"
    )
    assert done == turned + code + turned
    assert not caplog.records
    hooks.leave_docs("[a](../nothing.md)", DOCS, "https://h/repo")
    assert "nothing.md" in caplog.text


def test_what_a_page_loads_from_elsewhere_is_found() -> None:
    """Scripts, styles, fonts and pictures; not links that a reader follows."""
    page = """
    <link rel="canonical" href="https://a/"> <a href="https://b/">b</a> <img src="x.svg">
    <link rel="stylesheet" href="https://c/c.css"> <script src="//d/d.js"></script>
    <style>@font-face { src: url("https://e/e.woff2"); }</style> <img src="https://f/f.png">
    """
    assert hooks.foreign(page) == [
        "https://c/c.css", "//d/d.js", "https://e/e.woff2", "https://f/f.png",
    ]  # fmt: skip
    css = "@import 'https://g/g.css'; a { background: url(data:x); b: url(../h.svg) }"
    assert hooks.foreign(css, css=True) == ["https://g/g.css"]
    assert hooks.foreign("<p>https://i/</p><img src='data:image/png;base64,AA'>") == []
    assert SITE["theme"]["font"] is False


def test_tests_in_a_table_fold_and_long_names_break() -> None:
    """A cell of nothing but tests is their number, to be opened; other cells keep their text."""
    one = "<code>watch/unit/test_a.py::test_bcd</code>"
    html = f"<td>{one}</td><td>{one}<br />{one}</td><td>see {one}</td><td><code>short_x</code></td>"
    done = hooks.on_page_content(html, None, None, None)
    assert done.count("<details") == 2
    assert "<summary>1 test</summary>" in done
    assert "<summary>2 tests</summary>" in done
    assert (
        "<td>see <code>watch/<wbr>unit/<wbr>test_<wbr>a.py::<wbr>test_<wbr>bcd</code></td>" in done
    )
    assert "<td><code>short_x</code></td>" in done
    assert done.replace("<wbr>", "").count(one) == 4


def test_the_page_of_changes_has_every_fragment() -> None:
    """What waits for a release, under its kind, then the releases."""
    text = hooks.changes()
    assert text.startswith("## Not released\n")
    for path in (ROOT / "changelog.d").glob("*.*.md"):
        assert path.read_text(encoding="utf-8").strip() in text
    assert hooks.CHANGES in (DOCS / "changelog.md").read_text(encoding="utf-8")


def test_the_readme_fits_a_first_visit() -> None:
    """130 lines."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def words(picture: str) -> list[str]:
    """Return what can be read in a picture, in the order of the alphabet."""
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    return sorted(" ".join(texts).replace("&#160;", " ").replace("&gt;", ">").split())


def test_the_picture_shows_what_the_demo_prints() -> None:
    """``make picture`` after a change of the demo. Files of one folder may come in any order."""
    pytest.importorskip("rich")
    picture = loaded("picture")
    printed = picture.demo()
    committed = (DOCS / "images/demo.svg").read_text(encoding="utf-8")
    if "by fanotify" not in printed or "a bot that" not in printed:
        pytest.skip("another backend, or no bots")
    assert "TargetDirDeleted" in words(committed)
    assert words(picture.draw(printed)) == words(committed)
    assert hooks.foreign(committed) == []
