"""Create components from blocks; what a class refuses is reported at its position."""

from __future__ import annotations

import importlib
import inspect
import uuid
from typing import Any, Final

from mewbot.core import BehaviourInterface, ComponentKind

from limpet._suggest import near
from limpet._yaml_nodes import YamlReader
from limpet.bot._names import MODULES
from limpet.bot._returned import FOREIGN_ERRORS, error_text, wrong_in
from limpet.bot.config._documents import COMPONENT_KEYS, Block
from limpet.bot.settings._setting import Configured, settings_of

_NAMESPACE: Final = uuid.UUID("5e1a6c1e-5f0c-4c39-9d3a-0b8f5f0a7c11")
"""For components without a uuid: they get one from their position in the file."""


def build(reader: YamlReader, block: Block) -> Any | None:  # noqa: ANN401 - any component
    """Create a component with its parts; return ``None`` after a problem, which is reported."""
    made = _make(reader, block)
    parts: list[tuple[Block, Any]] = [
        (part, _make(reader, part)) for key in COMPONENT_KEYS for part in block.parts.get(key, ())
    ]
    if made is None or any(one is None for _, one in parts):
        return None
    kept = [_keeps_its_promises(reader, part, one) for part, one in parts]  # reports each
    if not all(kept):
        return None
    if isinstance(made, BehaviourInterface) and block.kind == "Behaviour":
        for part, one in parts:
            try:
                made.add(one)
            except FOREIGN_ERRORS as error:
                message = f"the behaviour refuses it: {error_text(error)}"
                reader.problem(part.node, part.where, message)
                return None
    # With its parts, because what a behaviour consumes is what they do.
    return made if _keeps_its_promises(reader, block, made) else None


def _keeps_its_promises(reader: YamlReader, block: Block, made: object) -> bool:
    """Report what the methods of a component return and must not."""
    try:
        problems = list(wrong_in(made))
    except FOREIGN_ERRORS as error:
        problems = [error_text(error)]
    for message in problems:
        reader.problem(block.implementation_node, f"{block.where}.implementation", message)
    return not problems


def class_of(reader: YamlReader, block: Block) -> type[Any] | None:
    """Return the class that a block names, if it is of the block's kind."""
    where, node = f"{block.where}.implementation", block.implementation_node
    if not block.implementation:
        return None
    module_name, _, class_name = block.implementation.rpartition(".")
    ours = [f"limpet.bot.{name}" for name in MODULES]
    try:
        module = importlib.import_module(module_name)
    except FOREIGN_ERRORS as error:
        guess = near(block.implementation, [*ours, "mewbot.api.v1.Behaviour"])
        reader.problem(node, where, f"cannot import {module_name}: {error_text(error)}{guess}")
        return None
    try:
        found = getattr(module, class_name, None)
    except FOREIGN_ERRORS as error:
        reader.problem(node, where, f"{block.implementation} cannot be used: {error_text(error)}")
        return None
    if found is None:
        names = ours if module_name == "limpet.bot" else dir(module)
        guess = near(block.implementation if names is ours else class_name, names)
        reader.problem(node, where, f"{module_name} has no {class_name}{guess}")
        return None
    interface = ComponentKind.interface(ComponentKind[block.kind])
    if not isinstance(found, type) or not issubclass(found, interface):
        reader.problem(node, where, f"{block.implementation} is not a class of kind {block.kind}")
        return None
    return found


def _make(reader: YamlReader, block: Block) -> Any | None:  # noqa: ANN401 - any component
    kind = class_of(reader, block)
    if kind is None:
        return None
    before = len(reader.problems)
    try:
        if issubclass(kind, Configured):
            _check_ours(reader, block, kind)
        else:
            _check_others(reader, block, kind)
    except FOREIGN_ERRORS as error:  # a value or a class of its own that raises when looked at
        reader.problem(block.node, block.where, f"it cannot be checked: {error_text(error)}")
    if block.wrong or len(reader.problems) > before:
        return None
    try:
        return kind(uid=block.uuid or uuid.uuid5(_NAMESPACE, block.where).hex, **block.properties)
    except FOREIGN_ERRORS as error:
        reader.problem(
            block.node, block.where, f"the component cannot be created: {error_text(error)}"
        )
        return None


def _check_ours(reader: YamlReader, block: Block, kind: type) -> None:
    """Check each value by itself, so that all problems are reported at once."""
    known = settings_of(kind)
    for key, value in block.properties.items():
        if key in block.wrong:
            continue
        if key not in known:
            if not _is_settable(kind, key):
                others = [name for name in dir(kind) if _is_settable(kind, name)]
                _unknown(reader, block, key, list(dict.fromkeys([*known, *others])))
            continue
        for wrong in known[key].problems(value):
            node, where = block.node_at(key, wrong.steps, at_key=wrong.at_key)
            reader.problem(node, where, wrong.message)
    for key, one in known.items():
        if one.is_required and key not in block.properties:
            message = f"the property {key!r} is missing: {one.__doc__}"
            reader.problem(block.node, f"{block.where}.properties", message)


def _check_others(reader: YamlReader, block: Block, kind: type) -> None:
    """Check that a foreign class has the properties; it checks the values itself."""
    try:
        constructor: Any = kind.__init__  # type: ignore[misc]  # of the class itself
        parameters = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return
    names = list(parameters)[1:]
    if constructor is object.__init__:
        names = []
    elif any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    names += [name for name in dir(kind) if _is_settable(kind, name)]
    for key in block.properties:
        if key not in names:
            _unknown(reader, block, key, sorted({*names} - {"uuid"}))


def _unknown(reader: YamlReader, block: Block, key: str, known: list[str]) -> None:
    name = block.implementation.rpartition(".")[2]
    has = f" ({name} has {', '.join(known)})" if known else f" ({name} has none)"
    message = f"there is no property {key!r}{near(key, known) or has}"
    reader.problem(block.property_nodes[key][0], f"{block.where}.properties.{key}", message)


def _is_settable(kind: type, name: str) -> bool:
    found = getattr(kind, name, None)
    return isinstance(found, property) and found.fset is not None and name != "uuid"
