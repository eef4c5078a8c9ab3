"""The components of one bot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mewbot.core import BehaviourInterface, InputInterface, IOConfigInterface, OutputInterface

from limpet.bot._returned import inputs_of, outputs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The components of one bot, in the order of its file."""

    io_configs: tuple[IOConfigInterface, ...] = ()
    behaviours: tuple[BehaviourInterface, ...] = ()
    idents: tuple[str, ...] = field(default=())
    """For each behaviour its name in the journal: the same at the next start."""

    def __post_init__(self) -> None:
        if len(self.idents) != len(self.behaviours):
            made = tuple(ident_of(one, at) for at, one in enumerate(self.behaviours))
            object.__setattr__(self, "idents", made)

    def inputs(self) -> list[InputInterface]:
        """Return the inputs, each once, in order."""
        return _once(one for io in self.io_configs for one in inputs_of(io))

    def outputs(self) -> list[OutputInterface]:
        """Return the outputs, each once, in order."""
        return _once(one for io in self.io_configs for one in outputs_of(io))

    def active(self) -> list[tuple[BehaviourInterface, str]]:
        """Return the active behaviours, with their names in the journal."""
        return [
            (one, ident)
            for one, ident in zip(self.behaviours, self.idents, strict=True)
            if getattr(one, "active", True)
        ]


def ident_of(behaviour: BehaviourInterface, at: int) -> str:
    """Return a name that is the same at the next start: its own or, without one, its number."""
    name = getattr(behaviour, "name", "")
    return f"name:{name}" if name else f"number:{at}"


def workers_of(behaviour: BehaviourInterface) -> int:
    """Return how many events a behaviour processes at once."""
    found = getattr(behaviour, "concurrency", 1)
    return found if isinstance(found, int) and found > 0 else 1


def label_of(behaviour: BehaviourInterface, ident: str) -> str:
    """Return the name of a behaviour in messages."""
    return str(getattr(behaviour, "name", "") or ident)


def _once(components: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in components:
        if all(one is not other for other in found):
            found.append(one)
    return found
