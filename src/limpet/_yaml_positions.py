"""Nodes of YAML: their kinds and tags, and the way from a value to a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limpet._yaml_parser import MAX_DEPTH

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node


def kind_of(node: Node) -> str:
    """Return ``scalar``, ``sequence`` or ``mapping``."""
    return str(getattr(node, "id", ""))


def style_of(node: Node) -> object:
    """Return how a scalar is quoted; nothing for a plain one."""
    return getattr(node, "style", None)


def tag_of(node: Node) -> str:
    """Return the tag, also one that a word has by its form."""
    return str(node.tag)


def is_merge(key: Node) -> bool:
    """Return whether a key is ``<<``, which takes the keys of another mapping."""
    return kind_of(key) == "scalar" and key.value == "<<" and not style_of(key)


def node_at(
    node: Node, where: str, steps: Sequence[str | int], *, at_key: bool = False
) -> tuple[Node, str]:
    """Return the node of a part of a value, and the path of keys to it.

    A step that is not there ends the way at what is above it.

    Args:
        node: The value's node.
        where: The path of keys to the value.
        steps: The keys and indices from the value to its part.
        at_key: Return the node of the last key on the way instead.
    """
    key_node: Node | None = None
    for step in steps:
        if kind_of(node) == "mapping":
            found = _pair(node, str(step))
            if found is None:
                break
            name, node = found
            where += f".{step}"
            key_node = name if at_key else None
        elif kind_of(node) == "sequence" and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            where += f"[{step}]"
        else:
            break
    return (node if key_node is None else key_node), where


def _pair(node: Node, name: str, depth: int = 0) -> tuple[Node, Node] | None:
    """Return the nodes of a key and its value, also of one that ``<<`` merges in."""
    for key, value in node.value:
        if kind_of(key) == "scalar" and key.value == name:
            return key, value
    for key, value in node.value:
        if is_merge(key):
            for one in value.value if kind_of(value) == "sequence" else [value]:
                below = kind_of(one) == "mapping" and depth < MAX_DEPTH
                found = _pair(one, name, depth + 1) if below else None
                if found is not None:
                    return found
    return None
