"""The blocks of a bot's file: kinds, implementations, and the keys that each may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mewbot.core import ComponentKind

from limpet._suggest import near
from limpet._yaml_nodes import YamlReader
from limpet._yaml_positions import kind_of, node_at

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

_COMMON: Final = ("kind", "implementation", "uuid", "properties")
COMPONENT_KEYS: Final = {"triggers": "Trigger", "conditions": "Condition", "actions": "Action"}
"""Key of a behaviour -> the kind of the components in it."""

_TOP: Final = ("IOConfig", "Behaviour")
_UNUSED: Final = ("DataSource", "Template")
"""Kinds that mewbot knows and ignores."""


@dataclass(slots=True)
class Block:
    """One component in the file."""

    kind: str
    implementation: str
    uuid: str | None
    properties: dict[str, Any]
    where: str
    node: Node
    implementation_node: Node
    property_nodes: dict[str, tuple[Node, Node]]
    parts: dict[str, list[Block]] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    """Properties whose problems were reported already."""

    def node_at(
        self, key: str, where: tuple[str | int, ...], *, at_key: bool = False
    ) -> tuple[Node, str]:
        """Return the node of a part of a property's value, and the path to it.

        Args:
            key: The property.
            where: The path from its value to the part.
            at_key: Return the node of the last key on the path instead.
        """
        at_value = f"{self.where}.properties.{key}"
        return node_at(self.property_nodes[key][1], at_value, where, at_key=at_key)


def read_blocks(reader: YamlReader) -> list[Block]:
    """Return the blocks that can be read; problems of the others are reported."""
    found = []
    for number, node in enumerate(reader.documents(), 1):
        block = _read(reader, node, str(number), None)
        if block is not None:
            found.append(block)
    return found


def _read(reader: YamlReader, node: Node, where: str, wanted: str | None) -> Block | None:
    if kind_of(node) != "mapping":
        reader.problem(
            node, where, "a component must have keys and values: kind, implementation, ..."
        )
        return None
    pairs = reader.pairs(node, where)
    kind = _kind(reader, node, pairs, where, wanted)
    if kind is None:
        return None
    parts = COMPONENT_KEYS if kind == "Behaviour" else {}
    known = (*_COMMON, *parts)
    for key, (key_node, _) in pairs.items():
        if key not in known:
            has = f" ({kind} has {', '.join(known)})"
            message = f"there is no key {key!r}{near(key, known) or has}"
            reader.problem(key_node, f"{where}.{key}", message)
    for key in known:
        if key not in pairs and key != "kind":
            reader.problem(node, where, f"the key {key!r} is missing{_missing_hint(key)}")
    block = Block(
        kind=kind,
        implementation="",
        uuid=None,
        properties={},
        where=where,
        node=node,
        implementation_node=node,
        property_nodes={},
    )
    if "implementation" in pairs:
        block.implementation_node = pairs["implementation"][1]
        value, is_read = _value(reader, block.implementation_node, f"{where}.implementation")
        if isinstance(value, str) and "." in value:
            block.implementation = value
        elif is_read:
            message = "must be the full name of a class, such as limpet.bot.FileSystem"
            reader.problem(block.implementation_node, f"{where}.implementation", message)
    if "uuid" in pairs:
        value, is_read = _value(reader, pairs["uuid"][1], f"{where}.uuid")
        if value is None or (isinstance(value, str) and value):
            block.uuid = value
        elif is_read:
            reader.problem(pairs["uuid"][1], f"{where}.uuid", "must be a text, or null")
    if "properties" in pairs:
        _read_properties(reader, block, pairs["properties"][1])
    for key, part_kind in parts.items():
        block.parts[key] = []
        if key in pairs:
            _read_parts(reader, block, key, part_kind, pairs[key][1])
    return block


def _kind(
    reader: YamlReader,
    node: Node,
    pairs: dict[str, tuple[Node, Node]],
    where: str,
    wanted: str | None,
) -> str | None:
    allowed = _TOP if wanted is None else (wanted,)
    if "kind" not in pairs:
        keys = [key for key in pairs if near("kind", [key])]
        hint = f"; did you mean it by {keys[0]!r}?" if keys else ""
        reader.problem(node, where, f"the key 'kind' is missing{hint} ({' or '.join(allowed)})")
        return None
    value_node = pairs["kind"][1]
    kind, is_read = _value(reader, value_node, f"{where}.kind")
    if not is_read:
        return None
    if kind in allowed:
        return str(kind)
    if wanted is None and kind in _UNUSED:
        message = f"mewbot ignores the kind {kind}; it is skipped"
        reader.problem(value_node, f"{where}.kind", message, warning=True)
        return None
    names = [one.value for one in ComponentKind]
    if kind in names:
        message = f"{kind} does not belong here; {' or '.join(allowed)} does"
    else:
        message = f"there is no kind {kind!r}{near(str(kind), allowed)}"
    reader.problem(value_node, f"{where}.kind", message)
    return None


def _value(reader: YamlReader, node: Node, where: str) -> tuple[Any, bool]:
    """Return a node's value, and whether it was read without a problem."""
    before = len(reader.problems)
    value = reader.value(node, where)
    return value, len(reader.problems) == before


def _read_properties(reader: YamlReader, block: Block, node: Node) -> None:
    where = f"{block.where}.properties"
    if kind_of(node) != "mapping":
        reader.problem(node, where, "must be keys and values; {} if there are none")
        return
    block.property_nodes = reader.pairs(node, where)
    for key, (_, one) in block.property_nodes.items():
        block.properties[key], is_read = _value(reader, one, f"{where}.{key}")
        if not is_read:
            block.wrong.add(key)


def _read_parts(reader: YamlReader, block: Block, key: str, kind: str, node: Node) -> None:
    where = f"{block.where}.{key}"
    if kind_of(node) != "sequence":
        reader.problem(node, where, "must be a list; [] if there are none")
        return
    for one, at in reader.items(node, where):
        if reader.is_full:
            return
        part = _read(reader, one, at, kind)
        if part is not None:
            block.parts[key].append(part)


def _missing_hint(key: str) -> str:
    return {
        "uuid": " (it may be null)",
        "properties": " (it may be {})",
        "triggers": " (it may be [])",
        "conditions": " (it may be [])",
        "actions": " (it may be [])",
    }.get(key, "")
