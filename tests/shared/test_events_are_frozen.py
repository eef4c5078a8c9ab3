"""Nothing can be set on an event: several consumers may have it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import limpet


@pytest.mark.parametrize("name", ["path", "seq", "anything", "_maker", "__dict__"])
def test_no_attribute_can_be_set_or_deleted(tmp_path: Path, name: str) -> None:
    with limpet.watch_dir(tmp_path).sync() as watch:
        (tmp_path / "f").write_text("")
        event: Any = watch.fence()[0]
    for thing in (event, event.stat, limpet.Rescanned(
        location=tmp_path, time=0, seq=1, reason="overflow"
    )):  # fmt: skip
        with pytest.raises(dataclasses.FrozenInstanceError, match="field"):
            setattr(thing, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match="field"):
            delattr(thing, name)
    assert dataclasses.replace(event, seq=7).seq == 7
