"""The format as a JSON Schema, for editors; made from the types that check the file."""

from __future__ import annotations

from typing import Any

from mewbot.core import ComponentKind

from limpet.bot._names import MODULES, load
from limpet.bot.config._documents import COMPONENT_KEYS
from limpet.bot.settings._setting import Configured, settings_of


def components(kind: str) -> dict[str, type]:
    """Return limpet's components of a kind: full name -> class, sorted."""
    interface = ComponentKind.interface(ComponentKind[kind])
    found = {}
    for name in sorted(MODULES):
        value: Any = load(name)
        concrete = isinstance(value, type) and issubclass(value, Configured)
        if concrete and issubclass(value, interface) and not value.__abstractmethods__:
            found[f"limpet.bot.{name}"] = value
    return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one document of a bot's file.

    It covers what an editor can check while one types; ``limpet check`` checks more. It accepts any
    properties of foreign classes.
    """
    kinds = ("IOConfig", "Behaviour", *COMPONENT_KEYS.values())
    top = [{"$ref": f"#/$defs/{kind}"} for kind in ("IOConfig", "Behaviour")]
    unused = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": ["DataSource", "Template"]}},
    }
    shared: dict[str, Any] = {}
    blocks = {kind: _block(kind, shared) for kind in kinds}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:limpet:bot:1",
        "title": "One document of a bot's file",
        "oneOf": [*top, unused],
        "$defs": {**blocks, **shared},
    }


def _block(kind: str, shared: dict[str, Any]) -> dict[str, Any]:
    ours = components(kind)
    parts = COMPONENT_KEYS if kind == "Behaviour" else {}
    required = ["kind", "implementation", "uuid", "properties", *parts]
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": {
            "kind": {"const": kind},
            "implementation": {
                "type": "string",
                "pattern": r"^[^.]+(\.[^.]+)+$",
                "examples": [*ours, *(["mewbot.api.v1.Behaviour"] if parts else [])],
            },
            "uuid": {"type": ["string", "null"], "minLength": 1},
            "properties": {"type": "object"},
            **{
                key: {"type": "array", "items": {"$ref": f"#/$defs/{part}"}}
                for key, part in parts.items()
            },
        },
        "allOf": [
            {
                "if": {"properties": {"implementation": {"const": name}}},
                "then": {"properties": {"properties": _properties(value, shared)}},
            }
            for name, value in ours.items()
        ],
    }


def _properties(kind: type, shared: dict[str, Any]) -> dict[str, Any]:
    known = settings_of(kind)
    properties: dict[str, Any] = {}
    for key, one in known.items():
        properties[key] = one.schema()
        shared |= properties[key].pop("$defs", {})
    for base in kind.__mro__:  # properties that are not settings: name, active, path
        for name, found in vars(base).items():
            if isinstance(found, property) and found.fset and name not in {*known, "uuid"}:
                properties.setdefault(name, {})
    needed = [key for key, one in known.items() if one.is_required]
    return {
        "type": "object",
        "description": (kind.__doc__ or "").partition("\n")[0],
        "properties": properties,
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }
