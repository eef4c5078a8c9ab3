"""ReadDirectoryChangesExW as a source of hints about whole trees, for Windows.

It reports both names of a rename, and that it lost something. What it does not report: a write
through a handle that stays open, until the system writes its cache to the disk ("ReadDirectory
ChangesW", FILE_NOTIFY_CHANGE_LAST_WRITE); so a fence examines everything.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

from limpet.backends._base import Capabilities
from limpet.backends._completion_port import CompletionPort
from limpet.backends._windows_api import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.backends._base import TreeReceiver
    from limpet.backends._watched_tree import WatchedTree
    from limpet.backends._windows_api import ChangesApi

WINDOWS: Final = Capabilities(kind="tree", complete=False, exact_paths=True)


class WindowsSource:
    """What reports one tree; all of them share one completion port."""

    name = "windows"
    capabilities = WINDOWS

    def __init__(
        self, receiver: TreeReceiver, ports: SharedPort | None = None, *, recursive: bool = True
    ) -> None:
        """Watch nothing yet; hints will go to ``receiver``, from the thread of the port."""
        self._receiver = receiver
        self._recursive = recursive
        self._ports = ports or shared_port()
        self._tree: WatchedTree | None = None

    def watch(self, path: str | None) -> None:
        """Report changes below ``path`` from now on, and nothing else; ``None`` stops.

        Raises:
            OSError: The file system reports no changes; nothing is watched.
        """
        self.close()
        if path is None:
            return
        try:
            port = self._ports.acquire()
            try:
                self._tree = port.add(path or os.sep, self._receiver, recursive=self._recursive)
            except BaseException:
                self._ports.release()
                raise
        except RefusedError as error:
            message = f"the file system reports no changes (Windows error {error.code})"
            raise OSError(None, message, path) from error

    def close(self) -> None:
        """Let go of the directory; may be called twice."""
        tree, self._tree = self._tree, None
        if tree is not None:
            self._ports.remove(tree)


class SharedPort:
    """The completion port of a process, from its first user to its last."""

    def __init__(self, api: Callable[[], ChangesApi]) -> None:
        """Open nothing yet."""
        self._api = api
        self._lock = threading.Lock()
        self._port: CompletionPort | None = None
        self._users = 0

    def acquire(self) -> CompletionPort:
        """Return the port, for one more user.

        Raises:
            RefusedError: The system gives none.
        """
        with self._lock:
            if self._port is None:
                self._port = CompletionPort(self._api())
            self._users += 1
            return self._port

    def remove(self, tree: WatchedTree) -> None:
        """Let go of a directory, and drop its user."""
        port = self._port
        if port is not None:
            port.remove(tree)
            self.release()

    def release(self) -> None:
        """Drop one user, and with the last one the port."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._port is not None:
                port, self._port = self._port, None
                port.close()

    def end(self) -> None:
        """End the thread though there may be users: the program ends."""
        with self._lock:
            port, self._port, self._users = self._port, None, 0
        if port is not None:
            port.close()


@cache
def shared_port() -> SharedPort:
    """Return the one of this process.

    A program may end with a watch open. Python would then free buffers into which the kernel still
    writes, so the reads are ended first.
    """
    ports = SharedPort(_real_api)
    atexit.register(ports.end)
    return ports


def _real_api() -> ChangesApi:
    if sys.platform == "win32":
        from limpet.backends._windows_api import WindowsApi

        return WindowsApi()
    message = f"ReadDirectoryChangesW is not part of {sys.platform}"
    raise OSError(message)
