"""Tables of the keys of a YAML file; reading against one reports every mistake with its position.

A ``Take`` reads one node: it returns the value, or reports what is wrong with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args, get_origin

from limpet._option_fields import info_of, words_of
from limpet._suggest import near
from limpet._yaml_nodes import ConfigError, YamlReader, kind_of
from limpet.errors import UsageError
from limpet.remote._subjects import check_slug

if TYPE_CHECKING:
    import yaml

Take: TypeAlias = Callable[[YamlReader, "yaml.Node", str], Any]
"""Reads a node, at this path of keys."""

_UNITS: Final = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with known keys."""

    keys: Mapping[str, Take]
    required: frozenset[str] = frozenset()
    make: Callable[[dict[str, Any]], object] = dict
    """Makes the value from what was read without a problem; its ``UsageError`` is reported."""

    def __call__(self, reader: YamlReader, node: yaml.Node, where: str) -> Any:
        known = ", ".join(self.keys)
        if kind_of(node) != "mapping":
            reader.problem(node, where, f"must be a mapping with keys from {known}")
            return None
        before = len(reader.problems)
        found: dict[str, Any] = {}
        pairs = reader.pairs(node, where)
        for key, (key_node, value) in pairs.items():
            take = self.keys.get(key)
            if take is not None:
                found[key] = take(reader, value, f"{where}.{key}")
                continue
            hint = near(key, self.keys) or f" (known keys: {known})"
            reader.problem(key_node, f"{where}.{key}", f"there is no key {key!r}{hint}")
        for key in sorted(self.required - pairs.keys()):
            reader.problem(node, where, f"the key {key!r} is missing")
        if len(reader.problems) > before:
            return None
        try:
            return self.make(found)
        except UsageError as error:
            reader.problem(node, where, str(error))
            return None


def each(take: Take) -> Take:
    """Take a list of such values."""

    def read(reader: YamlReader, node: yaml.Node, where: str) -> tuple[Any, ...] | None:
        if kind_of(node) != "sequence":
            reader.problem(node, where, "must be a list")
            return None
        return tuple(take(reader, one, at) for one, at in reader.items(node, where))

    return read


def checked(wanted: str, convert: Callable[[Any], Any]) -> Take:
    """Take what ``convert`` accepts; its ``ValueError`` means that it is not ``wanted``."""

    def read(reader: YamlReader, node: yaml.Node, where: str) -> Any:
        before = len(reader.problems)
        value = reader.value(node, where)
        if len(reader.problems) > before:
            return None
        try:
            return convert(value)
        except UsageError as error:
            reader.problem(node, where, str(error))
        except ValueError:
            reader.problem(node, where, f"must be {wanted}, not {value!r}")
        return None

    return read


def of_type(*kinds: type) -> Callable[[Any], Any]:
    """Return what accepts values of these very types, for ``checked``."""

    def convert(value: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError
        return value

    return convert


def _slug(value: Any) -> str:
    return check_slug(of_type(str)(value), "the name")


def _size(value: Any) -> int:
    found = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).lower())
    if found is None or found[2] not in _UNITS or isinstance(value, bool):
        raise ValueError
    return int(found[1]) * _UNITS[found[2]]


text: Final = checked("text", of_type(str))
flag: Final = checked("true or false", of_type(bool))
slug: Final = checked("text", _slug)
size: Final = checked("a size such as 512MiB", _size)


def number(least: float = 0.0) -> Take:
    """Take a finite number of at least ``least``."""

    def convert(value: Any) -> float:
        if not least <= of_type(int, float)(value) < math.inf:
            message = f"must be at least {least:g}, not {value!r}"
            raise UsageError(message)
        return float(value)

    return checked("a number", convert)


def whole(least: int = 0) -> Take:
    """Take a whole number of at least ``least``."""

    def convert(value: Any) -> int:
        if of_type(int)(value) < least:
            raise ValueError
        return int(value)

    return checked(f"a whole number of at least {least}", convert)


def one_of(*words: str) -> Take:
    """Take one of these words."""

    def convert(value: Any) -> Any:
        if value not in words:
            raise ValueError
        return value

    return checked(f"one of {', '.join(words)}", convert)


def path(reader: YamlReader, node: yaml.Node, where: str) -> str | None:
    """Take a path; a relative one is relative to the directory of the file."""
    found = text(reader, node, where)
    return None if found is None else str(Path(reader.file).resolve().parent / found)


def options_of(cls: type, names: Iterable[str]) -> dict[str, Take]:
    """Return what reads these options, from the dataclass fields that describe them."""
    return {name: _option(*info_of(cls, name)) for name in names}


def _option(kind: Any, _default: object, info: Any) -> Take:
    if isinstance(kind, UnionType):
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    if words := words_of(kind):
        return one_of(*words)
    if get_origin(kind) is tuple:
        return each(text)
    return {bool: flag, str: text, int: size, float: number(info.least or 0.0)}[kind]


def read_yaml(file: str | Path, table: Take, what: str) -> Any:
    """Read a file of one document against a table.

    Raises:
        MissingExtraError: PyYAML is not installed.
        ConfigError: The file cannot be read, or has mistakes; it lists all of them.
    """
    reader = YamlReader.open(file, extra="nats")
    documents = list(reader.documents())
    if not (documents or reader.problems):
        message = f"{file}: the file is empty"
        raise ConfigError(message)
    for node in documents[1:]:
        reader.problem(node, "", "this is a second document; the file may have one")
    found = table(reader, documents[0], what) if documents else None
    if reader.problems:
        raise ConfigError(problems=sorted(reader.problems))
    return found
