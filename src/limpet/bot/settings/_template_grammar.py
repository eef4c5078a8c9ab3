"""The part of jinja's language that templates have, held to a list of what is allowed.

jinja parses a template; each node of the tree is then compared with the list. What may grow or
repeat is replaced by a filter of limpet's that asks the budget first: a loop goes through counted
items, and ``~``, slices, literals of lists, comparisons and ``range`` are calls of such filters.
Their names begin with a space, so that no template can name them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from jinja2 import Environment, nodes

from limpet._suggest import near
from limpet.bot.settings._template_filters import FILTERS, LITERAL
from limpet.bot.settings._template_limits import (
    MOST_BITS,
    MOST_DEPTH,
    MOST_LOOPS,
    NODES_A_STEP,
)
from limpet.bot.settings._template_tests import TESTS

STEPS: Final = " steps"
RANGE: Final = " range"
SLICE: Final = " slice"
CONCAT: Final = " concat"
OPERAND: Final = " operand"
LITERAL_OF: Final = " literal"

_ALLOWED: Final = frozenset(
    (
        nodes.Add, nodes.And, nodes.Assign, nodes.Call, nodes.Compare, nodes.Concat, nodes.CondExpr,
        nodes.Const, nodes.Dict, nodes.Div, nodes.Filter, nodes.FloorDiv, nodes.For, nodes.Getattr,
        nodes.Getitem, nodes.If, nodes.Keyword, nodes.List, nodes.Mod, nodes.Mul, nodes.Name,
        nodes.Neg, nodes.Not, nodes.Operand, nodes.Or, nodes.Output, nodes.Pair, nodes.Pos,
        nodes.Pow, nodes.Slice, nodes.Sub, nodes.Template, nodes.TemplateData, nodes.Test,
        nodes.Tuple,
    )
)  # fmt: skip
_TAGS: Final[dict[type[nodes.Node], str]] = {
    nodes.AssignBlock: "set without =",
    nodes.Block: "block",
    nodes.CallBlock: "call",
    nodes.Extends: "extends",
    nodes.FilterBlock: "filter",
    nodes.FromImport: "from",
    nodes.Import: "import",
    nodes.Include: "include",
    nodes.Macro: "macro",
    nodes.Scope: "autoescape",
    nodes.With: "with",
}
_OF_JINJA: Final = frozenset(("caller", "context", "environment", "kwargs", "self", "super",
                              "varargs"))  # fmt: skip
"""Names with a meaning of their own in jinja or in the code that it makes."""


class FaultError(Exception):
    """A template is wrong; ``number`` is that of the token where."""

    def __init__(self, why: str, number: int) -> None:
        super().__init__(why)
        self.number = number


class Use(NamedTuple):
    """A name that a template reads, with its attribute (``path.stem``) if there is one."""

    name: str
    attribute: str | None
    number: int
    """The number of the token, for messages."""


class Checked(NamedTuple):
    """A template that is allowed."""

    tree: nodes.Template
    """What is compiled."""
    uses: list[Use]
    """The names that it reads, variables of its own among them."""
    stored: frozenset[str]
    """The variables that it sets."""
    alone: str | None
    """The field that is all of it: ``{{ content }}``."""


def checked(tree: nodes.Template, environment: Environment, returns: str) -> Checked:
    """Return a parsed template that is allowed, with its limits built in.

    Args:
        tree: What jinja parsed; it is changed.
        environment: Where it will run.
        returns: What stands for a carriage return, which jinja would drop; empty if nothing does.

    Raises:
        FaultError: It has something that is not allowed.
    """
    checker = _Checker(environment, returns)
    alone = None
    match tree.body:
        case [nodes.Output(nodes=[nodes.Name() as only])]:
            alone = only.name
    checker.node(tree, 0, 0)
    return Checked(tree, checker.uses, frozenset(checker.stored), alone)


class _Checker:
    def __init__(self, environment: Environment, returns: str) -> None:
        self.environment = environment
        self.returns = returns
        self.uses: list[Use] = []
        self.stored: set[str] = set()
        self.count = 0

    def node(self, node: Any, depth: int, loops: int) -> nodes.Node:  # noqa: ANN401 - any node
        """Check a node and what is below it; return what takes its place."""
        kind = type(node)
        if kind not in _ALLOWED:
            raise FaultError(_why_refused(kind), node.lineno or 0)
        if depth > MOST_DEPTH:
            message = f"tags and expressions are nested more than {MOST_DEPTH} times"
            raise FaultError(message, node.lineno or 0)
        self.count += 1
        check: Callable[[Any], None] | None = getattr(self, f"_check_{kind.__name__.lower()}", None)
        if check is not None:
            check(node)
        if kind is nodes.For:
            return self._loop(node, depth, loops + 1)
        if kind is nodes.Getattr and type(node.node) is nodes.Name and node.node.ctx == "load":
            self._check_name(node.node, node.attr)
            return self._new(node, node)
        if kind is nodes.Call:
            return self._filter_of(RANGE, node, *self._each(node.args, depth, loops))
        self._children(node, depth, loops)
        return self._new(node, node)

    def _children(self, node: nodes.Node, depth: int, loops: int) -> None:
        for field, value in node.iter_fields():
            if isinstance(value, nodes.Node):
                setattr(node, field, self.node(value, depth + 1, loops))
            elif isinstance(value, list):
                setattr(node, field, self._each(value, depth, loops))

    def _each(self, found: Iterable[Any], depth: int, loops: int) -> list[nodes.Node]:
        return [self.node(one, depth + 1, loops) for one in found]

    def _new(self, node: Any, whole: nodes.Node) -> nodes.Node:  # noqa: ANN401 - any node
        """Return what takes the place of a node whose parts were checked."""
        match node:
            case nodes.Concat():
                return self._filter_of(CONCAT, node, *node.nodes)
            case nodes.Getitem(arg=nodes.Slice()):
                cut: Any = node.arg
                none = self._constant(None, node)
                bounds = [one or none for one in (cut.start, cut.stop, cut.step)]
                return self._filter_of(SLICE, node, node.node, *bounds)
            case nodes.List() | nodes.Dict():
                return self._filter_of(LITERAL_OF, node, node)
            case nodes.Tuple(ctx="load"):
                return self._filter_of(LITERAL_OF, node, node)
            case nodes.Compare():
                node.expr = self._filter_of(OPERAND, node, node.expr)
                for one in node.ops:
                    one.expr = self._filter_of(OPERAND, node, one.expr)
        return whole

    def _loop(self, node: nodes.For, depth: int, loops: int) -> nodes.Node:
        if node.recursive:
            message = "a loop that is recursive is not available"
            raise FaultError(message, node.lineno)
        if loops > MOST_LOOPS:
            message = f"loops are nested more than {MOST_LOOPS} times"
            raise FaultError(message, node.lineno)
        items = self.node(node.iter, depth + 1, loops)
        before = self.count
        for field in ("target", "test"):
            value = getattr(node, field)
            if value is not None:
                setattr(node, field, self.node(value, depth + 1, loops))
        node.body = self._each(node.body, depth, loops)
        cost = 1 + (self.count - before) // NODES_A_STEP
        node.else_ = self._each(node.else_, depth, loops)
        node.iter = self._filter_of(STEPS, node, items, self._constant(cost, node))
        return node

    def _filter_of(self, name: str, at: nodes.Node, *values: nodes.Node) -> nodes.Filter:
        first, *rest = values
        return nodes.Filter(
            first, name, rest, [], None, None, lineno=at.lineno, environment=self.environment
        )

    def _constant(self, value: object, at: nodes.Node) -> nodes.Const:
        return nodes.Const(value, lineno=at.lineno, environment=self.environment)

    # -- one kind of node each; called by the name of its class ------------------------------------

    def _check_name(self, node: nodes.Name, attribute: str | None = None) -> None:
        name = node.name
        if name.startswith("_") or not name.isascii() or name in _OF_JINJA:
            message = f"there is no field {name!r}"
            raise FaultError(message, node.lineno)
        if attribute is not None:
            self._key(attribute, node.lineno)
        if node.ctx == "load":
            self.uses.append(Use(name, attribute, node.lineno))
        else:
            self.stored.add(name)

    def _check_getattr(self, node: nodes.Getattr) -> None:
        self._key(node.attr, node.lineno)

    def _check_getitem(self, node: nodes.Getitem) -> None:
        match node.arg:
            case nodes.Const(value=str(key)):
                self._key(key, node.lineno)
            case nodes.Tuple():  # Python's code for a slice in it would be none
                message = "a list or mapping is read with one key, not several"
                raise FaultError(message, node.lineno)

    def _key(self, key: str, number: int) -> None:
        if key.startswith("_"):
            message = f"{key!r} is private: no template reads what begins with an underscore"
            raise FaultError(message, number)

    def _check_templatedata(self, node: nodes.TemplateData) -> None:
        if self.returns:
            node.data = node.data.replace(self.returns, "\r")

    def _check_const(self, node: nodes.Const) -> None:
        value = node.value
        if isinstance(value, str) and self.returns:
            node.value = value.replace(self.returns, "\r")
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            message = f"a number has more than {MOST_BITS} bits"
            raise FaultError(message, node.lineno)
        if isinstance(value, float) and not math.isfinite(value):
            message = "a number is too large"
            raise FaultError(message, node.lineno)

    def _check_call(self, node: nodes.Call) -> None:
        plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        match node.node:
            case nodes.Name(name="range") if plain and 1 <= len(node.args) <= 3:
                return
            case nodes.Name(name="range"):
                message = "range takes 1 to 3 numbers"
            case _:
                message = "nothing is called in a template, but range; a filter is written with |"
        raise FaultError(message, node.lineno)

    def _check_filter(self, node: nodes.Filter) -> None:
        self._known("filter", node, FILTERS)
        if node.name in LITERAL:
            form = node.node if node.name == "format" else [*node.args, *node.kwargs][0]
            if isinstance(form, nodes.Keyword):
                form = form.value
            if not (isinstance(form, nodes.Const) and isinstance(form.value, str)):
                message = f"the form of {node.name} must be a quoted text"
                raise FaultError(message, node.lineno)

    def _check_test(self, node: nodes.Test) -> None:
        self._known("test", node, TESTS)

    def _known(
        self, what: str, node: nodes.Filter | nodes.Test, known: dict[str, Callable[..., Any]]
    ) -> None:
        name = node.name
        if name not in known:
            message = f"there is no {what} {name!r}{near(name, known)}"
            raise FaultError(message, node.lineno)
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            message = f"the {what} {name!r} takes no * and no **"
            raise FaultError(message, node.lineno)
        signature = inspect.signature(known[name])
        given = {str(one.key): None for one in node.kwargs}
        try:
            signature.bind(None, *node.args, **given)
        except TypeError as error:
            taken = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
            shown = ", ".join(map(str, taken[1:])) or "no arguments"
            message = f"the {what} {name!r} takes {shown}: {error}"
            raise FaultError(message, node.lineno) from error


def _why_refused(kind: type[nodes.Node]) -> str:
    tag = _TAGS.get(kind)
    if tag is not None:
        return f"the tag {tag!r} is not available; if, for and set are"
    if kind is nodes.NSRef:
        return "set takes a plain name"
    return f"{kind.__name__} is not available in templates"
