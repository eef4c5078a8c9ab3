"""The components of one bot, whoever put them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mewbot.core import BehaviourInterface, InputInterface, IOConfigInterface, OutputInterface

__all__ = ["Parts", "ident_of", "label_of", "workers_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The components of one bot, in the order of its file."""

    io_configs: tuple[IOConfigInterface, ...] = ()
    behaviours: tuple[BehaviourInterface, ...] = ()
    idents: tuple[str, ...] = field(default=())
    """For each behaviour what it is called in the journal: the same at the next start."""

    def __post_init__(self) -> None:
        """Name the behaviours that were not named."""
        if len(self.idents) != len(self.behaviours):
            made = tuple(ident_of(one, at) for at, one in enumerate(self.behaviours))
            object.__setattr__(self, "idents", made)

    def inputs(self) -> list[InputInterface]:
        """Give the inputs, each once, in order."""
        return _once(one for io in self.io_configs for one in io.get_inputs())

    def outputs(self) -> list[OutputInterface]:
        """Give the outputs, each once, in order."""
        return _once(one for io in self.io_configs for one in io.get_outputs())

    def active(self) -> list[tuple[BehaviourInterface, str]]:
        """Give the behaviours that are switched on, with what the journal calls them."""
        return [
            (one, ident)
            for one, ident in zip(self.behaviours, self.idents, strict=True)
            if getattr(one, "active", True)
        ]


def ident_of(behaviour: BehaviourInterface, at: int) -> str:
    """Give a name that is the same at the next start: one's own or, without one, the place."""
    name = getattr(behaviour, "name", "")
    return f"name:{name}" if name else f"number:{at}"


def workers_of(behaviour: BehaviourInterface) -> int:
    """Give how many events a behaviour works on at once."""
    found = getattr(behaviour, "concurrency", 1)
    return found if isinstance(found, int) and found > 0 else 1


def label_of(behaviour: BehaviourInterface, ident: str) -> str:
    """Give what a behaviour is called in messages."""
    return str(getattr(behaviour, "name", "") or ident)


def _once(components: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in components:
        if all(one is not other for other in found):
            found.append(one)
    return found
