"""Problems of a bot as a whole: duplicate names, and folders inside one another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pathspec

from limpet._suggest import near
from limpet.bot.actions import MoveProcessedFileAction
from limpet.bot.config._documents import COMPONENT_KEYS, Block
from limpet.bot.config._yaml_document import YamlReader
from limpet.bot.io._filesystem import FileSystem
from limpet.bot.settings._setting import Configured, settings_of


@dataclass(frozen=True, slots=True)
class BuiltComponent:
    """A top-level block and its component."""

    block: Block
    component: Any


def check_whole(reader: YamlReader, blocks: list[Block], built: list[BuiltComponent]) -> None:
    """Report components that do not go together."""
    _check_uuids(reader, blocks)
    filesystems = [one for one in built if isinstance(one.component, FileSystem)]
    _check_names(reader, filesystems)
    for one in filesystems:
        _check_loop(reader, one)
    for block, component in _components(built):
        if isinstance(component, Configured) and "io" in settings_of(type(component)):
            _check_io(reader, block, component, filesystems)
        if isinstance(component, MoveProcessedFileAction):
            _check_processed_dirs(reader, block, component, filesystems)
    if any(problem.level == "error" for problem in reader.problems):
        return  # a component may be missing because of an error
    if not any(block.kind == "Behaviour" for block in blocks) and blocks:
        message = "this file has no Behaviour, so the bot does nothing"
        reader.problem(blocks[-1].node, "", message, warning=True)
    for block in blocks:
        for key in ("triggers", "actions"):
            if block.kind == "Behaviour" and not block.parts.get(key):
                message = f"it has no {key}, so it does nothing"
                reader.problem(block.node, block.where, message, warning=True)


def _components(built: list[BuiltComponent]) -> Iterator[tuple[Block, Any]]:
    for one in built:
        if one.block.kind != "Behaviour":
            continue
        for key in COMPONENT_KEYS:
            yield from zip(one.block.parts[key], getattr(one.component, key, ()), strict=False)


def _check_uuids(reader: YamlReader, blocks: list[Block]) -> None:
    seen: dict[str, Block] = {}
    for block in [*blocks, *(part for one in blocks for key in one.parts.values() for part in key)]:
        if block.uuid is None:
            continue
        if block.uuid in seen:
            line = seen[block.uuid].node.start_mark.line + 1
            message = f"the component in line {line} has the uuid {block.uuid!r}, too"
            reader.problem(block.node, f"{block.where}.uuid", message)
        seen.setdefault(block.uuid, block)


def _check_names(reader: YamlReader, filesystems: list[BuiltComponent]) -> None:
    names: dict[str, BuiltComponent] = {}
    states: dict[str, BuiltComponent] = {}
    for one in filesystems:
        io = one.component
        if io.name and io.name in names:
            message = f"another FileSystem has the name {io.name!r}, too"
            reader.problem(one.block.node, f"{one.block.where}.properties.name", message)
        names.setdefault(io.name, one)
        if io.state is not None:
            state = os.path.abspath(io.state)
            if state in states:
                message = f"another FileSystem has the state file {io.state}, too"
                node, where = one.block.node_at("state", ())
                reader.problem(node, where, message)
            states.setdefault(state, one)


def _check_io(
    reader: YamlReader,
    block: Block,
    component: Any,  # noqa: ANN401 - one with ``io``
    filesystems: list[BuiltComponent],
) -> None:
    named = component.io
    if named is None or any(one.component.is_named(named) for one in filesystems):
        return
    known = [one.component.label for one in filesystems]
    node, where = block.node_at("io", ())
    listed = f" (known names: {', '.join(known)})" if known else ""
    reader.problem(node, where, f"no FileSystem has the name {named!r}{near(named, known)}{listed}")


def _check_loop(reader: YamlReader, one: BuiltComponent) -> None:
    io = one.component
    if io.own != "keep" or io.input_path is None or io.output_path is None:
        return
    if io.include or io.exclude or not _is_inside(io.output_path, io.input_path):
        return
    node, where = one.block.node_at("own", ())
    message = (
        "output_path is inside the watched folder, and with own: keep each write is an event: a "
        "behaviour that answers each event never ends; use own: drop, or exclude the folder"
    )
    reader.problem(node, where, message, warning=True)


def _check_processed_dirs(
    reader: YamlReader,
    block: Block,
    action: MoveProcessedFileAction,
    filesystems: list[BuiltComponent],
) -> None:
    for one in filesystems:
        io = one.component
        if io.input_path is None or io.input_path_type != "dir" or not io.recursive:
            continue
        for key in ("done", "failed"):
            folder = os.path.abspath(os.path.join(io.input_path, getattr(action, key)))
            if not _is_inside(folder, io.input_path):
                continue
            rel = os.path.relpath(folder, os.path.abspath(io.input_path))
            if rel != "." and pathspec.GitIgnoreSpec.from_lines(io.exclude).match_file(rel + "/x"):
                continue
            line = one.block.node.start_mark.line + 1
            message = (
                f"{key} is inside the watched folder (line {line}), so files in it are reported "
                f"again at the next start; add '/{rel}/' to its exclude, or choose another folder"
            )
            node, where = block.node, f"{block.where}.properties.{key}"
            if key in block.property_nodes:
                node, where = block.node_at(key, ())
            reader.problem(node, where, message)


def _is_inside(inner: str, outer: str) -> bool:
    one, two = os.path.abspath(inner), os.path.abspath(outer)
    return os.path.commonpath([one, two]) == two
