"""``run_process`` and ``arun_process``: a process that is restarted with every set of changes."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import anyio.to_thread

from limpet.compat.watchfiles.filters import DefaultFilter
from limpet.compat.watchfiles.main import FileChange, Filter, awatch, watch

__all__ = ["arun_process", "detect_target_type", "import_string", "run_process"]

logger = logging.getLogger("watchfiles.main")

Target = str | Callable[..., Any]
TargetType = Literal["function", "command"]

_SPAWN: Final = get_context("spawn")
"""A new interpreter each time: no module of the old code is imported in it."""
_CHANGES: Final = "WATCHFILES_CHANGES"


def run_process(
    *paths: Path | str,
    target: Target,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    target_type: Literal["function", "command", "auto"] = "auto",
    callback: Callable[[set[FileChange]], None] | None = None,
    watch_filter: Filter | None = DefaultFilter(),  # noqa: B008 (as watchfiles has it)
    grace_period: float = 0,
    debounce: int = 1_600,
    step: int = 50,
    debug: bool | None = None,
    sigint_timeout: int = 5,
    sigkill_timeout: int = 1,
    recursive: bool = True,
    ignore_permission_denied: bool = False,
) -> int:
    """Run a function or a command, and restart it whenever files change; until Ctrl-C.

    The environment variable ``WATCHFILES_CHANGES`` of the process has the changes as JSON.

    Args:
        *paths: As ``watch``.
        target: A function, the dotted path of one, or a command line.
        args: Of a function.
        kwargs: Of a function.
        target_type: ``auto`` is found out by ``detect_target_type``.
        callback: Called with the changes before each restart.
        watch_filter: As ``watch``.
        grace_period: Seconds after the first start before files are watched.
        debounce: As ``watch``.
        step: As ``watch``.
        debug: As ``watch``.
        sigint_timeout: Seconds that the process has to end by SIGINT, before it is killed.
        sigkill_timeout: Seconds that are waited for it after that.
        recursive: As ``watch``.
        ignore_permission_denied: As ``watch``.

    Returns:
        How often it was restarted.
    """
    start = partial(start_process, target, _kind_of(target, target_type), args, kwargs)
    catch_sigterm()
    process = start()
    reloads = 0
    if grace_period:
        time.sleep(grace_period)
    try:
        for changes in watch(
            *paths,
            watch_filter=watch_filter,
            debounce=debounce,
            step=step,
            debug=debug,
            raise_interrupt=False,
            recursive=recursive,
            ignore_permission_denied=ignore_permission_denied,
        ):
            if callback is not None:
                callback(changes)
            process.stop(sigint_timeout=sigint_timeout, sigkill_timeout=sigkill_timeout)
            process = start(changes)
            reloads += 1
    finally:
        process.stop(sigint_timeout=sigint_timeout, sigkill_timeout=sigkill_timeout)
    return reloads


async def arun_process(
    *paths: Path | str,
    target: Target,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    target_type: Literal["function", "command", "auto"] = "auto",
    callback: Callable[[set[FileChange]], Any] | None = None,
    watch_filter: Filter | None = DefaultFilter(),  # noqa: B008
    grace_period: float = 0,
    debounce: int = 1_600,
    step: int = 50,
    debug: bool | None = None,
    recursive: bool = True,
    ignore_permission_denied: bool = False,
) -> int:
    """Run a function or a command, and restart it whenever files change; until cancelled.

    The arguments are those of ``run_process``; ``callback`` may be a coroutine function. The
    process is started and stopped in a thread; it is stopped in every case, also by an error.
    """
    start = partial(start_process, target, _kind_of(target, target_type), args, kwargs)
    catch_sigterm()
    process = await anyio.to_thread.run_sync(start)
    reloads = 0
    try:
        if grace_period:
            await anyio.sleep(grace_period)
        async for changes in awatch(
            *paths,
            watch_filter=watch_filter,
            debounce=debounce,
            step=step,
            debug=debug,
            recursive=recursive,
            ignore_permission_denied=ignore_permission_denied,
        ):
            if callback is not None:
                answer = callback(changes)
                if inspect.isawaitable(answer):
                    await answer
            await anyio.to_thread.run_sync(process.stop)
            process = await anyio.to_thread.run_sync(start, changes)
            reloads += 1
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(process.stop)
    return reloads


def detect_target_type(target: Target) -> TargetType:
    """Return whether a target is a function or a command.

    A text is a command if it ends with ``.py`` or ``.sh``, and a function if it is a dotted path.
    """
    if not isinstance(target, str):
        return "function"
    is_path = re.fullmatch(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)+", target) is not None
    return "function" if is_path and not target.endswith((".py", ".sh")) else "command"


def _kind_of(target: Target, target_type: str) -> TargetType:
    kind: Any = detect_target_type(target) if target_type == "auto" else target_type
    logger.debug('running "%s" as %s', target, kind)
    return kind  # type: ignore[no-any-return]


def import_string(dotted_path: str) -> Any:  # noqa: ANN401 (whatever it names)
    """Return what a dotted path names.

    Raises:
        ImportError: It is not a path of a module and a name in it.
    """
    module, dot, name = dotted_path.strip(" ").rpartition(".")
    if not dot:
        message = f'"{dotted_path}" doesn\'t look like a module path'
        raise ImportError(message)
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        message = f'Module "{module}" does not define a "{name}" attribute'
        raise ImportError(message) from error


def start_process(
    target: Target,
    target_type: TargetType,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    changes: set[FileChange] | None = None,
) -> CombinedProcess:
    """Start the process, with the changes in its environment."""
    os.environ[_CHANGES] = json.dumps([[one.raw_str(), path] for one, path in changes or ()])
    if target_type == "function":
        process = _start_function(target, args, kwargs or {})
        return CombinedProcess(process)
    if args or kwargs:
        logger.warning('ignoring args and kwargs for "command" target')
    if not isinstance(target, str):
        message = f"a target that is a command must be a text, not {target!r}"
        raise TypeError(message)
    words = shlex.split(target, posix=os.name == "posix")
    return CombinedProcess(subprocess.Popen(words))


def _start_function(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SpawnProcess:
    if isinstance(target, str):
        process = _SPAWN.Process(target=run_function, args=(target, _terminal(), args, kwargs))
    else:
        process = _SPAWN.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    return process


class CombinedProcess:
    """A process that runs a function or a command."""

    def __init__(self, process: SpawnProcess | subprocess.Popen[bytes]) -> None:
        self._process = process

    def stop(self, sigint_timeout: int = 5, sigkill_timeout: int = 1) -> None:
        """End it: by SIGINT and, if it goes on, by SIGKILL. It may have ended already.

        Raises:
            TimeoutExpired: It is not gone in time after it was killed (a command).
        """
        os.environ.pop(_CHANGES, None)
        if not self.is_alive():
            logger.warning("process already dead, exit code: %s", self.exitcode)
            return
        self._signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.join(sigint_timeout)
        if self.exitcode is None:
            logger.warning("SIGINT timed out after %r seconds, sending SIGKILL", sigint_timeout)
            self._kill()
            self.join(sigkill_timeout)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
            os.kill(self.pid, number)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def is_alive(self) -> bool:
        """Return whether it runs."""
        return self.exitcode is None

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._process.pid or 0

    def join(self, timeout: int) -> None:
        """Wait for its end."""
        if isinstance(self._process, SpawnProcess):
            self._process.join(timeout)
        else:
            self._process.wait(timeout)

    @property
    def exitcode(self) -> int | None:
        """Return its exit code; ``None`` while it runs."""
        if isinstance(self._process, SpawnProcess):
            return self._process.exitcode
        return self._process.poll()


def run_function(
    function: str, terminal: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Import a function and call it, with the terminal as standard input; in the new process."""
    with _input_from(terminal):
        import_string(function)(*args, **kwargs)


def _terminal() -> str | None:
    """Return the path of the terminal that standard input is, for a debugger in the new process."""
    if sys.platform == "win32":
        return None
    try:
        return os.ttyname(sys.stdin.fileno())
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _input_from(terminal: str | None) -> Iterator[None]:
    if terminal is None:
        yield
        return
    try:
        file = open(terminal)  # noqa: SIM115 (closed below)
    except OSError:
        yield
        return
    with file:
        sys.stdin = file
        yield


def catch_sigterm() -> None:
    """Let SIGTERM end the loop as Ctrl-C does, so that the process is stopped with it.

    Outside the main thread, where no handler can be set, nothing happens.
    """
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, _frame: object) -> None:
    logger.warning("received signal %s, raising KeyboardInterrupt", signal.Signals(number).name)
    raise KeyboardInterrupt
