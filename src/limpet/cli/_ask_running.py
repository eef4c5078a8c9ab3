"""Ask a bot that runs for what only it may do: its state directory is locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from limpet.bot.program import DeadLetters
from limpet.errors import UsageError
from limpet.status import NotReachedError, act, record_in


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
        UsageError: It cannot be asked, or refuses.
    """
    record = record_in(state_dir)
    wanted = list(idents) or [one.ident for one in DeadLetters(state_dir).read()]
    try:
        if record is not None:
            return act(record, action, wanted)
    except NotReachedError:
        pass  # the record is of an earlier start
    message = (
        f"cannot {action} dead letters in {str(state_dir)!r} while another bot runs: start it "
        "with --listen, or stop it first"
    )
    raise UsageError(message, code="state-in-use")
