"""What help, notebooks and tools that make pages see of the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.following._follow_keywords import Options as FollowKeywords
from limpet.output._config import OutputOptions
from limpet.watching import Options as WatchKeywords

SHOWN: list[tuple[Callable[..., Any], type, set[str], Any]] = [
    (limpet.watch_dir, WatchKeywords, set(), limpet.WatchOptions()),
    (limpet.watch_file, WatchKeywords, {"settle_dir"}, limpet.WatchOptions()),
    (limpet.follow, FollowKeywords, set(), limpet.FollowOptions()),
    (limpet.open_output, OutputOptions, set(), None),
    (limpet.Output.__init__, OutputOptions, set(), None),
]


@pytest.mark.parametrize(("function", "keywords", "without", "made"), SHOWN)
def test_every_option_is_shown_with_default_and_text(
    function: Callable[..., Any], keywords: type, without: set[str], made: Any
) -> None:
    """The types are those of the keywords, the defaults those of the options."""
    shown = {
        one.name: one
        for one in inspect.signature(function).parameters.values()
        if one.kind is inspect.Parameter.KEYWORD_ONLY and one.name not in {"calls", "types", "only"}
    }
    assert shown.keys() == keywords.__annotations__.keys() - without
    lines = (function.__doc__ or "").split("\n")
    for name, one in shown.items():
        assert one.annotation in str(keywords.__annotations__[name])
        if made is not None:
            assert one.default == getattr(made, name)
        (line,) = (text for text in lines if text.strip().startswith(f"{name}: "))
        assert line.strip() != f"{name}:"


def test_content_may_be_a_mode_alone(tmp_path: Path) -> None:
    """I7: the usual case needs no ContentOptions."""
    with limpet.watch_dir(tmp_path, content="r", existing=True).sync() as watch:
        (tmp_path / "a").write_text("text")
        found = [event.content for event in watch.fence() if isinstance(event, limpet.FileCreated)]
    assert found == ["text"]
    with pytest.raises(limpet.UsageError, match="content must be"):
        limpet.watch_dir(tmp_path, content="text")  # type: ignore[arg-type]
