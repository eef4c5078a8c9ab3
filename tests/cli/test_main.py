"""The program as it is called: exit codes, one-line errors, and help that starts quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.cli import _doctor, _run_watch, main
from limpet.cli._command_list import COMMANDS
from limpet.cli._watch_plan import Command, Plan, Target
from limpet.config import ContentOptions, WatchOptions
from limpet.errors import LimitError


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that the watch command carries out; nothing is watched."""
    plans: list[Plan] = []

    def run(plan: Plan) -> int:
        plans.append(plan)
        return 7

    monkeypatch.setattr(_run_watch, "run", run)
    return plans


def test_every_option_reaches_the_plan(plans: list[Plan], tmp_path: Path) -> None:
    """All of ``WatchOptions`` and all that is the command line's own; its code is passed on."""
    argv = (
        "watch a b --dir --no-recursive --existing --settle 1.5 --settle-max 9 --metadata "
        "--transient --follow-symlinks --own mark --content rb --encoding latin-1 "
        "--errors replace --max-bytes 10 --include *.py --include *.md --exclude build "
        "--ignore-file .gitignore --no-default-ignores --backend poll --poll-interval 0.5 "
        "--rescan-interval 60 --format jsonl --only file.created,dir.deleted --count 3 --stats "
        "--ext c,.h --absolute -q -t 7.5 --on-start --clear --jobs 2 --busy skip "
        "--exec make -B --format x"
    ).split()
    assert main(argv) == 7
    assert plans == [
        Plan(
            targets=(Target(path="a", kind="dir"), Target(path="b", kind="dir")),
            options=WatchOptions(
                recursive=False,
                existing=True,
                settle=1.5,
                settle_max=9.0,
                metadata=True,
                transient=True,
                follow_symlinks=True,
                own="mark",
                content=ContentOptions(
                    mode="rb", encoding="latin-1", errors="replace", max_bytes=10
                ),
                include=("*.py", "*.md", "*.c", "*.h"),
                exclude=("build",),
                ignore_file=".gitignore",
                default_ignores=False,
                backend="poll",
                poll_interval=0.5,
                rescan_interval=60.0,
            ),
            format="jsonl",
            only=frozenset({"file.created", "dir.deleted"}),
            count=3,
            stats=True,
            absolute=True,
            quiet=True,
            only_files=True,
            timeout=7.5,
            command=Command(
                argv=("make", "-B", "--format", "x"),
                jobs=2,
                busy="skip",
                on_start=True,
                clear=True,
            ),
        )
    ]


def test_the_short_forms_are_the_long_ones(plans: list[Plan]) -> None:
    """Joined, too."""
    long = "--batch --quiet --restart --clear --null --ext py --timeout 3 --exec true"
    assert main("watch . -bqrcz -e py -t 3 -x true".split()) == 7
    assert main(["watch", ".", *long.split()]) == 7
    assert plans[0] == plans[1]
    command = plans[0].command
    assert command == Command(argv=("true",), busy="restart", batch=True, null=True, clear=True)


