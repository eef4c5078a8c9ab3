"""What the methods of a component return, checked: it may be anybody's class.

mewbot's types are promises that nothing holds a class to. A wrong value is found here, with the
names of the class and the method, and not as a TypeError somewhere in the run.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar, cast

from mewbot.core import (
    BehaviourInterface,
    InputEvent,
    InputInterface,
    IOConfigInterface,
    OutputEvent,
    OutputInterface,
)

from limpet.errors import UsageError

T = TypeVar("T")

FOREIGN_ERRORS: Final = (Exception, SystemExit, asyncio.CancelledError)
"""What a call of foreign code may raise and is then an error of that code: not Ctrl-C."""

_PLAIN: Final = ("matches", "allows", "consumes_inputs", "produces_outputs")
"""Methods that return a value; an ``async def`` returns a coroutine, which is always true."""

_YIELDING: Final = ("act", "process")
"""Methods that yield outputs: async generators, or functions that return one."""

_AWAITED: Final = ("run", "output")

_BEHAVIOUR_OPTIONS: Final = (
    "name", "active", "concurrency", "attempts", "backoff", "timeout", "loop_limit",
)  # fmt: skip
_PART_OPTIONS: Final = ("waits", "after_failure")
"""Attributes that the runner looks at, where a component has them."""


def inputs_of(io_config: IOConfigInterface) -> list[InputInterface]:
    """Return the inputs of an IOConfig.

    Raises:
        UsageError: It returns something else; the message names its class.
    """
    return _components_of(io_config, "get_inputs", InputInterface, "inputs")  # type: ignore[type-abstract]


def outputs_of(io_config: IOConfigInterface) -> list[OutputInterface]:
    """Return the outputs of an IOConfig; for the rest see ``inputs_of``."""
    return _components_of(io_config, "get_outputs", OutputInterface, "outputs")  # type: ignore[type-abstract]


def classes_of(component: object, method: str) -> tuple[type, ...]:
    """Return the classes of events that ``consumes_inputs`` or one like it returns.

    Raises:
        UsageError: It returns something else; the message names the class of the component.
    """
    base = InputEvent if method.endswith("inputs") else OutputEvent
    found = _items_of(component, method, f"a set of classes of {base.__name__}")
    for one in found:
        if not isinstance(one, type) or not issubclass(one, base):
            wanted = f"must return a set of classes of {base.__name__}"
            message = f"{_name(component, method)} {wanted}, and {_shown(one)} is none"
            raise UsageError(message)
    return tuple(found)


def wrong_in(component: Any) -> Iterator[str]:  # noqa: ANN401 - any component
    """Yield what is wrong with the methods of a component; nothing is run, but they are called."""
    if isinstance(component, IOConfigInterface):
        yield from _wrong_in_io(component)
        return
    for method in ("consumes_inputs", "produces_outputs"):
        if hasattr(component, method):
            yield from _wrong_in_call(classes_of, component, method)
    yield from _wrong_kinds(component)
    options = _BEHAVIOUR_OPTIONS if isinstance(component, BehaviourInterface) else _PART_OPTIONS
    for option in options:
        yield from _wrong_in_call(_read, component, option)


def error_text(error: BaseException) -> str:
    """Return an exception of foreign code in one line: with its type, unless that adds nothing."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - its own text may raise, too
        text = "its text cannot be shown"
    if isinstance(error, ImportError | ValueError | UsageError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _wrong_in_io(component: IOConfigInterface) -> Iterator[str]:
    for find, method in ((inputs_of, "produces_inputs"), (outputs_of, "consumes_outputs")):
        try:
            found: list[Any] = find(component)
        except FOREIGN_ERRORS as error:
            yield error_text(error)
            continue
        for one in found:
            yield from _wrong_in_call(classes_of, one, method)
            yield from _wrong_kinds(one)


def _wrong_in_call(call: Any, component: object, *arguments: object) -> Iterator[str]:  # noqa: ANN401
    try:
        call(component, *arguments)
    except UsageError as error:
        yield str(error)
    except FOREIGN_ERRORS as error:
        name = f"{type(component).__name__}.{arguments[0]}"
        yield f"{name} failed: {error_text(error)}"


def _read(component: object, option: str) -> None:
    """Look at an attribute as the runner does; it may be a property of the class's own."""
    value = getattr(component, option, None)
    if option == "name":
        str(value)


def _wrong_kinds(component: object) -> Iterator[str]:
    """Yield methods that are async and must not be, or the other way round."""
    for method in (*_PLAIN, *_YIELDING, *_AWAITED):
        found = inspect.unwrap(getattr(component, method, None) or len)
        if method in _PLAIN and inspect.iscoroutinefunction(found):
            yield f"{_name(component, method)} must not be async: it returns a value at once"
        elif method in _YIELDING and inspect.iscoroutinefunction(found):
            yield (
                f"{_name(component, method)} must yield its outputs: it is an async function "
                "without a yield (a bare 'yield' after 'return' makes it a generator)"
            )
        elif method in _AWAITED and (
            inspect.isasyncgenfunction(found) or inspect.isgeneratorfunction(found)
        ):
            yield f"{_name(component, method)} must be 'async def', without a yield"


def _components_of(io: IOConfigInterface, method: str, kind: type[T], word: str) -> list[T]:
    found = _items_of(io, method, f"a list of {word}")
    for one in found:
        if not isinstance(one, kind):
            message = f"{_name(io, method)} must return a list of {word}, and {_shown(one)} is none"
            raise UsageError(message)
    return cast("list[T]", found)


def _items_of(component: object, method: str, wanted: str) -> list[Any]:
    try:
        found = getattr(component, method)()
    except FOREIGN_ERRORS as error:
        message = f"{_name(component, method)} failed: {error_text(error)}"
        raise UsageError(message) from error
    if inspect.iscoroutine(found):
        found.close()
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | type):
        message = f"{_name(component, method)} must return {wanted}, not {_shown(found)}"
        raise UsageError(message)
    return list(found)


def _name(component: object, method: str) -> str:
    return f"{type(component).__name__}.{method}()"


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - of a foreign class
        return f"a {type(value).__name__}"
