"""Models of the options that are dataclasses: what a file may set of them, and how it is checked.

The fields of the dataclasses say what an option is (``_option_fields``); nothing is listed again.
"""

from __future__ import annotations

import dataclasses
from functools import cache, cached_property
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeAlias, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from limpet._option_fields import LARGEST, LONGEST, OptionInfo, info_of
from limpet._setting_types import (
    STRICT,
    Encoding,
    ErrorHandler,
    FilePath,
    OneOrMore,
    Size,
    Text,
)
from limpet.config import ContentOptions

_BY_NAME: Final[dict[str, Any]] = {"encoding": Encoding, "errors": ErrorHandler}
"""Texts of which more is known than their type says."""


@cache
def model_of(cls: type, names: tuple[str, ...] | None = None) -> type[BaseModel]:
    """Return a model of the options of a dataclass.

    Args:
        cls: The dataclass.
        names: Only these of its fields.
    """
    chosen = [one.name for one in dataclasses.fields(cls)] if names is None else names
    fields: dict[str, Any] = {name: field_of(cls, name) for name in chosen}
    return create_model(cls.__name__, __config__=ConfigDict(**STRICT, frozen=True), **fields)


def field_of(cls: type, name: str) -> tuple[Any, Any]:
    """Return annotation and field of one option, for ``pydantic.create_model``."""
    kind, default, info = info_of(cls, name)
    found = _kind(name, kind, info)
    description = f"{info.help[0].upper()}{info.help[1:]}." if info.help else None
    if default is dataclasses.MISSING:
        return found, Field(description=description)
    return found, Field(default, description=description)


def _kind(name: str, kind: Any, info: OptionInfo) -> Any:  # noqa: ANN401 - a type's notation
    if isinstance(kind, UnionType):
        inner = [_kind(name, one, info) for one in get_args(kind) if one is not type(None)]
        return inner[0] | None if type(None) in get_args(kind) else inner[0]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return Annotated[kind, OptionsOf(kind)]
    if get_origin(kind) is tuple:
        return OneOrMore[Text]
    if kind is Path:
        return FilePath
    if kind is str:
        return _BY_NAME.get(name, Text)
    if kind in {int, float}:
        base: Any = kind
        if kind is int and (info.unit == "BYTES" or "bytes" in name):
            base = Size
        most = LARGEST if kind is int else LONGEST
        if info.above is not None:
            return Annotated[base, Field(gt=info.above, le=most)]
        return Annotated[base, Field(ge=info.least or 0, le=most)]
    return kind


class OptionsOf:
    """Annotates a dataclass of options: keys and values make one, and an instance is one."""

    def __init__(self, cls: type, *, short: str = "") -> None:
        """Keep what it is made of.

        Args:
            cls: The dataclass.
            short: The field that a text alone sets.
        """
        self.cls, self._short = cls, short

    @cached_property
    def model(self) -> type[BaseModel]:
        """The keys; made when a value is first checked, for it takes 10 ms."""
        return model_of(self.cls)

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self._make,
            handler.generate_schema(self.model),
            serialization=core_schema.plain_serializer_function_ser_schema(dataclasses.asdict),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        if not self._short:
            return found
        alone = handler.resolve_ref_schema(found)["properties"][self._short]
        return {"anyOf": [{"enum": alone["enum"]}, found]}

    def _make(self, given: object, check: core_schema.ValidatorFunctionWrapHandler) -> object:
        if isinstance(given, self.cls):
            return given
        if self._short and isinstance(given, str):
            given = {self._short: given}
        checked: BaseModel = check(given)
        made: object = self.cls(
            **{name: getattr(checked, name) for name in checked.model_fields_set}
        )
        return made


ContentSetting: TypeAlias = Annotated[ContentOptions, OptionsOf(ContentOptions, short="mode")]
"""Whether and how events carry content: a mode alone, or keys and values."""
