"""The plan of one ``limpet follow``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FollowPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowPlan:
    """Everything that one run needs."""

    paths: tuple[str, ...]
    options: dict[str, Any]
    """Keyword arguments of ``limpet.follow``."""
    format: Literal["text", "jsonl"]
    prefix: bool
    """Write the file's name before each line of text."""
    stats: bool
