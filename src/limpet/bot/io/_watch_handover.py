"""Opens watches, and lets one go on where another of the same place has stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from limpet.bot.io._desired_state import WantedWatch
from limpet.bot.io._watch_source import WatchSource
from limpet.watch import Unacknowledged

__all__ = ["Opening"]


class Opening:
    """How an input opens its watches; keeps what goes over from one to the next."""

    def __init__(self, pending: Unacknowledged) -> None:
        """Have every watch note in ``pending`` what it hands out."""
        self._pending = pending
        self._scratch: str | None = None
        self._handover: tuple[WantedWatch, Path] | None = None
        """What a watch that was stopped knew, for one that is to go on from there."""
        self.read_only = False
        """Do not write the state file: it is read, and a copy goes on from there."""

    async def open(self, wanted: WantedWatch) -> WatchSource:
        """Start to watch, going on from where a watch of the same place has stopped, if any.

        Raises:
            LimpetError: It cannot be watched; the message says what to do.
            OSError: The state file cannot be written.
        """
        handover, self._handover = self._handover, None
        if self.read_only and wanted.state is not None:
            copy = Path(await self._scratch_folder()) / "state"
            if handover is not None:
                copy = handover[1]
            elif await asyncio.to_thread(os.path.exists, wanted.state):
                await asyncio.to_thread(_copy, Path(wanted.state), str(copy))
            return await WatchSource.open(wanted, self._pending, state=copy)
        if handover is None or handover[0] != wanted:
            return await WatchSource.open(wanted, self._pending)
        try:
            if wanted.state is None:
                return await WatchSource.open(wanted, self._pending, state=handover[1])
            await asyncio.to_thread(_copy, handover[1], wanted.state)
            return await WatchSource.open(wanted, self._pending)
        except BaseException:
            self._handover = handover  # for the next try
            raise

    async def open_beside(self, wanted: WantedWatch, old: WatchSource) -> WatchSource:
        """Start to watch another place while ``old`` runs; a state file of both is left alone."""
        shared = wanted.state is not None and wanted.state == old.wanted.state
        changes = {"state": None} if shared else {}
        return await WatchSource.open(wanted, self._pending, **changes)

    async def stop(self, old: WatchSource, wanted: WantedWatch) -> None:
        """Stop a watch whose place is watched on as ``wanted``: ``open`` goes on from there."""
        old.watch.track(None)  # what was handed out stays with us, and is not told again
        handover = Path(await self._scratch_folder()) / "handover"
        await old.watch.save(handover)
        self._handover = (wanted, handover)
        await old.close()

    def clean(self) -> None:
        """Remove what was kept for going over."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    async def _scratch_folder(self) -> str:
        if self._scratch is None:
            self._scratch = await asyncio.to_thread(mkdtemp, prefix="limpet-bot-")
        return self._scratch


def _copy(source: Path, state: str) -> None:
    target = Path(state).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".limpet-{target.name}.new")
    new.write_bytes(source.read_bytes())
    new.replace(target)
