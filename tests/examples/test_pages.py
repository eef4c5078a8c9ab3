"""The programs of README and docs that have no test of their own run as they stand there."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import limpet
from tests.waiting import PATIENCE, until, until_sync

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@contextmanager
def running(program: str, folder: Path, *arguments: str) -> Iterator[Callable[[], str]]:
    """Run a program in a folder; give what it has printed so far."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    printed = folder / "printed"
    with printed.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "program.py", *arguments],
            cwd=folder, stdout=file, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        yield lambda: printed.read_text(encoding="utf-8")
        assert process.poll() is None, printed.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait(PATIENCE)


def comes(text: str, printed: Callable[[], str], again: Callable[[], object]) -> None:
    """Wait until a text is printed; do something now and then, for a watch that still starts."""
    due = 0.0

    def there() -> bool:
        nonlocal due
        if text in printed():
            return True
        if time.monotonic() > due:
            again()
            due = time.monotonic() + 0.1
        return False

    until_sync(there, printed)


def test_the_watch_of_the_readme(folder: Path) -> None:
    """The folder appears later; a file, its rename, and the end of the folder are reported."""
    (program,) = [block for block in blocks("README.md") if "watch_dir" in block]
    inbox = folder / "inbox"
    with running(program, folder) as printed:

        def put() -> None:
            inbox.mkdir(exist_ok=True)
            number = len(list(inbox.iterdir()))
            (inbox / f"{number}.txt").write_text("text")

        comes("complete:", printed, put)
        (inbox / "0.txt").rename(inbox / "new.txt")
        comes(f"renamed: {inbox / '0.txt'} -> {inbox / 'new.txt'}", printed, lambda: None)
        for path in inbox.iterdir():
            path.unlink()
        inbox.rmdir()
        comes("the inbox itself is gone: deleted", printed, lambda: None)


def piece(page: str, having: str, names: dict[str, Any], replaced: dict[str, str]) -> Any:
    """Return a coroutine function with a block as its body."""
    (block,) = [one for one in blocks(page) if having in one and "def main" not in one]
    for old, new in replaced.items():
        assert old in block
        block = block.replace(old, new)
    scope = {"limpet": limpet, **names}
    exec(f"async def piece():\n{textwrap.indent(block, '    ')}", scope)  # noqa: S102 (our page)
    return scope["piece"]


def test_the_inbox_of_the_reference(folder: Path) -> None:
    """By itself: what is there is processed and moved."""
    seen: list[object] = []
    names = {"print": lambda *facts: seen.extend(facts)}
    inbox, done = folder / "in", folder / "done"
    replaced = {
        '"in"': repr(str(inbox)),
        '"done"': repr(str(done)),
        '"failed"': repr(str(folder / "failed")),
        "settle=2": "settle=0.1",
    }
    process = piece("docs/reference/inbox.md", "async with limpet", names, replaced)
    inbox.mkdir()
    (inbox / "a").write_text("text")

    async def main() -> None:
        task = asyncio.create_task(process())
        await until((done / "a").exists)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    assert seen == [inbox / "a", 1, "text"]


def test_the_follow_of_the_readme(folder: Path) -> None:
    """Lines come over a rotation and, with its checkpoint, over a restart."""
    log = folder / "app.log"
    lines: list[str] = []
    names = {"print": lines.append}
    replaced = {
        '"/var/log/app.log"': repr(str(log)),
        '"app.state"': repr(str(folder / "state")),
        'rotated="app.log.*"': f"rotated={str(folder / 'app.log.*')!r}, poll_interval=0.05",
    }
    follow = piece("README.md", "limpet.follow", names, replaced)

    async def seen(wanted: list[str], work: Callable[[], object]) -> None:
        task = asyncio.create_task(follow())
        if lines or log.exists():
            work()
        else:
            # The first start begins at the end of the file, so it needs a file that is empty.
            log.touch()
            await asyncio.to_thread(until_sync, (folder / "state").exists)
            work()
        await until(lambda: lines == wanted, lambda: str(lines))
        task.cancel()
        await asyncio.wait({task})

    def rotate() -> None:
        with log.open("a") as file:
            file.write("one\n")
        log.rename(folder / "app.log.1")
        log.write_text("two\n")

    def more() -> None:
        with log.open("a") as file:
            file.write("three\n")

    asyncio.run(seen(["one", "two"], rotate))
    asyncio.run(seen(["one", "two", "three"], more))


@dataclass
class Message:
    """What a chat library delivers."""

    author: str
    title: str
    text: str


def test_the_write_of_the_readme(folder: Path) -> None:
    """A name that leads elsewhere stays inside, and the list has its line."""
    names = {"message": Message("ann", "../hello", "Hello\n")}
    write = piece("README.md", "open_output", names, {'"archive"': repr(str(folder / "archive"))})
    asyncio.run(write())
    assert (folder / "archive" / "log.txt").read_text() == "ann: ../hello\n"
    (other,) = {path.name for path in (folder / "archive").iterdir()} - {"log.txt"}
    assert (folder / "archive" / other).read_text() == "Hello\n"
    assert [path.name for path in folder.iterdir()] == ["archive"]


def test_the_bot_of_the_readme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a behaviour beside it, it runs."""
    pytest.importorskip("mewbot")
    from limpet.bot import Runner, RunOptions
    from limpet.bot.config import load

    (block,) = blocks("README.md", "yaml")
    behaviour = """\
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: note
properties: {name: note}
triggers:
  - kind: Trigger
    implementation: limpet.bot.FileSystemTrigger
    uuid: t
    properties: {events: [file.created]}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: a
    properties: {name: log.txt, content: something came}
