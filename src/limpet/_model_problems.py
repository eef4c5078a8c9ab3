"""What pydantic found wrong with a value, in the words of limpet's messages."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from limpet._config_problem import shortened
from limpet._suggest import near

_SUBJECT: Final = re.compile(r"^[A-Z][a-z]+ should ")
"""How pydantic's sentences begin; here, the path of keys is before them."""


_WORDS: Final = {
    "a valid string": "text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "a valid object": "keys and values",
    "an object": "keys and values",
    " after validation": "",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
}
"""What pydantic calls it -> what limpet's documentation calls it."""


class ValueProblem(NamedTuple):
    """One part of a value is wrong."""

    steps: tuple[str | int, ...]
    """The keys and indices from the value to the part."""
    message: str
    """Follows the name of the key."""
    at_key: bool = False
    """Whether the key itself is wrong."""


def problems_of(error: ValidationError, kind: object) -> Iterator[ValueProblem]:
    """Yield all problems of a value, in the order in which they were found.

    Args:
        error: What pydantic raised.
        kind: The type that was wanted: it has the keys that are suggested.
    """
    for one in error.errors(include_url=False):
        yield _problem(one, kind)


def _problem(found: ErrorDetails, kind: object) -> ValueProblem:
    steps, key = found["loc"], str(found["loc"][-1]) if found["loc"] else ""
    match found["type"]:
        case "extra_forbidden":
            known = keys_of(kind, steps[:-1])
            hint = near(key, known) or (f" (known keys: {', '.join(known)})" if known else "")
            return ValueProblem(steps, f"there is no key {key!r}{hint}", at_key=True)
        case "missing":
            return ValueProblem(steps[:-1], f"the key {key!r} is missing")
        case "value_error":
            return ValueProblem(steps, shortened(str(found["ctx"]["error"])))
        case "model_type" | "model_attributes_type" | "dict_type":
            known = keys_of(kind, steps)
            listed = f" ({', '.join(known)})" if known else ""
            return ValueProblem(steps, f"must be keys and values{listed}{_not(found['input'])}")
        case "limpet":
            shown = "" if found["input"] in ("", [], ()) else _not(found["input"])
            return ValueProblem(steps, found["msg"] + shown)
        case "string_too_short" | "too_short" if found["ctx"]["min_length"] == 1:
            return ValueProblem(steps, "must not be empty")
        case "tuple_type" | "list_type":
            return ValueProblem(steps, f"must be a list{_not(found['input'])}")
        case "literal_error" | "enum":
            given, words = found["input"], found["ctx"]["expected"]
            quoted = re.findall(r"'([^']*)'", words)
            guess = near(given, quoted) if isinstance(given, str) else ""
            listed = ", ".join(quoted) or words.replace(" or ", ", ")
            return ValueProblem(steps, f"must be one of {listed}{_not(given)}{guess}")
    text = _SUBJECT.sub("must ", found["msg"])
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    if "actual_length" in found.get("ctx", {}):  # pydantic says how many there are
        return ValueProblem(steps, text)
    return ValueProblem(steps, f"{text}{_not(found['input'])}")


def _not(given: object) -> str:
    try:
        shown = repr(given)
    except Exception:  # noqa: BLE001 - of a class of the user's, or a number of 5,000 digits
        shown = f"a value of type {type(given).__name__}"
    return f", not {shortened(shown, 80)}"


def keys_of(kind: object, steps: Sequence[str | int]) -> list[str]:
    """Return the keys that a model has at a place below it; none if there is no model."""
    for step in steps:
        model = _model_in(kind)
        if isinstance(step, str) and model is not None:
            field = _fields(model).get(step)
            kind = field if field is not None else object
    model = _model_in(kind)
    return [] if model is None else list(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _model_in(kind: object) -> type[BaseModel] | None:
    """Return the model that an annotation is about: ``list[Model] | None``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    for one in getattr(kind, "__metadata__", ()):
        if isinstance(model := getattr(one, "model", None), type):
            return model
    if get_origin(kind) in {Annotated, Union, types.UnionType, list, tuple}:
        for one in get_args(kind):
            if (found := _model_in(one)) is not None:
                return found
    return None
