"""What a reader of the package's surface may rely on."""

import asyncio
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import limpet
import limpet.bot
import limpet.following
import limpet.testing
import limpet.watching
from limpet.remote import EventReader, MemoryHub, MemoryTransport, RemoteOutput
from limpet.web import StatusServer
from tests.web.fakes import FakeProgram

SOURCE = Path(__file__).resolve().parents[2] / "src"

EXTRAS = {
    "bot": (
        "cronsim",
        "jinja2",
        "mewbot",
        "mewbot.api",
        "mewbot.core",
        "pydantic",
        "ruamel.yaml",
        "yaml",
    ),
    "cli": ("rich", "shtab"),
    "nats": ("nats", "pydantic", "ruamel.yaml"),
    "otel": ("opentelemetry",),
    "watchfiles": ("watchfiles",),
    "web": ("prometheus_client", "starlette", "uvicorn"),
    "webhook": ("httpx2",),
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


@pytest.mark.parametrize("module", [name for name in PUBLIC if not name.endswith("__")])
def test_every_public_module_is_found_from_the_package(module: str) -> None:
    """``import limpet`` is enough, in a fresh process; and it is completed."""
    package, _, name = module.rpartition(".")
    program = f"import limpet; {module}"
    if package:
        program += f"; assert {name!r} in dir({package}), dir({package})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_is_marked_as_typed() -> None:
    """Type checkers of programs that use limpet look at its annotations."""
    assert (SOURCE / "limpet" / "py.typed").is_file()
    assert (SOURCE / "limpet" / "event.schema.json").is_file()


def test_the_package_lists_what_it_offers_and_nothing_else() -> None:
    """What ``limpet.`` completes; not what the module imports for itself."""
    listed = {name for name in dir(limpet) if not name.startswith("__")}
    modules = {name for name in listed if isinstance(getattr(limpet, name), ModuleType)}
    assert listed - modules == set(limpet.__all__)
    assert all(f"limpet.{name}" in PUBLIC for name in modules)
    for package in (limpet.following, limpet.bot):
        assert not {"TYPE_CHECKING", "annotations", "os", "lazy_names"} & set(dir(package))


HINTS = """
import importlib, inspect, sys, typing
for module in sys.argv[1:]:
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = vars(loaded).get(name) or getattr(loaded, name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        typing.get_type_hints(value)
        for part in vars(value).values() if inspect.isclass(value) else ():
            part = getattr(part, "__func__", getattr(part, "fget", part))
            name = getattr(part, "__name__", "_")
            if inspect.isfunction(part) and (name == "__init__" or name[0] != "_"):
                typing.get_type_hints(part)
"""


@pytest.mark.parametrize(
    "module",
    """
    limpet limpet.config limpet.errors limpet.events limpet.following limpet.intake limpet.output
    limpet.watching limpet.testing limpet.remote limpet.bot.runner
    """.split(),
)
def test_annotations_of_what_is_public_can_be_evaluated(module: str) -> None:
    """In a fresh process: programs that inject dependencies ask for the types of a signature."""
    done = subprocess.run(
        [sys.executable, "-c", HINTS, module], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


PRELOADED = """
import asyncio, os, sys, tempfile
import limpet
limpet.preload()
folder = tempfile.mkdtemp()
log = folder + "/log"
with open(log, "w") as file:
    file.write("a\\n")
async def main():
    before = set(sys.modules)
    async with limpet.watch_dir(folder, exclude="*.x", state=folder + "/state") as watch:
        open(folder + "/f", "w").close()
        await anext(watch)
    async with limpet.open_output(folder) as output:
        await output.append("o", "x")
    async with limpet.follow(log, start="beginning", rotated="log.*", state=folder + "/s") as lines:
        await anext(lines)
    async with limpet.follow(folder + "/l*", start="beginning") as lines:
        await anext(lines)
    async with limpet.inbox(folder + "/in", done=None, failed=folder + "/failed", settle=0) as box:
        os.mkdir(folder + "/in")
        open(folder + "/in/f", "w").close()
        async with await anext(box) as job:
            await job.text()
    print(*sorted(set(sys.modules) - before))
asyncio.run(main())
"""


def test_after_preload_nothing_is_loaded_in_the_loop() -> None:
    """The first use would take 100 milliseconds there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELOADED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "")


HANDED_OUT = {"Job", "SyncJob"}
"""What nobody creates: an inbox hands it out, and its block alone ends it."""

RUNS_ONCE = {"Runner"}
"""It cannot be opened again; ``tests/bot/test_in_python.py`` opens and closes it."""


def openable() -> dict[str, type[Any]]:
    """Return every public class with a block, by its name."""
    found = {}
    for module in PUBLIC:
        if module.endswith("__") or module.startswith("limpet.compat."):
            continue  # a drop-in has the methods of its package, which may begin with start()
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if name in HANDED_OUT | RUNS_ONCE:
                continue
            if inspect.isclass(value) and (
                hasattr(value, "__aenter__") or hasattr(value, "__enter__")
            ):
                found[name] = value
    return found


MADE: dict[str, Callable[[Path], Any]] = {
    "AsyncOutput": limpet.open_output,
    "EventReader": lambda folder: EventReader(
        MemoryTransport(MemoryHub()), bot="b", hosts=["h"], store=folder / "store", start="all"
    ),
    "Follower": lambda folder: limpet.follow(folder / "log"),
    "Inbox": lambda folder: limpet.inbox(folder, done=folder / "done", failed=folder / "failed"),
    "MultiWatch": limpet.watch,
    "Output": limpet.Output,
    "RemoteOutput": lambda _: RemoteOutput(
        MemoryTransport(MemoryHub()), bot="b", host="h", output="o"
    ),
    "StatusServer": lambda _: StatusServer(FakeProgram(), "127.0.0.1:0"),
    "SyncFollower": lambda folder: limpet.follow(folder / "log").sync(),
    "SyncInbox": lambda folder: limpet.inbox(folder, done=None, failed=folder / "failed").sync(),
    "SyncMultiWatch": lambda folder: limpet.watch(folder).sync(),
    "SyncWatch": lambda folder: limpet.watch_dir(folder).sync(),
    "Watch": limpet.watch_dir,
    "WatchedFolder": limpet.testing.WatchedFolder,
}


def test_all_that_has_a_block_is_tried() -> None:
    """None is forgotten when one is added."""
    assert set(MADE) == set(openable())


@pytest.mark.parametrize("name", MADE)
def test_what_has_a_block_can_do_without(name: str, tmp_path: Path) -> None:
    """For frameworks that call one function at the start and another at the end: it is opened
    once, closed twice, and can be opened again; nothing warns. A close before that does nothing."""

    async def main() -> None:
        made = MADE[name](tmp_path)
        await made.aclose()  # nothing was opened
        for _ in range(2):
            assert await made.aopen() is made
            with pytest.raises((RuntimeError, limpet.UsageError), match="already"):
                await made.aopen()
            await made.aclose()
            await made.aclose()

    if hasattr(openable()[name], "__aenter__"):
        asyncio.run(main())
        return
    made = MADE[name](tmp_path)
    made.close()
    for _ in range(2):
        made.open()
        made.close()
        made.close()


DOCS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in [SOURCE.parent / "README.md", *(SOURCE.parent / "docs").rglob("*.md")]
)


@pytest.mark.parametrize("name", MADE)
def test_what_is_completed_is_documented(name: str, tmp_path: Path) -> None:
    """An attribute without an underscore is a promise; so a page names it as code."""

    async def main() -> set[str]:
        made = MADE[name](tmp_path)
        return {one for one in dir(made) if not one.startswith("_")}

    unnamed = {one for one in asyncio.run(main()) if not re.search(rf"(`|\.){one}\b", DOCS)}
    assert unnamed == set()
