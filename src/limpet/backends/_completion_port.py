"""One completion port and one thread for all directories that a process watches on Windows.

Of the process and not of an event loop: a hint is only put into the pending hints of its watch, so
the thread never works for one loop while another waits, and watches without a loop share it, too.
It starts with the first watch and ends with the last. All reads are asked for in this thread: what
a thread has asked for may be cancelled when it ends ("ExitThread", learn.microsoft.com).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from limpet.backends._watched_tree import WatchedTree
from limpet.backends._windows_api import OPERATION_ABORTED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from limpet.backends._base import TreeReceiver
    from limpet.backends._windows_api import ChangesApi, Packet, Request

PATIENCE_S: Final = 5.0
"""Seconds for the packet of a cancelled read, which comes at once where a disk is local."""
_BROKEN_S: Final = 0.2

_abandoned: Final[list[Request]] = []
"""Reads whose packet never came: the kernel may still write into them, so they are never freed."""


class CompletionPort:
    """The thread, and the directories that it reads."""

    def __init__(self, api: ChangesApi) -> None:
        """Open the port and start the thread.

        Raises:
            RefusedError: The system gives no port; nothing was started.
        """
        self._api = api
        self._port = api.open_port()
        self._commands: deque[Callable[[], None]] = deque()
        """What other threads ask for; one or two for each watch."""
        self._lock = threading.Lock()
        """Held while another thread uses the port, and while it is closed: its number may be that
        of something else afterwards."""
        self._is_open = True
        self._ending = False
        self._trees: set[WatchedTree] = set()
        self._reads: dict[int, WatchedTree] = {}
        """Address of a pending request -> the directory that it is of."""
        self._thread = threading.Thread(target=self._run, name="limpet windows", daemon=True)
        self._thread.start()

    def add(self, path: str, receiver: TreeReceiver, *, recursive: bool = True) -> WatchedTree:
        """Report changes in ``path`` and below; on return, every later one is reported.

        A directory that cannot be opened is tried again by itself.

        Raises:
            RefusedError: Its file system reports nothing; nothing is held.
        """
        tree = WatchedTree(self._api, path, receiver, recursive=recursive)
        handle = self._open(path)
        if not self._submit(partial(self._enter, tree, handle)):
            self._discard(handle)
            raise RefusedError(OPERATION_ABORTED)
        if not tree.started.wait(PATIENCE_S):
            tree.late = True
            if tree.started.is_set():
                tree.lose("backend")
        if tree.refused is not None:
            raise RefusedError(tree.refused)
        return tree

    def remove(self, tree: WatchedTree) -> None:
        """Report nothing more of a directory, and let go of it; may be called twice."""
        if self._submit(partial(self._leave, tree)):
            tree.closed.wait(PATIENCE_S)

    def close(self) -> None:
        """Let go of every directory, end the thread and free the port; may be called twice."""
        self._ending = True
        self._submit(lambda: None)
        with suppress(RuntimeError):  # the interpreter is ending (PythonFinalizationError)
            self._thread.join(3 * PATIENCE_S)

    @property
    def pending(self) -> int:
        """Return the number of reads that the kernel may write into."""
        return len(self._reads)

    # -- from any thread ---------------------------------------------------------------------------

    def _submit(self, command: Callable[[], None]) -> bool:
        """Queue ``command`` for the thread; return False if that has ended."""
        with self._lock:
            if self._is_open:
                self._commands.append(command)
                self._api.post(self._port)
            return self._is_open

    def _open(self, path: str) -> int | None:
        try:
            return self._api.open_directory(path)
        except RefusedError:
            return None

    def _discard(self, handle: int | None) -> None:
        if handle is not None:
            self._api.close(handle)

    # -- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending:
            self._step(self._until_retry())
        self._obey()
        for tree in list(self._trees):
            self._do(tree, tree.leave)
        deadline = time.monotonic() + PATIENCE_S
        while self._reads and time.monotonic() < deadline:
            self._step(deadline - time.monotonic())
        for tree in self._reads.values():
            if tree.pending is not None:
                _abandoned.append(tree.pending)
            tree.let_go()
        with self._lock:
            self._is_open = False
        self._obey()
        self._api.close(self._port)

    def _step(self, timeout: float | None) -> None:
        """Wait; take what has come, then what others have asked for, then what is due."""
        packet = self._wait(timeout)
        now = time.monotonic()
        if packet is not None and packet.address:
            tree = self._reads.pop(packet.address, None)
            if tree is not None:
                self._do(tree, partial(tree.take, packet, now))
        self._obey()
        for tree in self._trees:
            if tree.retry_at is not None and tree.retry_at <= now:
                self._reopen(tree, now)

    def _wait(self, timeout: float | None) -> Packet | None:
        try:
            return self._api.wait(self._port, timeout)
        except RefusedError:
            time.sleep(_BROKEN_S)
            return None

    def _obey(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _do(self, tree: WatchedTree, step: Callable[[], None]) -> None:
        """Take one step of a directory, and note which read it leaves pending."""
        try:
            step()
        except Exception:  # noqa: BLE001 (a receiver that fails must not silence the other watches)
            with suppress(Exception):
                tree.lose("backend")
        if tree.pending is not None:
            self._reads[tree.pending.address] = tree
        if tree.closed.is_set():
            self._trees.discard(tree)

    def _enter(self, tree: WatchedTree, handle: int | None) -> None:
        if self._ending:
            self._discard(handle)
            tree.closed.set()
        else:
            self._trees.add(tree)
            self._do(tree, partial(tree.enter, self._port, handle, time.monotonic()))
            if tree.refused is not None:
                self._do(tree, tree.leave)
        tree.started.set()
        if tree.late:
            self._do(tree, partial(tree.lose, "backend"))

    def _leave(self, tree: WatchedTree) -> None:
        if not tree.closed.is_set():
            self._do(tree, tree.leave)

    def _until_retry(self) -> float | None:
        times = [tree.retry_at for tree in self._trees if tree.retry_at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _reopen(self, tree: WatchedTree, now: float) -> None:
        """Open a directory again, in a thread of its own: the disk may not answer."""

        def run() -> None:
            handle = self._open(tree.path)
            if not self._submit(partial(self._opened, tree, handle)):
                self._discard(handle)

        try:
            threading.Thread(target=run, name="limpet reopen", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            tree.retry_at = now + _BROKEN_S
        else:
            tree.retry_at = None

    def _opened(self, tree: WatchedTree, handle: int | None) -> None:
        if tree.closing:
            self._discard(handle)
        else:
            self._do(tree, partial(tree.reopen, self._port, handle, time.monotonic()))
