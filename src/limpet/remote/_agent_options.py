"""The options of an agent, as its file or a program gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from limpet.remote._agent_follow import FollowSpec
from limpet.remote._agent_watch import WatchSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """A directory that other hosts may write into."""

    name: str
    """A slug; part of the subject."""
    path: str
    allow: frozenset[str] | None = None
    """Operations that are allowed, such as ``append``; ``None`` is all."""
    options: dict[str, object] = field(default_factory=dict)
    """Those of ``limpet.Output``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """The sources, the outputs and the spool of an agent."""

    host: str
    """A slug: the name of this host on the hub."""
    spool: str
    """File of the spool."""
    watches: Sequence[WatchSpec] = ()
    follows: Sequence[FollowSpec] = ()
    outputs: Sequence[OutputSpec] = ()
    prefix: str = "limpet"
    spool_options: dict[str, Any] = field(default_factory=dict)
    """Those of ``Spool``."""
