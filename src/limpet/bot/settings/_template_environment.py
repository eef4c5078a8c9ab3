"""jinja's sandbox, closed further: what a compiled template may do while it is expanded.

``getattr`` and ``getitem`` read keys, items, and the few attributes of views; nothing else of an
object. Nothing is callable. Operators and filters ask the budget of the expansion. The grammar
refuses most of this when a template is compiled, so these are a second wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from jinja2 import Template, Undefined, nodes, pass_context
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from limpet.bot.settings import _template_grammar as grammar
from limpet.bot.settings import _template_operators as operators
from limpet.bot.settings._template_filters import FILTERS, TimeText
from limpet.bot.settings._template_limits import A_CALL, A_NAME, Budget
from limpet.bot.settings._template_tests import TESTS
from limpet.bot.settings._template_values import (
    PATH_ATTRIBUTES,
    ListView,
    MappingView,
    Missing,
    PathView,
    brief,
    data,
    described,
    shown,
)
from limpet.errors import UsageError

_LOOP_ATTRIBUTES: Final = frozenset(
    ("first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex", "revindex0")
)
_TAKES_MISSING: Final = frozenset(("d", "default", "defined", "undefined"))
"""Filters and tests that take a value that is missing."""
_READS_LITTLE: Final = frozenset(
    ("count", "d", "default", "first", "last", "length", *TESTS.keys() - {"lower", "upper"})
)
"""Filters and tests that do not go through all of a mapping or list."""
_MOST_KEY: Final = 1000
"""Characters of a key that is looked up: a longer one would be compared outside of the budget."""
_IN_NAMES: Final = "%Y-%m-%dT%H%M%S"  # a colon is in no portable name


class Expansion(Context):
    """One expansion: the values, the budget, and what a value becomes (text, or part of a name)."""

    def __init__(
        self, sandbox: Sandbox, values: dict[str, object], finish: Callable[[object], str]
    ) -> None:
        super().__init__(sandbox, values, None, {})
        self.budget = Budget()
        self.finish = finish


class NamePart(str):
    """A value as part of a file name: harmless as it is, with the true components beside it."""

    __slots__ = ("components",)
    components: list[str]
    """The value's directories, before ``limpet.safe_name``; each may hold any characters."""

    def __str__(self) -> str:
        return self


def name_part(value: object) -> NamePart:
    """Return a value as part of a name.

    A text, however it was made, is one component: its slashes separate nothing. A path has its own,
    and so has a time that the template formats.
    """
    if isinstance(value, TimeText):
        components = value.split("/")
    elif isinstance(value, datetime):
        components = [value.strftime(_IN_NAMES)]
    elif isinstance(value, PathView):
        components = value.components() or [""]
    else:
        components = [shown(value)]
    made = NamePart("_".join(components).replace("/", "_").replace("\\", "_"))
    made.components = components
    return made


