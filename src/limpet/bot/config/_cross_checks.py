"""What can only be seen of a bot as a whole: names that meet, folders that lie in one another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pathspec

from limpet._suggest import near
from limpet.bot.actions import PutAwayAction
from limpet.bot.config._documents import PARTS, Block
from limpet.bot.config._yaml_document import Reader
from limpet.bot.io._filesystem import FileSystem
from limpet.bot.settings._setting import Configured, settings_of

__all__ = ["Made", "check_whole"]


@dataclass(frozen=True, slots=True)
class Made:
    """A top-level block and the component it became."""

    block: Block
    component: Any


def check_whole(reader: Reader, blocks: list[Block], made: list[Made]) -> None:
    """Say what does not go together."""
    _check_uuids(reader, blocks)
    places = [one for one in made if isinstance(one.component, FileSystem)]
    _check_names(reader, places)
    for one in places:
        _check_loop(reader, one)
    for block, component in _components(made):
        if isinstance(component, Configured) and "io" in settings_of(type(component)):
            _check_io(reader, block, component, places)
        if isinstance(component, PutAwayAction):
            _check_away(reader, block, component, places)
    if any(problem.level == "error" for problem in reader.problems):
        return  # what is missing may be what is wrong
    if not any(block.kind == "Behaviour" for block in blocks) and blocks:
        message = "there is no Behaviour in this file: such a bot does nothing"
        reader.problem(blocks[-1].node, "", message, warning=True)
    for block in blocks:
        for key in ("triggers", "actions"):
            if block.kind == "Behaviour" and not block.parts.get(key):
                message = f"it has no {key}, so it does nothing"
                reader.problem(block.node, block.where, message, warning=True)


def _components(made: list[Made]) -> Iterator[tuple[Block, Any]]:
    for one in made:
        if one.block.kind != "Behaviour":
            continue
        for key in PARTS:
            yield from zip(one.block.parts[key], getattr(one.component, key, ()), strict=False)


def _check_uuids(reader: Reader, blocks: list[Block]) -> None:
    seen: dict[str, Block] = {}
    for block in [*blocks, *(part for one in blocks for key in one.parts.values() for part in key)]:
        if block.uuid is None:
            continue
        if block.uuid in seen:
            line = seen[block.uuid].node.start_mark.line + 1
            message = f"the uuid {block.uuid!r} is that of the component in line {line} too"
            reader.problem(block.node, f"{block.where}.uuid", message)
        seen.setdefault(block.uuid, block)


def _check_names(reader: Reader, places: list[Made]) -> None:
    names: dict[str, Made] = {}
    states: dict[str, Made] = {}
    for one in places:
        io = one.component
        if io.name and io.name in names:
            message = f"another FileSystem is called {io.name!r} too"
            reader.problem(one.block.node, f"{one.block.where}.properties.name", message)
        names.setdefault(io.name, one)
        if io.state is not None:
            state = os.path.abspath(io.state)
            if state in states:
                message = f"another FileSystem has the state file {io.state} too"
                node, where = one.block.node_at("state", ())
                reader.problem(node, where, message)
            states.setdefault(state, one)


def _check_io(reader: Reader, block: Block, component: Any, places: list[Made]) -> None:  # noqa: ANN401
    named = component.io
    if named is None or any(one.component.is_named(named) for one in places):
        return
    known = [one.component.label for one in places]
    node, where = block.node_at("io", ())
    listed = f" (there are {', '.join(known)})" if known else ""
    reader.problem(node, where, f"no FileSystem is called {named!r}{near(named, known)}{listed}")


def _check_loop(reader: Reader, one: Made) -> None:
    io = one.component
    if io.own != "keep" or io.input_path is None or io.output_path is None:
        return
    if io.include or io.exclude or not _lies_in(io.output_path, io.input_path):
        return
    node, where = one.block.node_at("own", ())
    message = (
        "output_path lies in the watched folder, and with own: keep each write is an event: a "
        "behaviour that answers each event never ends; use own: drop, or exclude the folder"
    )
    reader.problem(node, where, message, warning=True)


def _check_away(reader: Reader, block: Block, action: PutAwayAction, places: list[Made]) -> None:
    for one in places:
        io = one.component
        if io.input_path is None or io.input_path_type != "dir" or not io.recursive:
            continue
        for key in ("done", "failed"):
            folder = os.path.abspath(os.path.join(io.input_path, getattr(action, key)))
            if not _lies_in(folder, io.input_path):
                continue
            rel = os.path.relpath(folder, os.path.abspath(io.input_path))
            if rel != "." and pathspec.GitIgnoreSpec.from_lines(io.exclude).match_file(rel + "/x"):
                continue
            line = one.block.node.start_mark.line + 1
            message = (
                f"{key} lies in the watched folder (line {line}), so what is put there is found "
                f"again at the next start; add '/{rel}/' to its exclude, or put it elsewhere"
            )
            node, where = block.node, f"{block.where}.properties.{key}"
            if key in block.property_nodes:
                node, where = block.node_at(key, ())
            reader.problem(node, where, message)


def _lies_in(inner: str, outer: str) -> bool:
    one, two = os.path.abspath(inner), os.path.abspath(outer)
    return os.path.commonpath([one, two]) == two
