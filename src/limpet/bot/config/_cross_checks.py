"""Problems of a bot as a whole: duplicate names, and folders inside one another."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pathspec

from limpet._suggest import near
from limpet._yaml_nodes import YamlReader
from limpet.bot.actions import MoveProcessedFileAction
from limpet.bot.config._documents import COMPONENT_KEYS, Block
from limpet.bot.io._filesystem import FileSystem
from limpet.bot.settings._setting import Configured, settings_of


@dataclass(frozen=True, slots=True)
class BuiltComponent:
    """A top-level block and its component."""

    block: Block
    component: Any


def check_whole(reader: YamlReader, blocks: list[Block], built: list[BuiltComponent]) -> None:
    """Report components that do not go together."""
    behaviours = {block.where for block in blocks if block.kind == "Behaviour"}
    has_all_io = not any(
        problem.level == "error" and problem.where.partition(".")[0] not in behaviours
        for problem in reader.problems
    )
    _check_uuids(reader, blocks)
    filesystems = [one for one in built if isinstance(one.component, FileSystem)]
    _check_names(reader, filesystems)
    _check_loops(reader, filesystems)
    for block, component in _components(built):
        has_io = isinstance(component, Configured) and "io" in settings_of(type(component))
        if has_io and has_all_io:
            _check_io(reader, block, component, filesystems)
        if isinstance(component, MoveProcessedFileAction):
            _check_processed_dirs(reader, block, component, filesystems)
    if any(problem.level == "error" for problem in reader.problems):
        return  # a component may be missing because of an error
    if not any(block.kind == "Behaviour" for block in blocks):
        what = "no Behaviour" if blocks else "no component"
        message = f"this file has {what}, so the bot does nothing; 'limpet new' writes a whole one"
        reader.file_problem(message)
    if blocks and not any(block.kind == "IOConfig" for block in blocks):
        message = "this file has no IOConfig, so the bot gets no event"
        reader.problem(blocks[0].node, "", message, warning=True)
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


def _check_loops(reader: YamlReader, filesystems: list[BuiltComponent]) -> None:
    """Warn of watches that report what the bot itself writes."""
    for watcher, writer in itertools.product(filesystems, repeat=2):
        own = watcher.component.own
        if own == "drop" or not _is_watched(writer.component.output_path, watcher.component):
            continue
        line = writer.block.node.start_mark.line + 1
        whose = "" if writer is watcher else f" of line {line}"
        node, where = watcher.block.node_at("own", ())
        message = (
            f"output_path{whose} is inside the watched folder, and with own: {own} each write is "
            "an event: a behaviour that answers each event never ends; use own: drop, or exclude "
            "the folder"
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


def check_between(bots: list[tuple[YamlReader, list[BuiltComponent]]]) -> None:
    """Warn where a bot writes into a folder that another of these bots watches."""
    watchers = [
        [one for one in built if isinstance(one.component, FileSystem)] for _, built in bots
    ]
    places = [list(_written(built)) for _, built in bots]
    for (at, (reader, _)), (other, (other_reader, _)) in itertools.permutations(enumerate(bots), 2):
        goes_back = any(_watching(place.folder, watchers[at]) for place in places[other])
        for place in places[at]:
            for watcher in _watching(place.folder, watchers[other]):
                line = watcher.block.node.start_mark.line + 1
                message = (
                    f"{place.key} is inside the folder that another bot watches "
                    f"({other_reader.file}:{line}), so each write is an event there"
                )
                if goes_back:
                    message += (
                        ", and that bot writes into a folder that this one watches: two that "
                        "answer each event never end; exclude one of the folders, or set loop_limit"
                    )
                reader.problem(place.node, place.where, message, warning=True)


@dataclass(frozen=True, slots=True)
class _Written:
    """A folder that a bot writes into, and the property that says so."""

    folder: str
    key: str
    node: Any
    where: str


def _written(built: list[BuiltComponent]) -> Iterator[_Written]:
    """Yield the folders that a bot writes into, or moves processed files to."""
    filesystems = [one for one in built if isinstance(one.component, FileSystem)]
    for one in filesystems:
        if one.component.output_path is not None:
            node, where = one.block.node_at("output_path", ())
            yield _Written(one.component.output_path, "output_path", node, where)
    for block, component in _components(built):
        if not isinstance(component, MoveProcessedFileAction):
            continue
        for one, key in itertools.product(filesystems, ("done", "failed")):
            if one.component.input_path is None:
                continue
            node, where = block.node, f"{block.where}.properties.{key}"
            if key in block.property_nodes:
                node, where = block.node_at(key, ())
            folder = os.path.join(one.component.input_path, getattr(component, key))
            yield _Written(folder, key, node, where)


def _watching(folder: str, watchers: list[BuiltComponent]) -> list[BuiltComponent]:
    return [one for one in watchers if _is_watched(folder, one.component)]


def _is_watched(folder: str | None, io: FileSystem) -> bool:
    """Return whether a file that is written into a folder is an event of a watch."""
    if folder is None or io.input_path is None or io.input_path_type != "dir":
        return False
    inner, outer = os.path.realpath(folder), os.path.realpath(io.input_path)
    if not _is_inside(inner, outer) or io.include:
        return False
    if inner == outer:
        return True
    rel = os.path.relpath(inner, outer)
    excluded = pathspec.GitIgnoreSpec.from_lines(io.exclude).match_file(rel + "/x")
    return io.recursive and not excluded


def _is_inside(inner: str, outer: str) -> bool:
    return Path(os.path.abspath(inner)).is_relative_to(os.path.abspath(outer))
