"""Reads a bot's file: all that is wrong with it at once, each with its place and a remedy."""

from __future__ import annotations

import os
from pathlib import Path

from limpet.bot._components import Parts
from limpet.bot.config._build import build
from limpet.bot.config._cross_checks import Made, check_whole
from limpet.bot.config._documents import read_blocks
from limpet.bot.config._problem import ConfigError, Problem
from limpet.bot.config._schema import schema
from limpet.bot.config._yaml_document import Reader

__all__ = ["ConfigError", "Problem", "check", "load", "read", "schema"]


def load(path: str | os.PathLike[str]) -> Parts:
    """Give the components of a bot's file, ready to be run.

    Raises:
        ConfigError: It is wrong, or cannot be read; nothing was started.
    """
    parts, problems = read(path)
    errors = [problem for problem in problems if problem.level == "error"]
    if errors or parts is None:
        raise ConfigError(errors)
    return parts


def check(path: str | os.PathLike[str]) -> list[Problem]:
    """Give everything that is wrong with a bot's file, in the order of the file.

    The classes it names are imported, and made as for a run; nothing is started.
    """
    return read(path)[1]


def read(path: str | os.PathLike[str]) -> tuple[Parts | None, list[Problem]]:
    """Give the components, unless something is wrong, and all errors and warnings."""
    file = os.fspath(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        message = f"this is not UTF-8: {error.reason}"
        return None, [Problem(file=file, line=line, column=column, where="", message=message)]
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        return None, [Problem(file=file, line=1, column=1, where="", message=message)]
    reader = Reader(text, file)
    blocks = read_blocks(reader)
    made = [Made(block, component) for block in blocks if (component := build(reader, block))]
    check_whole(reader, blocks, made)
    problems = sorted(set(reader.problems))
    if any(problem.level == "error" for problem in problems):
        return None, problems
    behaviours = [one for one in made if one.block.kind == "Behaviour"]
    return Parts(
        io_configs=tuple(one.component for one in made if one.block.kind == "IOConfig"),
        behaviours=tuple(one.component for one in behaviours),
        idents=tuple(one.block.uuid or f"document:{one.block.where}" for one in behaviours),
    ), problems
