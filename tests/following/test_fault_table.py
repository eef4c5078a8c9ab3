"""The fault cases that are operations on a log; see ``fault_table.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limpet.following._follow_events import Appended, Gap, Truncated
from tests.following.driver import Driven, SteppedFileIO
from tests.following.fault_table import ROWS, Field, Row


class DrivenEngine:
    """limpet's engine, driven as the row says."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.io = SteppedFileIO()
        self.runs: list[Driven] = []

    def start(self, path: Path, **options: Any) -> None:
        if "start" not in options:
            options["state"] = self.state
        self.runs.append(Driven(path, io=self.io, **options))

    def examine(self) -> None:
        self.runs[-1].catch_up()

    def wait(self, seconds: float) -> None:
        self.runs[-1].wait(seconds)

    def stop(self) -> None:
        self.runs[-1].commit()
        self.runs[-1].close()

    def groups(self) -> list[list[str]]:
        return [group for run in self.runs for group in run.grouped()]


def play(row: Row, tmp_path: Path) -> tuple[DrivenEngine, list[list[str]]]:
    (tmp_path / "logs").mkdir()
    engine = DrivenEngine(tmp_path / "state")
    expected = row.play(Field(tmp_path / "logs", engine, row.options))
    engine.examine()
    engine.runs[-1].close()
    return engine, expected


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(row: Row, tmp_path: Path) -> None:
    """Every line once, the old file's before the new one's."""
    engine, expected = play(row, tmp_path)
    assert engine.groups() == expected


def test_row_12_the_unfinished_line_says_so(tmp_path: Path) -> None:
    """``half`` never got its end."""
    row = next(row for row in ROWS if row.number == 12)
    engine, _ = play(row, tmp_path)
    assert [(b.lines, b.complete) for b in engine.runs[0].of(Appended)][-1] == (["half"], False)


def test_row_18_is_reported(tmp_path: Path) -> None:
    """What was read is not there any more, and nothing was lost by it."""
    row = next(row for row in ROWS if row.number == 18)
    engine, _ = play(row, tmp_path)
    reported = engine.runs[0].of(Truncated)
    assert [(event.kind, event.lost) for event in reported] == [("rewritten", 0)]


def test_row_20_what_was_known_to_be_lost_is_counted(tmp_path: Path) -> None:
    """Found by a pass, and gone before it was read."""
    path = tmp_path / "app.log"
    path.write_text("a0\n")
    driven = Driven(path)
    driven.catch_up()
    with path.open("a") as file:
        file.write("lost\n")
    driven.examine()
    path.write_text("b0\n")
    driven.catch_up()
    assert driven.grouped() == [["a0"], ["b0"]]
    assert [event.lost for event in driven.of(Truncated)] == [5]
    driven.close()


def test_row_21_the_hole_is_reported(tmp_path: Path) -> None:
    """No NUL comes, and how many there were does."""
    row = next(row for row in ROWS if row.name == "row_21")
    engine, _ = play(row, tmp_path)
    assert [(event.kind, event.bytes) for event in engine.runs[0].of(Gap)] == [("nul-hole", 6)]


def test_row_53_is_reported(tmp_path: Path) -> None:
    """The file of the checkpoint is not there any more."""
    row = next(row for row in ROWS if row.number == 53)
    engine, _ = play(row, tmp_path)
    assert [event.kind for event in engine.runs[1].of(Gap)] == ["generation-missing"]
