"""``limpet watch --exec`` as a program: each row of the table that compares it with others."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cli import test_on_a_terminal
from tests.waiting import until_sync

PAGE = Path(__file__).parents[2] / "docs/how-to/run-commands.md"

NOTE = """
import os, sys
line = " ".join([repr(sys.stdin.read()) if sys.argv[2] == "in" else "-", *sys.argv[3:]])
with open(sys.argv[1], "a") as file:
    file.write(line + "\\n")
"""
"""Adds a line to a file: what it read, if that is asked for, and its arguments."""

SERVE = """
import os, signal, sys, time
def note(word):
    with open(sys.argv[1], "a") as file:
        file.write(word + "\\n")
def end(*_):
    note("end")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
while True:
    time.sleep(60)
"""


class Watching:
    """A running ``limpet watch src`` in a folder of its own, and what its commands noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.src, self.log = folder, folder / "src", folder / "log"
        self.err = folder / "err"
        self.process: subprocess.Popen[bytes]

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def until(self, expected: Sequence[str]) -> None:
        until_sync(lambda: self.lines == list(expected), lambda: f"{self.lines} {self.said}")

    @property
    def said(self) -> str:
        return self.err.read_text()

    def write(self, *names: str) -> None:
        for name in names:
            (self.src / name).write_text("x")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def watching(
    folder: Path, *options: str, run: str = NOTE, args: Sequence[str] = (), stdin: bool = False
) -> Iterator[Watching]:
    """Start it with these options, and wait until every change is seen."""
    found = Watching(folder)
    found.src.mkdir(exist_ok=True)
    read = "in" if stdin else "no"
    program = [sys.executable, "-Sc", run, str(found.log), *([read] if run is NOTE else []), *args]
    with found.err.open("wb") as err:
        found.process = subprocess.Popen(
            [sys.executable, "-m", "limpet", "watch", "src", *options, "--exec", *program],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
    try:
        if "-q" not in options:
            until_sync(lambda: "watch.ready" in found.said, lambda: found.said)
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
        found.process.wait(60)


def test_run_at_start(tmp_path: Path) -> None:
    """Before any event, as if ``src`` had changed; and then for what changes."""
    with watching(tmp_path, "--batch", "--on-start", args=["{}"], stdin=True) as limpet:
        limpet.until(["'src\\n' src"])
        limpet.write("a")
        limpet.until(["'src\\n' src", "'src/a\\n' src/a"])


def test_not_run_at_start(tmp_path: Path) -> None:
    """Without the option it is for changes alone."""
    with watching(tmp_path, "--batch", args=["{}"]) as limpet:
        limpet.write("a")
        limpet.until(["- src/a"])


def test_run_at_start_without_batch(tmp_path: Path) -> None:
    """The ready line is its input; the events come after it, one by one."""
    with watching(tmp_path, "--on-start", "--only", "file.created", stdin=True) as limpet:
        until_sync(lambda: len(limpet.lines) == 1)
        limpet.write("a")
        until_sync(lambda: len(limpet.lines) == 2)
        first, second = (
            json.loads(line.strip().strip("'").replace("\\n", "")) for line in limpet.lines
        )
        assert (first["type"], first["root"]) == ("watch.ready", str(limpet.src))
        assert (second["type"], second["path"]) == ("file.created", str(limpet.src / "a"))


def test_a_burst_is_one_run(tmp_path: Path) -> None:
    """Five saved files are one run, with each path once."""
    with watching(tmp_path, "--batch", "--burst", "1", stdin=True, args=["{}"]) as limpet:
        limpet.write("a", "b", "c", "d", "e")
        limpet.write("a")
        paths = [f"src/{name}" for name in "abcde"]
        limpet.until([repr("".join(f"{path}\n" for path in paths)) + " " + " ".join(paths)])


def test_an_event_is_a_run_without_batch(tmp_path: Path) -> None:
    """As before there was ``--batch``."""
    with watching(tmp_path, "--only", "file.created", args=["{/}"]) as limpet:
        limpet.write("a", "b")
        limpet.until(["- a", "- b"])


def test_changes_while_it_runs_are_one_more_run(tmp_path: Path) -> None:
    """Whatever their number."""
    wait = NOTE + "\nimport time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    with watching(tmp_path, "--batch", run=wait, args=["no", "{}"]) as limpet:
        limpet.write("a")
        limpet.until(["- src/a"])
        limpet.write("b")
        limpet.write("c")
        (tmp_path / "go").touch()
        until_sync(lambda: " ".join(limpet.lines).endswith("src/c"))
        words = " ".join(limpet.lines).split()
        assert [word for word in words if word != "-"] == ["src/a", "src/b", "src/c"]


def test_restart_ends_a_server_and_starts_it_again(tmp_path: Path) -> None:
    """SIGTERM, and the new one only once the old one has ended; also at the end."""
    with watching(tmp_path, "-r", "--batch", "--on-start", run=SERVE) as limpet:
        limpet.until(["start"])
        limpet.write("a")
        limpet.until(["start", "end", "start"])
        assert limpet.end() == 143
        assert limpet.lines == ["start", "end", "start", "end"]


def test_a_server_that_ended_waits_for_a_change(tmp_path: Path) -> None:
    """It is not started again for its own sake."""
    with watching(tmp_path, "-r", "-b", "--on-start", args=["{}"]) as limpet:
        limpet.until(["- src"])
        limpet.write("a")
        until_sync(lambda: limpet.lines[-1].endswith("src/a"))  # with src, if it was too quick
        assert len(limpet.lines) == 2


def test_endings(tmp_path: Path) -> None:
    """With a dot or without, several; folders count no more than other files."""
    with watching(tmp_path, "-e", "py,.js", "--ext", "tar.gz", "-b", args=["{}"]) as limpet:
        limpet.write("a.txt", "py", "b.pyc", "z.gz")
        (limpet.src / "sub").mkdir()
        limpet.write("sub/last.py")
        until_sync(lambda: "src/sub/last.py" in " ".join(limpet.lines))
        limpet.write("a.js", "b.tar.gz")
        until_sync(lambda: "src/b.tar.gz" in " ".join(limpet.lines))
        words = set(" ".join(limpet.lines).split()) - {"-"}
        assert words == {"src/sub/last.py", "src/a.js", "src/b.tar.gz"}


def test_paths_reach_the_command(tmp_path: Path) -> None:
    """As words, each in the form that is asked for, and no shell in between."""
    args = ["{}", "{/}", "{//}", "{.}", "{/.}", "$HOME; *"]
    name = "a b;$(x).c"
    with watching(tmp_path, "-b", args=args) as limpet:
        limpet.write(name)
        limpet.until([f"- src/{name} {name} src src/a b;$(x) a b;$(x) $HOME; *"])


def test_absolute_paths_reach_the_command(tmp_path: Path) -> None:
    """If they are asked for."""
    with watching(tmp_path, "-b", "--absolute", args=["{}"]) as limpet:
        limpet.write("a")
        limpet.until([f"- {limpet.src / 'a'}"])


def test_names_that_are_not_lines(tmp_path: Path) -> None:
    """Bytes that are no text, a line feed, and what looks like an option."""
    read = (
        "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read().hex().encode() + b'\\n')"
    )
    names = [b"caf\xe9", b"x\ny", b"-rf"]
    with watching(tmp_path, "-b", "-z", "--burst", "1", run=read) as limpet:
        for name in names:
            with open(os.path.join(os.fsencode(limpet.src), name), "wb"):
                pass
        until_sync(lambda: len(limpet.lines) == 1)
        assert sorted(bytes.fromhex(limpet.lines[0]).split(b"\0")) == sorted(
            [b"", *(b"src/" + name for name in names)]
        )


def test_a_new_folder_is_watched(tmp_path: Path) -> None:
    """With all that is in it, and below it."""
    with watching(tmp_path, "-b", args=["{}"]) as limpet:
        (limpet.src / "new" / "deep").mkdir(parents=True)
        limpet.write("new/deep/a")
        until_sync(lambda: "src/new/deep/a" in " ".join(limpet.lines))


def test_one_run_and_the_end(tmp_path: Path) -> None:
    """``--count 1``; the exit code says whether the command has failed."""
    with watching(tmp_path, "-b", "--count", "1", args=["{}"]) as limpet:
        limpet.write("a")
        assert limpet.process.wait(60) == 0
        assert limpet.lines == ["- src/a"]
    with watching(tmp_path, "-b", "--count", "1", run="import sys; sys.exit(3)") as limpet:
        limpet.write("b")
        assert limpet.process.wait(60) == 1
        assert "ended with status 3, for 1 path" in limpet.said


def test_a_time_without_events_ends_it(tmp_path: Path) -> None:
    """With its own exit code; what the last event started is finished first."""
    slow = NOTE + "\nimport time\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + NOTE
    with watching(tmp_path, "-b", "-t", "0.3", run=slow, args=["no", "{}"]) as limpet:
        limpet.write("a")
        until_sync(lambda: limpet.lines == ["- src/a"])
        (tmp_path / "go").touch()
        assert limpet.process.wait(60) == 124
        assert limpet.lines == ["- src/a", "- src/a"]


def test_quiet(tmp_path: Path) -> None:
    """No line of limpet's own, though a command fails; its own output is seen."""
    code = "import sys; print('mine', file=sys.stderr); open(sys.argv[1], 'w'); sys.exit(3)"
    with watching(tmp_path, "-q", "-b", "--on-start", run=code) as limpet:
        until_sync(limpet.log.exists)
        until_sync(lambda: limpet.said == "mine\n")
        assert limpet.end(signal.SIGINT) == 130
        assert limpet.said == "mine\n"


def test_ignored_files(tmp_path: Path) -> None:
    """Those of ``.gitignore``, if that is asked for."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / ".gitignore").write_text("*.log\n")
    with watching(tmp_path, "-b", "--ignore-file", ".gitignore", args=["{}"]) as limpet:
        limpet.write("a.log", "b")
        limpet.until(["- src/b"])


def test_an_interrupt_ends_both(tmp_path: Path) -> None:
    """The command gets SIGTERM from limpet alone, and is waited for."""
    with watching(tmp_path, "-b", "--on-start", run=SERVE) as limpet:
        limpet.until(["start"])
        assert limpet.end(signal.SIGINT) == 130
        assert limpet.lines == ["start", "end"]


def test_skip(tmp_path: Path) -> None:
    """What changes while it runs, such as what the command itself writes, starts no other run."""
    wait = "import os\nopen('src/own', 'w')\n" + NOTE
    wait += "\nimport time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    with watching(tmp_path, "-b", "--busy", "skip", run=wait, args=["no", "{}"]) as limpet:
        limpet.write("a")
        limpet.until(["- src/a"])
        (tmp_path / "go").touch()
        assert limpet.end() == 143
        assert limpet.lines == ["- src/a"]


def test_a_shell_is_asked_for(tmp_path: Path) -> None:
    """And gets a path beside its script, whatever the name."""
    (tmp_path / "src").mkdir()
    script = 'printf "%s\\n" "$1" >> log'
    argv = [sys.executable, "-m", "limpet", "watch", "src", "--count", "1", "-x"]
    with subprocess.Popen(
        [*argv, "sh", "-c", script, "sh", "{}"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as process:
        assert process.stderr is not None
        assert b"watch.ready" in process.stderr.readline()
        (tmp_path / "src" / "$(touch gotcha)").touch()
        assert process.wait(60) == 0
    assert (tmp_path / "log").read_text() == "src/$(touch gotcha)\n"
    assert not (tmp_path / "gotcha").exists()


def rows() -> dict[str, str]:
    """First cell of each row of the table -> its last cell."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in lines
        if line.startswith("| ")
    ]
    return {cells[0]: cells[3] for cells in table if len(cells) == 4 and "---" not in cells[0]}


