"""The differences between the options of an agent that runs and those of its changed file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limpet.remote._agent_options import AgentOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanges:
    """What is to be done so that an agent runs with other options."""

    fixed: tuple[str, ...]
    """Keys of the file that have changed and need a restart: ``host``, ``prefix``, ``spool``."""
    ended: frozenset[str]
    """Names of sources that end: they are gone, or are others now."""
    closed: frozenset[str]
    """The same of outputs."""
    watches: tuple[Any, ...]
    """Specs of watches that start: they are new, or were ended."""
    follows: tuple[Any, ...]
    outputs: tuple[Any, ...]


def changes_of(old: AgentOptions, new: AgentOptions) -> AgentChanges:
    """Return the differences between two sets of options."""
    fixed = [key for key in ("host", "prefix") if getattr(old, key) != getattr(new, key)]
    if (old.spool, old.spool_options) != (new.spool, new.spool_options):
        fixed.append("spool")
    return AgentChanges(
        fixed=tuple(fixed),
        ended=_left([*old.watches, *old.follows], [*new.watches, *new.follows]),
        closed=_left(old.outputs, new.outputs),
        watches=_new(old.watches, new.watches),
        follows=_new(old.follows, new.follows),
        outputs=_new(old.outputs, new.outputs),
    )


def _left(old: Sequence[Any], new: Sequence[Any]) -> frozenset[str]:
    return frozenset(one.name for one in old if one not in new)


def _new(old: Sequence[Any], new: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(one for one in new if one not in old)
