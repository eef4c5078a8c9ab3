"""How many files and bytes are below the root, where a limit depends on it."""

from __future__ import annotations

import threading

from limpet.output._limits import OutputLimits
from limpet.output._refusals import RefusalError
from limpet.output._resolve import RootHandle, Walk
from limpet.output._syscalls import Syscalls
from limpet.output._temp_files import is_temporary


class Quota:
    """Counts files and their bytes when it must, and adds own writes in between."""

    def __init__(self, calls: Syscalls, limits: OutputLimits) -> None:
        self._calls = calls
        self._limits = limits
        self._bytes = 0
        self._files = 0
        self._counted = float("-inf")
        self._mutex = threading.Lock()
        """Packing adds to the counts from a thread of its own."""
        self.needed = limits.max_total_bytes is not None or limits.max_files is not None

    def check_write(self, size: int) -> None:
        """Refuse more content than one operation may have.

        Raises:
            RefusalError: ``over-cap``.
        """
        most = self._limits.max_write_bytes
        if most is not None and size > most:
            raise RefusalError(
                "over-cap", f"it has {size} bytes, and {most} is the most (one write)"
            )

    def check_room(self, root: RootHandle, adds_bytes: int, adds_files: int) -> None:
        """Refuse what would exceed the limits; counted again before it is refused.

        Raises:
            RefusalError: ``over-cap``.
        """
        if not self.needed:
            return
        if self._calls.monotonic() - self._counted > self._limits.recount or self._why(
            adds_bytes, adds_files
        ):
            self._count(root)
        if why := self._why(adds_bytes, adds_files):
            raise RefusalError("over-cap", why)

    def add(self, size: int, files: int) -> None:
        """Add what an operation changed, if a limit needs it."""
        if not self.needed:
            return
        with self._mutex:
            self._bytes += size
            self._files += files

    def forget(self) -> None:
        """Count again next time: the root is another directory."""
        self._counted = float("-inf")

    def _why(self, adds_bytes: int, adds_files: int) -> str:
        most = self._limits.max_total_bytes
        if most is not None and adds_bytes > 0 and self._bytes + adds_bytes > most:
            return f"the folder has {self._bytes} bytes, and {most} is the most (all files)"
        most = self._limits.max_files
        if most is not None and adds_files > 0 and self._files + adds_files > most:
            return f"the folder has {self._files} files, and {most} is the most"
        return ""

    def _count(self, root: RootHandle) -> None:
        """Count all files but temporary ones, which are there for a moment."""
        calls, walk = self._calls, Walk()
        size = files = 0
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            try:
                fd = walk.open(calls, root, parts)
            except (OSError, RefusalError):
                continue  # gone meanwhile, or on another file system
            try:
                for name, is_dir, is_file in calls.list(fd):
                    if is_dir:
                        waiting.append((*parts, name))
                    elif is_file and not is_temporary(name):
                        files += 1
                        try:
                            size += calls.stat_at(fd, name).st_size
                        except OSError:
                            continue
            except OSError:
                continue
            finally:
                if fd != root.fd:
                    calls.close_quietly(fd)
        with self._mutex:
            self._bytes, self._files = size, files
        self._counted = calls.monotonic()
