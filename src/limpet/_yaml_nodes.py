"""YAML with positions, limited to what every reader understands in the same way.

mewbot's loader reads YAML 1.1 with PyYAML; editors, other languages and most people expect YAML
1.2. A plain word with different values in the two (``yes``, ``010``, ``12:30``, ``1e3``,
``2026-11-25``) is refused: quoted, it has one meaning. Duplicate keys, of which a reader silently
takes one, are refused, too, and so is every tag, above all ``!!python``.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from limpet.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import yaml

_MAX_NODES: Final = 100_000
"""Most values of a file, counted each time an alias repeats them."""
_MAX_DEPTH: Final = 50
_MAX_BYTES: Final = 32 << 20
"""Largest file: somebody waits for it to be read."""

_CORE: Final = "tag:yaml.org,2002:"

_NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE: Final = re.compile(r"(?:true|True|TRUE)")
_FALSE: Final = re.compile(r"(?:false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_MOST_DIGITS: Final = 640
"""The longest integer that every Python converts (``sys.int_info.str_digits_check_threshold``)."""
_OCT: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN: Final = re.compile(r"\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One error or warning of a file."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    where: str
    """The path of keys: ``agent.watch[0].settle``; in a bot's file it starts with the document's
    number: ``2.actions[0].properties.command``."""
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return it in the form of compilers, so that editors find the position."""
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {where}{self.message}"


class ConfigError(UsageError):
    """A configuration file is wrong: nothing was started.

    ``problems`` and the message list every error of a YAML file; a file that it names, such as one
    with a password, is no part of ``problems``.
    """

    default_code = "config"

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message or "\n".join(map(str, problems)))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self),), {"problems": self.problems}


class YamlReader:
    """Reads one file, and collects its ``problems``."""

    def __init__(self, text: str, file: str, *, extra: str = "bot") -> None:
        """Read this text; ``file`` names it in problems.

        Raises:
            MissingExtraError: PyYAML is not installed; ``extra`` is the extra that installs it.
        """
        try:
            import yaml
        except ImportError as error:
            message = f"{file} cannot be read without PyYAML: pip install 'limpet[{extra}]'"
            raise MissingExtraError(message) from error
        self.problems: list[Problem] = []
        self.is_full = False
        """Whether the file has too many values: what follows would be misunderstood, and is not
        reported."""
        self.file = file
        self._yaml = yaml
        self._text = text
        self._count = 0

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, extra: str) -> Self:
        """Return a reader of a file; one that cannot be read has a problem and no documents.

        Raises:
            MissingExtraError: PyYAML is not installed; ``extra`` is the extra that installs it.
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

    def documents(self) -> Iterator[yaml.Node]:
        """Yield the documents that are not empty, up to the first syntax error."""
        yaml = self._yaml
        try:
            for node in yaml.compose_all(
                self._text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            ):
                if node is None or (kind_of(node) == "scalar" and node.value == ""):
                    continue  # only comments, as after a last '---'
                yield node
                if self.is_full:
                    return
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
        mark = node.start_mark
        self._report(mark.line + 1, mark.column + 1, where, message, warning=warning)

    def file_problem(self, message: str) -> None:
        """Report a problem of the whole file."""
        self._report(1, 1, "", message)

    def items(self, node: yaml.Node, where: str) -> Iterator[tuple[yaml.Node, str]]:
        """Yield the nodes of a sequence with their paths of keys."""
        self._check_tag(node, where, "seq")
        yield from ((one, f"{where}[{at}]") for at, one in enumerate(node.value))

    def pairs(self, node: yaml.Node, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a mapping's keys with the nodes of key and value; duplicates are reported."""
        self._check_tag(node, where, "map")
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _CORE + "merge":
                merged = self._merged(value, where) | merged
                continue
            if kind_of(key) != "scalar":
                self.problem(key, where, "a key must be a word")
                continue
            name = key.value
            if name in found:
                line = found[name][0].start_mark.line + 1
                message = f"the key {name!r} is a duplicate (line {line} has it, too)"
                self.problem(key, f"{where}.{name}", message)
                continue
            found[name] = (key, value)
        return {**merged, **found}

    def _merged(self, node: yaml.Node, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for one in node.value if kind_of(node) == "sequence" else [node]:
            if kind_of(one) != "mapping":
                self.problem(one, where, "'<<' takes keys and values, or a list of mappings")
                continue
            found = self.pairs(one, where) | found
        return found

    def _value(self, node: yaml.Node, where: str, above: tuple[int, ...]) -> Any:  # noqa: ANN401
        self._count += 1
        if self._count == _MAX_NODES:
            message = f"the file has more than {_MAX_NODES} values; the rest of it is not read"
            self.problem(node, where, message)
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


def shortened(text: str, most: int = 1000) -> str:
    """Return a text of at most ``most`` characters, without its middle if it is longer."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 3]}...{text[-end:]}"


def kind_of(node: yaml.Node) -> str:
    """Return ``scalar``, ``sequence`` or ``mapping``."""
    return str(getattr(node, "id", ""))


@cache
def _by_yaml_1_1(text: str) -> Any:  # noqa: ANN401 - a plain value
    """Return the value of a plain word for PyYAML, and so for mewbot."""
    import yaml

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
    if _INT.fullmatch(text) and len(text) <= _MOST_DIGITS:
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
