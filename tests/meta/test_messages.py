"""A message names a path once: ``str`` of an ``OSError`` has its path already."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "limpet"
FILES = sorted(path for path in SOURCE.rglob("*.py") if "compat" not in path.parts)

NAMES = {
    name
    for name, one in vars(builtins).items()
    if isinstance(one, type) and issubclass(one, OSError)
}
"""``OSError``, its other names, and its subclasses."""


def doubled(source: str) -> Iterator[int]:
    """Yield the lines of messages that have an ``OSError`` beside something else.

    What else they have names the path, as a rule; where it does not, ``reason_of`` is right, too.
    """
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if not any(isinstance(one, ast.Name) and one.id in NAMES for one in caught):
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.JoinedStr):
                values = [one.value for one in node.values if isinstance(one, ast.FormattedValue)]
            elif isinstance(node, ast.Call) and is_log(node):
                values = node.args[1:]
            else:
                continue
            if len(values) > 1 and any(is_text_of(one, handler.name) for one in values):
                yield node.lineno


def is_log(call: ast.Call) -> bool:
    found = call.func
    return (
        isinstance(found, ast.Attribute)
        and isinstance(found.value, ast.Name)
        and found.value.id.lower() in {"_log", "logger"}
    )


def is_text_of(node: ast.expr, name: str) -> bool:
    """Return whether an expression is the exception, ``str`` of it, or ``error_text`` of it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id not in {"str", "error_text", "repr"}:
            return False
        node = node.args[0]
    return isinstance(node, ast.Name) and node.id == name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_message_names_a_path_once(path: Path) -> None:
    """With ``reason_of(error)``; else it reads ``cannot write X: [Errno 13] ...: 'X'``."""
    assert list(doubled(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "message",
    [
        'f"cannot write {path}: {error}"',
        'f"cannot write {path}: {error_text(error)}"',
        '_LOG.error("cannot write %s: %s", path, error)',
        '_log.warning("%s: cannot write %s: %s", self, path, str(error))',
    ],
)
def test_what_names_it_twice_is_found(message: str) -> None:
    """Also in a logging call; not what has the error alone, or its reason."""
    handler = "try:\n    pass\nexcept (ValueError, PermissionError) as error:\n    "
    assert list(doubled(handler + message)) == [4]
    assert list(doubled(handler + 'f"cannot write: {error}"')) == []
    assert list(doubled(handler + 'f"cannot write {path}: {reason_of(error)}"')) == []
