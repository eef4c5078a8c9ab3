"""YAML with positions, limited to what every reader understands in the same way.

Words that YAML 1.1 and 1.2 read apart are refused (``_yaml_words``), and so are duplicate keys, of
which a reader silently takes one, and every tag, above all ``!!python``.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from limpet._config_problem import Problem, shortened
from limpet._yaml_parser import MAX_DEPTH, MAX_NODES, TOO_MANY, new_parser, too_many_nodes_error
from limpet._yaml_positions import is_merge, kind_of, style_of, tag_of
from limpet._yaml_words import AmbiguousWordError, value_of
from limpet.errors import MissingExtraError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

_MAX_BYTES: Final = 4 << 20
"""Largest file: somebody waits for it to be read."""

_CORE: Final = "tag:yaml.org,2002:"

_PLAIN: Final = frozenset("str null bool int float timestamp value merge".split())
"""Tags that a word has by its form."""

_SCANNER_ERRORS: Final = (ValueError, ArithmeticError, AssertionError, AttributeError, LookupError)
"""What ruamel.yaml 0.19 raises for some directives and escapes, such as ``%YAML 1.3``."""

_OTHER_VERSION: Final = re.compile(r"^%YAML (?!1\.[12]\s).*", re.MULTILINE)

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
        from ruamel.yaml.error import MarkedYAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            for node in new_parser().compose_all(self._text):
                if node is None or (kind_of(node) == "scalar" and node.value == ""):
                    continue  # only comments, as after a last '---'
                yield node
                if self.is_full:
                    return
        except too_many_nodes_error() as error:
            mark = error.problem_mark
            self._report(mark.line + 1, mark.column + 1, "", TOO_MANY)
            self.is_full = True
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            reason = ", ".join(part for part in (error.context, error.problem) if part)
            if reason.startswith("maximum depth"):
                reason = f"it is nested deeper than {MAX_DEPTH} levels"
            if "undefined alias" in reason:
                reason += "; a text that begins with '*' must be quoted"
            self._report(line, column, "", f"this is not YAML: {reason}{self._hint(line)}")
        except ReaderError as error:
            before = self._text[: error.position]
            line, column = before.count("\n") + 1, error.position - before.rfind("\n")
            self._report(line, column, "", f"this is not YAML: {error.reason}")
        except _SCANNER_ERRORS as error:
            line, reason = 1, str(error).strip()
            if (version := _OTHER_VERSION.search(self._text)) is not None:
                line = self._text.count("\n", 0, version.start()) + 1
                reason = f"{shortened(version[0], 80)} is not a version; the newest is %YAML 1.2"
            self._report(line, 1, "", f"this is not YAML: {reason}")

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
            if is_merge(key):
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
            if not self._has_room(one, where, 1 + len(one.value)):
                break
            if kind_of(one) != "mapping":
                self.problem(one, where, "'<<' takes keys and values, or a list of mappings")
                continue
            if id(one) in above:
                self.problem(one, where, "it contains itself")
                continue
            found = self._pairs(one, where, above) | found
        return found

    def _value(self, node: Node, where: str, above: tuple[int, ...]) -> Any:  # noqa: ANN401
        if not self._has_room(node, where):
            return None
        if id(node) in above or len(above) > MAX_DEPTH:
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

    def _has_room(self, node: Node, where: str, more: int = 1) -> bool:
        """Count the values that are read, also those that an alias or ``<<`` repeats."""
        self._count += more
        if self._count >= MAX_NODES and not self.is_full:
            self.problem(node, where, TOO_MANY)
            self.is_full = True
        return not self.is_full

    def _scalar(self, node: Node, where: str) -> Any:  # noqa: ANN401 - a plain value
        text: str = node.value
        if style_of(node) or "\n" in text or node.tag == "!":
            self._check_tag(node, where, "str")
            return text
        if tag_of(node).removeprefix(_CORE) not in _PLAIN:
            self._check_tag(node, where, "str")
            return None
        try:
            return value_of(text)
        except AmbiguousWordError as error:
            self.problem(node, where, str(error))
            return None

    def _check_tag(self, node: Node, where: str, kind: str) -> None:
        if node.tag not in {_CORE + kind, "!"}:
            tag = tag_of(node).replace(_CORE, "!!")
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
