"""Reads a YAML file against a table of its keys: every mistake at once, each with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from limpet._suggest import near
from limpet.errors import LimpetError, MissingExtraError, UsageError
from limpet.remote._subjects import check_slug

__all__ = [
    "ConfigError",
    "Table",
    "each",
    "flag",
    "number",
    "one_of",
    "read_yaml",
    "size",
    "slug",
    "text",
]

Take: TypeAlias = Callable[["Reader", Any, str], Any]
"""Takes a YAML node and what it is called; says what is wrong, or gives the value."""

_UNITS: Final = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


class ConfigError(UsageError):
    """A configuration file is wrong, a line for each mistake: nothing was started."""

    def __init__(self, message: str, *, code: str = "config") -> None:
        """As the root, with a code of its own."""
        super().__init__(message, code=code)


@dataclass(slots=True)
class Reader:
    """Reads one file and collects what is wrong with it."""

    path: Path
    yaml: Any
    faults: list[str] = field(default_factory=list)

    def wrong(self, node: Any, message: str) -> None:
        """Note a mistake at a node."""
        mark = node.start_mark
        self.faults.append(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {message}")

    def plain(self, node: Any) -> Any:
        """Give a node's value."""
        return self.yaml.SafeLoader("").construct_object(node, deep=True)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with known keys."""

    keys: Mapping[str, Take]
    required: frozenset[str] = frozenset()

    def __call__(self, reader: Reader, node: Any, what: str) -> dict[str, Any]:
        """Read a mapping."""
        found: dict[str, Any] = {}
        if not isinstance(node, reader.yaml.MappingNode):
            reader.wrong(node, f"{what} must be a mapping of {', '.join(self.keys)}")
            return found
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, reader.yaml.ScalarNode) else "?"
            if key in found:
                reader.wrong(key_node, f"{what} has {key!r} twice")
                continue
            take = self.keys.get(key)
            if take is None:
                hint = near(key, self.keys) or f"; known: {', '.join(self.keys)}"
                reader.wrong(key_node, f"{what} has no key {key!r}{hint}")
                continue
            found[key] = take(reader, value, f"{what}.{key}")
        for key in sorted(self.required - found.keys()):
            reader.wrong(node, f"{what} needs {key!r}")
        return found


def each(take: Take) -> Take:
    """Take a list of such."""

    def read(reader: Reader, node: Any, what: str) -> list[Any]:
        if not isinstance(node, reader.yaml.SequenceNode):
            reader.wrong(node, f"{what} must be a list")
            return []
        return [take(reader, item, f"{what}[{number}]") for number, item in enumerate(node.value)]

    return read


def _scalar(kinds: type | tuple[type, ...], say: str) -> Take:
    def read(reader: Reader, node: Any, what: str) -> Any:
        value = reader.plain(node)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            reader.wrong(node, f"{what} must be {say}, not {value!r}")
            return None
        return value

    return read


text: Final = _scalar(str, "text")
flag: Final = _scalar(bool, "true or false")
number: Final = _scalar((int, float), "a number")


def slug(reader: Reader, node: Any, what: str) -> str:
    """Take a name that can be a token of a subject."""
    value = text(reader, node, what)
    if value is None:
        return ""
    try:
        return check_slug(value, what)
    except LimpetError as error:
        reader.wrong(node, str(error))
        return ""


def size(reader: Reader, node: Any, what: str) -> int:
    """Take a size: bytes, or a number with KiB, MiB, GiB."""
    value = reader.plain(node)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).lower())
    if found is None or found[2] not in _UNITS:
        reader.wrong(node, f"{what} must be a size such as 512MiB, not {value!r}")
        return 0
    return int(found[1]) * _UNITS[found[2]]


def one_of(*words: str) -> Take:
    """Take one of these words."""

    def read(reader: Reader, node: Any, what: str) -> str:
        value = reader.plain(node)
        if value not in words:
            reader.wrong(node, f"{what} must be one of {', '.join(words)}, not {value!r}")
            return words[0]
        return str(value)

    return read


def read_yaml(path: str | Path, table: Take, what: str) -> Any:
    """Read a file against a table.

    Raises:
        MissingExtraError: PyYAML is not installed.
        ConfigError: The file cannot be read, is no YAML, or has mistakes; all are told.
    """
    try:
        import yaml
    except ImportError as error:
        message = "configuration files need PyYAML: pip install 'limpet[nats]'"
        raise MissingExtraError(message) from error
    path = Path(path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        message = f"cannot read {str(path)!r}: {error.strerror}"
        raise ConfigError(message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path}: it is no YAML: {error}"
        raise ConfigError(message) from error
    if node is None:
        message = f"{path}: it is empty"
        raise ConfigError(message)
    reader = Reader(path, yaml)
    found = table(reader, node, what)
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return found
