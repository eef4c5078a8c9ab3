"""``--listen`` of the commands that go on: what they show of themselves while they run."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from limpet.errors import LimpetError
from limpet.status import ProgramStatus

if TYPE_CHECKING:
    from limpet.cli._run_session import RunSession


async def listening(
    listen: str, shown: ProgramStatus, session: RunSession, stack: AsyncExitStack
) -> bool:
    """Serve the status until the stack is left; return whether the run goes on.

    It does not if the address is wrong or taken, or the extra is missing: the session says so.
    """
    try:
        from limpet.web import Listening

        serving = Listening(shown, listen)
        await serving.start()
    except (LimpetError, OSError) as error:
        await session.fail_start(error)
        return False
    stack.push_async_callback(serving.aclose)
    await session.streams.log(serving.text)
    return True


def name_of(paths: tuple[str, ...]) -> str:
    """Return what a command is called in its status."""
    first = paths[0] if paths else ""
    return first if len(paths) < 2 else f"{first} and {len(paths) - 1} more"
