"""The text of exceptions in messages, and of messages on a terminal."""

from __future__ import annotations

import errno
import logging
import os
from io import StringIO
from pathlib import Path

import pytest

from limpet._error_text import reason_of, traceback_text
from limpet._logging import logging_to
from limpet._printable import escape, printable


def test_a_reason_names_no_path_that_the_message_names() -> None:
    """Others stay; what is no failure of the system says what it says."""
    text = os.strerror(errno.EACCES)
    second = Path("/srv/b")
    error = OSError(errno.EACCES, text, "/srv/a", None, str(second))
    assert reason_of(error, "/srv/a", second) == text
    assert reason_of(error, "/srv/a") == f"{text}: {str(second)!r}"
    raw = b"/srv/\xff"
    named = raw.decode("utf-8", "surrogateescape")
    assert reason_of(OSError(errno.EACCES, text, raw), named) == text
    assert reason_of(OSError(errno.EACCES, text, 5)) == text
    assert reason_of(OSError("as it is"), "/srv/a") == "as it is"
    assert reason_of(ValueError("wrong"), "/srv/a") == "wrong"
    assert reason_of(ValueError()) == "ValueError"


def test_a_message_keeps_its_lines_and_loses_what_drives_a_terminal() -> None:
    """A byte that is not UTF-8 is shown as one."""
    assert printable("plain äöü 'a\\\\b'") == "plain äöü 'a\\\\b'"
    assert printable("a\tb\n") == "a\tb\n"
    assert printable("a\nb\r\x1b[2J\u202e\udcff\x07") == "a\nb\\r\\x1b[2J\\u202e\\udcff\\x07"
    assert escape("a\nb") == r"a\nb"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_name_drives_a_terminal_from_the_log(form: str) -> None:
    """Nor does one that is not UTF-8 break a line, or end the log."""
    out = StringIO()
    hostile = "/srv/\x1b]0;gotcha\x07\r\udcff\ud800"
    with logging_to(out, form="json" if form == "json" else "text"):
        logging.getLogger("limpet.test").error("cannot read %s", hostile)
        try:
            raise OSError(errno.EIO, hostile)
        except OSError:
            logging.getLogger("limpet.test").exception("it failed")
    text = out.getvalue()
    assert text.count("gotcha") >= 2
    assert all(one.isprintable() or one == "\n" for one in text)
    text.encode()


def test_a_traceback_is_bounded_by_its_end() -> None:
    """The place of the failure is there."""
    error = OSError("x" * 10_000 + "end")
    assert len(traceback_text(error, 100)) == 100
    assert traceback_text(error, 100).endswith("end")
