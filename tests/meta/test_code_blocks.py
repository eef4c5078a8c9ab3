"""Every block of code in README and docs is what it says: it parses, and its commands exist."""

from __future__ import annotations

import argparse
import ast
import configparser
import doctest
import io
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import limpet
from limpet.bot.config import load
from limpet.cli._command_list import COMMANDS, parser_of
from limpet.remote.admin import load_agent, load_fleet
from tests.meta.test_docs import PAGES, ROOT

FENCE = re.compile(r"^( *)```([\w-]*)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    "bat", "console", "dockerfile", "ini", "json", "powershell", "python", "sh", "text", "yaml", "",
}  # fmt: skip
"""What a block may be; one without a language has output, a listing of files, or commands."""


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str


def found() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            yield Block(page, line, match[2], textwrap.dedent(match[4]))


BLOCKS = list(found())


def name(block: Block) -> str:
    return f"{block.page.relative_to(ROOT).as_posix()}:{block.line}"


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=name)


def test_each_language_is_one_that_is_checked() -> None:
    """A new one needs a test here."""
    assert {block.language for block in BLOCKS} <= LANGUAGES


@of("python")
def test_python_compiles_and_names_what_there_is(block: Block) -> None:
    """Whole programs and pieces of one; ``limpet.X`` exists, and so does what is imported."""
    if block.text.startswith(">>>"):
        found = doctest.DocTestParser().get_doctest(
            block.text, {"limpet": limpet}, name(block), None, 0
        )
        assert doctest.DocTestRunner().run(found).failed == 0
        return
    try:
        tree = compile(
            block.text,
            name(block),
            "exec",
            flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
    except SyntaxError:  # a piece of a function's body
        body = textwrap.indent(block.text, "    ")
        tree = ast.parse(f"async def piece():\n{body}")
    assert isinstance(tree, ast.Module)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "limpet"
        ):
            assert hasattr(limpet, node.attr), node.attr
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "limpet":
            line = ast.unparse(node)
            exec(compile(line, name(block), "exec"), {})  # noqa: S102 (our own page)


@of("json")
def test_json_is_read(block: Block) -> None:
    """Strictly."""
    assert json.loads(block.text) is not None


@of("yaml")
def test_yaml_is_read_by_what_reads_it(block: Block, tmp_path: Path) -> None:
    """Whole bots, agents and fleets by their checkers; parts, and foreign files, as YAML."""
    documents = list(yaml.safe_load_all(block.text))
    file = tmp_path / "file.yaml"
    file.write_text(block.text, encoding="utf-8")
    kinds = {one.get("kind") for one in documents if isinstance(one, dict)}
    if "Behaviour" in kinds and "my_bot." not in block.text:  # with its module it has its own test
        assert load(file).behaviours
    first = documents[0] if documents and isinstance(documents[0], dict) else {}
    if "host" in first:
        (tmp_path / f"{first['host']}.password").touch()
        load_agent(file)
    if "hosts" in first:
        load_fleet(file)


@of("ini")
def test_units_are_read(block: Block) -> None:
    """With the sections of a unit, and no key twice."""
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_file(io.StringIO(block.text))
    assert set(parser.sections()) <= {"Unit", "Service", "Install"}


PARSERS: dict[str, argparse.ArgumentParser] = {command: parser_of(command) for command in COMMANDS}
COMMAND = re.compile(r"(?:^|[\s;&|(/\\])limpet(?:\.exe)?\s+(?P<rest>[a-z][^\n]*)", re.MULTILINE)


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Return each call of limpet in a text: its command, and its options."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for match in COMMAND.finditer(joined):
        rest = re.split(r"\s#|[|;<>]|&&|\)|\"\s*$", match["rest"])[0]
        words = shlex.split(rest.replace("'", '"') if rest.count("'") % 2 else rest)
        if words[0] not in PARSERS:
            yield words[0], []
            continue
        end = words.index("--exec") + 1 if "--exec" in words else len(words)
        yield words[0], [word for word in words[1:end] if re.match(r"--?[a-z]", word)]


@of("", "bat", "console", "dockerfile", "ini", "sh", "yaml")
def test_commands_exist_with_these_options(block: Block) -> None:
    """Of limpet, and of the Makefile; in the blocks of shells, units and schedulers."""
    for command, options in commands(block.text):
        if block.language in {"", "yaml", "text"} and command not in PARSERS:
            continue  # a sentence or a path
        assert command in PARSERS, command
        known = {flag for action in PARSERS[command]._actions for flag in action.option_strings}
        given = {option.partition("=")[0] for option in options}
        assert given <= known, command
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    if block.page.name == "README.md":
        assert set(re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)) <= {*targets}


def test_options_are_found_in_a_call() -> None:
    """The test above can fail."""
    text = (
        "FOO=1 /opt/bin/limpet run bot.yaml --drain 5 \\\n  --listen x\nlimpet put a --root b < t\n"
    )
    assert list(commands(text)) == [("run", ["--drain", "--listen"]), ("put", ["--root"])]
    assert list(commands("limpet watch a --jobs 2 --exec run --foo")) == [
        ("watch", ["--jobs", "--exec"])
    ]
