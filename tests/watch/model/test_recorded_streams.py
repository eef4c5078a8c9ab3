"""The streams recorded with the engine as it was before it was made fast: none may change.

``recorder.py`` made ``recorded_streams.txt``. Each recording is a run of random steps in blocks
and the report of one scan after each block, the same on fanotify and inotify, on ext4 and tmpfs,
every time.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import limpet
from limpet.testing import describe, parse_scenario, perform
from limpet.watching.diff import _change_detection
from limpet.watching.index import _entry_record, _fs
from tests.conftest import KERNEL_BACKENDS
from tests.watch.model.recorder import HEAD

RECORDINGS = {
    name: text
    for part in Path(__file__)
    .with_name("recorded_streams.txt")
    .read_text(encoding="utf-8")
    .split(HEAD)[1:]
    for name, _, text in [part.partition("\n")]
}


def test_there_are_recordings() -> None:
    """A file that was lost or not understood would make every other test here pass."""
    assert len(RECORDINGS) >= 100
    assert all(len(parse_scenario(text)) >= 10 for text in RECORDINGS.values())


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize("backend", KERNEL_BACKENDS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_stream_is_reported_again(
    name: str, backend: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps give the same events, in the same order, with and without the short way.

    A busy machine must not make a difference: however long a step takes, its times are as close
    together as they were when the stream was recorded.
    """
    for module in (_entry_record, _change_detection, _fs):
        monkeypatch.setattr(module, "RACY_NS", 3600 * 10**9)
    location = tmp_path / "up" / "base"
    location.mkdir(parents=True)
    with limpet.watch_dir(location, backend=backend, default_ignores=False).sync() as watch:  # type: ignore[arg-type]
        core = watch._core
        assert core is not None
        assert core._context is not None
        assert core._context.fast
        core._context.fast = way == "short"
        for steps, expected in parse_scenario(RECORDINGS[name]):
            for step in steps:
                with contextlib.suppress(OSError):
                    perform(step, location)
            assert [describe(event) for event in watch.fence()] == expected, steps
