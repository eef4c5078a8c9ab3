"""The keyword arguments of the functions that make a watch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from limpet._option_fields import options_from, path_of, texts_of
from limpet.config import BackendName, ContentOptions, OwnPolicy, SettleUntil, WatchOptions
from limpet.errors import UsageError
from limpet.events import Kind


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
    who: bool
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


def options_of_place(given: Mapping[str, Any], expects: Kind) -> WatchOptions:
    """Return checked options.

    Raises:
        UsageError: One does not exist, is of another type, out of its range, or for folders alone.
    """
    checked = watch_options(dict(given))
    if expects == "file" and checked.settle_dir:
        message = "settle_dir is for folders: watch_dir has it, watch_file does not"
        raise UsageError(message)
    return checked


def watch_options(given: dict[str, Any]) -> WatchOptions:
    """Return checked options from keyword arguments, in all forms that these may have."""
    for name in ("include", "exclude"):
        if name in given:
            given[name] = texts_of(name, given[name])
    content = given.get("content")
    if isinstance(content, str) and content in {"r", "rb"}:
        given["content"] = options_from(ContentOptions, {"mode": content})
    if given.get("state") is not None:
        given["state"] = path_of("state", given["state"])
    if isinstance(given.get("ignore_file"), os.PathLike):
        given["ignore_file"] = os.fspath(given["ignore_file"])
    return options_from(WatchOptions, given)
