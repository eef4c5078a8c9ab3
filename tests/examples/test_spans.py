"""The program of the page about spans runs as it stands there."""

from __future__ import annotations

from pathlib import Path

from tests.examples.test_pages import blocks, comes, running


def test_the_program_of_the_page_about_spans(folder: Path) -> None:
    """It prints the span of a file, with the id of its event."""
    (program,) = blocks("docs/how-to/trace-events.md")
    (folder / "in").mkdir()
    (folder / "in" / "a").touch()
    with running(program, folder) as printed:
        comes('"name": "behaviour note"', printed, lambda: None)
        comes('"name": "output FileSystemOutput"', printed, lambda: None)
        comes('"cloudevents.event_id"', printed, lambda: None)