HELD = {
    "runs at the start": test_run_at_start,
    "waits for the first change": test_not_run_at_start,
    "a burst is one run": test_a_burst_is_one_run,
    "each event is a run": test_an_event_is_a_run_without_batch,
    "changes while it runs: one more run": test_changes_while_it_runs_are_one_more_run,
    "changes while it runs: left out": test_skip,
    "changes while it runs: restart": test_restart_ends_a_server_and_starts_it_again,
    "a server that ended by itself": test_a_server_that_ended_waits_for_a_change,
    "by endings of names": test_endings,
    "clears the screen": test_on_a_terminal.test_the_screen_is_cleared,
    "changed paths as arguments": test_paths_reach_the_command,
    "changed paths on standard input": test_a_burst_is_one_run,
    "names with line feeds, or not UTF-8": test_names_that_are_not_lines,
    "a shell": test_a_shell_is_asked_for,
    "new files and folders": test_a_new_folder_is_watched,
    "honours `.gitignore`": test_ignored_files,
    "one run, then the end": test_one_run_and_the_end,
    "ends when nothing changes any more": test_a_time_without_events_ends_it,
    "no messages of its own": test_quiet,
    "Ctrl-C": test_an_interrupt_ends_both,
}
"""What a row says -> the test that holds it."""


def test_every_row_that_is_claimed_is_held() -> None:
    """And no test is for a row that is not there; "no" claims nothing."""
    claimed = {first for first, last in rows().items() if last != "no" and first}
    assert claimed - {"what"} == set(HELD)
