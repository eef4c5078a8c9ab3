"""What is typed becomes a plan, or a usage error with the remedy."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from limpet.cli._parser import one_of
from limpet.cli._watch_plan import (
    Command,
    Plan,
    Target,
    globs_of,
    split_command,
    target_of,
    types_of,
)
from limpet.config import WatchOptions
from limpet.errors import UsageError

HERE = Target(path=".", kind="dir")


@pytest.mark.parametrize(
    ("argv", "ours", "command"),
    [
        (["watch", "d"], ["watch", "d"], None),
        (["watch", "d", "--exec", "make", "-B"], ["watch", "d"], ("make", "-B")),
        (["watch", "d", "--exec", "a", "--exec", "b"], ["watch", "d"], ("a", "--exec", "b")),
        (["watch", "d", "--exec", "a", "--", "b"], ["watch", "d"], ("a", "--", "b")),
        (["watch", "d", "--exec=make", "all"], ["watch", "d"], ("make", "all")),
        (["watch", "--", "--exec"], ["watch", "--", "--exec"], None),
        (["watch", "d", "--exec"], ["watch", "d"], ()),
        (["watch", "d", "-x", "make", "-x"], ["watch", "d"], ("make", "-x")),
        (["watch", "d", "-brx", "make"], ["watch", "d", "-br"], ("make",)),
        (["watch", "d", "-ex", "-x", "make"], ["watch", "d", "-ex"], ("make",)),
    ],
)
def test_all_after_exec_is_the_command(
    argv: list[str], ours: list[str], command: tuple[str, ...] | None
) -> None:
    """Options of the command are never taken as limpet's; after ``--`` all are paths."""
    assert split_command(argv) == (ours, command)


def test_the_kind_is_what_is_there(tmp_path: Path) -> None:
    """A folder is watched as one; anything else as a file, a symlink as what it points to."""
    (tmp_path / "f").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert target_of(str(tmp_path)).kind == "dir"
    assert target_of(str(tmp_path / "link")).kind == "dir"
    assert target_of(str(tmp_path / "f")).kind == "file"


def test_what_is_declared_counts_more(tmp_path: Path) -> None:
    """The wrong kind may be there today: the watch reports that and waits."""
    assert target_of(str(tmp_path), file=True).kind == "file"
    assert target_of("/no/such", file=True) == Target(path="/no/such", kind="file")
    assert target_of("/no/such", directory=True).kind == "dir"
    assert target_of("/no/such/").kind == "dir"


@pytest.mark.parametrize(
    ("path", "flags", "message"),
    [
        ("", {"directory": True}, "must not be empty"),
        ("/no/such", {}, "add --file or --dir"),
        ("a\0b", {}, "add --file or --dir"),
        (".", {"file": True, "directory": True}, "exclude each other"),
    ],
)
def test_a_target_of_unknown_kind_is_refused(
    path: str, flags: dict[str, bool], message: str
) -> None:
    """The message names the options that declare it."""
    with pytest.raises(UsageError, match=message):
        target_of(path, **flags)


def test_only_takes_lists_and_repeats() -> None:
    """Comma-separated, spaced or repeated: one set; nothing given is the empty set."""
    asked = types_of(["file.created, dir.deleted", "watch.degraded"])
    assert asked == {"file.created", "dir.deleted", "watch.degraded"}
    assert types_of([]) == frozenset()


def test_only_lists_the_types() -> None:
    """A misspelt type is a usage error, not a filter that never matches."""
    with pytest.raises(UsageError, match=r"'file\.creatd'; did you mean 'file\.created'"):
        types_of(["file.created,file.creatd"])
    with pytest.raises(UsageError, match=r"'other'.*known are file\.created, .*mismatched"):
        types_of(["file.created,other"])


def test_a_word_must_be_one_of_its_list() -> None:
    """The message lists them."""
    assert one_of(("drop", "mark"))("mark") == "mark"
    with pytest.raises(ArgumentTypeError, match="must be one of drop, mark, not 'marks'"):
        one_of(("drop", "mark"))("marks")


def test_a_state_file_is_for_one_watch(tmp_path: Path) -> None:
    """Two watches in one file would overwrite each other."""
    options = WatchOptions(state=tmp_path / "s")
    Plan(targets=(HERE,), options=options)
    with pytest.raises(UsageError, match="--state is the checkpoint of one PATH, but 2 were given"):
        Plan(targets=(HERE, HERE), options=options)


@pytest.mark.parametrize("argv", [(), ("",)])
def test_exec_needs_a_command(argv: tuple[str, ...]) -> None:
    """Nothing after ``--exec`` is noticed before anything is started."""
    with pytest.raises(UsageError, match="--exec needs a command"):
        Command(argv=argv)


def test_restart_is_about_one_command() -> None:
    """With several it would be open which one to end."""
    with pytest.raises(UsageError, match="--jobs 1"):
        Command(argv=("true",), jobs=2, busy="restart")


@pytest.mark.parametrize(
    ("ways", "message"),
    [
        ({"batch": True, "jobs": 2}, "--batch runs one command at a time: it needs --jobs 1"),
        ({"null": True}, "they need --batch"),
        ({"burst": 2.0}, "they need --batch"),
        ({"argv": ("{}",), "batch": True}, "the program itself has no placeholder"),
    ],
)
def test_what_does_not_go_with_a_batch(ways: dict[str, Any], message: str) -> None:
    """Noticed before anything is started."""
    with pytest.raises(UsageError, match=message):
        Command(**{"argv": ("true",), **ways})


def test_endings_are_patterns() -> None:
    """Comma-separated, repeated, with a dot or without; each once, and never a pattern."""
    assert globs_of(["py,.js", "tar.gz, py"]) == ("*.py", "*.js", "*.tar.gz")
    assert globs_of(["a*[?"]) == ("*.a[*][[][?]",)
    for wrong in ("", "py,", ".", "a/b", ","):
        with pytest.raises(UsageError, match="--ext takes endings of names"):
            globs_of([wrong])
