"""What somebody else has open for a moment on Windows is tried again, and not for long."""

import pytest

from limpet.output._syscalls_by_path import _patiently


class Busy:
    """A call that fails some times as Windows says it of an open file."""

    def __init__(self, times: int, code: int) -> None:
        self.left, self.code, self.calls = times, code, 0

    def __call__(self, answer: str) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            error = OSError(13, "Sharing violation")
            error.winerror = self.code  # type: ignore[attr-defined, unused-ignore]
            raise error
        return answer


@pytest.mark.parametrize("code", [5, 32, 33])
def test_a_file_that_is_let_go_is_written(code: int) -> None:
    """O4: a virus scanner reads a new file for some milliseconds."""
    busy = Busy(3, code)
    assert _patiently(busy, "done") == "done"
    assert busy.calls == 4


def test_a_file_that_is_kept_open_is_refused_soon() -> None:
    """Within a fifth of a second, with the system's own error."""
    busy = Busy(100, 32)
    with pytest.raises(OSError, match="Sharing violation"):
        _patiently(busy, "done")
    assert busy.calls == 8


def test_any_other_failure_is_not_tried_again() -> None:
    busy = Busy(1, 2)
    with pytest.raises(OSError, match="Sharing"):
        _patiently(busy, "done")
    assert busy.calls == 1
