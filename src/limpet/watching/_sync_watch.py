"""One watched location, in its synchronous form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from limpet.backends import HintRouter
from limpet.config import WatchOptions
from limpet.events import Kind
from limpet.watching._selection import Selection
from limpet.watching._sync_shell import SyncShell
from limpet.watching._watch_stats import WatchStats
from limpet.watching._watcher import Watcher


class SyncWatch(SyncShell[Watcher]):
    """A watch for plain scripts: a context manager, and an iterator that blocks.

    ``for event in limpet.watch_dir(path).sync():`` starts by itself and ends with the ``for`` loop
    or with ``close``. Every method belongs to one thread, but for ``wake`` and ``stop``.
    """

    def __init__(
        self,
        location: Path,
        options: WatchOptions,
        expects: Kind,
        selection: Selection | None = None,
    ) -> None:
        super().__init__()
        self.location: Final = location
        self.options: Final = options
        self._expects: Final = expects
        self._selection: Final = selection

    def __repr__(self) -> str:
        return f"the watch of {os.fspath(self.location)!r}"

    def _make_core(self, router: HintRouter) -> Watcher:
        return Watcher(
            self.location, self.options, self._expects, router, selection=self._selection
        )

    def stats(self) -> WatchStats:
        """Return the watch's figures."""
        return self._start()[0].stats()
