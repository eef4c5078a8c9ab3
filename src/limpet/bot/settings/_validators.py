"""The values that a property accepts: their checks, and their JSON Schemas.

The same validator checks a property set by code, one read from YAML, and provides the schema, so
the three never disagree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Generic, TypeVar

from limpet._option_fields import LARGEST, LONGEST, check_encoding
from limpet._suggest import near
from limpet._yaml_nodes import shortened
from limpet.errors import UsageError

T = TypeVar("T")
U = TypeVar("U")


class BadValueError(ValueError):
    """A value is invalid; ``where`` is the path to its invalid part: keys and indices."""

    def __init__(
        self,
        message: str,
        where: tuple[str | int, ...] = (),
        more: Sequence[BadValueError] = (),
    ) -> None:
        """Keep the path; the message follows the name of the key."""
        super().__init__(message)
        self.where = where
        self.more = list(more)
        """Other problems of the same value."""

    def below(self, key: str | int) -> list[BadValueError]:
        """Return all problems, with paths that start one level further out."""
        return [type(one)(str(one), (key, *one.where)) for one in (self, *self.more)]


class BadKeyError(BadValueError):
    """The key at the end of ``where`` is unknown."""


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    """A validator of one kind of value."""

    take: Callable[[Any], T]
    """Checks and converts a value; raises ``BadValueError``."""
    schema: Mapping[str, Any]
    """The same in JSON Schema, as far as that can express it."""


def _refuse(wanted: str, given: object) -> BadValueError:
    try:
        shown = repr(given)
    except Exception:  # noqa: BLE001 - of a class of the user's, or a number of 5,000 digits
        shown = f"a value of type {type(given).__name__}"
    return BadValueError(f"must be {wanted}, not {shortened(shown, 80)}")


def text(*, empty: bool = False) -> Value[str]:
    def take(given: object) -> str:
        if not isinstance(given, str):
            raise _refuse("text", given)
        if not (given or empty):
            raise _refuse("a text that is not empty", given)
        return given

    return Value(take, {"type": "string"} if empty else {"type": "string", "minLength": 1})


def path() -> Value[str]:
    """Accept a path, as text or as a path object; a leading ``~`` is the user's home."""

    def take(given: object) -> str:
        if isinstance(given, os.PathLike):
            given = os.fspath(given)
        if isinstance(given, bytes):
            given = os.fsdecode(given)
        if not isinstance(given, str) or not given or "\0" in given:
            raise _refuse("a path", given)
        return os.path.expanduser(given)

    return Value(take, {"type": "string", "minLength": 1})


def encoding() -> Value[str]:
    """Accept the name of a text encoding."""

    def known(given: str) -> str:
        check_encoding(given, "strict")
        return given

    return fitting(text(), known)


def error_handler() -> Value[str]:
    """Accept the name of an error handler of text encodings."""

    def known(given: str) -> str:
        check_encoding("utf-8", given)
        return given

    return fitting(text(), known)


def flag() -> Value[bool]:
    """Accept true or false."""

    def take(given: object) -> bool:
        if not isinstance(given, bool):
            raise _refuse("true or false", given)
        return given

    return Value(take, {"type": "boolean"})


def number(*, least: float = 0.0, most: float = LONGEST) -> Value[float]:
    """Accept a finite number, such as seconds."""
    wanted = f"a number from {least:g}"

    def take(given: object) -> float:
        if not isinstance(given, int | float) or isinstance(given, bool) or not given >= least:
            raise _refuse(wanted, given)
        if not given <= most:  # before it is made a float, which cannot hold all
            raise _refuse(f"{wanted} to {most:g}", given)
        return float(given)

    return Value(take, {"type": "number", "minimum": least, "maximum": most})


def whole(*, least: int = 0) -> Value[int]:
    """Accept a whole number."""

    def take(given: object) -> int:
        if not isinstance(given, int) or isinstance(given, bool) or given < least:
            raise _refuse(f"a whole number from {least}", given)
        if given > LARGEST:
            raise _refuse(f"a whole number from {least} to {LARGEST}", given)
        return given

    return Value(take, {"type": "integer", "minimum": least, "maximum": LARGEST})


