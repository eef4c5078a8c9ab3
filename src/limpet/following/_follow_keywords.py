"""The keyword arguments of ``follow``, and the options that they make."""

from __future__ import annotations

import os
from typing import Any, Literal, TypedDict

from limpet._option_fields import options_from, path_of
from limpet.config import BackendName
from limpet.following._follow_options import FollowOptions, Start
from limpet.following._line_splitter import LongLines
from limpet.following._position import Position


class Options(TypedDict, total=False):
    """The keyword arguments of ``follow``; ``FollowOptions`` explains each."""

    start: Start | Position | None
    last: int
    fallback: Literal["end", "beginning", "last"]
    ignore_older: float | None
    state: str | os.PathLike[str] | None
    commit: Literal["auto", "manual"]
    on_corrupt: Literal["start", "raise"]
    durability: Literal["fsync", "rename", "none"]
    rotated: str | None
    mode: Literal["lines", "chunks", "whole"]
    encoding: str | None
    errors: str
    delimiter: bytes | None
    keep_cr: bool
    max_line: int
    on_long: LongLines
    flush_partial: float | None
    max_bytes: int
    settle: float
    linger: float
    order: Literal["prompt", "strict"]
    retire: Literal["idle", "no-writer"]
    on_trim: Literal["restart", "keep"]
    on_rewrite: Literal["restart", "keep"]
    max_open: int
    max_generations: int
    unlinked_timeout: float
    follow_symlinks: bool | Literal["same-owner"]
    safety: float
    backend: BackendName
    poll_interval: float
    until: Literal["eof", "retired"] | None


def make_options(given: dict[str, Any]) -> FollowOptions:
    """Return checked options.

    Raises:
        UsageError: An option does not exist or is out of its range.
    """
    if given.get("state") is not None:
        given["state"] = path_of("state", given["state"])
    return options_from(FollowOptions, given)
