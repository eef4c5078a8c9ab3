"""The keyword arguments of the functions that make a watch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal, TypedDict

from limpet.config import BackendName, ContentOptions, OwnPolicy, SettleUntil


class Options(TypedDict, total=False):
    """The keyword arguments of ``watch_dir`` and ``watch_file``; ``WatchOptions`` explains each."""

    must_exist: bool
    recursive: bool
    existing: bool
    state: str | os.PathLike[str] | None
    settle: float
    settle_max: float | None
    settle_until: SettleUntil
    settle_dir: float
    metadata: bool
    transient: bool
    follow_symlinks: bool
    own: OwnPolicy
    content: ContentOptions | Literal["r", "rb"] | None
    include: str | Iterable[str]
    exclude: str | Iterable[str]
    ignore_file: str | None
    default_ignores: bool
    backend: BackendName
    filesystem_mark: bool
    gather: float
    poll_interval: float
    rescan_interval: float | None
