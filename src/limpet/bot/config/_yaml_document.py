"""YAML with positions, limited to what every reader understands in the same way.

mewbot's loader reads YAML 1.1 with PyYAML; editors, other languages and most people expect YAML
1.2. A plain word with different values in the two (``yes``, ``010``, ``12:30``, ``1e3``,
``2026-11-25``) is refused: quoted, it has one meaning. Duplicate keys, of which a reader silently
takes one, are refused, too, and so is every tag, above all ``!!python``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import yaml

from limpet.bot.compat._require_extra import need
from limpet.bot.config._problem import Problem

need("yaml", "a bot's file")

_MAX_NODES: Final = 100_000
"""Most values of a file, counted each time an alias repeats them."""
_MAX_DEPTH: Final = 50

_CORE: Final = "tag:yaml.org,2002:"

_NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE: Final = re.compile(r"(?:true|True|TRUE)")
_FALSE: Final = re.compile(r"(?:false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCT: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN: Final = re.compile(r"\.(?:nan|NaN|NAN)")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlReader:
    """Reads one file, and collects its ``problems``."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._file = file
        self._count = 0

    def documents(self) -> Iterator[yaml.Node]:
        """Yield the documents that are not empty, up to the first syntax error."""
        try:
            for node in yaml.compose_all(self._text, Loader=_LOADER):
                if node is None or (isinstance(node, yaml.ScalarNode) and node.value == ""):
                    continue  # only comments, as after a last '---'
                yield node
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            self._report(line, column, "", f"this is not YAML: {reason}")
        except yaml.YAMLError as error:
            self._report(1, 1, "", f"this is not YAML: {error}")

    def value(self, node: yaml.Node, where: str) -> Any:  # noqa: ANN401 - any value
        """Return a node's value in plain types; a part with a problem is reported and left out."""
        return self._value(node, where, ())

    def problem(self, node: yaml.Node, where: str, message: str, *, warning: bool = False) -> None:
        """Report a problem at a node."""
        line, column = position_of(node)
        self._report(line, column, where, message, warning=warning)

    def pairs(self, node: yaml.MappingNode, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a mapping's keys with the nodes of key and value; duplicates are reported."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _CORE + "merge":
                merged = self._merged(value, where) | merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, where, "a key must be a word")
                continue
            name = key.value
            if name in found:
                line, _ = position_of(found[name][0])
                message = f"the key {name!r} is a duplicate (line {line} has it, too)"
                self.problem(key, f"{where}.{name}", message)
                continue
            found[name] = (key, value)
        return {**merged, **found}

    def _merged(self, node: yaml.Node, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(one, yaml.MappingNode):
                self.problem(one, where, "'<<' takes keys and values, or a list of mappings")
                continue
            found = self.pairs(one, where) | found
        return found

    def _value(self, node: yaml.Node, where: str, above: tuple[int, ...]) -> Any:  # noqa: ANN401
        self._count += 1
        if self._count == _MAX_NODES:
            self.problem(node, where, f"the file has more than {_MAX_NODES} values")
        if self._count >= _MAX_NODES:
            return None
        if id(node) in above or len(above) > _MAX_DEPTH:
            self.problem(node, where, "it contains itself, or is nested too deeply")
            return None
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, where, "map")
            return {
                name: self._value(value, f"{where}.{name}", above)
                for name, (_, value) in self.pairs(node, where).items()
            }
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, where, "seq")
            return [self._value(one, f"{where}[{at}]", above) for at, one in enumerate(node.value)]
        return self._scalar(node, where)

    def _scalar(self, node: yaml.Node, where: str) -> Any:  # noqa: ANN401 - a plain value
        text: str = node.value
        if getattr(node, "style", None):
            self._check_tag(node, where, "str")
            return text
        one_two = _by_yaml_1_2(text)
        one_one = _by_yaml_1_1(text)
        if node.tag == _CORE + "str" and isinstance(one_two, str):
            return text  # of several lines, or with ': ' after a line break
        known = {_CORE + kind for kind in ("str", "null", "bool", "int", "float", "timestamp")}
        if node.tag not in known | {_CORE + "value"}:
            self._check_tag(node, where, "str")
            return None
        if type(one_one) is type(one_two) and repr(one_one) == repr(one_two):
            return one_two
        shown = "the text " + repr(text)
        apart = [shown if isinstance(one, str) else repr(one) for one in (one_one, one_two)]
        hint = f"write {str(one_one).lower()}, or " if isinstance(one_one, bool) else ""
        message = (
            f"{text!r} is {apart[0]} to YAML 1.1 and {apart[1]} to YAML 1.2; "
            f"{hint}quote it: '{text}'"
        )
        self.problem(node, where, message)
        return None

    def _check_tag(self, node: yaml.Node, where: str, kind: str) -> None:
        if node.tag not in {_CORE + kind, "!"}:
            tag = node.tag.replace(_CORE, "!!")
            self.problem(node, where, f"the tag {tag} is refused; nothing in this file needs one")

    def _report(
        self, line: int, column: int, where: str, message: str, *, warning: bool = False
    ) -> None:
        self.problems.append(
            Problem(
                file=self._file,
                line=line,
                column=column,
                where=where,
                message=message,
                level="warning" if warning else "error",
            )
        )


def position_of(node: yaml.Node) -> tuple[int, int]:
    """Return line and column, both from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


@cache
def _by_yaml_1_1(text: str) -> Any:  # noqa: ANN401 - a plain value
    """Return the value of a plain word for PyYAML, and so for mewbot."""
    try:
        return yaml.safe_load(text) if text else None
    except (yaml.YAMLError, ValueError):
        return text


def _by_yaml_1_2(text: str) -> Any:  # noqa: ANN401 - a plain value
    """Return the value of a plain word in the core schema of YAML 1.2.2, section 10.3.2."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _OCT.fullmatch(text):
        return int(text, 8)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF.fullmatch(text):
        return float("-inf") if text[0] == "-" else float("inf")
    return float("nan") if _NAN.fullmatch(text) else text
