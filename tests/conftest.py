"""Profiles, and what the tests share."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from limpet.backends import choose
from limpet.errors import UnsupportedError
from tests.capabilities import skip_what_is_missing
from tests.windows.plugin import skip_on_windows
from tests.windows.selection import is_run_on

settings.register_profile(
    "check",
    max_examples=40 if os.name == "posix" else 12,  # opening a file costs milliseconds there
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "soak",
    max_examples=1000,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("brief", settings.get_profile("check"), max_examples=6)
settings.register_profile("long", settings.get_profile("check"), max_examples=400)
settings.load_profile(os.environ.get("LIMPET_PROFILE", "check"))

skip_what_is_missing()
for name in ("NO_COLOR", "FORCE_COLOR"):  # of the runner, which are for pytest's own text
    os.environ.pop(name, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background so, and limpet keeps to that; the tests of
    # Ctrl-C are about a program that somebody looks at.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # nohup(1) starts what it runs so, and limpet keeps to that, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that are not for this system, unless they were asked for by name."""
    name = collection_path.relative_to(Path(__file__).parent.parent).as_posix()
    asked = any(Path(one.split("::")[0]).resolve() == collection_path for one in config.args)
    if asked or collection_path.suffix != ".py" or is_run_on(sys.platform, name):
        return None
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot work on Windows, each test with its reason."""
    if sys.platform == "win32":
        skip_on_windows(items)


def works_here(backend: str) -> bool:
    """Whether a backend can be used on this system."""
    try:
        choose(Path("/"), backend)  # type: ignore[arg-type]
    except UnsupportedError:
        return False
    return True


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may enter.

    Those above ``tmp_path`` are closed by pytest, also by another run of it that starts meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="limpet-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


BACKENDS = [
    name for name in ("fanotify", "inotify", "windows", "watchfiles", "poll") if works_here(name)
]
KERNEL_BACKENDS = [name for name in BACKENDS if name in {"fanotify", "inotify"}]


def test_backends_are_complete() -> None:
    """On Linux every backend is tested; none is left out for want of set-up."""
    if sys.platform == "linux":
        assert BACKENDS == ["fanotify", "inotify", "watchfiles", "poll"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that works here."""
    return str(request.param)


@pytest.fixture(params=KERNEL_BACKENDS)
def kernel_backend(request: pytest.FixtureRequest) -> str:
    """Each backend that marks folders in the kernel."""
    return str(request.param)
