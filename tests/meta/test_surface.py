"""What a reader of the package's surface may rely on."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

EXTRAS = {
    "bot": ("httpx", "mewbot", "mewbot.api", "mewbot.core", "yaml"),
    "cli": ("rich",),
    "nats": ("nats", "yaml"),
    "watchfiles": ("watchfiles",),
}

PUBLIC = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCE / "limpet").rglob("*.py")
    if not any(
        part.startswith("_") and part != "__init__"
        for part in path.relative_to(SOURCE).with_suffix("").parts
    )
)


def place(name: str) -> tuple[int, str]:
    """Return the sorting key that ruff's RUF022 uses: constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_says_what_is_public(module: str) -> None:
    """``__all__`` is there, sorted, names each thing once, and each of them exists."""
    loaded = importlib.import_module(module)
    names = loaded.__all__
    assert list(names) == sorted(set(names), key=place)
    assert not [name for name in names if not hasattr(loaded, name)]


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_says_what_it_is_for(module: str) -> None:
    """Its docstring, and that of each public thing defined in it, has a first line."""
    loaded = importlib.import_module(module)
    assert (loaded.__doc__ or "").strip()
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert (value.__doc__ or "").strip(), name


def test_importing_limpet_needs_no_extra_and_starts_nothing() -> None:
    """No optional dependency is imported, no thread is started, nothing is warned of."""
    program = (
        "import limpet, sys, threading; "
        "print(threading.active_count(), *(n for n in sys.argv[1:] if n in sys.modules))"
    )
    optional = [name for names in EXTRAS.values() for name in names]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *optional],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["1"]


def test_the_package_is_marked_as_typed() -> None:
    """Type checkers of programs that use limpet look at its annotations."""
    assert (SOURCE / "limpet" / "py.typed").is_file()
    assert (SOURCE / "limpet" / "event.schema.json").is_file()
