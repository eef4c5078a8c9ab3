"""Which components of a changed file go on as they are, and which come and go."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from mewbot.core import IOConfigInterface

from limpet.bot._components import Parts
from limpet.bot.io._filesystem import FileSystem

__all__ = ["adopt"]


def adopt(old: Parts, new: Parts) -> Parts:
    """Give the new parts with those of the old that can go on.

    A ``FileSystem`` of the same uuid goes on and gets the new values: a path that it keeps is
    watched on without a gap. Another IOConfig of the same uuid, class and properties goes on, too.
    """
    known = {_uuid(one): one for one in old.io_configs if _uuid(one)}
    kept = [_kept(known.get(_uuid(one)), one) for one in new.io_configs]
    return dataclasses.replace(new, io_configs=tuple(kept))


def _kept(old: IOConfigInterface | None, new: IOConfigInterface) -> IOConfigInterface:
    if old is None or type(old) is not type(new):
        return new
    if isinstance(old, FileSystem) and isinstance(new, FileSystem):
        old.become(new)
        return old
    one, two = _properties(old), _properties(new)
    return old if one is not None and one == two else new


def _uuid(one: Any) -> str:  # noqa: ANN401 - any component
    return str(getattr(one, "uuid", ""))


def _properties(one: Any) -> object:  # noqa: ANN401 - any component
    with contextlib.suppress(Exception):
        return one.serialise()["properties"]
    return None
