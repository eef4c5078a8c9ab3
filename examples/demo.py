"""Shows limpet's events: makes changes in a temporary directory and prints the events of each.

Then, where the extra ``bot`` is installed, a bot that answers into the folder it watches.

Ends by itself, with exit code 1 if an event that should come did not.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import limpet
from limpet.events import EntryEvent, Event

PATIENCE = 5.0
"""Seconds an expected event may take."""

PACE = 0.1
"""Seconds between two steps, for the reader, and to see whether more comes than should."""


def steps(folder: Path) -> list[tuple[str, Callable[[], object], list[str]]]:
    """Return the steps: description, action, expected events."""
    notes = folder / "notes.txt"
    report = folder / "2027" / "q1" / "report.txt"

    def append() -> None:
        with notes.open("a") as file:
            file.write("one more line\n")

    def replace() -> None:
        new = folder / "notes.new"
        new.write_text("all of it new\n")
        new.replace(notes)

    def nested() -> None:
        report.parent.mkdir(parents=True)
        report.write_text("figures\n")
        (report.parent / "table.csv").write_text("a,b\n1,2\n")

    return [
        (
            "make notes.txt, write it, close it",
            lambda: notes.write_text("hello\n"),
            ["FileCreated notes.txt"],
        ),
        ("append a line to it", append, ["FileUpdated notes.txt"]),
        (
            "write notes.new, rename it to notes.txt",
            replace,
            ["FileUpdated notes.txt"],
        ),
        (
            "rename notes.txt to todo.txt",
            lambda: notes.rename(folder / "todo.txt"),
            ["FileRenamed todo.txt"],
        ),
        (
            "mkdir -p 2027/q1, two files in it at once",
            nested,
            [
                "DirCreated 2027",
                "DirCreated 2027/q1",
                "FileCreated 2027/q1/report.txt",
                "FileCreated 2027/q1/table.csv",
            ],
        ),
        (
            "rename the folder 2027 to archive",
            lambda: (folder / "2027").rename(folder / "archive"),
            ["DirRenamed archive"],
        ),
        (
            "rewrite report.txt under its new path",
            lambda: (folder / "archive" / "q1" / "report.txt").write_text("better figures\n"),
            ["FileUpdated archive/q1/report.txt"],
        ),
        (
            "delete todo.txt",
            (folder / "todo.txt").unlink,
            ["FileDeleted todo.txt"],
        ),
        (
            "delete the watched folder itself",
            lambda: shutil.rmtree(folder),
            [
                "FileDeleted archive/q1/report.txt",
                "FileDeleted archive/q1/table.csv",
                "DirDeleted archive/q1",
                "DirDeleted archive",
                "TargetDirDeleted .",
            ],
        ),
        ("make it again", folder.mkdir, ["TargetDirCreated ."]),
        (
            "write into it: still watched",
            lambda: (folder / "back.txt").write_text("here again\n"),
            ["FileCreated back.txt"],
        ),
    ]


def describe(event: Event) -> str:
    """Return the event's type and path, as the steps name what they expect."""
    if not isinstance(event, EntryEvent):
        return type(event).__name__
    return f"{type(event).__name__} {event.path.relative_to(event.location).as_posix()}"


def details(event: Event) -> str:
    """Return what else is worth showing of an event."""
    match event:
        case limpet.FileCreated(stat=stat):
            return f"{stat.size} bytes"
        case limpet.FileUpdated(stat=stat, previous=previous, changes=changes):
            before = "" if previous is None else f"{previous.size} -> "
            return f"{before}{stat.size} bytes, {', '.join(sorted(changes))}"
        case limpet.FileRenamed(source=source) | limpet.DirRenamed(source=source):
            return f"from {source.relative_to(event.location).as_posix()}"
        case limpet.TargetDirDeleted(reason=reason):
            return reason
        case _:
            return ""


def line(step: str, event: Event | None) -> str:
    """Lay out one line: the step on the left, an event for it on the right."""
    if event is None:
        return f"{step:<43} (nothing)"
    name, _, path = describe(event).partition(" ")
    return f"{step:<43} {name:<17} {path:<22} {details(event)}".rstrip()


async def events_for(
    watch: limpet.Watch, do: Callable[[], object], expected: list[str]
) -> tuple[list[Event], list[str]]:
    """Do a step; return the events that came for it, and those that are missing."""
    do()
    await watch.fence()  # all that was done is delivered now, or ready to be
    came: list[Event] = []
    missing = list(expected)

    while True:
        try:
            event = await asyncio.wait_for(anext(watch), PATIENCE if missing else PACE)
        except TimeoutError:
            return came, missing
        came.append(event)
        if describe(event) in missing:
            missing.remove(describe(event))


async def show_bot(folder: Path) -> int:
    """Let a bot answer three questions in the directory it watches; return what went wrong."""
    from limpet.bot import Behaviour, FileSystem, FileSystemTrigger, OverwriteFileAction, Runner

    desk = FileSystem(name="desk", input_path=folder, output_path=folder, content={"mode": "r"})
    answer = Behaviour(name="answer")
    answer.add(FileSystemTrigger(events="file.created", target="never"))
    content = "You asked: {{ content }}"
    answer.add(OverwriteFileAction(name="answer to {{ stem }}.txt", content=content))
    runner = Runner([desk, answer])
    running = asyncio.create_task(runner.run())
    await runner.ready.wait()
    print("\na bot that answers each file with a file in the same folder, and does not loop\n")
    (watching,) = desk.get_inputs()
    async with asyncio.timeout(PATIENCE):
        while not getattr(watching, "backend", ""):
            await asyncio.sleep(0.01)
        for number, question in enumerate(("who?", "what?", "../../etc/passwd?"), 1):
            new = folder.parent / "new"
            new.write_text(question)
            new.replace(folder / f"question {number}")
        while len(list(folder.iterdir())) < 6:
            await asyncio.sleep(0.01)
    await asyncio.sleep(PACE)
    for path in sorted(folder.iterdir()):
        print(f"{path.name:<43} {path.read_text()}")
    runner.stop()
    stats = await running
    print(f"\n{stats.acted} questions, {stats.outputs} answers")
    return int((stats.acted, stats.outputs) != (3, 3))


async def main() -> int:
    """Run the steps."""
    failures = 0
    with tempfile.TemporaryDirectory(prefix="limpet-demo-") as base:
        folder = Path(os.path.realpath(base)) / "inbox"
        folder.mkdir()
        async with limpet.watch_dir(folder) as watch:
            print(f"watching the folder {folder.name}/ by {watch.stats().backend}\n")
            print(f"{'what is done':<43} limpet's events\n{'-' * 43} {'-' * 56}")
            for step, do, expected in steps(folder):
                came, missing = await events_for(watch, do, expected)
                print(line(step, came[0] if came else None))
                for event in came[1:]:
                    print(line("", event))
                for name in missing:
                    print(f"{'':<43} MISSING: {name}")
                failures += len(missing)
        print("\nall expected events came" if not failures else f"\n{failures} did not come")
        if find_spec("mewbot") is not None:
            desk = Path(os.path.realpath(base)) / "desk"
            desk.mkdir()
            failures += await show_bot(desk)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
