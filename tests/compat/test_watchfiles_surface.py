"""The names, signatures and defaults of the drop-in are those of the installed watchfiles."""

from __future__ import annotations

import inspect
import os
import re
from types import ModuleType
from typing import Any

import pytest
import watchfiles
import watchfiles.cli
import watchfiles.filters
import watchfiles.main
import watchfiles.run

import limpet.compat.watchfiles as drop_in
from limpet.compat.watchfiles import cli

MODULES = [("filters", watchfiles.filters), ("main", watchfiles.main), ("run", watchfiles.run)]
FUNCTIONS = ["watch", "awatch", "run_process", "arun_process"]
FILTERS = ["BaseFilter", "DefaultFilter", "PythonFilter"]


def shape(function: Any) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter; of a filter its class."""

    def default(value: Any) -> Any:
        is_filter = type(value).__name__ in FILTERS
        return type(value).__name__ if is_filter else value

    return [
        (one.name, one.kind, default(one.default))
        for one in inspect.signature(function).parameters.values()
    ]


def public_functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def test_all_names_are_there() -> None:
    """``from watchfiles import *`` gives the same names."""
    assert sorted(drop_in.__all__) == sorted(watchfiles.__all__)
    assert drop_in.VERSION == drop_in.__version__ == "1.3.0"


@pytest.mark.parametrize(("name", "theirs"), MODULES)
def test_the_names_of_the_modules_are_there(name: str, theirs: ModuleType) -> None:
    """A program that imports from ``watchfiles.main`` finds the same."""
    ours = getattr(drop_in, name)
    assert set(theirs.__all__) <= set(ours.__all__)
    for one in theirs.__all__:
        assert hasattr(ours, one)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_the_same(name: str) -> None:
    """Each argument has its name, its kind and its default."""
    ours, theirs = getattr(drop_in, name), getattr(watchfiles, name)
    assert shape(ours) == shape(theirs)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    assert inspect.isasyncgenfunction(ours) == inspect.isasyncgenfunction(theirs)
    assert inspect.isgeneratorfunction(ours) == inspect.isgeneratorfunction(theirs)


@pytest.mark.parametrize("name", ["detect_target_type", "import_string", "start_process"])
def test_signatures_of_the_module_run_are_the_same(name: str) -> None:
    """These are documented, or used by programs."""
    assert shape(getattr(drop_in.run, name)) == shape(getattr(watchfiles.run, name))


@pytest.mark.parametrize("name", ["build_filter", "cli", "import_exit", "resolve_path"])
def test_signatures_of_the_program_are_the_same(name: str) -> None:
    """The functions of the command line, too."""
    assert shape(getattr(cli, name)) == shape(getattr(watchfiles.cli, name))


def test_kinds_of_changes_are_the_same() -> None:
    """Numbers, names and the text for JSON; they compare equal across both."""
    assert [(one.name, one.value) for one in drop_in.Change] == [
        (one.name, one.value) for one in watchfiles.Change
    ]
    assert drop_in.Change.added.raw_str() == watchfiles.Change.added.raw_str() == "added"
    for ours, theirs in zip(drop_in.Change, watchfiles.Change, strict=True):
        found: set[tuple[int, str]] = {(ours, "/a")}
        assert found == {(theirs, "/a")} == {(int(theirs), "/a")}
    assert str(drop_in.Change.deleted) == str(watchfiles.Change.deleted)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_have_the_same_attributes(name: str) -> None:
    """A subclass that changes one of them changes the same."""
    ours, theirs = getattr(drop_in, name), getattr(watchfiles, name)
    assert shape(ours) == shape(theirs)
    for one in ("ignore_dirs", "ignore_entity_patterns", "ignore_paths"):
        assert tuple(getattr(ours, one, ())) == tuple(getattr(theirs, one, ())), one
    assert getattr(ours(), "extensions", None) == getattr(theirs(), "extensions", None)


PATHS = """
    /a/x.py /a/x.pyx /a/x.pyd /a/x.pyc /a/x.pyo /a/x.txt /a/.git/x.py /a/.git /a/b~ /a/b.swp
    /a/b.swx /a/.#b.py /a/.DS_Store /a/flycheck_b.py /a/node_modules/x/y.js /a/__pycache__/x.py
    /a/.venv/x.py /a/venv/x.py /a/.idea/x /a/.mypy_cache/x /a/b.___jb_tmp___ /a/b.___jb_old___
    /skip/x.py /skipped/x.py /a/x.md relative.py
    """.split()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("BaseFilter", {}),
        ("DefaultFilter", {}),
        ("DefaultFilter", {"ignore_dirs": ["a"]}),
        ("DefaultFilter", {"ignore_entity_patterns": [r"\.txt$"]}),
        ("DefaultFilter", {"ignore_paths": ["/skip"]}),
        ("PythonFilter", {}),
        ("PythonFilter", {"extra_extensions": [".md"], "ignore_paths": ["/skip"]}),
    ],
)
def test_filters_decide_the_same(name: str, arguments: dict[str, Any]) -> None:
    """Each path, by each filter."""
    ours, theirs = getattr(drop_in, name)(**arguments), getattr(watchfiles, name)(**arguments)
    decided = {path: ours(drop_in.Change.added, path) for path in PATHS}
    assert decided == {path: theirs(watchfiles.Change.added, path) for path in PATHS}


def test_a_filter_by_class_attributes() -> None:
    """A subclass without a method of its own."""

    class Web(drop_in.DefaultFilter):
        ignore_dirs = (*drop_in.DefaultFilter.ignore_dirs, "dist")

        def __call__(self, change: drop_in.Change, path: str) -> bool:
            return super().__call__(change, path) and path.endswith(".css")

    web = Web()
    assert web(drop_in.Change.added, "/a/x.css")
    assert not web(drop_in.Change.added, os.path.join("a", "dist", "x.css"))
    assert not web(drop_in.Change.added, "/a/x.py")
    assert "dist" in repr(web)


@pytest.mark.parametrize(
    "target",
    ["a.b", "a.py", "a.sh", "a b.c", "a", "a.b.c", "./a.b", "python -m x", "a-b.c", print],
)
def test_targets_are_taken_for_the_same(target: Any) -> None:
    """A function or a command."""
    ours = drop_in.run.detect_target_type(target)
    assert ours == watchfiles.run.detect_target_type(target)


def test_the_options_of_the_program_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option that the help of the original names is one here."""
    texts = []
    for module in (cli, watchfiles.cli):
        with pytest.raises(SystemExit):
            module.cli("--help")
        texts.append(capsys.readouterr().out)
    ours, theirs = (set(re.findall(r"(?:^| |\[)(--?[a-zA-Z][a-z-]*)", text)) for text in texts)
    assert theirs - {"--lf"} <= ours  # that one is in an example
