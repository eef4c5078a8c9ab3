"""Types of what a configuration file sets, for pydantic: each is an ordinary annotation.

The annotation decides what is accepted, in a file as in code, and how the JSON Schema describes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from limpet._option_fields import LARGEST, LONGEST, check_encoding

T = TypeVar("T")

STRICT: Final = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value is taken for another: ``"1"`` is not a number, 1 is not true, other keys are errors."""


class _RefusedError(PydanticCustomError):
    """What is wrong, as the end of a sentence that the path of keys begins."""

    def __new__(cls, what: str) -> Self:
        return super().__new__(cls, "limpet", what)


def _path_text(given: object) -> object:
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if isinstance(given, bytes):
        given = os.fsdecode(given)
    if isinstance(given, str) and "\0" in given:
        message = "must be a path: a NUL byte is in none"
        raise _RefusedError(message)
    return os.path.expanduser(given) if isinstance(given, str) else given


def _known_encoding(given: str) -> str:
    check_encoding(given, "strict")
    return given


def _known_handler(given: str) -> str:
    check_encoding("utf-8", given)
    return given


_UNITS: Final = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SIZE: Final = r"[0-9]{1,18} ?([kKmMgGtT][iI][bB])?"


def _bytes_of(given: object) -> object:
    if not isinstance(given, str):
        return given
    found = re.fullmatch(r"(\d+) ?([a-z]*)", given.lower())
    if not re.fullmatch(_SIZE, given) or found is None:
        message = "must be a number of bytes, or a size such as 512MiB"
        raise _RefusedError(message)
    return int(found[1]) * _UNITS[found[2]]


class _NotEmpty:
    """A text that is not empty; pydantic's own bound refuses the names that are not UTF-8."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_not_empty, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"minLength": 1}


def _not_empty(given: str) -> str:
    if not given:
        message = "must not be empty"
        raise _RefusedError(message)
    return given


Text: TypeAlias = Annotated[str, _NotEmpty()]
"""Text that is not empty."""

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST)]
"""A time span; a whole number is one, too."""

PositiveSeconds: TypeAlias = Annotated[float, Field(ge=0.001, le=LONGEST)]
"""A time span that is not zero."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]
"""A whole number that is not negative."""

PositiveCount: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST)]
"""A whole number from 1."""

FilePath: TypeAlias = Annotated[
    str,
    BeforeValidator(_path_text),
    _NotEmpty(),
]
"""A path as text, or a path object; a leading ``~`` is the user's home."""

Encoding: TypeAlias = Annotated[str, _NotEmpty(), AfterValidator(_known_encoding)]
"""The name of a text encoding."""

ErrorHandler: TypeAlias = Annotated[str, _NotEmpty(), AfterValidator(_known_handler)]
"""The name of an error handler of text encodings."""

Size: TypeAlias = Annotated[
    int,
    Field(ge=0, le=LARGEST),
    BeforeValidator(_bytes_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LARGEST},
                {"type": "string", "pattern": f"^{_SIZE}$"},
            ]
        }
    ),
]
"""A number of bytes, or a text such as ``512MiB``."""


class _OneOrMore:
    """A list; a single value is a list of one."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_tuple, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _as_tuple(given: object) -> object:
    if isinstance(given, list | tuple):
        return tuple(given)
    return given if isinstance(given, set | frozenset | dict) else (given,)


OneOrMore: TypeAlias = Annotated[tuple[T, ...], _OneOrMore()]
"""Several values, or a single one."""


class OneOf:
    """Annotates a text that is one of some words, which are not known to the type checker."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = list(words)

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(self._words)


def _itself(given: Any) -> str:  # noqa: ANN401 - any value
    if not isinstance(given, str):
        raise TypeError
    return given


class MadeBy:
    """Annotates a type that is made of a text, such as a regular expression."""

    def __init__(
        self,
        make: Callable[[str], object],
        plain: Callable[[Any], str] | None = None,
        *,
        empty: bool = False,
        form: str = "",
    ) -> None:
        """Keep how it is made.

        Args:
            make: Makes the value; its ``ValueError`` says what is wrong with the text.
            plain: Returns the text again; a value that code sets is made from it again. Without it
                the value is a text itself.
            empty: Whether the text may be empty.
            form: The ``format`` of the text in the JSON Schema.
        """
        self._make, self._empty, self._form = make, empty, form
        self._plain = plain or _itself

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._made,
            json_schema_input_schema=core_schema.str_schema(min_length=0 if self._empty else 1),
            serialization=core_schema.plain_serializer_function_ser_schema(self._plain),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = dict(handler(schema))
        if self._empty:
            del found["minLength"]
        return found | ({"format": self._form} if self._form else {})

    def _made(self, given: object) -> object:
        text = given
        if not isinstance(given, str):
            try:
                text = self._plain(given)
            except (AttributeError, TypeError):
                text = None
        if not isinstance(text, str):
            message = "must be text"
            raise _RefusedError(message)
        if not self._empty:
            _not_empty(text)
        try:
            return self._make(text)
        except re.error as error:
            message = f"this is not a regular expression: {error}"
            raise ValueError(message) from error


Regex: TypeAlias = Annotated[
    re.Pattern[str], MadeBy(re.compile, lambda pattern: pattern.pattern, form="regex")
]
"""A regular expression of Python's ``re``."""
