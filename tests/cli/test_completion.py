"""What completes the command line, what help there is, and the manual pages: of one tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs._site import manual
from limpet.cli import main
from limpet.cli._command_list import COMMANDS, SHELLS, parser_of
from limpet.cli._completion import script, tree
from tests.completions import FOLDER, NAMES
from tests.waiting import PATIENCE

TYPED = [
    (["limpet", "wa"], {"watch"}),
    (["limpet", "watch", "--on-st"], {"--on-start"}),
    (["limpet", "watch", "--format", ""], {"text", "jsonl", "cloudevents", "paths0"}),
    (["limpet", "watch", "--backend", "fa"], {"fanotify"}),
    (["limpet", "help", "fo"], {"follow"}),
    (["limpet", "completion", "z"], {"zsh"}),
    (["limpet", "put", "--if-exists", "r"], {"refuse", "replace"}),
    (["limpet", "watch", "a.t"], {"a.txt"}),
]
"""Words on the line, the last one unfinished -> what is offered for it."""

BASH = """
source "$0"
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
entry=$(complete -p limpet); entry=${entry##*-F }; function=${entry%% *}
"$function" limpet "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does for a tab: the script, then the words on the line."""


def ran(*argv: str | Path, folder: Path) -> str:
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").touch()
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_up_to_date(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those in the repository are those that the command prints; else: make completions."""
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == script(shell)
    assert (FOLDER / NAMES[shell]).read_text(encoding="utf-8") == script(shell)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
@pytest.mark.parametrize(("words", "offered"), TYPED)
def test_bash_completes(words: list[str], offered: set[str], folder: Path) -> None:
    """Commands, options, their values, and paths."""
    found = ran("bash", "--norc", "-c", BASH, FOLDER / NAMES["bash"], *words, folder=folder)
    assert set(found.split()) == offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
@pytest.mark.parametrize(("words", "offered"), TYPED[:-1])
def test_fish_completes(words: list[str], offered: set[str], folder: Path) -> None:
    """The same; beside them it offers what is alike."""
    line = " ".join(words)
    program = 'source $argv[1]; complete -C "$argv[2]"'
    found = ran("fish", "-N", "-c", program, FOLDER / NAMES["fish"], line, folder=folder)
    assert {line.partition("\t")[0] for line in found.splitlines()} >= offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
def test_zsh_takes_the_script(folder: Path) -> None:
    """Its syntax, and that it completes ``limpet`` from a folder of functions."""
    ran("zsh", "-f", "-n", FOLDER / NAMES["zsh"], folder=folder)
    program = "fpath=($1 $fpath); autoload -U compinit; compinit -u -D; print -- $_comps[limpet]"
    found = ran("zsh", "-f", "-c", program, "zsh", FOLDER, folder=folder)
    assert found == NAMES["zsh"] + "\n"


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="PowerShell is not here")
def test_powershell_takes_the_script(folder: Path) -> None:
    """By its own completion."""
    program = (
        f". '{FOLDER / NAMES['powershell']}'; "
        "[System.Management.Automation.CommandCompletion]::CompleteInput('limpet wa', 9, $null)"
        ".CompletionMatches.CompletionText"
    )
    assert "watch" in ran("pwsh", "-NoProfile", "-Command", program, folder=folder)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_command_and_option(shell: str) -> None:
    """Also where the shell is not here to ask."""
    text = script(shell)
    for command in COMMANDS:
        assert command in text
        for action in parser_of(command)._actions:
            for flag in action.option_strings:
                assert (flag if shell != "fish" else flag.lstrip("-")) in text


def test_a_shell_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """And no extra that would help."""
    assert main(["completion", "bsh"]) == 2
    assert "not 'bsh'; did you mean 'bash'?" in capsys.readouterr().err
    assert main(["completion"]) == 2


def test_without_shtab_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And all other commands work."""
    monkeypatch.setattr("limpet._require_extra.find_spec", lambda name: None)
    assert main(["completion", "bash"]) == 2
    assert "limpet completion needs shtab: pip install 'limpet[cli]'" in capsys.readouterr().err
    assert main(["help", "completion"]) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What ``--help`` prints."""
    assert main(["help", command]) == 0
    asked = capsys.readouterr().out
    if command != "help":
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out == asked
    assert asked.startswith("usage: limpet")


def test_help_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name; without one the list of commands."""
    assert main(["help", "wacth"]) == 2
    assert "there is no command 'wacth'; did you mean 'watch'?" in capsys.readouterr().err
    assert main(["help"]) == 0
    assert "doctor" in capsys.readouterr().out
    assert main(["help", "watch", "follow"]) == 2


def test_the_tree_has_all_commands() -> None:
    """One parser, which takes what each of them takes."""
    made = tree().parse_args(["put", "name", "--root", "x", "--if-exists", "replace"])
    assert (made.command, made.root, made.if_exists) == ("put", "x", "replace")


PAGES = manual.pages()


def test_a_page_for_each_command() -> None:
    """Under the name by which ``man limpet watch`` finds it."""
    assert set(PAGES) == {"limpet.1", *(f"limpet-{command}.1" for command in COMMANDS)}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_every_option(command: str) -> None:
    """And the line by which apropos finds it."""
    page = PAGES[f"limpet-{command}.1"].replace("\\-", "-")
    assert f"\nlimpet-{command} - " in page
    for action in parser_of(command)._actions:
        for flag in action.option_strings:
            assert flag in page or flag in {"-h", "--help"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
@pytest.mark.parametrize("name", PAGES)
def test_groff_takes_a_page(name: str, tmp_path: Path) -> None:
    """With all its warnings on."""
    (tmp_path / name).write_text(PAGES[name], encoding="utf-8")
    shown = ran("groff", "-man", "-Tutf8", "-ww", tmp_path / name, folder=tmp_path)
    assert name.removesuffix(".1").upper() in shown


def test_the_pages_are_written(tmp_path: Path) -> None:
    """As ``make man`` does."""
    ran(sys.executable, manual.__file__, tmp_path / "man", folder=tmp_path)
    assert {path.name for path in (tmp_path / "man").iterdir()} == set(PAGES)
