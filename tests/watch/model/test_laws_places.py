"""The laws for a watch of several places: what moves between them, and two inside each other.

The first level of the random names are the places: ``a`` and ``b`` are folders, ``c`` is a file,
and ``a/d`` is a place of its own inside ``a``. What is elsewhere is watched by none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis.stateful import precondition, rule

import limpet
from limpet.testing import listing
from tests.conftest import BACKENDS
from tests.watch.model.test_laws import Laws


class LawsOfPlaces(Laws):
    """Several watched locations under random operations."""

    def open_watch(self) -> Any:
        watch = limpet.watch(
            limpet.Dir(self.base / "a"), limpet.Dir(self.base / "b"),
            limpet.Dir(self.base / "a" / "d"), limpet.File(self.base / "c"),
            backend=self.backend, poll_interval=3600, default_ignores=False, **self.options,
        ).sync()  # fmt: skip
        return watch.__enter__()

    def expected(self) -> dict[Path, Any]:
        found: dict[Path, Any] = {}
        for place in ("a", "b", "a/d"):
            found.update(listing(self.base / place))
        inner = self.base / "a" / "d"
        if not inner.is_dir():
            found = {path: kind for path, kind in found.items() if not path.is_relative_to(inner)}
        elif (self.base / "a").is_dir():
            found[inner] = "dir"  # also behind a symlink, which a place follows
        file = self.base / "c"
        if file.is_file():
            found[file] = "file"
        return found

    @precondition(lambda self: self.watch is not None)
    @rule()
    def lose_hints(self) -> None:
        """As an overflow of the kernel's queue does."""
        core: Any = self.watch._core  # type: ignore[union-attr]
        core.router.drain()
        with core.router.lock:
            for hints in core.hints.parts:
                hints.lose("overflow")

    def check_index(self) -> None:
        core: Any = self.watch._core  # type: ignore[union-attr]
        for member in core._members:
            tree = member.watcher._context
            if tree is None or tree.index.root is None:
                continue
            for folder in tree.index.root.walk():
                assert tree.index.find(folder.device, folder.inode) is folder


def _case(backend: str) -> Any:
    machine: Any = type(f"LawsOfPlaces_{backend}", (LawsOfPlaces,), {"backend": backend})
    return machine.TestCase


for _backend in BACKENDS:
    globals()[f"TestLawsOfPlaces_{_backend}"] = _case(_backend)
