"""Read a bot's file, and report all its problems at once, each with position and remedy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from limpet._config_problem import ConfigError, Problem
from limpet._yaml_nodes import YamlReader, collector_paused
from limpet.bot._components import Components
from limpet.bot.config._build import build
from limpet.bot.config._cross_checks import BuiltComponent, check_between, check_whole
from limpet.bot.config._documents import read_blocks
from limpet.bot.config._own_folder import append_folder_of, folder_of
from limpet.bot.config._schema import schema

__all__ = [
    "BotConfigError",
    "CheckedBot",
    "Problem",
    "check",
    "check_all",
    "load",
    "read",
    "schema",
]


class BotConfigError(ConfigError):
    """A bot's file is wrong; ``problems`` and the message list every error."""

    default_code = "bot-file"


def load(path: str | os.PathLike[str]) -> Components:
    """Return the components of a bot's file, ready to run.

    Its classes are looked for in the folder of the file, too, after all others on ``sys.path``.

    Raises:
        BotConfigError: The file is wrong, or cannot be read; nothing was started.
    """
    append_folder_of(path)
    components, problems = read(path)
    errors = [problem for problem in problems if problem.level == "error"]
    if errors or components is None:
        raise BotConfigError(problems=errors)
    return components


def check(path: str | os.PathLike[str]) -> list[Problem]:
    """Return all problems of a bot's file, in the order of the file.

    Its classes are imported and its components created as for a run; nothing is started.
    """
    return check_all([path])[0].problems


def check_all(paths: Sequence[str | os.PathLike[str]]) -> list[CheckedBot]:
    """Check several bots' files as ``check`` does, and whether the bots answer each other."""
    found = []
    for path in paths:
        with folder_of(path):
            reader, built = _read(path)
            components, _ = _result(reader, built)
            inputs = [] if components is None else components.inputs()
        count = sum(not getattr(one, "is_idle", False) for one in inputs)
        found.append((reader, built, count))
    check_between([(reader, built) for reader, built, _ in found])
    return [CheckedBot(*_result(reader, built), count) for reader, built, count in found]


@dataclass(frozen=True, slots=True)
class CheckedBot:
    """What a check found out about a bot's file."""

    components: Components | None
    """``None`` after an error."""
    problems: list[Problem]
    """In the order of the file."""
    inputs: int
    """Inputs that have something to read."""


def read(path: str | os.PathLike[str]) -> tuple[Components | None, list[Problem]]:
    """Return the components, or ``None`` after an error, and all errors and warnings."""
    return _result(*_read(path))


def _read(path: str | os.PathLike[str]) -> tuple[YamlReader, list[BuiltComponent]]:
    reader = YamlReader.open(path, extra="bot")
    with collector_paused():
        blocks = read_blocks(reader)
    if reader.is_full:
        return reader, []
    built = []
    for block in blocks:
        component = build(reader, block)
        if component is not None:
            built.append(BuiltComponent(block, component))
    check_whole(reader, blocks, built)
    return reader, built


def _result(
    reader: YamlReader, built: list[BuiltComponent]
) -> tuple[Components | None, list[Problem]]:
    problems = sorted(set(reader.problems))
    if any(problem.level == "error" for problem in problems):
        return None, problems
    behaviours = [one for one in built if one.block.kind == "Behaviour"]
    return Components(
        io_configs=tuple(one.component for one in built if one.block.kind == "IOConfig"),
        behaviours=tuple(one.component for one in behaviours),
        idents=tuple(one.block.uuid or f"document:{one.block.where}" for one in behaviours),
    ), problems
