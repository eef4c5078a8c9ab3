"""Restart what must not end: the one loop that both runners use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from limpet._backoff import Backoff
from limpet.bot._containment import ends_task

FIRST_S: Final = 1.0
"""Delay before the first restart; it doubles with each further one."""

LONGEST_S: Final = 60.0
"""The longest delay; a run that lasted longer than this starts again at the first delay."""


async def run_again(
    run: Callable[[], Awaitable[None]],
    on_failure: Callable[[BaseException, float], None],
    *,
    first: float = FIRST_S,
) -> None:
    """Await ``run`` until it returns; whenever it raises, call it again after a delay.

    Args:
        run: Called for each run.
        on_failure: Gets the exception and the delay in seconds that follows.
        first: The first delay, in seconds.
    """
    loop = asyncio.get_running_loop()
    backoff = Backoff(first, LONGEST_S)
    while True:
        started = loop.time()
        try:
            await run()
        except BaseException as error:
            if ends_task(error):
                raise
            if loop.time() - started > LONGEST_S:
                backoff.reset()
            delay = backoff.next()
            on_failure(error, delay)
        else:
            return
        await asyncio.sleep(delay)
