"""YAML with positions, limited to what every reader understands in the same way.

ruamel.yaml reads it, by YAML 1.2, as editors, other languages and most people expect; mewbot's own
loader reads the files of bots with PyYAML, by YAML 1.1. A plain word with different values in the
two (``yes``, ``010``, ``12:30``, ``1e3``, ``2026-11-25``) is refused: quoted, it has one meaning.
Duplicate keys, of which a reader silently takes one, are refused, too, and so is every tag, above
all ``!!python``.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

from limpet._config_problem import Problem, shortened
from limpet.errors import MissingExtraError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

MAX_NODES: Final = 50_000
"""Most values of a file, counted each time an alias repeats them; ruamel.yaml reads 20,000 a second
on a machine of 2020."""
_MAX_DEPTH: Final = 50
_MAX_BYTES: Final = 4 << 20
"""Largest file: somebody waits for it to be read."""
_MOST_DIGITS: Final = 640
"""The longest integer that every Python converts (``sys.int_info.str_digits_check_threshold``)."""

_CORE: Final = "tag:yaml.org,2002:"

_AGREED: Final = re.compile(
    r"""null|Null|NULL|~|
    |true|True|TRUE|false|False|FALSE
    |[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+
    |(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
"""Words that are no text, and have the same value in YAML 1.1 and in the core schema of 1.2."""

_ARGUED: Final = re.compile(
    r"""yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|=|<<
    |[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.[0-9_]+|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0o[0-7_]+
    |(?=[-+._]*[0-9])[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ \t].*)?""",
    re.VERBOSE | re.DOTALL,
)
"""Further words that one of the two takes for something else than text."""

_UNQUOTED: Final = re.compile(r"(?:[:,\[-]\s+|\[)\{\{")
"""A template that YAML takes for a mapping."""


class YamlReader:
    """Reads one file, and collects its ``problems``."""

    def __init__(self, text: str, file: str, *, extra: str = "bot") -> None:
        """Read this text; ``file`` names it in problems.

        Raises:
            MissingExtraError: ruamel.yaml is not installed; ``extra`` is the extra that installs
                it.
        """
        try:
            import ruamel.yaml  # noqa: F401 - whether it is there
        except ImportError as error:
            message = f"{file} cannot be read without ruamel.yaml: pip install 'limpet[{extra}]'"
            raise MissingExtraError(message) from error
        self.problems: list[Problem] = []
        self.is_full = False
        """Whether the file has too many values: what follows would be misunderstood, and is not
        reported."""
        self.file = file
        self._text = text
        self._count = 0

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, extra: str) -> Self:
        """Return a reader of a file; one that cannot be read has a problem and no documents.

        Raises:
            MissingExtraError: ruamel.yaml is not installed; ``extra`` is the extra that installs
                it.
        """
        file = os.fspath(path)
        line = column = 1
        try:
            with open(path, "rb") as stream:
                data = stream.read(_MAX_BYTES + 1)
            if len(data) <= _MAX_BYTES:
                return cls(data.decode("utf-8-sig"), file, extra=extra)
            message = f"the file has more than {_MAX_BYTES >> 20} MiB"
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            column = error.start - error.object.rfind(b"\n", 0, error.start)
            message = f"this is not UTF-8: {error.reason}"
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
        reader = cls("", file, extra=extra)
        reader._report(line, column, "", message)
        return reader

    def documents(self) -> Iterator[Node]:
        """Yield the documents that are not empty, up to the first syntax error."""
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            for node in _loader().compose_all(self._text):
                if node is None or (kind_of(node) == "scalar" and node.value == ""):
                    continue  # only comments, as after a last '---'
                yield node
                if self.is_full:
                    return
        except _too_many() as error:
            mark = error.problem_mark
            self._report(mark.line + 1, mark.column + 1, "", _TOO_MANY)
            self.is_full = True
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            if reason.startswith("maximum depth"):
                reason = f"it is nested deeper than {_MAX_DEPTH} levels"
            self._report(line, column, "", f"this is not YAML: {reason}{self._hint(line)}")
        except (YAMLError, ValueError, AttributeError, IndexError) as error:
            # The scanner of 0.19 raises the last ones for some directives and escapes.
            line = getattr(error, "line", 0) or 1
            reason = getattr(error, "reason", "") or str(error)
            self._report(line, 1, "", f"this is not YAML: {reason.strip()}")

    def _hint(self, line: int) -> str:
        """Return what helps with a template that was not quoted in this line or the one before."""
        lines = self._text.split("\n")
        if any(_UNQUOTED.search(one) for one in lines[max(0, line - 2) : line]):
            return "; a text that begins with '{{' must be quoted"
        return ""

    def value(self, node: Node, where: str) -> Any:  # noqa: ANN401 - any value
        """Return a node's value in plain types; a part with a problem is reported and left out."""
        return self._value(node, where, ())

    def problem(self, node: Node, where: str, message: str, *, warning: bool = False) -> None:
        mark = node.start_mark
        self._report(mark.line + 1, mark.column + 1, where, message, warning=warning)

    def file_problem(self, message: str) -> None:
        """Report a problem of the whole file."""
        self._report(1, 1, "", message)

    def items(self, node: Node, where: str) -> Iterator[tuple[Node, str]]:
        """Yield the nodes of a sequence with their paths of keys."""
        self._check_tag(node, where, "seq")
        yield from ((one, f"{where}[{at}]") for at, one in enumerate(node.value))

    def pairs(self, node: Node, where: str) -> dict[str, tuple[Node, Node]]:
        """Return a mapping's keys with the nodes of key and value; duplicates are reported."""
        return self._pairs(node, where, ())

    def _pairs(
        self, node: Node, where: str, above: tuple[int, ...]
    ) -> dict[str, tuple[Node, Node]]:
        self._check_tag(node, where, "map")
        found: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if _is_merge(key):
                merged = self._merged(value, where, (*above, id(node))) | merged
                continue
            if kind_of(key) != "scalar":
                is_template = kind_of(key) == "mapping" and key.flow_style
                hint = "; a text that begins with '{{' must be quoted" if is_template else ""
                self.problem(key, where, f"a key must be a word{hint}")
                continue
            name = key.value
            if name in found:
                line = found[name][0].start_mark.line + 1
                message = f"the key {name!r} is a duplicate (line {line} has it, too)"
                self.problem(key, f"{where}.{name}", message)
                continue
            found[name] = (key, value)
        return {**merged, **found}

    def _merged(
        self, node: Node, where: str, above: tuple[int, ...]
    ) -> dict[str, tuple[Node, Node]]:
        found: dict[str, tuple[Node, Node]] = {}
        for one in node.value if kind_of(node) == "sequence" else [node]:
            if kind_of(one) != "mapping":
                self.problem(one, where, "'<<' takes keys and values, or a list of mappings")
                continue
            if id(one) in above:
                self.problem(one, where, "it contains itself")
                continue
            found = self._pairs(one, where, above) | found
        return found

    def _value(self, node: Node, where: str, above: tuple[int, ...]) -> Any:  # noqa: ANN401
        self._count += 1
        if self._count == MAX_NODES:
            self.problem(node, where, _TOO_MANY)
            self.is_full = True
        if self.is_full:
            return None
        if id(node) in above or len(above) > _MAX_DEPTH:
            self.problem(node, where, "it contains itself, or is nested too deeply")
            return None
        above = (*above, id(node))
        if kind_of(node) == "mapping":
            return {
                name: self._value(value, f"{where}.{name}", above)
                for name, (_, value) in self.pairs(node, where).items()
            }
        if kind_of(node) == "sequence":
            return [self._value(one, at, above) for one, at in self.items(node, where)]
        return self._scalar(node, where)

    def _scalar(self, node: Node, where: str) -> Any:  # noqa: ANN401 - a plain value
        text: str = node.value
        if _style_of(node) or "\n" in text or node.tag == "!":
            self._check_tag(node, where, "str")
            return text
        if _tag_of(node).removeprefix(_CORE) not in _PLAIN:
            self._check_tag(node, where, "str")
            return None
        if _AGREED.fullmatch(text):
            if len(text) > _MOST_DIGITS:
                self.problem(node, where, f"a number has {_MOST_DIGITS} digits at most; quote it")
                return None
            return _plain_value(text)
        if _ARGUED.fullmatch(text):
            as_bool = {"yes": "true", "on": "true", "no": "false", "off": "false"}
            known = as_bool.get(text.lower())
            hint = f"write {known}, or " if known else ""
            message = f"{text!r} is not the same to YAML 1.1 and 1.2; {hint}quote it: '{text}'"
            self.problem(node, where, message)
            return None
        return text

    def _check_tag(self, node: Node, where: str, kind: str) -> None:
        if node.tag not in {_CORE + kind, "!"}:
            tag = _tag_of(node).replace(_CORE, "!!")
            self.problem(node, where, f"the tag {tag} is refused; nothing in this file needs one")

    def _report(
        self, line: int, column: int, where: str, message: str, *, warning: bool = False
    ) -> None:
        if self.is_full:
            return
        self.problems.append(
            Problem(
                file=self.file,
                line=line,
                column=column,
                where=shortened(where),
                message=shortened(message),
                level="warning" if warning else "error",
            )
        )


_TOO_MANY: Final = f"the file has more than {MAX_NODES} values; the rest of it is not read"
_PLAIN: Final = frozenset("str null bool int float timestamp value merge".split())
"""Tags that a word has by its form."""


@cache
def _too_many() -> Any:  # noqa: ANN401 - an exception's class
    from ruamel.yaml.error import MarkedYAMLError

    class TooManyNodesError(MarkedYAMLError):
        """The file has too many values."""

    return TooManyNodesError


@cache
def _composer() -> Any:  # noqa: ANN401 - a class
    from ruamel.yaml.composer import Composer

    class CountingComposer(Composer):
        """Ends at the bound, before a large file has taken memory and time."""

        count = 0

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - ruamel's
            self.count += 1
            if self.count > MAX_NODES:
                mark = self.parser.peek_event().start_mark
                raise _too_many()(problem=_TOO_MANY, problem_mark=mark)
            return super().compose_node(parent, index)

    return CountingComposer


def _loader() -> Any:  # noqa: ANN401 - ruamel's has no types
    from ruamel.yaml import YAML

    loader = YAML(typ="safe", pure=True)
    loader.max_depth = _MAX_DEPTH + 1
    loader.Composer = _composer()
    loader.composer.warn_double_anchors = False
    return loader


@cache
def _plain_value(text: str) -> Any:  # noqa: ANN401 - a plain value
    """Return the value of a word on which both versions of YAML agree."""
    loader = _loader()
    (node,) = loader.compose_all(f"- {text}\n")
    return loader.constructor.construct_object(node.value[0], deep=True)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector out while the nodes of a file are made and read.

    They are many, all alive and no garbage: 25,000 documents took 7.5 s with it and 1.2 s without.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def kind_of(node: Node) -> str:
    """Return ``scalar``, ``sequence`` or ``mapping``."""
    return str(getattr(node, "id", ""))


def _style_of(node: Node) -> object:
    """Return how a scalar is quoted; nothing for a plain one."""
    return getattr(node, "style", None)


def _tag_of(node: Node) -> str:
    return str(node.tag)


def _is_merge(key: Node) -> bool:
    return kind_of(key) == "scalar" and key.value == "<<" and not _style_of(key)


def node_at(
    node: Node, where: str, steps: Sequence[str | int], *, at_key: bool = False
) -> tuple[Node, str]:
    """Return the node of a part of a value, and the path of keys to it.

    A step that is not there ends the way at what is above it.

    Args:
        node: Of the value.
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
        if _is_merge(key):
            for one in value.value if kind_of(value) == "sequence" else [value]:
                below = kind_of(one) == "mapping" and depth < _MAX_DEPTH
                found = _pair(one, name, depth + 1) if below else None
                if found is not None:
                    return found
    return None
