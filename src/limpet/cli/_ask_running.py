"""Ask a bot that runs for what only it may do: its state directory is locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from limpet.errors import UsageError


def ask_running(state_dir: Path, action: str, idents: Sequence[str]) -> Mapping[str, int]:
    """Return what a running bot has done with dead letters: numbers, by their names.

    Args:
        state_dir: The state directory, which the bot has locked.
        action: ``retry`` or ``discard``.
        idents: The ids of the dead letters; for ``retry`` empty for all.

    Returns:
        Of ``retry`` the fields of ``ReplayReport``, of ``discard`` ``discarded``.

    Raises:
        UsageError: It cannot be asked.
    """
    del idents
    message = (
        f"cannot {action} dead letters in {str(state_dir)!r} while another bot runs: start it "
        "with --listen, or stop it first"
    )
    raise UsageError(message, code="state-in-use")
