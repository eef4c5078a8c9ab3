"""Open watches, and let a new one of the same path go on where the old one stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from limpet._atomic_file import write_atomic
from limpet.bot.io._desired_state import DesiredWatch
from limpet.bot.io._watch_source import WatchSource, make_parent_of
from limpet.watching import Unacknowledged


class WatchHandover:
    """Opens the watches of one input, and keeps what one hands over to the next."""

    def __init__(self, unacked: Unacknowledged) -> None:
        """Create it; each watch notes in ``unacked`` what it delivers."""
        self._unacked = unacked
        self._scratch: str | None = None
        self._saved: tuple[DesiredWatch, Path] | None = None
        """The state of a watch that was stopped, for one that goes on from there."""
        self.read_only = False
        """Do not write the checkpoint: a copy of it is used instead."""

    async def open(self, desired: DesiredWatch) -> WatchSource:
        """Start to watch where a watch of the same path has stopped, if there was one.

        Raises:
            LimpetError: It cannot be watched; the message names the remedy.
            OSError: The checkpoint cannot be written.
        """
        saved, self._saved = self._saved, None
        if self.read_only and desired.state is not None:
            copy = Path(await self._scratch_dir()) / "state"
            if saved is not None:
                copy = saved[1]
            elif await asyncio.to_thread(os.path.exists, desired.state):
                await asyncio.to_thread(_copy, Path(desired.state), str(copy))
            return await WatchSource.open(desired, self._unacked, state=copy)
        if saved is None or saved[0] != desired:
            return await WatchSource.open(desired, self._unacked)
        try:
            if desired.state is None:
                return await WatchSource.open(desired, self._unacked, state=saved[1])
            await asyncio.to_thread(_copy, saved[1], desired.state)
            return await WatchSource.open(desired, self._unacked)
        except BaseException:
            self._saved = saved  # for the next try
            raise

    async def open_beside(self, desired: DesiredWatch, old: WatchSource) -> WatchSource:
        """Start to watch another path while ``old`` runs; a shared checkpoint is left alone."""
        shared = desired.state is not None and desired.state == old.desired.state
        changes = {"state": None} if shared else {}
        return await WatchSource.open(desired, self._unacked, **changes)

    async def stop(self, old: WatchSource, desired: DesiredWatch) -> None:
        """Stop a watch; ``open`` with ``desired`` goes on where it stopped.

        Nobody else has the watch any more: it is closed in every case, also by a cancellation.
        """
        try:
            old.watch.track(None)  # delivered events stay with us, and are not delivered again
            saved = Path(await self._scratch_dir()) / "handover"
            await old.watch.save(saved)
            self._saved = (desired, saved)
        finally:
            await old.close()

    def clean(self) -> None:
        """Remove the temporary files."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = self._saved = None

    async def _scratch_dir(self) -> str:
        if self._scratch is None:
            self._scratch = await asyncio.to_thread(mkdtemp, prefix="limpet-bot-")
        return self._scratch


def _copy(source: Path, state: str) -> None:
    make_parent_of(state)
    write_atomic(os.path.abspath(state), source.read_bytes())
