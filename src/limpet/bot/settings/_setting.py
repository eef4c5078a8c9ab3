"""Properties of components: checked when they are set, by code or by YAML.

mewbot sets the values of the YAML through ``property`` objects before it calls ``__init__``, which
would overwrite them. So the values are in one dict that is created with the instance, the defaults
are on the class, and ``__init__`` only checks that the values go together.
"""

from __future__ import annotations

import copy
import inspect
import json
import sys
from collections.abc import Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Annotated, Any, Final, Self, get_type_hints, overload

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError

from limpet._config_problem import shortened
from limpet._model_problems import ValueProblem, problems_of
from limpet._setting_types import STRICT
from limpet._suggest import near
from limpet.errors import UsageError

_STORE: Final = "_settings"
_OWN_DEFAULTS: Final = "_setting_defaults"
_TEXT_ITSELF: Final = frozenset({"json_invalid", "recursion_loop"})
"""Errors about the JSON and not about the value, such as a text that is not Unicode."""
_REQUIRED: Final[Any] = object()


def Setting(  # noqa: N802 - it stands where a class attribute is declared, as pydantic's Field
    default: Any = _REQUIRED,  # noqa: ANN401 - of the annotation's type
    *,
    description: str,
    **bounds: Any,  # noqa: ANN401 - pydantic's
) -> Any:  # noqa: ANN401 - the annotation says what a reader gets
    """Return one property of a component, for an annotated class attribute.

    ``words: str = Setting("hello", description="The words.")``: the annotation decides what is
    accepted; its names must be those of the class's module, or classes in the class.

    Args:
        default: The value while nothing is set, as the annotation has it: it is not checked.
            Without one, a component without it is refused.
        description: The help text, also in the schema.
        bounds: As for ``pydantic.Field``: ``ge``, ``le``, ``min_length``, ``pattern`` and others.
    """
    return SettingProperty(default, description, bounds)


class SettingProperty(property):
    """What ``Setting`` returns, as the class has it."""

    name: str

    def __init__(self, default: object, doc: str, bounds: Mapping[str, Any]) -> None:
        super().__init__(self._read, self._write, doc=doc)
        self.is_required = default is _REQUIRED
        self.default = None if self.is_required else default
        self._bounds = bounds
        self._owner: type = object
        self._names: dict[str, Any] = {}
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self._owner = name, owner
        # Now: a module that a check has read is forgotten later (bot/config/_own_folder.py).
        self._names = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}

    @cached_property
    def kind(self) -> Any:  # noqa: ANN401 - a type's notation
        """The annotation, with the bounds.

        Raises:
            TypeError: There is no annotation, or its names are not in the class's module.
        """
        place = f"{self._owner.__qualname__}.{self.name}"
        given = inspect.get_annotations(self._owner)
        if self.name not in given:
            message = f"the setting {place} has no annotation, such as {self.name}: str = Setting()"
            raise TypeError(message)
        holder = SimpleNamespace(__annotations__={self.name: given[self.name]})
        inner = {
            name: one
            for name, one in vars(self._owner).items()
            if isinstance(one, type) and name not in self._names
        }
        try:
            hints = get_type_hints(holder, self._names, inner, include_extras=True)
        except NameError as error:
            message = f"the annotation of the setting {place} cannot be resolved: {error}"
            raise TypeError(message) from error
        found = hints[self.name]
        return Annotated[found, Field(**self._bounds)] if self._bounds else found

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self.kind, config=STRICT)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            return TypeAdapter(self.kind)  # a model, which has rules of its own

    def problems(self, given: object) -> list[ValueProblem]:
        """Return what is wrong with a value; nothing if it is accepted."""
        try:
            self._validated(given)
        except ValidationError as error:
            return list(problems_of(error, self.kind))
        return []

    def _validated(self, given: object) -> object:
        """Return the value that is set, of an object or of what a file can express.

        An enum, a date or a dataclass is in a file a text or a mapping: that is accepted as in
        JSON, where pydantic's strict rules know that there is nothing else to write.

        Raises:
            ValidationError: The value is invalid.
        """
        try:
            return self._adapter.validate_python(given)
        except ValidationError as error:
            try:
                text = json.dumps(given)
                is_same = json.loads(text) == given
            except (TypeError, ValueError, RecursionError):  # an object that code has set
                raise error from None
            if not is_same:  # the key 1 is not '1'
                raise
            try:
                return self._adapter.validate_json(text)
            except ValidationError as other:
                if {one["type"] for one in other.errors()} & _TEXT_ITSELF:
                    raise error from None
                raise other from None

    def plain(self, value: object) -> object:
        """Return a value in its form in YAML."""
        return self._adapter.dump_python(value, mode="json")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values; what it names is in its ``$defs``."""
        found = self._adapter.json_schema()
        found.pop("title", None)
        return found | {"description": self.__doc__}

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Any: ...  # noqa: ANN401 - the annotation's
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        """Return the value or, on the class, the property itself."""
        return self if instance is None else self._read(instance)

    def __set__(self, instance: object, given: Any) -> None:  # noqa: ANN401 - checked here
        """Check and set a value.

        Raises:
            UsageError: The value is invalid; the old one stays.
        """
        self._write(instance, given)

    def _read(self, instance: object) -> object:
        store = instance.__dict__[_STORE]
        if self.name not in store and isinstance(self.default, list | dict | set):
            own: dict[str, object] = instance.__dict__.setdefault(_OWN_DEFAULTS, {})
            if self.name not in own:  # none is shared by two instances
                own[self.name] = copy.deepcopy(self.default)
            return own[self.name]
        return store.get(self.name, self.default)

    def _write(self, instance: object, given: object) -> None:
        try:
            value = self._validated(given)
        except ValidationError as error:
            wrong = next(problems_of(error, self.kind))
            place = "".join(f"[{shortened(repr(key), 80)}]" for key in wrong.steps)
            message = f"{type(instance).__name__}: {self.name}{place} {wrong.message}"
            raise UsageError(message) from error
        store = instance.__dict__[_STORE]
        before = store.get(self.name, _REQUIRED)
        if type(before) is type(value) and before == value:  # 1 == True
            return
        store[self.name] = value
        if isinstance(instance, Configured):
            instance.on_change(self.name)


def settings_of(kind: type) -> dict[str, SettingProperty]:
    """Return the settings of a component's class by name, in the order of definition."""
    found: dict[str, SettingProperty] = {}
    for base in reversed(kind.__mro__):
        found |= {name: one for name, one in vars(base).items() if isinstance(one, SettingProperty)}
    return found


