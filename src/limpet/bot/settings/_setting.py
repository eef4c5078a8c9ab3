"""Properties of components: checked when they are set, by code or by YAML.

mewbot sets the values of the YAML through ``property`` objects before it calls ``__init__``, which
would overwrite them. So the values are in one dict that is created with the instance, the defaults
are on the class, and ``__init__`` only checks that the values go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Self, TypeVar, overload

from limpet._suggest import near
from limpet.bot.settings._validators import BadValueError, Value
from limpet.errors import UsageError

T = TypeVar("T")

_STORE: Final = "_settings"


class Setting(property, Generic[T]):
    """One property of a component: ``settle = Setting(number(), 0.0, "Its help text.")``."""

    name: str

    def __init__(
        self,
        value: Value[T],
        default: T,
        doc: str,
        *,
        plain: Callable[[T], object] | None = None,
        required: bool = False,
    ) -> None:
        """Create a property.

        Args:
            value: Checks and converts a value.
            default: The value while nothing is set.
            doc: The help text, also in the schema.
            plain: Converts the value back to its form in YAML, where the two differ.
            required: There is no default: a component without it is refused.
        """
        super().__init__(self._read, self._write, doc=doc)
        self.value = value
        self.default = default
        self.plain = plain
        self.required = required
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        """Return the value or, on the class, the property itself."""
        return self if instance is None else self._read(instance)

    def __set__(self, instance: object, given: Any) -> None:  # noqa: ANN401 - checked here
        """Check and set a value.

        Raises:
            UsageError: The value is invalid; the old one stays.
        """
        self._write(instance, given)

    def _read(self, instance: object) -> T:
        value: T = instance.__dict__[_STORE].get(self.name, self.default)
        return value

    def _write(self, instance: object, given: Any) -> None:  # noqa: ANN401 - checked here
        try:
            value = self.value.take(given)
        except BadValueError as error:
            place = "".join(f"[{key!r}]" for key in error.where)
            message = f"{type(instance).__name__}: {self.name}{place} {error}"
            raise UsageError(message) from error
        store = instance.__dict__[_STORE]
        if self.name in store and store[self.name] == value:
            return
        store[self.name] = value
        if isinstance(instance, Configured):
            instance.on_change(self.name)


def settings_of(kind: type) -> dict[str, Setting[Any]]:
    """Return the settings of a component's class by name, in the order of definition."""
    found: dict[str, Setting[Any]] = {}
    for base in reversed(kind.__mro__):
        found |= {name: one for name, one in vars(base).items() if isinstance(one, Setting)}
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
            if one.required and key not in store:
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
        return {
            key: plain(value) if (plain := known[key].plain) is not None else _plain(value)
            for key, value in self.__dict__[_STORE].items()
        }

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


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
