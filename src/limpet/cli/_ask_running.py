"""Ask a bot that runs for what only it may do: its state directory is locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from limpet._file_lock import holder_of
from limpet.bot.program import DeadLetters
from limpet.errors import UsageError
from limpet.status import act, record_in

_AT_ONCE: Final = 500
"""Ids in one request: what the server takes."""


def ask_running(
    state_dir: Path, action: Literal["retry", "discard"], idents: Sequence[str]
) -> Mapping[str, int]:
    """Return what a running bot has done with dead letters: numbers, by their names.

    Args:
        state_dir: The state directory, which the bot has locked.
        action: What to do with them.
        idents: The ids of the dead letters; for ``retry`` empty for all.

    Returns:
        Of ``retry`` the fields of ``ReplayReport``, of ``discard`` ``discarded``.

    Raises:
        UsageError: It does not listen, or refuses.
        NotReachedError: It has ended meanwhile, or hangs.
    """
    record = record_in(state_dir)
    wanted = list(idents) or [one.ident for one in DeadLetters(state_dir).read()]
    found: Counter[str] = Counter()
    if record is not None and holder_of(state_dir / "lock") == f" (process {record.pid})":
        for at in range(0, len(wanted), _AT_ONCE):
            part = act(record, action, wanted[at : at + _AT_ONCE])
            found.update({key: count for key, count in part.items() if key != "not_asked"})
        return found
    message = (
        f"cannot {action} dead letters in {str(state_dir)!r} while another bot runs: start it "
        "with --listen, or stop it first"
    )
    raise UsageError(message, code="state-in-use")
