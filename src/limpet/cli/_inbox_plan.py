"""The plan of one ``limpet inbox``, checked before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPlan:
    """Everything that one run needs."""

    path: str
    done: str | None
    """``None`` deletes what is done."""
    failed: str
    options: dict[str, Any]
    argv: tuple[str, ...]
    listen: str | None = None
    log_format: str | None = None
