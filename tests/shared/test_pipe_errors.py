"""A closed pipe is one error on every system, and nothing else is taken for it."""

import errno

import pytest

from limpet._pipe_errors import pipe_errors


def test_windows_word_for_a_closed_pipe_is_a_closed_pipe() -> None:
    """C3: ERROR_NO_DATA comes as EINVAL there."""
    with pytest.raises(BrokenPipeError), pipe_errors(is_windows=True):
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize(
    ("code", "is_windows"), [(errno.EINVAL, False), (errno.ENOSPC, True), (errno.EPIPE, True)]
)
def test_any_other_failure_is_itself(code: int, is_windows: bool) -> None:
    failure = OSError(code, "as it is")
    with pytest.raises(OSError, match="as it is") as raised, pipe_errors(is_windows=is_windows):
        raise failure
    assert raised.value is failure