class Configured:
    """The base of limpet's components; it goes before mewbot's base class."""

    def __new__(cls, *_args: object, **_given: object) -> Self:
        """Create the instance with its dict of values: they are set before ``__init__``."""
        made = super().__new__(cls)
        made.__dict__[_STORE] = {}
        return made

    def __init__(self, **unknown: object) -> None:
        """Refuse unknown properties, and missing ones.

        Raises:
            UsageError: A property is unknown, or a required one is missing.
        """
        known = settings_of(type(self))
        name = type(self).__name__
        for key in unknown:
            message = f"{name} has no property {key!r}{near(key, known)}"
            if known:
                message += f" (it has {', '.join(known)})"
            raise UsageError(message)
        store = self.__dict__[_STORE]
        for key, one in known.items():
            if one.is_required and key not in store:
                message = f"{name} needs the property {key!r}: {one.__doc__}"
                raise UsageError(message)
        self.check()

    def check(self) -> None:
        """Check that the values go together; raise ``UsageError`` if not."""

    def on_change(self, name: str) -> None:
        """React to a changed value of a property."""

    def values(self) -> Mapping[str, object]:
        """Return the values that were set, by name, in their form in YAML."""
        known = settings_of(type(self))
        return {key: known[key].plain(value) for key, value in self.__dict__[_STORE].items()}

    def serialise(self) -> Any:  # noqa: ANN401 - mewbot's own form, a typed dict
        """Return the component as its YAML block, in plain values for ``yaml.safe_dump``."""
        from mewbot.api.registry import ComponentRegistry

        kind, _ = ComponentRegistry.api_version(self)  # type: ignore[arg-type]  # a component
        home = type(self).__module__.replace("._", ".").split(".")
        module = "limpet.bot" if home[:2] == ["limpet", "bot"] else type(self).__module__
        return {
            "kind": str(kind.value),
            "implementation": f"{module}.{type(self).__qualname__}",
            "uuid": str(self.uuid),  # type: ignore[attr-defined]  # mewbot's base class has it
            "properties": dict(self.values()),
        }
