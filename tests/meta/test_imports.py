"""Imports point one way: values <- backends <- watch <- following, output <- bot, remote <- cli."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

EVENT_LOOPS = {"anyio", "asyncio", "sniffio", "trio"}

ALLOWED = {
    "limpet._file_stat": ("limpet.events",),
    "limpet._compiled": (),
    "limpet._ctypes_buffers": (),
    "limpet._daemon_threads": ("limpet._event_loop", "limpet.errors"),
    "limpet._kernel_release": (),
    "limpet._lazy_fields": (),
    "limpet._lazy_names": (),
    "limpet.events": ("limpet._lazy_fields",),
    "limpet.errors": (),
    "limpet.config": (
        "limpet._gitignore",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet.errors",
        "limpet.events",
    ),
    "limpet._wire": ("limpet.config", "limpet.errors", "limpet.events"),
    "limpet.backends": (
        "limpet._compiled",
        "limpet._overlapped",
        "limpet._daemon_threads",
        "limpet._descriptors",
        "limpet._extended_path",
        "limpet._libc",
        "limpet.backends",
        "limpet.config",
        "limpet.errors",
    ),
    "limpet.watching": (
        "limpet._lazy_names",
        "limpet._compiled",
        "limpet._extended_path",
        "limpet._shared_open",
        "limpet._state_access",
        "limpet._ctypes_buffers",
        "limpet._daemon_threads",
        "limpet._descriptors",
        "limpet._gitignore",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet._kernel_release",
        "limpet._libc",
        "limpet._atomic_file",
        "limpet._cancellation",
        "limpet._event_loop",
        "limpet._file_stat",
        "limpet._fingerprint",
        "limpet._lazy_fields",
        "limpet._own_write_registry",
        "limpet._wire",
        "limpet.backends",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.watching",
    ),
    "limpet.output": (
        "limpet._descriptors",
        "limpet._exclusive_lock",
        "limpet._extended_path",
        "limpet._shared_open",
        "limpet._ctypes_buffers",
        "limpet._backoff",
        "limpet._cancellation",
        "limpet._event_loop",
        "limpet._file_stat",
        "limpet._kernel_release",
        "limpet._lazy_fields",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet._own_write_registry",
        "limpet.errors",
        "limpet.events",
        "limpet.output",
    ),
    "limpet._fingerprint": (),
    "limpet._descriptors": (),
    "limpet._shared_open": ("limpet._extended_path",),
    "limpet._extended_path": (),
    "limpet._exclusive_lock": ("limpet._overlapped",),
    "limpet._overlapped": (),
    "limpet._pipe_errors": (),
    "limpet._state_access": ("limpet.errors",),
    "limpet._gitignore": ("limpet.errors",),
    "limpet._suggest": (),
    "limpet._surrogates": (),
    "limpet._require_extra": ("limpet.errors",),
    "limpet._config_problem": ("limpet.errors",),
    "limpet._yaml_parser": (),
    "limpet._yaml_positions": ("limpet._yaml_parser",),
    "limpet._yaml_words": ("limpet._yaml_parser",),
    "limpet._yaml_nodes": (
        "limpet._config_problem",
        "limpet._yaml_parser",
        "limpet._yaml_positions",
        "limpet._yaml_words",
        "limpet.errors",
    ),
    "limpet._setting_types": ("limpet._option_fields",),
    "limpet._option_models": (
        "limpet._option_fields",
        "limpet._setting_types",
        "limpet.config",
    ),
    "limpet._model_problems": ("limpet._config_problem", "limpet._suggest"),
    "limpet._atomic_file": ("limpet._descriptors",),
    "limpet._backoff": (),
    "limpet._cancellation": ("limpet._event_loop",),
    "limpet._event_loop": (),
    "limpet._file_lock": ("limpet._descriptors", "limpet._exclusive_lock"),
    "limpet._dead_letter": ("limpet._error_text", "limpet._surrogates"),
    "limpet._error_text": ("limpet._surrogates",),
    "limpet._hangup": (),
    "limpet._logging": (
        "limpet._error_text",
        "limpet._printable",
        "limpet._process_end",
        "limpet._surrogates",
    ),
    "limpet._printable": ("limpet._surrogates",),
    "limpet._sd_notify": (),
    "limpet._tracing": ("limpet._error_text", "limpet._surrogates"),
    "limpet._process_end": (),
    "limpet._run_loop": ("limpet._process_end",),
    "limpet._signal_handlers": ("limpet._console",),
    "limpet._console": (),
    "limpet._job_object": (),
    "limpet._keyed_queue": (),
    "limpet._loop_guard": (),
    "limpet._process_group": ("limpet._console", "limpet._job_object"),
    "limpet._libc": ("limpet._compiled",),
    "limpet._option_signature": ("limpet._option_fields",),
    "limpet._option_fields": ("limpet._suggest", "limpet.errors"),
    "limpet._own_write_registry": (),
    "limpet.following": (
        "limpet._file_stat",
        "limpet._shared_open",
        "limpet._state_access",
        "limpet._descriptors",
        "limpet._daemon_threads",
        "limpet._atomic_file",
        "limpet._backoff",
        "limpet._cancellation",
        "limpet._event_loop",
        "limpet._file_lock",
        "limpet._fingerprint",
        "limpet._lazy_names",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.watching",
    ),
    "limpet.web": (
        "limpet._atomic_file",
        "limpet._cancellation",
        "limpet._daemon_threads",
        "limpet._error_text",
        "limpet._file_stat",
        "limpet._event_loop",
        "limpet._require_extra",
        "limpet._surrogates",
        "limpet.errors",
        "limpet.status",
        "limpet.web",
    ),
    "limpet.status": (
        "limpet",
        "limpet._atomic_file",
        "limpet._error_text",
        "limpet._file_lock",
        "limpet._lazy_names",
        "limpet._surrogates",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.intake",
        "limpet.output",
        "limpet.status",
        "limpet.watching",
    ),
    "limpet.intake": (
        "limpet._atomic_file",
        "limpet._backoff",
        "limpet._descriptors",
        "limpet._error_text",
        "limpet._event_loop",
        "limpet._exclusive_lock",
        "limpet._file_stat",
        "limpet._gitignore",
        "limpet._lazy_names",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet._shared_open",
        "limpet._surrogates",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.intake",
        "limpet.output",
        "limpet.watching",
    ),
    "limpet": (
        "limpet._lazy_names",
        "limpet._preload",
        "limpet.backends",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.intake",
        "limpet.output",
        "limpet.watching",
    ),
    "limpet.compat": (
        "limpet",
        "limpet._lazy_names",
        "limpet.compat",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.watching",
    ),
    "limpet.testing": (
        "limpet",
        "limpet._option_fields",
        "limpet.backends",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.testing",
        "limpet.watching",
    ),
    "limpet._pytest_plugin": ("limpet.remote", "limpet.testing"),
    "limpet.cli": (
        "limpet",
        "limpet._compiled",
        "limpet._event_loop",
        "limpet._file_lock",
        "limpet._file_stat",
        "limpet._keyed_queue",
        "limpet._logging",
        "limpet._loop_guard",
        "limpet._option_fields",
        "limpet._option_signature",
        "limpet._pipe_errors",
        "limpet._printable",
        "limpet._process_end",
        "limpet._process_group",
        "limpet._error_text",
        "limpet._hangup",
        "limpet._require_extra",
        "limpet._run_loop",
        "limpet._sd_notify",
        "limpet._signal_handlers",
        "limpet._suggest",
        "limpet._surrogates",
        "limpet._wire",
        "limpet.backends",
        "limpet.bot",
        "limpet.cli",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.intake",
        "limpet.output",
        "limpet.remote",
        "limpet.status",
        "limpet.watching",
        "limpet.web",
    ),
    "limpet.bot": (
        "limpet",
        "limpet._atomic_file",
        "limpet._backoff",
        "limpet._config_problem",
        "limpet._dead_letter",
        "limpet._descriptors",
        "limpet._error_text",
        "limpet._file_lock",
        "limpet._file_stat",
        "limpet._hangup",
        "limpet._job_object",
        "limpet._keyed_queue",
        "limpet._lazy_names",
        "limpet._logging",
        "limpet._loop_guard",
        "limpet._model_problems",
        "limpet._option_fields",
        "limpet._option_models",
        "limpet._option_signature",
        "limpet._pipe_errors",
        "limpet._process_end",
        "limpet._process_group",
        "limpet._require_extra",
        "limpet._run_loop",
        "limpet._sd_notify",
        "limpet._setting_types",
        "limpet._shared_open",
        "limpet._signal_handlers",
        "limpet._suggest",
        "limpet._surrogates",
        "limpet._tracing",
        "limpet._wire",
        "limpet._yaml_nodes",
        "limpet._yaml_positions",
        "limpet.bot",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.intake",
        "limpet.output",
        "limpet.remote",
        "limpet.status",
        "limpet.watching",
        "limpet.web",
    ),
    "limpet.remote": (
        "limpet._atomic_file",
        "limpet._backoff",
        "limpet._config_problem",
        "limpet._dead_letter",
        "limpet._error_text",
        "limpet._event_loop",
        "limpet._tracing",
        "limpet._file_lock",
        "limpet._lazy_names",
        "limpet._model_problems",
        "limpet._option_fields",
        "limpet._option_models",
        "limpet._option_signature",
        "limpet._require_extra",
        "limpet._setting_types",
        "limpet._state_access",
        "limpet._suggest",
        "limpet._wire",
        "limpet._yaml_nodes",
        "limpet._yaml_positions",
        "limpet.config",
        "limpet.errors",
        "limpet.events",
        "limpet.following",
        "limpet.output",
        "limpet.remote",
        "limpet.status",
        "limpet.watching",
    ),
    "limpet._preload": (
        "limpet.following",
        "limpet.intake",
        "limpet.output",
        "limpet.watching",
    ),
    "limpet.__main__": (
        "limpet._hangup",
        "limpet._process_end",
        "limpet.cli",
        "limpet.errors",
    ),
}
"""Part -> the parts it may import from; a part is a module, or a package with all below it."""

SHELLS = {
    "limpet.following",
    "limpet.following._follow",
    "limpet.following._follower",
    "limpet.following._sync_follower",
    "limpet.following._follow_thread",
    "limpet.intake",
    "limpet.intake._inbox",
    "limpet.intake._open_inbox",
    "limpet.output",
    "limpet.output._async_output",
    "limpet.watching",
    "limpet.watching._dispatcher",
    "limpet.watching._dispatcher_base",
    "limpet.watching._loop_dispatcher",
    "limpet.watching._loop_turn",
    "limpet.watching._thread_dispatcher",
    "limpet.watching._load_all",
    "limpet.watching._multi_watch",
    "limpet.watching._several",
    "limpet.watching._sync_multi_watch",
    "limpet.watching._sync_shell",
    "limpet.watching._sync_watch",
    "limpet.watching._watch",
    "limpet.watching._watch_shell",
}
"""The modules that may know an event loop; the others of their parts are plain synchronous code."""


def modules() -> dict[str, Path]:
    """Return every module of the package: dotted name -> file."""
    found = {}
    for path in sorted((SOURCE / "limpet").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def part_of(module: str) -> str | None:
    """Return the part a module belongs to, or None for a part that the table lacks."""
    while module not in ALLOWED:
        module, _, _ = module.rpartition(".")
        if module in {"", "limpet"}:
            return None
    return module


def imports(module: str) -> Iterator[str]:
    """Return the modules that a module imports, wherever in it, also for the type checker alone."""
    path = MODULES[module]
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")
                up = up[: len(up) - node.level + is_package]
                base = ".".join([*up, base]).rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def ours(module: str) -> set[str]:
    """Return the modules of limpet that a module imports."""
    return {name for name in imports(module) if name.partition(".")[0] == "limpet"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_parts_below_its_own(module: str) -> None:
    """The table above is the whole truth about who may know whom."""
    part = part_of(module)
    assert part is not None, f"{module} is in no part: draw it in this table"
    wrong = {
        name for name in ours(module) if name in MODULES and part_of(name) not in ALLOWED[part]
    }
    assert not wrong


CORED = {"limpet.following", "limpet.intake", "limpet.output", "limpet.watching"}
CORE = [m for m in MODULES if part_of(m) in CORED and m not in SHELLS]


@pytest.mark.parametrize("module", CORE)
def test_only_the_shell_knows_an_event_loop(module: str) -> None:
    """The core is synchronous, so its tests need no loop; and it does not know its shell."""
    names = set(imports(module))
    assert not {name.partition(".")[0] for name in names} & EVENT_LOOPS
    assert not names & (SHELLS - CORED)


ROOMS = ("index", "emit", "diff", "location", "")
"""The rooms of ``limpet.watching``, each above those before it; the shells are above them all."""


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) == "limpet.watching"])
def test_inside_the_watch_each_room_imports_from_rooms_below(module: str) -> None:
    """location -> diff -> emit -> index; a module of the watch itself may import from all."""

    def room_of(name: str) -> str:
        parts = name.split(".")
        return parts[2] if len(parts) > 2 and parts[2] in ROOMS else ""

    own = ROOMS.index(room_of(module))
    wrong = {
        name
        for name in ours(module)
        if part_of(name) == "limpet.watching" and ROOMS.index(room_of(name)) > own
    }
    assert not wrong


def is_private(module: str, part: str) -> bool:
    """Return whether a module of a package is not for other parts."""
    below = module.removeprefix(part).split(".")
    return any(name.startswith("_") for name in below if name)


PACKAGES = sorted(
    name for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") == 1
)


@pytest.mark.parametrize("module", MODULES)
def test_a_part_imports_from_another_what_its_face_offers(module: str) -> None:
    """A private module of another package is never named; its ``__init__`` offers what is."""
    wrong = [
        name
        for name in ours(module)
        for part in PACKAGES
        if name.startswith(part + ".") and not module.startswith(part) and is_private(name, part)
    ]
    assert not wrong


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not at run time, not lazily, and not for the type checker alone."""
    graph = {name: (ours(name) & MODULES.keys()) - {name} for name in MODULES}
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    """The test above can fail."""
    graph: dict[str, set[str]] = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert circles(graph) == [["a", "b", "c"]]


