"""The rules of the contract as written scenarios, on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import limpet
from limpet.testing import check_stream, listing, perform, run_scenario

HERE = Path(__file__).parent


def sections(name: str) -> list[tuple[str, list[str], str]]:
    """Give title, steps before the start, and the text of each section."""
    text = (HERE / name).read_text()
    found = []
    for part in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        before = re.findall(r"^before (.*)$", body, flags=re.MULTILINE)
        rest = re.sub(r"^before .*$", "", body, flags=re.MULTILINE)
        found.append((title, before, rest))
    return found


def without_detail(lines: list[str]) -> list[str]:
    """A poller does not see whether a target that is gone was moved or deleted."""
    return sorted(lines)


@pytest.mark.parametrize(
    ("title", "before", "text"), [pytest.param(*s, id=s[0]) for s in sections("dir.txt")]
)
def test_folder(tmp_path: Path, backend: str, title: str, before: list[str], text: str) -> None:
    """What happens on disk gives exactly the events written down for it."""
    location = tmp_path / "place"
    location.mkdir()
    for step in before:
        perform(step, location)
    perform("age", location)
    events: list[limpet.Event] = []
    with limpet.watch_dir(location, backend=backend, poll_interval=3600).sync() as watch:  # type: ignore[arg-type]
        start = watch.entries()

        def fence() -> list[limpet.Event]:
            found = watch.fence()
            events.extend(found)
            return found

        for steps, expected, came in run_scenario(text, location, fence):
            assert without_detail(came) == without_detail(expected), (steps, came)
        assert check_stream(events, start).entries == listing(location)


@pytest.mark.parametrize(
    ("title", "before", "text"), [pytest.param(*s, id=s[0]) for s in sections("file.txt")]
)
def test_file(tmp_path: Path, backend: str, title: str, before: list[str], text: str) -> None:
    """The same for a file watch, whose siblings never show."""
    folder = tmp_path / "place"
    folder.mkdir()
    for step in before:
        perform(step, folder)
    perform("age", folder)
    events: list[limpet.Event] = []
    with limpet.watch_file(folder / "f", backend=backend, poll_interval=3600).sync() as watch:  # type: ignore[arg-type]

        def fence() -> list[limpet.Event]:
            found = watch.fence()
            events.extend(found)
            return found

        for steps, expected, came in run_scenario(text, folder, fence):
            assert came == expected, steps
        assert all(isinstance(event, limpet.TargetEvent | limpet.WatchEvent) for event in events)
