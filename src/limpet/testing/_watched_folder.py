"""A folder whose events come when the test asks for them, by a clock that the test moves."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, Unpack

from limpet._option_fields import path_of
from limpet.errors import UsageError
from limpet.events import Event
from limpet.watching import Options, Watcher, watch_dir, watcher_by_clock


class WatchedFolder:
    """A real folder and a watch of it, in which time passes only when the test lets it.

    ```python
    with WatchedFolder(tmp_path, settle=5, settle_until="quiet") as folder:
        (folder / "a.txt").write_text("text")
        assert_events(folder.advance(4), [])
        assert_events(folder.settle(), ["FileCreated a.txt"])
    ```

    Nothing sleeps and nothing runs beside the test: ``settle`` and ``advance`` examine the disk and
    return the events. All but the moments of ``settle``, ``settle_dir`` and the intervals is as in
    ``watch_dir``; the times in events are those of the system. It belongs to one thread.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        types: type | Iterable[type] | None = None,
        only: Callable[[Event], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Take the arguments of ``watch_dir``; ``open`` starts the watch.

        Raises:
            UsageError: As ``watch_dir``.
        """
        self.path = path_of("path", path)
        """The folder, absolute."""
        self.now = 0.0
        """Seconds that the test has let pass."""
        self._types, self._only, self._options = types, only, options
        self._watch: Watcher | None = None
        watch_dir(self.path, types=types, only=only, **options)  # checks them

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        """Return a path in the folder."""
        return self.path / name

    def __fspath__(self) -> str:
        """Return the path of the folder."""
        return os.fspath(self.path)

    def __repr__(self) -> str:
        return f"<WatchedFolder {os.fspath(self.path)!r}, {self.now:g} seconds on>"

    def __enter__(self) -> Self:
        """Start; see ``open``."""
        return self.open()

    def __exit__(self, *_: object) -> None:
        """Stop; see ``close``."""
        self.close()

    def open(self) -> Self:
        """List the folder; every later change is an event. Does nothing if it is running."""
        if self._watch is None:
            self._watch = watcher_by_clock(
                lambda: self.now, self.path, self._options, types=self._types, only=self._only
            )
            try:
                self._watch.start()
            except BaseException:
                self.close()
                raise
        return self

    def close(self) -> None:
        """Stop, and save the checkpoint if there is a ``state``; may be called twice."""
        watch, self._watch = self._watch, None
        if watch is not None:
            try:
                watch.close(keep_marks=True)
            finally:
                watch.router.close()

    def reopen(self, **options: Unpack[Options]) -> Self:
        """Close, and watch with other options from now on; those not named stay as they were."""
        self.close()
        self._options = {**self._options, **options}
        return self.open()

    def settle(self) -> list[Event]:
        """Return the events of all that happened, as if everything had been quiet for long.

        The clock moves just as far as is needed for the last file or folder that is held.
        """
        watch = self._running()
        watch.examine(force=True)
        found, last = watch.pop_all(), -math.inf
        while last < (due := watch.released_at()) < math.inf:
            self.now, last = max(self.now, due), due
            watch.examine()
            found += watch.pop_all()
        return found

    def advance(self, seconds: float) -> list[Event]:
        """Let time pass, and return the events of all that happened, and of what came due.

        Each moment at which something is due is kept: what was held for two seconds is released
        before what was held for three.

        Raises:
            UsageError: Time does not go back.
        """
        if not seconds >= 0:
            message = f"advance({seconds!r}): give a number of seconds from 0"
            raise UsageError(message)
        end = self.now + seconds
        watch = self._running()
        watch.examine(force=True)
        found = watch.pop_all()
        while self.now < (due := watch.due()) <= end:
            self.now = due
            watch.examine()
            found += watch.pop_all()
        self.now = end
        watch.examine()
        return found + watch.pop_all()

    def _running(self) -> Watcher:
        if self._watch is None:
            message = f"{self!r} is not open: use it in 'with', or call open()"
            raise RuntimeError(message)
        return self._watch