def test_no_part_finds_another_by_a_string() -> None:
    """``sys.modules`` is for classes that are stored by name, for loops that may be loaded, and to
    forget the modules of a bot that was checked, and for drop-ins, which take a package's place.
    And spans are made only if the program has loaded what makes them."""
    allowed = {
        "limpet._event_loop",
        "limpet._tracing",
        "limpet.bot.config._own_folder",
        "limpet.bot.events._event_codec",
        "limpet.bot.settings._setting",
        "limpet.compat._substitute",
    }
    by_name = re.compile(r"\bsys\.modules\b|\bfrom sys import\b.*\bmodules\b")
    users = {
        name for name, path in MODULES.items() if by_name.search(path.read_text(encoding="utf-8"))
    }
    assert users <= allowed


def test_modules_are_loaded_by_name_in_few_places() -> None:
    """A name in a string is an arrow that no graph shows: public names, and what users name."""
    allowed = {
        "limpet._compiled",
        "limpet._lazy_names",
        "limpet.bot._names",
        "limpet._require_extra",
        "limpet.bot.config._build",
        "limpet.cli._kernel_limits",
        "limpet.compat._substitute",
        "limpet.compat.watchfiles.run",
    }
    users = {
        name
        for name, path in MODULES.items()
        if re.search(r"\bimport_module\b|__import__\(", path.read_text(encoding="utf-8"))
    }
    assert users <= allowed


