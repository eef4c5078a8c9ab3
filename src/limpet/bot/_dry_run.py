"""Report what would be done instead of doing it (``limpet run --dry-run``)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

dry_run_report: Final[ContextVar[Callable[[str], None] | None]] = ContextVar(
    "dry_run_report", default=None
)
"""Takes the lines of a dry run; ``None`` outside of one."""


def report_dry_run(action: str) -> bool:
    """Report what would be done if this is a dry run; return whether it is one."""
    report = dry_run_report.get()
    if report is None:
        return False
    report(f"would {action}")
    return True
