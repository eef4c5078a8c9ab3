"""The options of a follower: one description for the library, its type checker and its help."""

from __future__ import annotations

import dataclasses

import pytest

from limpet._option_fields import info_of, words_of
from limpet.errors import UsageError
from limpet.following import FollowOptions, Options

UNDESCRIBED = {"start", "delimiter", "keep_cr", "follow_symlinks"}
"""Options that no help lists; each has checks of its own, or none."""


def test_the_typed_keyword_arguments_are_the_options() -> None:
    """A type checker of a user's program knows each option, and no other."""
    assert list(Options.__annotations__) == [one.name for one in dataclasses.fields(FollowOptions)]


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(FollowOptions)])
def test_every_described_option_has_its_help(name: str) -> None:
    """One line, in lower case and without a period."""
    if name in UNDESCRIBED:
        return
    _, _, info = info_of(FollowOptions, name)
    assert info.help[0].islower() or info.help[0] == "'"
    assert not info.help.endswith(".")


def test_the_words_and_the_range_of_an_option_are_checked() -> None:
    """Also of one that may be ``None``, which is then allowed."""
    assert words_of(info_of(FollowOptions, "until")[0]) == ("eof", "retired")
    assert FollowOptions(until=None, flush_partial=None).until is None
    with pytest.raises(UsageError, match="until must be one of eof, retired, not 'now'"):
        FollowOptions(until="now")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="commit must be one of auto, manual, not None"):
        FollowOptions(commit=None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"safety must be at least 0\.01 seconds, got nan"):
        FollowOptions(safety=float("nan"))
    with pytest.raises(UsageError, match="max_line must be at least 16 bytes, got 1"):
        FollowOptions(max_line=1)
