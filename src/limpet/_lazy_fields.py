"""Values whose fields are worked out when they are first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

__all__ = ["Lazy", "Maker", "make_lazily"]


class Maker(Protocol):
    """Works out the fields of events; used from any thread."""

    def field(self, source: tuple[Any, ...], name: str) -> object:
        """Give one field, the same whenever it is asked for."""


class Lazy:
    """Lets the fields of an event be worked out when they are first asked for.

    An event is made for every change, and most of what it could tell is never looked at: to make
    one with all its fields takes 8 microseconds, one that holds its source 0.4. A slot that is not
    filled yet ends up in ``__getattr__``, one that is costs what any slot costs.
    """

    __slots__ = ("_maker", "_source")

    if not TYPE_CHECKING:  # the checker shall know the fields only, not any name

        def __getattr__(self, name: str) -> object:
            """Work a field out and keep it."""
            if name != "_maker":
                maker = getattr(self, "_maker", None)
                if maker is not None and name in type(self).__dataclass_fields__:
                    value = maker.field(self._source, name)
                    object.__setattr__(self, name, value)
                    return value
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self)


_E = TypeVar("_E", bound="Lazy")
_new = object.__new__
_set_maker = cast("Any", Lazy)._maker.__set__  # noqa: SLF001 (its slots, which frozen closes)
_set_source = cast("Any", Lazy)._source.__set__  # noqa: SLF001


def make_lazily(kind: type[_E], maker: Maker, source: tuple[Any, ...]) -> _E:
    """Make an event of ``kind`` whose fields are worked out by ``maker`` from ``source``.

    For the watch. What many events share belongs in the maker: a source of numbers and text alone
    is nothing the garbage collector has to look into, and it looks at every event that is kept.
    """
    event = _new(kind)
    _set_maker(event, maker)
    _set_source(event, source)
    return event
