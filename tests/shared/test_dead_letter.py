"""The record of an event that was given up."""

from __future__ import annotations

import json

from limpet._dead_letter import dead_letter, shortened


def test_a_record_has_the_event_the_error_and_the_details() -> None:
    """In a form for JSON, with an id of its own."""
    record = dead_letter({"n": 1}, attempts=3, error=OSError("full"), step="write")
    again = json.loads(json.dumps(record))
    assert again["event"] == {"n": 1}
    assert again["error"] == {"type": "OSError", "message": "full"}
    assert (again["v"], again["attempts"], again["step"]) == (1, 3, "write")
    assert again["id"] != dead_letter({}, attempts=1, error=OSError())["id"]


def test_the_text_of_an_error_is_bounded_and_valid() -> None:
    """An error may contain a whole file, or a name that is not text."""
    assert len(shortened("x" * 5000)) == 2000
    shortened("\udcff").encode()
