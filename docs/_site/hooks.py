"""What the site needs beyond mkdocs.yml: addresses, links that leave docs/, the changes.

mkdocs calls the functions named ``on_...`` by these names. A warning ends the build, for it is
strict.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify  # type: ignore[import-untyped]  # it has no types

ROOT: Final = Path(__file__).resolve().parents[2]
FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
CHANGES: Final = "<!-- changes -->"
"""The mark in changelog.md that the hook replaces."""

LOADED: Final = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src",),
}
"""Element -> the attributes whose address a browser loads by itself."""

NOT_LOADED: Final = {"alternate", "canonical", "next", "prev"}
"""What a ``link`` element may name without loading it."""

log = logging.getLogger("mkdocs.hooks.limpet")


def urls() -> dict[str, str]:
    """Return ``[project.urls]`` of pyproject.toml, the one place for addresses."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(text)["project"]["urls"]
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the addresses; make anchors as code hosts do, so that a link holds on both."""
    addresses = urls()
    config.repo_url = addresses["Repository"]
    config.repo_name = "Source"
    config.site_url = addresses["Documentation"].rstrip("/") + "/"
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the changes into their page; send links that leave docs/ to the repository."""
    del files
    if CHANGES in markdown:
        markdown = markdown.replace(CHANGES, leave_docs(changes(), ROOT, config.repo_url or ""))
    source = Path(page.file.abs_src_path or "")
    return leave_docs(markdown, source.parent, config.repo_url or "")


def leave_docs(markdown: str, folder: Path, repository: str) -> str:
    """Return the text with each link to a file outside docs/ turned into the repository's."""

    def turned(match: re.Match[str]) -> str:
        link = match[2]
        name, mark, place = link.partition("#")
        if re.match(r"[a-z]+:", link) or not name:
            return match[0]
        target = Path(os.path.normpath(folder / name))
        if target.is_relative_to(ROOT / "docs") and folder != ROOT:
            return match[0]
        if not target.exists():
            log.warning("%s: no file for the link %s", folder, link)
        form = "tree" if target.is_dir() else "blob"
        path = target.relative_to(ROOT).as_posix()
        return f"{match[1]}{repository}/{form}/main/{path}{mark}{place}{match[3]}"

    done, last = [], 0
    for fence in FENCE.finditer(markdown):
        done += [LINK.sub(turned, markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*done, LINK.sub(turned, markdown[last:])])


def changes() -> str:
    """Return the fragments that wait for a release, then the releases of CHANGELOG.md."""
    spec = importlib.util.spec_from_file_location("gather", ROOT / "changelog.d" / "gather.py")
    if spec is None or spec.loader is None:
        message = "changelog.d/gather.py cannot be loaded"
        raise ImportError(message)
    gather = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gather)
    waiting = gather.section(gather.fragments(ROOT / "changelog.d"), "Not released", "")
    waiting = waiting.replace("## Not released ()", "## Not released")
    log_text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    _, mark, releases = log_text.partition("\n## ")
    return f"{waiting}{mark}{releases}"


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make wide tables readable: tests fold into one line, long names break at their joints."""
    del page, config, files
    cells = re.compile(r"(<td[^>]*>)(.*?)(</td>)", re.DOTALL)
    return cells.sub(lambda cell: f"{cell[1]}{_breakable(_folded(cell[2]))}{cell[3]}", html)


def _folded(cell: str) -> str:
    """Return a cell of nothing but names of tests as their number, to be opened."""
    tests = re.findall(r"<code>[\w/]+\.(?:py|txt)::\w+</code>", cell)
    if not tests or re.sub(r"<br ?/?>|\s", "", cell) != "".join(tests):
        return cell
    number = "1 test" if len(tests) == 1 else f"{len(tests)} tests"
    return f'<details class="tests"><summary>{number}</summary>{cell}</details>'


def _breakable(cell: str) -> str:
    def joints(code: re.Match[str]) -> str:
        return re.sub(r"(?<=\w)(?:::|[/_])(?=\w)", r"\g<0><wbr>", code[0])

    return re.sub(r"<code>[^<]{30,}</code>", joints, cell)


class _Loads(HTMLParser):
    """Collects the addresses that a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element loads."""
        values = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        if tag == "link" and values.get("rel", "") in NOT_LOADED:
            return
        self.found += [values[name] for name in LOADED.get(tag, ()) if name in values]
        self.found += in_css(values.get("style", ""))

    def handle_data(self, data: str) -> None:
        """Note what a style sheet in the page loads."""
        if self._style:
            self.found += in_css(data)
        self._style = False


def in_css(text: str) -> list[str]:
    """Return the addresses that a style sheet loads."""
    return re.findall(r"(?:url\(\s*|@import\s+)[\"']?([^\"')\s;]+)", text)


def foreign(text: str, *, css: bool = False) -> list[str]:
    """Return what a page or a style sheet loads from another host."""
    if css:
        found = in_css(text)
    else:
        parser = _Loads()
        parser.feed(text)
        found = parser.found
    return [one for one in found if re.match(r"\s*(?:[a-z]+:)?//", one)]


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of each page or style sheet that loads something from another host."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            text = path.read_text(encoding="utf-8")
            for address in foreign(text, css=path.suffix == ".css"):
                page = path.relative_to(config.site_dir)
                log.warning("%s loads %s from another host", page, address)