def choice(*words: str) -> Value[str]:
    """Accept one of a few words."""
    known = f"one of {', '.join(words)}"

    def take(given: object) -> str:
        if given not in words:
            guess = near(given, words) if isinstance(given, str) else ""
            raise BadValueError(f"{_refuse(known, given)}{guess}")
        return str(given)

    return Value(take, {"enum": list(words)})


def regex() -> Value[re.Pattern[str]]:
    """Accept a regular expression of Python's ``re``."""

    def make(source: str) -> re.Pattern[str]:
        return re.compile(source)

    return fitting(text(), make, {"type": "string", "format": "regex"})


def maybe(value: Value[T]) -> Value[T | None]:
    """Accept what ``value`` accepts, or null."""
    return Value(
        lambda given: None if given is None else value.take(given),
        {"anyOf": [dict(value.schema), {"type": "null"}]},
    )


def listed(value: Value[T], *, least: int = 0) -> Value[tuple[T, ...]]:
    """Accept a list of values; a single value is a list of one."""

    def take(given: object) -> tuple[T, ...]:
        if isinstance(given, list | tuple):
            found = tuple(_each(enumerate(given), lambda _: value).values())
        else:
            found = (value.take(given),)
        if len(found) < least:
            raise _refuse("a list that is not empty", given)
        return found

    one = dict(value.schema)
    return Value(take, {"anyOf": [one, {"type": "array", "items": one, "minItems": least}]})


def fitting(
    value: Value[T], make: Callable[[T], U], schema: Mapping[str, Any] | None = None
) -> Value[U]:
    """Accept what ``value`` accepts, converted by ``make``; a ``ValueError`` of it is a refusal."""

    def take(given: object) -> U:
        if not isinstance(given, str | int | float | bool | list | tuple | dict | type(None)):
            return _made(make, given)  # type: ignore[arg-type]  # set by code: converted already
        return _made(make, value.take(given))

    return Value(take, value.schema if schema is None else schema)


def _made(make: Callable[[T], U], given: T) -> U:
    try:
        return make(given)
    except BadValueError:
        raise
    except (ValueError, re.error) as error:
        raise BadValueError(f"is invalid: {shortened(str(error))}") from error
    except (TypeError, AttributeError) as error:  # an object that code has set
        raise _refuse("a value of another type", given) from error


def record(kind: type[T], **values: Value[Any]) -> Value[T]:
    """Accept keys and values for a dataclass, or an instance of it."""

    def kind_of(key: Any) -> Value[Any]:  # noqa: ANN401 - any key
        if key not in values:
            known = f"; known are {', '.join(values)}"
            raise BadKeyError(f"there is no such key{near(str(key), values) or known}")
        return values[key]

    def take(given: object) -> T:
        if isinstance(given, kind):
            return given
        if not isinstance(given, Mapping):
            raise _refuse(f"keys and values ({', '.join(values)})", given)
        found = _each(given.items(), kind_of)
        try:
            return kind(**found)
        except UsageError as error:
            raise BadValueError(f"is invalid: {error}") from error
        except TypeError as error:
            raise BadValueError(f"lacks a key: {error}") from error

    needed = [
        item.name
        for item in fields(kind)  # type: ignore[arg-type]  # a dataclass
        if item.default is MISSING and item.default_factory is MISSING
    ]
    schema = {
        "type": "object",
        "properties": {name: dict(value.schema) for name, value in values.items()},
        "additionalProperties": False,
    }
    return Value(take, schema | ({"required": needed} if needed else {}))


def _each(pairs: Iterable[tuple[Any, object]], value_of: Callable[[Any], Value[T]]) -> dict[Any, T]:
    """Check each of several values; their problems are raised together."""
    found, wrong = {}, []
    for key, given in pairs:
        try:
            found[key] = value_of(key).take(given)
        except BadValueError as error:
            wrong += error.below(key)
    if wrong:
        wrong[0].more = wrong[1:]
        raise wrong[0]
    return found