class _NumberTokens(Extension):
    """Gives each token its number in place of its line, so that an error has a column, too."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Number the tokens."""
        for number, token in enumerate(stream):
            yield Token(number, token.type, token.value)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates; immutable once it is made."""

    intercepted_binops = operators.BINARY
    intercepted_unops = operators.UNARY

    def __init__(self) -> None:
        super().__init__(
            undefined=Missing,
            finalize=_finalize,
            extensions=[_NumberTokens],
            keep_trailing_newline=True,
            autoescape=False,
            optimized=False,  # constants are not computed when a template is compiled
            cache_size=0,
        )
        self.globals.clear()
        self.filters.clear()
        self.tests.clear()
        self.filters.update({name: _guarded(name, one) for name, one in FILTERS.items()})
        self.filters.update(_INTERNAL)
        self.tests.update({name: _guarded(name, one) for name, one in TESTS.items()})

    def template(self, tree: nodes.Template) -> Template:
        """Return a tree, checked by the grammar, as compiled code."""
        return self.from_string(tree)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401 - jinja's
        """Return whether an attribute is one of the few of a view, or of a loop."""
        if type(obj) is PathView:
            return attr in PATH_ATTRIBUTES
        return type(obj) is LoopContext and attr in _LOOP_ATTRIBUTES

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ANN401 - jinja's signature
        """Refuse: nothing is called."""
        return False

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - jinja's signature
        """Return an attribute of a view or a loop, or the value of a key."""
        if isinstance(obj, Undefined):
            return obj  # as long as it is not shown, default and defined take it
        if self.is_safe_attribute(obj, attribute, None):
            return getattr(obj, attribute)
        if isinstance(obj, Mapping):
            return self.getitem(obj, attribute)
        hint = ""
        if isinstance(obj, datetime):
            hint = "; the filter strftime formats it"
        elif isinstance(obj, PathView):
            hint = f"; it has {', '.join(PATH_ATTRIBUTES)}"
        return Missing(f"a {described(obj)} has no {attribute[:40]!r}{hint}")

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - jinja's signature
        """Return an item of a list or text, or the value of a key."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(argument, Undefined):
            return argument
        if isinstance(obj, Mapping):
            return _at_key(obj, argument)
        if isinstance(argument, int) and isinstance(obj, str | bytes | list | tuple | range):
            items: Any = shown(obj) if isinstance(obj, bytes) else obj
        elif isinstance(argument, int) and isinstance(obj, ListView):
            items = obj
        elif isinstance(argument, str):
            return self.getattr(obj, argument)
        else:
            return Missing(f"a {described(obj)} has no item {brief(argument)}")
        try:
            found = items[argument]
        except IndexError:
            found = None
        if found is None:
            return Missing(f"a {described(obj)} of {len(items)} has no item {argument}")
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - jinja's
        """Return what an operator makes, within the budget."""
        return _budget(context).made(operators.binary(operator, left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:  # noqa: ANN401 - jinja's
        """Return a number with its sign."""
        return operators.unary(operator, arg)


def _at_key(found: Mapping[Any, object], key: object) -> object:
    value = None
    if isinstance(key, int | float) or (
        isinstance(key, str) and len(key) <= _MOST_KEY and not key.startswith("_")
    ):
        value = found.get(key)
    if value is not None:
        return value
    if isinstance(found, MappingView):
        return Missing(found.why_missing(key))
    return Missing(f"a mapping has no key {brief(key)}")


@pass_context
def _finalize(context: Context, value: object) -> str:
    return cast("Expansion", context).finish(value)


def _budget(context: Context) -> Budget:
    return cast("Expansion", context).budget


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter or test that takes no missing values and keeps to the budget."""
    takes_missing = name in _TAKES_MISSING
    reads_all = name not in _READS_LITTLE
    cost = A_NAME if name == "safe" else A_CALL

    @pass_context
    def run(context: Context, value: object, *given: object, **named: object) -> object:
        budget = _budget(context)
        budget.spend(cost)
        for one in (value, *given, *named.values()):
            if isinstance(one, str | bytes):
                budget.spend(len(one))
            elif isinstance(one, Undefined):
                if not takes_missing:
                    shown(one)
            elif reads_all and isinstance(one, Mapping | Sequence):
                budget.made(data(one))
        made = function(value, *given, **named)
        return made if isinstance(made, Undefined) else budget.made(made)

    return run


# -- the filters that the grammar puts in ----------------------------------------------------------


@pass_context
def _steps(context: Context, value: object, cost: int) -> tuple[object, ...]:
    if isinstance(value, str | bytes):
        message = "a loop does not go through a text; the filter split makes a list of it"
        raise UsageError(message)
    found = operators.iterated(value)
    _budget(context).step(len(found) * cost)
    return tuple(found)


@pass_context
def _operand(context: Context, value: object) -> object:
    return _budget(context).made(operators.operand(value))


@pass_context
def _literal(context: Context, value: Any) -> object:  # noqa: ANN401 - a list, tuple or dict
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, Undefined):
            shown(one)
    return _budget(context).made(value)


@pass_context
def _concat(context: Context, *values: object) -> object:
    return _budget(context).made(operators.concat(values))


@pass_context
def _slice(context: Context, value: object, *bounds: Any) -> object:  # noqa: ANN401 - numbers
    return _budget(context).made(operators.cut(value, *bounds))


def _range(*bounds: object) -> range:
    return operators.numbers(*bounds)


_INTERNAL: Final[dict[str, Callable[..., Any]]] = {
    grammar.STEPS: _steps,
    grammar.OPERAND: _operand,
    grammar.LITERAL_OF: _literal,
    grammar.CONCAT: _concat,
    grammar.SLICE: _slice,
    grammar.RANGE: _range,
}
