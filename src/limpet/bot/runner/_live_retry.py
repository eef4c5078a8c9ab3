"""Dead letters of a running bot: each is processed again, or discarded, beside its other work.

A dead letter is in one replay at most. It stays in the hands of that one until its end is on disk:
a second replay that reads the file meanwhile would find it there, and process it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from limpet.bot._components import Components
from limpet.bot._delivery import Delivery
from limpet.bot.runner._dead_letters import DeadLetter, DeadLetters
from limpet.bot.runner._replay import Replay, ReplayReport
from limpet.bot.runner._state_dir import StateDir
from limpet.bot.runner._work_journal import Progress, Unfinished
from limpet.errors import UsageError

Put = Callable[[Delivery, str, Progress | None], Awaitable[bool]]
"""Adds an event to the queue of a behaviour, and returns whether the bot goes on."""


class LiveRetry:
    """The replays of one running bot. Belongs to one loop."""

    def __init__(
        self,
        state_dir: StateDir,
        put: Put,
        components: Callable[[], Components],
        *,
        dry: bool,
    ) -> None:
        self._state_dir = state_dir
        self._put = put
        self._components = components
        self._dry = dry
        self._replays: list[Replay] = []
        """Those that go on."""
        self._busy: set[str] = set()
        """The ids of the dead letters in their hands."""
        self._behind: set[str] = set()
        """Those of them that have ended, and whose end the disk has not taken yet."""
        self._tasks: set[asyncio.Task[ReplayReport]] = set()
        self._lock = asyncio.Lock()
        """Held while dead letters are chosen, and while their end is written."""
        self._is_over = False

    async def retry(self, idents: Sequence[str]) -> ReplayReport:
        """Process dead letters again, and return what became of them.

        Raises:
            UsageError: There is no dead letter of an id; none is processed.
            OSError: They cannot be read.
        """
        task = asyncio.create_task(self._retry(idents_of(idents)), name="retry")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[ReplayReport]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also if the caller was cancelled meanwhile

    async def discard(self, idents: Sequence[str]) -> int:
        """End dead letters that nobody wants, but those that are being processed; count them.

        Raises:
            OSError: They are still there.
        """
        wanted = set(idents_of(idents))
        if self._dry:
            return 0
        async with self._lock:
            await self._catch_up()
            found = self._file()
            return await self._state_dir.in_thread(found.drop, wanted - self._busy)

    async def read(self) -> list[DeadLetter]:
        """Return all dead letters, oldest first.

        Raises:
            OSError: They cannot be read.
        """
        found = self._state_dir.dead_letter_file
        if found is None:
            return []
        if self._is_over:
            return await asyncio.to_thread(found.read)
        await self._state_dir.written()
        return await self._state_dir.in_thread(found.read)

    def keep(self, unfinished: Iterable[tuple[Delivery, Unfinished]]) -> None:
        """End all replays, since the bot stops; note how far the unfinished have come."""
        self._is_over = True
        found = list(unfinished)
        for replay in self._replays:
            replay.keep([(delivery, one) for delivery, one in found if delivery.source is replay])
            replay.ended.set()

    async def _retry(self, idents: Sequence[str]) -> ReplayReport:
        replay = Replay(self._file().path.parent, only=idents, dry=self._dry)
        async with self._lock:
            self._check_goes_on()
            await self._catch_up()
            await self._state_dir.in_thread(
                lambda: replay.load(self._components(), self._state_dir, busy=self._busy)
            )
            self._check_goes_on()
            mine = replay.idents
            self._busy |= mine
            self._replays.append(replay)
        try:
            await self._put_all(replay)
            if mine:
                await replay.ended.wait()
        finally:
            async with self._lock:
                self._replays.remove(replay)
                self._behind |= mine
                if not self._is_over:  # else the stop writes, and gives the directory up
                    await self._catch_up()
                    await self._state_dir.in_thread(replay.tidy)
        return replay.report

    async def _put_all(self, replay: Replay) -> None:
        """Add the events to the queues; a behaviour whose queue stays full holds up no other."""
        queues: dict[str, list[tuple[Delivery, Progress | None]]] = {}
        for delivery, behaviour, progress in replay.stored():
            queues.setdefault(behaviour, []).append((delivery, progress))

        async def fill(behaviour: str) -> None:
            for delivery, progress in queues[behaviour]:
                if not await self._put(delivery, behaviour, progress):
                    return

        await asyncio.gather(*map(fill, queues))

    async def _catch_up(self) -> None:
        """Write the ends that the disk has refused; then those dead letters are free again."""
        if await self._state_dir.write_again():
            self._busy -= self._behind
            self._behind.clear()

    def _check_goes_on(self) -> None:
        if self._is_over:
            message = "nothing was retried: the bot is stopping"
            raise UsageError(message)

    def _file(self) -> DeadLetters:
        found = self._state_dir.dead_letter_file
        if found is None:
            message = "there is no state directory that dead letters could be in"
            raise UsageError(message)
        return found


def idents_of(idents: Sequence[str]) -> list[str]:
    """Return the ids.

    Raises:
        UsageError: They are no sequence of texts.
    """
    if isinstance(idents, str | bytes) or not all(isinstance(one, str) for one in idents):
        message = f"idents must be a sequence of ids of dead letters, not {idents!r}"
        raise UsageError(message)
    return list(idents)