def test_no_private_fact_travels_in_the_dict_of_an_event() -> None:
    """A delivery carries what belongs to it; ``__dict__`` is for descriptors of settings alone."""
    found = [
        f"{name}: {line.strip()}"
        for name, path in MODULES.items()
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"event\w*\.__dict__|made\.__dict__\[[\"']_", line)
    ]
    assert found == []


PURE = [
    "limpet.following._text_codec",
    "limpet.following._line_splitter",
    "limpet.following._position",
    "limpet.output._name_validation",
    "limpet.output._rotation_manifest",
    "limpet.output._operations",
]


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_touch_no_disk_and_no_clock(module: str) -> None:
    """What names are taken and what a note says is decided without asking the system."""
    names = {name.partition(".")[0] for name in imports(module)}
    assert not names & {"os", "time", "threading", "io", "shutil", "tempfile"}


def test_every_name_in_these_tables_exists() -> None:
    """A module that was moved or renamed takes its entries along."""
    named = {*ALLOWED, *SHELLS, *PURE, *(name for below in ALLOWED.values() for name in below)}
    named |= {f"limpet.watching.{room}" for room in ROOMS if room}
    assert named - set(MODULES) == set()


@pytest.mark.parametrize("module", ["limpet.errors", "limpet.events"])
def test_values_need_only_the_standard_library(module: str) -> None:
    """Whoever handles events need not load what makes them."""
    assert {name.partition(".")[0] for name in imports(module)} <= {
        *sys.stdlib_module_names,
        "limpet",
    }


@pytest.mark.parametrize("module", MODULES)
def test_nobody_else_knows_one_backend_from_another(module: str) -> None:
    """Whatever is special to fanotify or inotify stays in ``limpet.backends``."""
    if part_of(module) == "limpet.backends":
        return
    native = {"_fanotify", "_inotify"}
    assert not [name for name in ours(module) if native & set(name.split("."))]