def test_without_options_all_is_the_librarys_default(plans: list[Plan], tmp_path: Path) -> None:
    """The command line has no defaults of its own."""
    assert main(["watch", str(tmp_path)]) == 7
    target = Target(path=str(tmp_path), kind="dir")
    assert plans == [Plan(targets=(target,), options=WatchOptions(), format="text")]
    main(["watch", str(tmp_path), "--content", "r", "--state", "s"])
    assert plans[1].options == WatchOptions(content=ContentOptions(), state=Path("s"))
    main(["watch", str(tmp_path), "--exec", "true"])
    assert plans[2].format is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["watch"], "expected PATH..., got 0 arguments"),
        (["watch", ".", "--nope"], "there is no option '--nope"),
        (["watch", ".", "--recurs"], "there is no option '--recurs"),
        (["watch", ".", "--no-rec"], "there is no option '--no-rec"),
        (["watch", ".", "--count", "0"], "--count: must be a whole number from 1, not '0'"),
        (["watch", ".", "--count"], "--count: expected one argument"),
        (["watch", ".", "--settle", "x"], "--settle: must be a number, not 'x'"),
        (["watch", ".", "--settle", "nan"], "--settle: must be at least 0 sec"),
        (["watch", ".", "--own", "x"], "--own: must be one of drop, mark, keep, not 'x'"),
        (["watch", ".", "--backend", "x"], "--backend: must be one of auto, fanotify"),
        (["watch", ".", "--format", "x"], "--format: must be one of text, jsonl, cloudevents, pat"),
        (["watch", ".", "--content", "x"], "--content: must be one of r, rb"),
        (["watch", ".", "--content", "r", "--encoding", "x"], "unknown encoding: x"),
        (["watch", ".", "--errors", "strict"], "--max-bytes need --content"),
        (["watch", ".", "--only", "x"], "known are file.created"),
        (["watch", ".", "--jobs", "2"], "they need --exec"),
        (["watch", ".", "-b"], "they need --exec"),
        (["watch", ".", "-xmake"], "-x stands alone, and the command comes after it"),
        (["watch", ".", "-qxmake"], "-x stands alone, and the command comes after it"),
        (["--color", "no"], "--color"),
        (["watch", ".", "-r"], "they need --exec"),
        (["watch", ".", "--on-start"], "they need --exec"),
        (["watch", ".", "-r", "--busy", "skip", "-x", "true"], "give one of them"),
        (["watch", ".", "-z", "-x", "true"], "they need --batch"),
        (["watch", ".", "--timeout", "0"], "--timeout: must be more than 0 seconds, not '0'"),
        (["watch", ".", "--timeout", "nan"], "--timeout: must be a number of seconds, not 'nan'"),
        (["watch", ".", "-e", "py,"], "--ext takes endings of names"),
        (["watch", ".", "--busy", "skip"], "they need --exec"),
        (["watch", ".", "--busy", "x", "--exec", "true"], "--busy: must be one of queue"),
        (["watch", ".", "--exec"], "--exec needs a command"),
        (["watch", ".", ".", "--state", "s"], "run limpet once for each"),
        (["watch", "/no/such"], "add --file or --dir"),
        (["watch", ""], "must not be empty"),
        (["doctor", "--format", "x"], "--format: must be one of text, jsonl, not 'x'"),
        (["doctor", "a", "b"], "argument"),
        (["nope"], "there is no command 'nope'; known are watch, follow, doctor"),
        (["--nope"], "there is no option '--nope"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    argv: list[str], message: str, plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and where the help is; nothing is started."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    line, hint = err.splitlines()
    assert line.startswith("limpet: ")
    assert message in line
    assert hint == f"Try 'limpet {argv[0]} --help'." or argv[0] not in COMMANDS
    assert (out, plans) == ("", [])


def test_help_and_version(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """Asked for: exit code 0. Nothing asked for: the help, and 2."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"limpet {limpet.__version__}\n"
    for argv in (["--help"], ["-h"]):
        assert main(argv) == 0
        assert "doctor" in capsys.readouterr().out
    assert main([]) == 2
    assert "doctor" in capsys.readouterr().out
    assert main(["watch", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--no-recursive", "--exec", "--poll-interval", "--only"):
        assert option in shown
    monkeypatch.setattr(sys, "argv", ["limpet", "--version"])
    assert main() == 0


def raising(error: BaseException) -> Callable[..., int]:
    def run(*_: object, **__: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (LimitError("it is used up"), 1, "limpet: it is used up\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_command_raises(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line or none, never a traceback."""
    monkeypatch.setattr(_doctor, "run", raising(error))
    assert main(["doctor"]) == code
    assert capsys.readouterr() == ("", message)


def test_doctor_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And returns the code of the run."""
    plans: list[object] = []

    def run(path: str, **options: object) -> int:
        plans.append((path, options))
        return 1

    monkeypatch.setattr(_doctor, "run", run)
    assert main(["doctor"]) == 1
    assert main(["doctor", "x", "--backend", "poll", "--format", "jsonl"]) == 1
    assert plans == [
        (".", {"requested": "auto", "as_json": False}),
        ("x", {"requested": "poll", "as_json": True}),
    ]


def python(*argv: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        **more,
    )


def test_without_rich_the_command_line_works() -> None:
    """A terminal gets the same columns, without colours."""
    program = (
        "import sys; sys.modules['rich'] = sys.modules['rich.console'] = None; "
        "sys.argv[1:] = ['--version']; import runpy; runpy.run_module('limpet', alter_sys=True, "
        "run_name='__main__')"
    )
    done = python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("limpet ")


def loaded(*argv: str) -> set[str]:
    """Return the modules that are loaded after a run with these arguments."""
    program = (
        "import sys; from limpet.cli import main; main(sys.argv[1:]); print(' '.join(sys.modules))"
    )
    return set(python("-c", program, *argv).stdout.splitlines()[-1].split())


def test_help_loads_nothing_it_does_not_need() -> None:
    """Neither an event loop nor a watch, nor what parses the other commands."""
    names = loaded("--help")
    assert not names & {"anyio", "asyncio", "rich", "limpet.watching", "limpet.events"}
    assert {name for name in names if name.startswith("limpet.cli")} == {
        "limpet.cli",
        "limpet.cli._color",
        "limpet.cli._command_list",
        "limpet.cli._complaint",
        "limpet.cli._dispatch",
        "limpet.cli._parser",
        "limpet.cli._stdout",
    }


def test_a_watch_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    """Neither what runs commands, nor patterns, nor colours, nor the optional backend."""
    (tmp_path / "a").touch()
    names = loaded("watch", str(tmp_path), "--existing", "--count", "1", "--format", "jsonl")
    assert "limpet.watching" in names
    unneeded = {"limpet.cli._doctor", "limpet.cli._exec", "limpet.cli._terminal"}
    assert not names & (unneeded | {"pathspec", "pydantic", "rich", "trio", "typer", "watchfiles"})


def test_options_and_paths_may_be_mixed(plans: list[Plan]) -> None:
    """Before ``--``; after it, all are paths."""
    assert main(["watch", "a", "--dir", "b", "--jobs", "1", "--", "-c", "--exec"]) == 7
    assert [target.path for target in plans[0].targets] == ["a", "b", "-c", "--exec"]
    assert plans[0].command is None
    assert main(["watch", "--dir", "--settle=2", "a", "--exec", "x", "--", "--help"]) == 7
    assert plans[1].command == Command(argv=("x", "--", "--help"))


def test_the_doctor_may_be_cut_short() -> None:
    """``limpet doctor | head -1``: without a message, also at the interpreter's end."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "limpet", "doctor", "."],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_doctor_as_a_program(tmp_path: Path) -> None:
    """Text and JSON agree on whether something is wrong."""
    text = python("-m", "limpet", "doctor", str(tmp_path))
    found = json.loads(python("-m", "limpet", "doctor", str(tmp_path), "--format", "jsonl").stdout)
    assert found["path"] == str(tmp_path)
    assert (text.returncode == 0) == (found["problems"] == [])
    assert f"path         {tmp_path}\n" in text.stdout


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("watch x --dir --settle abc", "--settle: must be a number, not 'abc'"),
        ("watch x --dir --max-bytes abc", "--max-bytes: must be a whole number, not 'abc'"),
        ("watch x --dir --settle=-1", "--settle: must be at least 0 seconds, got -1.0"),
        ("watch x --dir --poll-interval 0", "--poll-interval: must be at least 0.001"),
        ("follow x --max-line 3", "--max-line: must be at least 16 bytes, got 3"),
        ("inbox x --delete --failed f --settle=-1 --exec a", "--settle: must be at least 0 sec"),
        ("inbox x --delete --failed f --attempts 0 --exec a", "--attempts: must be at least 1,"),
        ("watch x --dir --setle 1", "there is no option '--setle'; did you mean '--settle'?"),
        ("follow x --rotatd=y", "there is no option '--rotatd'; did you mean '--rotated'?"),
        ("append a --root . --kep 3", "there is no option '--kep'; did you mean '--keep'?"),
        ("run x --attemts 3", "there is no option '--attemts'; did you mean '--attempts'?"),
        ("watch x --dir --only file.creatd", "'file.creatd'; did you mean 'file.created'?"),
        ("watchh x", "there is no command 'watchh'; did you mean 'watch'?"),
        ("zzz", "there is no command 'zzz'; known are watch, "),
        ("hub conf x", "not 'conf'"),
        ("hub init x", "init needs --hub URL"),
        ("run x --queue 0", "--queue: must be a whole number from 1, not '0'"),
        ("put a --root . --durability x", "--durability: must be one of none, file, full, not 'x'"),
    ],
)
def test_a_wrong_call_names_the_option_and_the_value(
    call: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they were typed, and with what was meant."""
    assert main(call.split()) == 2
    assert expected in capsys.readouterr().err.splitlines()[0]


def test_a_stop_at_once_fits_into_what_the_system_gives() -> None:
    """Two seconds for the loop at the second signal, and some for the disk."""
    from limpet._console import HELD_S, IN_ORDER_S
    from limpet.bot.runner import _service
    from limpet.cli import _run_session

    system_waits_s = 5.0  # HungAppTimeout, as Windows comes
    for at_once in (_service._AT_ONCE_S, _run_session.AT_ONCE_S):
        assert IN_ORDER_S + at_once < system_waits_s
    assert system_waits_s < HELD_S