"""
    monkeypatch.chdir(folder)
    (folder / "bot.yaml").write_text(block + behaviour, encoding="utf-8")
    (folder / "inbox").mkdir()
    (folder / "inbox" / "file").write_text("text")

    async def main() -> None:
        runner = Runner(load("bot.yaml"), RunOptions(state_dir=folder / "state"))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.outputs, lambda: str(runner.stats))
        runner.stop()
        await task

    asyncio.run(main())
    assert (folder / "archive" / "log.txt").read_text() == "something came\n"


def test_the_inbox_of_the_how_to(folder: Path) -> None:
    """What is there and what comes is processed; what fails leaves the inbox, with a note."""
    program, _ = blocks("docs/how-to/process-files.md")
    inbox, done, failed = folder / "inbox", folder / "done", folder / "failed"
    inbox.mkdir()
    (inbox / "early").write_text("1\n2\n")
    (inbox / "empty").touch()
    done.mkdir()
    (done / "late").touch()
    with running(program, folder, "inbox", "done", "failed") as printed:
        comes("early: 2 lines", printed, lambda: None)
        (inbox / "late").write_text("3\n")
        comes("late: 1 lines", printed, lambda: None)
        until_sync(lambda: not list(inbox.iterdir()))
    assert sorted(path.name for path in done.iterdir()) == ["early", "late", "late.1"]
    assert sorted(path.name for path in failed.iterdir()) == ["empty", "empty.error.txt"]


def test_the_restart_of_the_how_to(folder: Path) -> None:
    """What changed while nothing ran is marked; a damaged state file is reported."""
    _, program = blocks("docs/how-to/process-files.md")
    archive, state = folder / "archive", folder / "archive.state"
    archive.mkdir()

    async def run_once() -> None:
        async with limpet.watch_dir(archive, state=state):
            pass

    asyncio.run(run_once())
    (archive / "new").touch()
    with running(program, folder) as printed:
        comes("happened while nothing ran: FileCreated(", printed, lambda: None)
    state.write_bytes(state.read_bytes()[:-10])
    with running(program, folder) as printed:
        comes("changes may have been missed: cannot use the state file", printed, lambda: None)


def test_the_settings_of_the_how_to(folder: Path) -> None:
    """Each content once, however it is written; a wrong one is refused."""
    program, *_ = blocks("docs/how-to/reload-a-configuration.md")
    file, new = folder / "settings.json", folder / "new"
    file.write_text('{"level": 1}')
    with running(program, folder, "settings.json") as printed:
        comes("settings: {'level': 1}", printed, lambda: None)
        new.write_text('{"level": 2}')
        new.replace(file)
        comes("settings: {'level': 2}", printed, lambda: None)
        file.write_text("{")
        comes("not applied:", printed, lambda: None)
        file.unlink()
        comes("the file is gone; the last settings stay", printed, lambda: None)


@pytest.mark.parametrize("number", range(3))
def test_the_programs_of_the_testing_page(number: int, folder: Path) -> None:
    """They end by themselves, and assert what they say."""
    programs = [one for one in blocks("docs/reference/testing.md") if "def test_" not in one]
    program = programs[number]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_program_of_several_hosts_says_that_no_hub_answers(folder: Path) -> None:
    """``docs/how-to/several-hosts.md``: there is none; all up to the connection is right."""
    pytest.importorskip("nats")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (program,) = blocks("docs/how-to/several-hosts.md")
    program = program.replace("127.0.0.1:4222", f"127.0.0.1:{port}")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert f"no hub answers at nats://127.0.0.1:{port}" in done.stderr


def test_the_program_of_the_status_page(folder: Path) -> None:
    """``docs/reference/status.md``: it is found by others, with its last event."""
    pytest.importorskip("uvicorn")
    from limpet.status import fetch_happenings, fetch_status

    program = next(one for one in blocks("docs/reference/status.md") if "ProgramStatus(" in one)
    (folder / "photos").mkdir()
    with running(program, folder) as printed:
        comes("status at http://127.0.0.1:", printed, lambda: None)
        address = printed().partition("status at ")[2].partition("/#")[0]
        (folder / "photos" / "a.jpg").touch()
        until_sync(lambda: fetch_happenings(address, limit=5))
        assert fetch_status(address).watches[0].place == str(folder / "photos")


def test_every_whole_program_of_the_pages_is_run() -> None:
    """A new one needs a test: here, or in a file that names its page."""
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    whole = [
        page.relative_to(ROOT).as_posix()
        for page in pages
        if any(re.search(r"^(?:anyio|asyncio)\.run\(", block, re.MULTILINE)
               for block in blocks(page.relative_to(ROOT).as_posix()))
    ]  # fmt: skip
    assert "README.md" in whole
    assert [page for page in whole if page.removeprefix("docs/") not in tests] == []


@pytest.mark.parametrize("page", ["docs/how-to/follow-a-log.md", "docs/reference/watch.md"])
def test_the_first_program_of_a_page_starts(page: str, folder: Path) -> None:
    """And prints what comes."""
    program = blocks(page)[0].replace('"/var/log/app.log"', '"app.log"')
    (folder / "app.log").touch()
    (folder / "inbox").mkdir()

    def work() -> None:
        with (folder / "app.log").open("a") as file:
            file.write("a line that came\n")
        number = len(list((folder / "inbox").iterdir()))
        (folder / "inbox" / f"a line that came {number}").touch()

    with running(program, folder) as printed:
        comes("a line that came", printed, work)
