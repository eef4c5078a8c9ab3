"""Read a bot's file, and report all its problems at once, each with position and remedy."""

from __future__ import annotations

import os
from pathlib import Path

from limpet.bot._components import Components
from limpet.bot.config._build import build
from limpet.bot.config._cross_checks import BuiltComponent, check_whole
from limpet.bot.config._documents import read_blocks
from limpet.bot.config._problem import BotConfigError, Problem
from limpet.bot.config._schema import schema
from limpet.bot.config._yaml_document import YamlReader

__all__ = ["BotConfigError", "Problem", "check", "load", "read", "schema"]


def load(path: str | os.PathLike[str]) -> Components:
    """Return the components of a bot's file, ready to run.

    Raises:
        ConfigError: The file is wrong, or cannot be read; nothing was started.
    """
    components, problems = read(path)
    errors = [problem for problem in problems if problem.level == "error"]
    if errors or components is None:
        raise BotConfigError(errors)
    return components


def check(path: str | os.PathLike[str]) -> list[Problem]:
    """Return all problems of a bot's file, in the order of the file.

    Its classes are imported and its components created as for a run; nothing is started.
    """
    return read(path)[1]


def read(path: str | os.PathLike[str]) -> tuple[Components | None, list[Problem]]:
    """Return the components, or ``None`` after an error, and all errors and warnings."""
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
    reader = YamlReader(text, file)
    blocks = read_blocks(reader)
    built = [
        BuiltComponent(block, component) for block in blocks if (component := build(reader, block))
    ]
    check_whole(reader, blocks, built)
    problems = sorted(set(reader.problems))
    if any(problem.level == "error" for problem in problems):
        return None, problems
    behaviours = [one for one in built if one.block.kind == "Behaviour"]
    return Components(
        io_configs=tuple(one.component for one in built if one.block.kind == "IOConfig"),
        behaviours=tuple(one.component for one in behaviours),
        idents=tuple(one.block.uuid or f"document:{one.block.where}" for one in behaviours),
    ), problems
