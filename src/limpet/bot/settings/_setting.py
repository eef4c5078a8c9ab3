"""Properties of components: checked when they are set, by code as by YAML.

mewbot sets what the YAML has through ``property`` objects, before ``__init__`` is called; whatever
``__init__`` assigned would overwrite it. So values live in one dict that is made with the instance,
defaults on the class, and ``__init__`` only looks at how the values go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Self, TypeVar, overload

from limpet._suggest import near
from limpet.bot.settings._validators import BadValueError, Value
from limpet.errors import UsageError

__all__ = ["Configured", "Setting", "settings_of"]

T = TypeVar("T")

_STORE: Final = "_settings"


class Setting(property, Generic[T]):
    """One property of a component: ``settle = Setting(number(), 0.0, "What it is.")``."""

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
        """Keep what may be set.

        Args:
            value: What is taken.
            default: What it is as long as nothing was set.
            doc: What it is for; goes into the schema.
            plain: Gives the value as YAML has it, where it is kept in another form.
            required: There is no default: a component without it is refused.
        """
        super().__init__(self._read, self._write, doc=doc)
        self.value = value
        self.default = default
        self.plain = plain
        self.required = required
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn under which name it stands."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        """Give the value, or of the class the property itself."""
        return self if instance is None else self._read(instance)

    def __set__(self, instance: object, given: Any) -> None:  # noqa: ANN401 - it is checked here
        """Check and keep a value.

        Raises:
            UsageError: It does not fit; the old value stays.
        """
        self._write(instance, given)

    def _read(self, instance: object) -> T:
        value: T = instance.__dict__[_STORE].get(self.name, self.default)
        return value

    def _write(self, instance: object, given: Any) -> None:  # noqa: ANN401 - it is checked here
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
    """Give the settings of a component's class by name, in the order they are written in."""
    found: dict[str, Setting[Any]] = {}
    for base in reversed(kind.__mro__):
        found |= {name: one for name, one in vars(base).items() if isinstance(one, Setting)}
    return found


class Configured:
    """What limpet's components have in common; stands before mewbot's base class."""

    def __new__(cls, *_args: object, **_given: object) -> Self:
        """Make it with a place for its values: they are set before ``__init__`` is called."""
        made = super().__new__(cls)
        made.__dict__[_STORE] = {}
        return made

    def __init__(self, **unknown: object) -> None:
        """Refuse what is no property, and what is missing.

        Raises:
            UsageError: There is no such property, or one that is needed was not given.
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
        """Look at how the values go together; what does not is a ``UsageError``."""

    def on_change(self, name: str) -> None:
        """A property got another value than it had."""

    def values(self) -> Mapping[str, object]:
        """Give what was set, by name, as YAML has it."""
        known = settings_of(type(self))
        return {
            key: plain(value) if (plain := known[key].plain) is not None else _plain(value)
            for key, value in self.__dict__[_STORE].items()
        }

    def serialise(self) -> Any:  # noqa: ANN401 - mewbot's own form, a typed dict
        """Give the component as its YAML block, in plain values that ``yaml.safe_dump`` takes."""
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
